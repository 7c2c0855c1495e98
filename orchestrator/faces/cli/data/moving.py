"""Data on their way: data add, put, get, cp, mv, rm."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from orchestrator import operations
from orchestrator.faces.cli import completions, tables
from orchestrator.faces.cli.counting import Counter
from orchestrator.faces.cli.data.words import (
    Attributes,
    DatasetName,
    FromFile,
    Names,
    Only,
    OnlySite,
    Release,
    Yes,
    confirmed,
    names_given,
    policy_of,
)
from orchestrator.faces.cli.lines import carried_line, tells_all
from orchestrator.faces.cli.terminal import Terminal
from orchestrator.faces.cli.values import parse_attributes, parse_values
from orchestrator.faces.cli.verbs import flag, several, verb
from orchestrator.faces.cli.words import Parameters
from orchestrator.faces.exit_codes import FAILED, outcome_of
from orchestrator.settings import HERE

Destination = Annotated[
    list[str],
    typer.Argument(
        metavar="SOURCE... DESTINATION",
        help="The last word is the destination: SITE: (its store), site://SITE/path, or a name in the catalogue.",
        autocompletion=completions.names,
    ),
]


def register(data: typer.Typer) -> None:
    """The verbs are in the group."""
    added = [
        "convoy data add camelyon17 slides/ --attribute centre=2",
        "convoy data add scans /data/scans --site agh --only-at agh",
    ]
    verb(data, examples=added)(add)
    put_examples = [
        "convoy data put slides/ camelyon17 --site agh",
        "convoy data put new.tif camelyon17/train --site agh --site vault",
    ]
    verb(data, examples=put_examples)(put)
    fetched = ["convoy data get camelyon17/patient_004.tif --output slides/", "convoy data get 'study/**/*.csv'"]
    verb(data, examples=[*fetched, "convoy data find stain=HE --json | jq -r ... | convoy data get --from-file -"])(get)
    copied = [
        "convoy data cp camelyon17 agh:                       # bytes to a site's store",
        "convoy data cp camelyon17/train site://agh/scratch/  # bytes to a folder of one's own",
        "convoy data cp private lrz: --through transforms/deidentify-slide",
        "convoy data cp camelyon17/train study/2026           # names only: content is shared",
        "convoy data cp site://agh/scratch/out results        # files of a site become known",
    ]
    verb(data, examples=copied)(cp)
    verb(data, examples=["convoy data mv study study-2026", "convoy data mv 'study/*.tif' study/slides/"])(mv)
    removed = [
        "convoy data rm study/old                          # the names; copies stay where they are",
        "convoy data rm study --copies --site agh          # bytes at one site; the names stay",
        "convoy data rm study --copies --force             # names and bytes, everywhere",
    ]
    verb(data, examples=removed)(rm)


def add(
    terminal: Terminal,
    *,
    name: DatasetName,
    paths: Annotated[list[str], typer.Argument(metavar="PATH...", help="Files, folders or shell patterns.")],
    site: Annotated[str, typer.Option("--site", help="Where the files lie.", autocompletion=completions.sites)] = HERE,
    description: Annotated[str | None, typer.Option("--description", help="For people.")] = None,
    attribute: Attributes = None,
    only_at: Only = None,
    release: Release = None,
) -> None:
    """Make files known as a dataset. They are hashed where they lie, and not moved."""
    facts = parse_attributes(attribute or [], option="--attribute")
    with Counter(terminal, "hashed") as counter:
        added = operations.add_data(
            terminal.workspace, name, paths, site=site, description=description, attributes=facts,
            policy=policy_of(only_at, release), progress=counter,
        )  # fmt: skip
    terminal.answer(added, lambda row: tables.datasets_view([row]))


def put(
    terminal: Terminal,
    *,
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH... NAME", help="Files of this machine, and the dataset, or folder in it, that gets them."
        ),
    ],
    site: Annotated[
        list[str],
        several("--site", metavar="SITE", about="Where to", autocompletion=completions.sites),
    ],
    attribute: Attributes = None,
    only_at: Only = None,
    release: Release = None,
    from_file: FromFile = None,
) -> None:
    """Bring files of this machine to sites, verified, and make them known in a dataset."""
    *paths, name = names_given(words, from_file, least=2)
    facts = parse_attributes(attribute or [], option="--attribute")
    with Counter(terminal, "sent") as counter:
        carried = operations.put_data(
            terminal.workspace, paths, name, sites=site, attributes=facts, policy=policy_of(only_at, release),
            progress=counter,
        )  # fmt: skip
    if tells_all(carried) and not terminal.as_json:
        terminal.write_line(carried_line(carried))
    else:
        terminal.answer(carried, tables.carried_view)


def get(
    terminal: Terminal,
    *,
    names: Names = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder to write to.")] = Path(),
    from_file: FromFile = None,
) -> None:
    """Fetch data from wherever they lie. Every byte is checked, and no other file is overwritten."""
    with Counter(terminal, "fetched") as counter:
        paths = operations.get_data(terminal.workspace, names_given(names, from_file), output, progress=counter)
    terminal.answer(paths, tables.paths_view)


def cp(
    terminal: Terminal,
    *,
    words: Destination,
    through: Annotated[
        list[str] | None,
        several(
            "--through", metavar="USECASE/LAYER", about="A transform where the data lie; only what it makes is copied"
        ),
    ] = None,
    params: Parameters = None,
    from_file: FromFile = None,
) -> None:
    """Copy data to a site, verified; or give them further names. Nothing is overwritten.

    With --through, only what a run makes of the data where they lie is copied.
    """
    *sources, destination = names_given(words, from_file, least=2)
    with Counter(terminal, "copied") as counter:
        if through:
            facts = parse_values(params or [], option="--param")
            done: Sequence[Any] = operations.copy_through(
                terminal.workspace, sources, destination, through, parameters=facts, progress=counter
            )
        else:
            done = operations.copy_data(terminal.workspace, sources, destination, progress=counter)
    terminal.answer(done, tables.moved_view)
    _end_by(done)


def _end_by(done: Sequence[Any]) -> None:
    """Exits with what the first error means, when there is one."""
    error = next((row.error for row in done if getattr(row, "error", None)), None)
    if error is not None:
        raise typer.Exit(outcome_of(error).exit_code)


def mv(terminal: Terminal, *, words: Destination, from_file: FromFile = None) -> None:
    """Rename datasets and files in the catalogue, or paths at a site. No byte travels, and nothing is overwritten."""
    *sources, destination = names_given(words, from_file, least=2)
    terminal.answer(operations.move_data(terminal.workspace, sources, destination), tables.moved_view)


def rm(
    terminal: Terminal,
    *,
    names: Names = None,
    copies: Annotated[bool, flag("--copies", about="Remove bytes at sites, too.")] = False,
    site: OnlySite = None,
    force: Annotated[bool, flag("--force", about="Even the last copy.")] = False,
    yes: Yes = False,
    from_file: FromFile = None,
) -> None:
    """Remove names, or the bytes behind them; never what is pinned, and the last copy only with --force.

    Files that were registered where they lay (data add) are not Convoy's, and stay there; remove such a file by its
    place: site://SITE/path.
    """
    ask = confirmed(terminal, tables.unwanted_view, "Remove this?", yes=yes)
    wanted = names_given(names, from_file)
    gone = operations.remove_data(terminal.workspace, wanted, confirm=ask, copies=copies, site=site, force=force)
    if gone is None:
        raise typer.Exit(FAILED.exit_code)
    terminal.answer(gone, tables.unwanted_view)
