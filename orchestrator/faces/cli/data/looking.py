"""What there is: data ls, show, find, du, cat, tag."""

from __future__ import annotations

import sys
from functools import partial
from typing import Annotated

import typer

from metadata.globs import is_glob
from orchestrator import operations
from orchestrator.faces.cli import completions, tables
from orchestrator.faces.cli.data.words import AllOrNames, DatasetName, FromFile, names_given
from orchestrator.faces.cli.terminal import Terminal
from orchestrator.faces.cli.values import parse_attributes, parse_bytes
from orchestrator.faces.cli.verbs import flag, verb

_BLOCK_BYTES = 4 << 20


def register(data: typer.Typer) -> None:
    """The verbs are in the group."""
    listed = ["convoy data ls", "convoy data ls 'camelyon*'", "convoy data ls -l camelyon17/train"]
    verb(data, examples=[*listed, "convoy data ls site://agh/scratch/alice"])(ls)
    verb(data, examples=["convoy data show camelyon17"])(show)
    verb(data, examples=["convoy data find 'mpp<0.3' 'stain~H*'"])(find)
    verb(data, examples=["convoy data du", "convoy data du --depth 2 camelyon17"])(du)
    verb(data, examples=["convoy data cat study/scores.csv", "convoy data cat slides/a.tif --size 4KiB | file -"])(cat)
    tagged = ["convoy data tag camelyon17/patient_004.tif mpp=0.25 stain=HE", "convoy data tag camelyon17 stain="]
    verb(data, examples=tagged)(tag)


def ls(
    terminal: Terminal,
    *,
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME]",
            help="A dataset, a folder in it, a pattern, or site://SITE/path; all datasets without it.",
            autocompletion=completions.names,
        ),
    ] = None,
    long: Annotated[bool, flag("--long", "-l", about="Show where the copies lie, and hashes.")] = False,
    recursive: Annotated[bool, flag("--recursive", "-R", about="Every file, however deep.")] = False,
    itself: Annotated[bool, flag("--directory", "-d", about="The name itself, not what is in it.")] = False,
) -> None:
    """List the datasets, or what is in one."""
    if name is None or (is_glob(name) and "/" not in name):
        terminal.answer(operations.list_data(terminal.workspace, name), tables.datasets_view)
    elif itself:
        terminal.answer([operations.stat_data(terminal.workspace, name)], partial(tables.folder_view, long=long))
    else:
        found = operations.list_folder(terminal.workspace, name, recursive=recursive)
        terminal.answer(found, partial(tables.folder_view, long=long))


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


def du(
    terminal: Terminal,
    *,
    names: AllOrNames = None,
    depth: Annotated[int, typer.Option("--depth", min=0, help="Folders within folders to show.")] = 0,
    from_file: FromFile = None,
) -> None:
    """Count files and bytes: by name, by content (each once), and at each site."""
    wanted = names_given(names, from_file, least=0)
    terminal.answer(operations.measure_usage(terminal.workspace, wanted, depth=depth), tables.usage_view)


def cat(
    terminal: Terminal,
    *,
    name: DatasetName,
    offset: Annotated[int, typer.Option("--offset", min=0, metavar="BYTES", help="Where to begin.")] = 0,
    size: Annotated[
        str | None, typer.Option("--size", metavar="SIZE", help="How much, as 4KiB; all without it.")
    ] = None,
) -> None:
    """Write a file, or a part of it, to standard output, read from its nearest copy.

    Parts cannot be checked against the file's hash: what is read is a copy of the right size and time. With --json,
    says where it would be read from, and reads nothing.
    """
    reader = operations.open_data(terminal.workspace, name)
    if terminal.as_json:
        terminal.write_json({"file": reader.file, "site": reader.site})
        return
    end = min(reader.file.size_bytes, offset + parse_bytes(size, option="--size")) if size else reader.file.size_bytes
    for at in range(offset, end, _BLOCK_BYTES):
        sys.stdout.buffer.write(reader.read_range(offset=at, size_bytes=min(_BLOCK_BYTES, end - at)))


def tag(
    terminal: Terminal,
    *,
    name: DatasetName,
    attributes: Annotated[list[str], typer.Argument(metavar="KEY=VALUE...", help="KEY= removes an attribute.")],
) -> None:
    """Set attributes of a dataset, or of one of its files, and show them all."""
    facts = parse_attributes(attributes, option="tag")
    terminal.answer(operations.tag_data(terminal.workspace, name, facts), tables.values_view)
