"""Arguments and options that several verbs on data take."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from metadata.errors import InvalidInputError
from metadata.policy import Policy
from orchestrator.faces.cli import completions
from orchestrator.faces.cli.terminal import Terminal
from orchestrator.faces.cli.verbs import flag, several

if TYPE_CHECKING:
    from rich.console import RenderableType

_NAMES = "NAME, NAME/path or a pattern; site://SITE/path for what is outside the catalogue."

DatasetName = Annotated[
    str,
    typer.Argument(metavar="NAME", help="NAME, NAME/path or dataset://NAME/path.", autocompletion=completions.names),
]
Names = Annotated[list[str] | None, typer.Argument(metavar="NAME...", help=_NAMES, autocompletion=completions.names)]
AllOrNames = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[NAME...]", help="Datasets, or parts of them; all without any.", autocompletion=completions.names
    ),
]
FromFile = Annotated[
    Path | None,
    typer.Option(
        "--from-file", metavar="FILE", help="Further names, one a line (or between NULs); - is standard input."
    ),
]
OnlySite = Annotated[
    str | None, typer.Option("--site", metavar="SITE", help="At this site only.", autocompletion=completions.sites)
]
Yes = Annotated[bool, flag("--yes", "-y", about="Do it without a question.")]
Attributes = Annotated[
    list[str] | None, typer.Option("--attribute", "-a", metavar="KEY=VALUE", help="A fact to find it by.")
]
Only = Annotated[
    list[str] | None,
    several("--only-at", metavar="SITE", about="The data may lie at this site only", autocompletion=completions.sites),
]
Release = Annotated[
    list[str] | None,
    several("--release", metavar="OUTPUT", about="What may leave when made of data kept by --only-at"),
]


def names_given(words: list[str] | None, from_file: Path | None, *, least: int = 1) -> list[str]:
    """The names of the command line, and those of a file before them. Raises InvalidInputError for too few."""
    names = [*(_lines(from_file) if from_file else []), *(words or [])]
    if len(names) < least:
        raise InvalidInputError("nothing is named; name datasets or parts of them, here or with --from-file")
    return names


def _lines(path: Path) -> list[str]:
    try:
        text = sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8")
    except OSError as error:
        raise InvalidInputError(f"cannot read {path}: {error.strerror}") from error
    return [line for line in (text.split("\0") if "\0" in text else text.splitlines()) if line.strip()]


def policy_of(only_at: list[str] | None, release: list[str] | None = None) -> Policy | None:
    """What --only-at and --release ask for; None when nothing."""
    return Policy(sites=frozenset(only_at), release=tuple(release or ())) if only_at else None


def confirmed(
    terminal: Terminal, view: Callable[[Any], RenderableType], question: str, *, yes: bool
) -> Callable[[Any], bool]:
    """Shows what would happen, and asks a person; `yes` is an answer given before."""

    def ask(value: Any) -> bool:
        if yes:
            return True
        if not sys.stdin.isatty():
            raise InvalidInputError(f"{question} Nobody is there to say so; add --yes")
        terminal.preview(value, view)
        return typer.confirm(question, err=True)

    return ask
