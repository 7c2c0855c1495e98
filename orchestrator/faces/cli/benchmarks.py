"""Benchmarks: bench transfer."""

from __future__ import annotations

import io
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from metadata.errors import AdapterUnavailableError
from orchestrator import operations
from orchestrator.faces.cli import completions, tables
from orchestrator.faces.cli.counting import Counter
from orchestrator.faces.cli.terminal import Terminal
from orchestrator.faces.cli.values import parse_counts, parse_size
from orchestrator.faces.cli.verbs import DATA, group, several, verb
from orchestrator.faces.exit_codes import INTERRUPTED

if TYPE_CHECKING:
    from orchestrator.operations import LinkBenchmark

_FILES = ("1", "1000")


def register(app: typer.Typer) -> None:
    """The group is in the command."""
    bench = group(app, "bench", panel=DATA, about="Measure the links between sites.")
    verb(
        bench,
        examples=[
            "convoy bench transfer --sites here,agh",
            "convoy bench transfer --sites agh,lrz,here --size 1GiB --files 1,1000 --movers scp,rsync",
        ],
    )(transfer)


def transfer(
    terminal: Terminal,
    *,
    sites: Annotated[
        list[str],
        several("--sites", metavar="SITE", about="`here` is this machine", autocompletion=completions.sites),
    ],
    size: Annotated[str, typer.Option("--size", metavar="SIZE", help="The largest single file.")] = "64MiB",
    files: Annotated[
        list[str] | None,
        several(
            "--files", metavar="N", about="1: single files of all sizes, more: so many of 20 kB; 1,1000 without it"
        ),
    ] = None,
    movers: Annotated[list[str] | None, several("--movers", metavar="NAME", about="Only these; all without it")] = None,
    repeat: Annotated[int, typer.Option("--repeat", min=1, help="Rounds; the median counts.")] = 1,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FOLDER", help="For pictures, page and JSON.")
    ] = None,
) -> None:
    """Measure every way between sites, verification included. Later transfers choose their way by what this finds.

    Ctrl-C ends it early: what was measured so far is shown and kept.
    """
    with Counter(terminal, "measuring", unit="cases") as count:
        bench = operations.bench_transfer(
            terminal.workspace, sites, size_bytes=parse_size(size, option="--size"),
            files=parse_counts(files or _FILES, option="--files"),
            movers=[name for name in movers or () if name != "all"], repeat=repeat, progress=count,
        )  # fmt: skip
    folder = output or terminal.settings.home / "benchmarks" / time.strftime("%Y%m%d-%H%M%S")
    terminal.answer(bench, tables.benchmark_view)
    _keep(terminal, bench, folder)
    if bench.interrupted:
        terminal.warn(f"interrupted: {len(bench.timings)} cases were measured, and are kept; the others were not")
        raise typer.Exit(INTERRUPTED.exit_code)


def _keep(terminal: Terminal, bench: LinkBenchmark, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    terminal.save_json(bench, folder / "rates.json")
    from rich.console import Console  # noqa: PLC0415 - slow to load

    text = io.StringIO()
    Console(file=text, width=140, highlight=False, emoji=False).print(tables.benchmark_view(bench))
    try:
        page, *_ = operations.draw_benchmark(bench, folder, tables=text.getvalue())
    except AdapterUnavailableError as error:
        terminal.warn(f"no pictures were drawn: {error.message}")
        page = folder / "rates.json"
    terminal.hint(f"kept in {page}")
