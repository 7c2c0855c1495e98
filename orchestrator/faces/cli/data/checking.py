"""Whether data are what they were, and what is new: data verify, watch, clean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator import operations, quantities
from orchestrator.faces.cli import tables
from orchestrator.faces.cli.counting import Counter
from orchestrator.faces.cli.data.words import (
    AllOrNames,
    DatasetName,
    FromFile,
    Only,
    OnlySite,
    Yes,
    confirmed,
    names_given,
    policy_of,
)
from orchestrator.faces.cli.terminal import Terminal
from orchestrator.faces.cli.values import parse_seconds
from orchestrator.faces.cli.verbs import flag, verb
from orchestrator.faces.exit_codes import FAILED
from orchestrator.faces.json_values import render_json

if TYPE_CHECKING:
    from orchestrator.operations import Sighting


def register(data: typer.Typer) -> None:
    """The verbs are in the group."""
    verb(data, examples=["convoy data clean", "convoy data clean --unknown"])(clean)
    verb(data, examples=["convoy data verify camelyon17", "convoy data verify --repair --site agh"])(verify)
    watched = ["convoy data watch scans /data/scanner --pattern '*.svs'", "convoy data watch scans site://agh/incoming"]
    verb(data, examples=[*watched, "convoy data watch scans /data/scanner --once --settle 5s"])(watch)


def clean(
    terminal: Terminal,
    *,
    unknown: Annotated[
        bool,
        flag(
            "--unknown",
            about="Content in the sites' stores, too, that has lain there unknown for a day, as after a crash",
        ),
    ] = False,
    yes: Yes = False,
) -> None:
    """Remove partial files that no transfer wants any more from all sites, an hour after the last byte was written.

    With --unknown it asks first: another home that has the same workdir may know what this one does not.
    """
    ask = confirmed(terminal, tables.orphans_view, "Remove this?", yes=yes or not unknown)
    found = operations.clean_data(terminal.workspace, unknown=unknown, confirm=ask)
    terminal.answer(found, tables.orphans_view)
    if any(row.trouble for row in found):
        raise typer.Exit(FAILED.exit_code)


def verify(
    terminal: Terminal,
    *,
    names: AllOrNames = None,
    site: OnlySite = None,
    repair: Annotated[bool, flag("--repair", about="Bring what is wrong or lost again from a right copy.")] = False,
    from_file: FromFile = None,
) -> None:
    """Read every copy again and compare it with the catalogue. Exits with 1 when one differs or is gone."""
    with Counter(terminal, "read") as counter:
        found = operations.verify_data(
            terminal.workspace, names_given(names, from_file, least=0), site=site, repair=repair, progress=counter
        )
    terminal.answer(found, tables.verification_view)
    if not all(row.good for row in found):
        raise typer.Exit(FAILED.exit_code)


def watch(
    terminal: Terminal,
    *,
    name: DatasetName,
    folder: Annotated[str, typer.Argument(metavar="FOLDER", help="A folder of this machine, or site://SITE/path.")],
    pattern: Annotated[str, typer.Option("--pattern", help="Which files, by their own names.")] = "*",
    settle: Annotated[str, typer.Option("--settle", metavar="TIME", help="Unchanged for so long: finished.")] = "30s",
    interval: Annotated[str, typer.Option("--interval", metavar="TIME", help="Between two looks.")] = "10s",
    once: Annotated[bool, flag("--once", about="End when all that is there has settled.")] = False,
    only_at: Only = None,
) -> None:
    """Register files of a folder as they appear and settle, hashed where they lie. With --json, a document a line.

    Goes on until it is interrupted. Exits with 1 after --once when a file could not be registered.
    """
    watched = operations.Watch(
        dataset=name, folder=folder, pattern=pattern, once=once,
        settle_s=parse_seconds(settle, option="--settle"), interval_s=parse_seconds(interval, option="--interval"),
        policy=policy_of(only_at),
    )  # fmt: skip
    good = True
    for row in operations.watch_data(terminal.workspace, watched):
        _tell(terminal, row)
        good = good and not row.trouble
    if not good:
        raise typer.Exit(FAILED.exit_code)


def _tell(terminal: Terminal, row: Sighting) -> None:
    if terminal.as_json:
        terminal.write_line(render_json(row, indent=None))
    elif row.trouble:
        terminal.warn(f"{row.path} is not registered: {row.trouble}")
    else:
        terminal.say(f"{row.name}  {quantities.shown_size(row.size_bytes)}")
