"""Sites: site ls, show, test, trust, login, logout."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from metadata.errors import InvalidInputError, SiteUnavailableError
from orchestrator import operations
from orchestrator.faces.cli import completions, tables
from orchestrator.faces.cli.terminal import Terminal
from orchestrator.faces.cli.verbs import DATA, flag, group, verb
from orchestrator.faces.exit_codes import FAILED

if TYPE_CHECKING:
    from orchestrator.operations import Question, UnknownKey

SiteName = Annotated[str, typer.Argument(metavar="SITE", help="The site's name.", autocompletion=completions.sites)]


def register(app: typer.Typer) -> None:
    """The group is in the command."""
    sites = group(app, "site", panel=DATA, about="Look at the sites, and try whether they work.")
    verb(sites)(ls)
    verb(sites, examples=["convoy site show agh"])(show)
    verb(sites, examples=["convoy site test agh"])(test)
    verb(sites, examples=["convoy site trust agh", "convoy site trust agh --fingerprint SHA256:Yd0o..."])(trust)
    verb(sites, examples=["convoy site login agh"])(login)
    verb(sites, examples=["convoy site logout agh"])(logout)


def ls(terminal: Terminal) -> None:
    """List the sites."""
    terminal.answer(operations.list_sites(terminal.workspace), tables.sites_view)


def show(terminal: Terminal, site: SiteName) -> None:
    """Show one site."""
    terminal.answer(operations.show_site(terminal.workspace, site), partial(tables.site_view, name=site))


def test(terminal: Terminal, site: SiteName) -> None:
    """Try a site for real, and say what to mend. Exits with 1 when something is wrong.

    Login, clock, scheduler, partitions, storage, quota, container runtime, a transfer there and back, a small job. What
    cannot be tried because something before it failed is not counted as wrong. Nothing is left behind at the site.
    """
    findings = operations.test_site(terminal.workspace, site)
    terminal.answer(findings, tables.findings_view)
    if any(finding.good is False for finding in findings):
        raise typer.Exit(FAILED.exit_code)


def trust(
    terminal: Terminal,
    *,
    site: SiteName,
    yes: Annotated[bool, flag("--yes", "-y", about="Trust whatever is shown, without a question.")] = False,
    fingerprint: Annotated[
        list[str] | None, typer.Option("--fingerprint", metavar="SHA256:...", help="Trust a key with this one only.")
    ] = None,
) -> None:
    """Show the unknown host keys on the way to a site, and trust those that you say yes to. Exits with 1 after a no.

    Compare the fingerprint with what the centre publishes. A key that has changed is never trusted so.
    """
    decisions = operations.trust_site(terminal.workspace, site, _decision(yes=yes, fingerprints=fingerprint))
    terminal.answer(decisions, tables.decisions_view)
    if not all(decision.trusted for decision in decisions):
        raise typer.Exit(FAILED.exit_code)


def _decision(*, yes: bool, fingerprints: Sequence[str] | None) -> Callable[[UnknownKey], bool]:
    if fingerprints:
        return lambda key: key.fingerprint in fingerprints
    return (lambda _: True) if yes else _asked


def _asked(key: UnknownKey) -> bool:
    if not sys.stdin.isatty():
        shown, advice = key.fingerprint, "compare it with what the centre publishes, then"
        raise InvalidInputError(
            f"{key.host} shows {key.algorithm} {shown}, and nobody is there to say that it is right; "
            f"{advice}: convoy site trust {key.site} --fingerprint {shown}"
        )
    return typer.confirm(f"{key.host} shows {key.algorithm} {key.fingerprint}\nIs that the centre's key?", err=True)


def login(terminal: Terminal, site: SiteName) -> None:
    """Log in to a site, answer what it asks, and show who you are there.

    Where the site wants a code or a password, the login stays open behind this command: every run, transfer and other
    command of yours uses it, and runs that waited for it go on. It ends after twelve idle hours. A site with a door to
    Globus sends you to an address there as well, once for all sites, and asks for the code that you are shown.
    """
    terminal.answer(operations.login_site(terminal.workspace, site, _Person()), tables.identity_view)


def logout(terminal: Terminal, site: SiteName) -> None:
    """End the login that `convoy site login` left open. A login to Globus is revoked there, for all sites."""
    operations.logout_site(terminal.workspace, site)


class _Person:
    """Asks whoever sits at the terminal."""

    def ask(self, *, site: str, title: str, questions: Sequence[Question]) -> Sequence[str]:
        """One answer to each question. Raises SiteUnavailableError when nobody is there."""
        if not sys.stdin.isatty():
            wanted = ", ".join(question.text.strip() for question in questions)
            raise SiteUnavailableError(f"site '{site}' asks for {wanted!r}, and nobody is there to answer", site=site)
        sys.stderr.write(f"{title}\n" if title else "")
        return [self._answer(question) for question in questions]

    @staticmethod
    def _answer(question: Question) -> str:
        if question.secret:
            return getpass.getpass(question.text)
        sys.stderr.write(question.text)
        sys.stderr.flush()
        return sys.stdin.readline().rstrip("\n")
