"""Datasets: data add, ls, show, find, tag, get, verify, clean."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from metadata.policy import Policy
from orchestrator import operations
from orchestrator.faces.cli import completions, tables
from orchestrator.faces.cli.counting import Counter
from orchestrator.faces.cli.terminal import Terminal
from orchestrator.faces.cli.values import parse_attributes
from orchestrator.faces.cli.verbs import DATA, flag, group, verb
from orchestrator.faces.exit_codes import FAILED
from orchestrator.settings import HERE

DatasetName = Annotated[
    str,
    typer.Argument(metavar="NAME", help="NAME, NAME/path or dataset://NAME/path.", autocompletion=completions.datasets),
]
OptionalName = Annotated[
    str | None, typer.Argument(metavar="NAME", help="All without it.", autocompletion=completions.datasets)
]
Attributes = Annotated[
    list[str] | None, typer.Option("--attribute", "-a", metavar="KEY=VALUE", help="A fact to find it by.")
]
Place = Annotated[str, typer.Option("--site", help="Where the files lie.", autocompletion=completions.sites)]
Only = Annotated[
    list[str] | None,
    typer.Option("--only-at", metavar="SITE", help="The data may lie at this site only; may come several times."),
]
Release = Annotated[
    list[str] | None,
    typer.Option("--release", metavar="OUTPUT", help="What may leave when made of data kept by --only-at."),
]


def register(app: typer.Typer) -> None:
    """The group is in the command."""
    data = group(app, "data", panel=DATA, about="Add, find, fetch and check datasets.")
    added = [
        "convoy data add camelyon17 slides/ --attribute centre=2",
        "convoy data add scans /data/scans --site agh --only-at agh",
    ]
    verb(data, examples=added)(add)
    verb(data, examples=["convoy data ls 'camelyon*'"])(ls)
    verb(data, examples=["convoy data show camelyon17"])(show)
    verb(data, examples=["convoy data find 'mpp<0.3' 'stain~H*'"])(find)
    verb(
        data,
        examples=["convoy data tag camelyon17/patient_004.tif mpp=0.25 stain=HE", "convoy data tag camelyon17 stain="],
    )(tag)
    verb(data, examples=["convoy data get camelyon17/patient_004.tif --output slides/"])(get)
    verb(data, examples=["convoy data verify camelyon17"])(verify)
    verb(data, examples=["convoy data clean"])(clean)


def add(
    terminal: Terminal,
    *,
    name: DatasetName,
    paths: Annotated[list[str], typer.Argument(metavar="PATH...", help="Files, folders or shell patterns.")],
    site: Place = HERE,
    description: Annotated[str | None, typer.Option("--description", help="For people.")] = None,
    attribute: Attributes = None,
    only_at: Only = None,
    release: Release = None,
) -> None:
    """Make files known as a dataset. They are hashed where they lie, and not moved."""
    policy = Policy(sites=frozenset(only_at), release=tuple(release or ())) if only_at else None
    facts = parse_attributes(attribute or [], option="--attribute")
    with Counter(terminal, "hashed") as counter:
        added = operations.add_data(
            terminal.workspace, name, paths, site=site, description=description, attributes=facts, policy=policy,
            progress=counter,
        )  # fmt: skip
    terminal.answer(added, lambda row: tables.datasets_view([row]))


def ls(
    terminal: Terminal, pattern: Annotated[str | None, typer.Argument(help="A shell pattern for names.")] = None
) -> None:
    """List the datasets."""
    terminal.answer(operations.list_data(terminal.workspace, pattern), tables.datasets_view)


def show(terminal: Terminal, name: DatasetName) -> None:
    """Show a dataset, or a part of it: files, copies, attributes, policy."""
    terminal.answer(operations.show_data(terminal.workspace, name), tables.dataset_view)


def find(
    terminal: Terminal,
    *,
    conditions: Annotated[list[str], typer.Argument(metavar="CONDITION...", help="Such as 'mpp<0.3'; all must hold.")],
    datasets: Annotated[bool, flag("--datasets", about="Find datasets, not files.")] = False,
) -> None:
    """Find files, or datasets, by their attributes."""
    found = operations.find_data(terminal.workspace, conditions, kind="datasets" if datasets else "files")
    terminal.answer(found, tables.found_view)


def tag(
    terminal: Terminal,
    *,
    name: DatasetName,
    attributes: Annotated[list[str], typer.Argument(metavar="KEY=VALUE...", help="KEY= removes an attribute.")],
) -> None:
    """Set attributes of a dataset, or of one of its files, and show them all."""
    facts = parse_attributes(attributes, option="tag")
    terminal.answer(operations.tag_data(terminal.workspace, name, facts), tables.values_view)


def get(
    terminal: Terminal,
    *,
    name: DatasetName,
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder to write to.")] = Path(),
) -> None:
    """Fetch a dataset, or a part of it, from wherever it lies. Every byte is checked."""
    with Counter(terminal, "fetched") as counter:
        paths = operations.get_data(terminal.workspace, name, output, progress=counter)
    terminal.answer(paths, tables.paths_view)


def verify(terminal: Terminal, name: OptionalName = None) -> None:
    """Read every copy again and compare it with the catalogue. Exits with 1 when one differs or is gone."""
    with Counter(terminal, "read") as counter:
        found = operations.verify_data(terminal.workspace, name, progress=counter)
    terminal.answer(found, tables.verification_view)
    if not all(row.good for row in found):
        raise typer.Exit(FAILED.exit_code)


def clean(terminal: Terminal) -> None:
    """Remove partial files that no transfer wants any more from all sites."""
    found = operations.clean_data(terminal.workspace)
    terminal.answer(found, tables.orphans_view)
    if any(row.trouble for row in found):
        raise typer.Exit(FAILED.exit_code)
