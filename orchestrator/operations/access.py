"""Getting into sites: which host keys are right, who one is there, and what a short command answers."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from metadata.errors import InvalidInputError, NotFoundError, SiteError
from orchestrator.operations.workspace import Workspace
from orchestrator.ports import Argv, CommandResult, CommandRunner
from orchestrator.registry import load, open_runner
from staging.ports import Prompter, Question
from staging.ports import SupportsLogin as SupportsServiceLogin

__all__ = [
    "Identity", "KeyDecision", "Prompter", "Question", "UnknownKey", "login_site", "logout_site", "run_command",
    "trust_site",
]  # fmt: skip

_MOST_HOSTS = 16
"""A site and the hosts on the way to it."""
_NO_DIRECTORY = 74
_ENTER = """\
cd -- "$1" 2>/dev/null || { printf '%s\\n' "$2"; exit 74; }
shift 2; exec "$@\""""
_WHO: Argv = ("/bin/sh", "-c", "id -un; uname -n; pwd; id -Gn")


@runtime_checkable
class SupportsLogin(Protocol):
    """A runner that logs in before it runs anything, and checks whom it talks to."""

    def connect(self) -> None:
        """The user is logged in; a prompter that the runner was made with was asked where the site asks."""

    def log_in(self, prompter: Prompter) -> None:
        """Every program of this user gets in from now on; `prompter` was asked where the site wants a person."""

    def log_out(self) -> None:
        """Nobody uses that login any more."""

    def find_untrusted_key(self) -> Any:
        """The first host key on the way that nobody has said yes to; None when all are trusted."""

    def trust(self, shown: Any) -> None:
        """The key is trusted from now on."""


@dataclass(frozen=True, kw_only=True)
class UnknownKey:
    """A host key that nobody has said yes to yet."""

    site: str
    host: str
    """The host on the way to the site that shows it: the site's own, or a jump host."""
    algorithm: str
    fingerprint: str
    """SHA256:..., as centres publish it."""
    file: Path
    """The known_hosts file that it is written to when it is trusted."""


@dataclass(frozen=True, kw_only=True)
class KeyDecision:
    """What was decided about a key."""

    key: UnknownKey
    trusted: bool


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Who one is at a site."""

    site: str
    user: str
    groups: tuple[str, ...]
    host: str
    """The machine that answered; of a centre's several login nodes it may be any."""
    directory: str
    """Where commands start."""


def trust_site(workspace: Workspace, name: str, decide: Callable[[UnknownKey], bool]) -> list[KeyDecision]:
    """The host keys on the way to the site that `decide` said yes to are trusted; the first no ends the way.

    Empty when every key was trusted already. Nothing is sent to a host before its key is trusted.

    Raises:
        NotFoundError: There is no such site.
        InvalidInputError: The site is not reached over anything that has host keys.
        SiteError: A host shows another key than was trusted before. That is never a matter of saying yes: the message
            tells both fingerprints, and how to forget the old one.
        SiteUnavailableError: A host does not answer.
    """
    decisions: list[KeyDecision] = []
    with closing(_open_login(workspace, name)) as runner:
        for _ in range(_MOST_HOSTS):
            shown = runner.find_untrusted_key()
            if shown is None:
                break
            if shown.changed:
                runner.connect()  # which refuses, in full
                raise SiteError(f"site '{name}': the host key of {shown.key_name} has changed", site=name)
            key = UnknownKey(
                site=name, host=shown.key_name, algorithm=shown.key.algorithm, fingerprint=shown.key.fingerprint,
                file=shown.file,
            )  # fmt: skip
            decisions.append(KeyDecision(key=key, trusted=decide(key)))
            if not decisions[-1].trusted:
                break
            runner.trust(shown)
    return decisions


def login_site(workspace: Workspace, name: str, prompter: Prompter) -> Identity:
    """The user is logged in, whatever the site asked for was answered by `prompter`, and the site said who that is.

    So it is at services that its doors lead to, such as Globus. Where the site wants a person, the login stays behind
    when this process ends: every command, storage and mover of every process of this user goes through it, and runs
    that waited for it go on.

    Raises NotFoundError, InvalidInputError (the site needs no login), SiteError (refused; the host key is not trusted)
    or SiteUnavailableError (no answer, or a wrong one).
    """
    services = _services(workspace, name)
    with closing(_open_runner(workspace, name) if services else _open_login(workspace, name)) as runner:
        if isinstance(runner, SupportsLogin):
            runner.log_in(prompter)
        for service in services:
            service.log_in(workspace.storages[name].endpoint, prompter)
        answer = runner.run(_WHO, timeout_s=30.0)
    user, host, directory, groups, *_ = [*answer.stdout.splitlines(), "", "", "", ""]
    return Identity(site=name, user=user, host=host, directory=directory, groups=tuple(groups.split()))


def logout_site(workspace: Workspace, name: str) -> None:
    """The login that `login_site` left behind, if there is one, is over; so are those at services of its doors.

    Raises NotFoundError, InvalidInputError (the site needs no login), or SiteUnavailableError: a service was not told.
    """
    services = _services(workspace, name)
    with closing(_open_runner(workspace, name) if services else _open_login(workspace, name)) as runner:
        if isinstance(runner, SupportsLogin):
            runner.log_out()
    for service in services:
        service.log_out()


def run_command(
    workspace: Workspace, site: str, argv: Sequence[str], *, timeout_s: float = 10.0, directory: str | None = None
) -> CommandResult:
    """What a short command answered where commands of the site run (its login node), whatever its exit code.

    Raises NotFoundError (the site, or the directory), InvalidInputError (an empty command), SiteUnavailableError (the
    site does not answer, or the command took longer than `timeout_s` and was killed with all that it started).
    """
    words = tuple(argv)
    if not words or not words[0]:
        raise InvalidInputError("a command needs at least one word")
    mark = secrets.token_hex(12)
    entered = words if directory is None else ("/bin/sh", "-c", _ENTER, "sh", directory, mark, *words)
    with closing(open_runner(site, workspace.site(site))) as runner:
        result = runner.run(entered, timeout_s=timeout_s)
    if result.exit_code == _NO_DIRECTORY and result.stdout == f"{mark}\n":
        raise NotFoundError(f"site '{site}' has no directory {directory}", site=site)
    return replace(result, argv=words)


class _LoginRunner(SupportsLogin, CommandRunner, Protocol):
    """A runner that logs in."""


def _services(workspace: Workspace, name: str) -> list[SupportsServiceLogin]:
    """Those that a person logs in to for the doors of a site. A mover that cannot be had here is told of by its use."""
    doors = workspace.site(name).doors.keys()
    return [
        mover
        for mover in workspace.movers.values()
        if isinstance(mover, SupportsServiceLogin) and mover.capabilities.schemes & doors
    ]


def _open_runner(workspace: Workspace, name: str) -> CommandRunner:
    return open_runner(name, workspace.site(name))


def _open_login(workspace: Workspace, name: str) -> _LoginRunner:
    choice = workspace.site(name).runner
    adapter = load("runners", choice.type)
    if not issubclass(adapter, SupportsLogin):
        raise InvalidInputError(f"the site {name!r} is reached by {choice.type!r}, which needs no login")
    runner: _LoginRunner = adapter(site=name, options=choice.options)
    return runner
