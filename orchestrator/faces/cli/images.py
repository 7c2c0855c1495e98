"""Images: image build, import, convert, ls, verify, push."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from orchestrator import operations
from orchestrator.faces.cli import completions, tables
from orchestrator.faces.cli.counting import Counter
from orchestrator.faces.cli.terminal import Terminal
from orchestrator.faces.cli.verbs import DATA, group, verb
from orchestrator.faces.exit_codes import FAILED
from orchestrator.ports import Compression
from orchestrator.settings import HERE

Reference = Annotated[str, typer.Argument(metavar="IMAGE", help="NAME, or NAME@sha256:... for exactly that one.")]
At = Annotated[str, typer.Option("--at", metavar="SITE", help="Where to make it.", autocompletion=completions.sites)]
Packing = Annotated[
    Compression | None,
    typer.Option("--compression", help="How to pack it: gzip is read everywhere, zstd is made ten times faster."),
]
Site = Annotated[str, typer.Argument(metavar="SITE", help="The site's name.", autocompletion=completions.sites)]


def register(app: typer.Typer) -> None:
    """The group is in the command."""
    images = group(app, "image", panel=DATA, about="Make, import, check and stage images for steps to run in.")
    verb(images, examples=["convoy image build containers/camnet-cpu/camnet-cpu.def --at agh"])(build)
    verb(images, name="import", examples=["convoy image import camnet-cpu camnet-cpu.sif"])(import_file)
    verb(images, examples=["convoy image convert camnet-cpu.tar camnet-cpu.sif --at agh"])(convert)
    verb(images, examples=["convoy image ls"])(ls)
    verb(images, examples=["convoy image verify camnet-cpu"])(verify)
    verb(images, examples=["convoy image push camnet-cpu lrz"])(push)


def build(
    terminal: Terminal,
    *,
    definition: Annotated[Path, typer.Argument(metavar="FILE.def", help="What the image is made from.")],
    name: Annotated[str | None, typer.Option("--name", help="What to call it; the file's name without it.")] = None,
    at: At = HERE,
    compression: Packing = None,
) -> None:
    """Make an image from its definition."""
    with Counter(terminal, "carried") as counter:
        made = operations.build_image(
            terminal.workspace, definition, name=name, at=at, compression=compression, progress=counter
        )
    terminal.answer(made, lambda row: tables.images_view([row]))


def import_file(
    terminal: Terminal,
    *,
    name: Annotated[str, typer.Argument(help="What to call it.")],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A SIF, or a Docker or OCI archive.")],
    at: At = HERE,
    compression: Packing = None,
) -> None:
    """Make an image known that lies in a file; an archive becomes a SIF first."""
    with Counter(terminal, "carried") as counter:
        taken = operations.import_image(
            terminal.workspace, name, file, at=at, compression=compression, progress=counter
        )
    terminal.answer(taken, lambda row: tables.images_view([row]))


def convert(
    terminal: Terminal,
    *,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A Docker or OCI archive.")],
    target: Annotated[Path, typer.Argument(metavar="FILE.sif", help="The file to make of it.")],
    at: At = HERE,
    compression: Packing = None,
) -> None:
    """Make a SIF file of an archive, and nothing else: no site and no run hears of it."""
    with Counter(terminal, "carried") as counter:
        made = operations.convert_image(
            terminal.workspace, file, target, at=at, compression=compression, progress=counter
        )
    terminal.answer([made], tables.paths_view)


def ls(terminal: Terminal) -> None:
    """List the images, and where each lies."""
    terminal.answer(operations.list_images(terminal.workspace), tables.images_view)


def verify(terminal: Terminal, image: Reference) -> None:
    """Read every copy of an image again, and compare it with its digest. Exits with 1 when one is wrong."""
    with Counter(terminal, "read") as counter:
        found = operations.verify_image(terminal.workspace, image, progress=counter)
    terminal.answer(found, tables.verification_view)
    if not all(row.good for row in found):
        raise typer.Exit(FAILED.exit_code)


def push(terminal: Terminal, *, image: Reference, site: Site) -> None:
    """Bring an image to a site. A run does so by itself."""
    with Counter(terminal, "carried") as counter:
        pushed = operations.push_image(terminal.workspace, image, site, progress=counter)
    terminal.answer(pushed, lambda row: tables.images_view([row]))
