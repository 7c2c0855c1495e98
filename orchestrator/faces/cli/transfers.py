"""Transfers, of runs and of verbs on data: transfer ls, pause, resume, cancel."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator import operations
from orchestrator.faces.cli import completions, tables
from orchestrator.faces.cli.terminal import Terminal
from orchestrator.faces.cli.verbs import DATA, flag, group, verb

Transfers = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="TRANSFER...", help="As ls shows them; or a run: all of its.", autocompletion=completions.transfers
    ),
]
All = Annotated[bool, flag("--all", about="All of them; pause and resume mean later ones, too.")]


def register(app: typer.Typer) -> None:
    """The group is in the command."""
    transfers = group(app, "transfer", panel=DATA, about="Look at what moves, and let it wait.")
    verb(transfers, examples=["convoy transfer ls", "convoy transfer ls --ended --json"])(ls)
    verb(transfers, examples=["convoy transfer pause 17 data-3fa9c1", "convoy transfer pause --all"])(pause)
    verb(transfers, examples=["convoy transfer resume 17", "convoy transfer resume --all"])(resume)
    verb(transfers, examples=["convoy transfer cancel data-3fa9c1"])(cancel)


def ls(
    terminal: Terminal,
    *,
    ended: Annotated[bool, flag("--ended", about="Show the newest that have ended, too.")] = False,
) -> None:
    """List what moves, waits or is paused: of runs that go on, and of verbs on data in any process."""
    terminal.answer(operations.list_transfers(terminal.workspace, ended=ended), tables.transfers_view)


def pause(terminal: Terminal, *, transfers: Transfers = None, everything: All = False) -> None:
    """Let transfers wait. They stop at their next block, and what arrived is kept."""
    held = operations.pause_transfers(terminal.workspace, transfers or (), everything=everything)
    terminal.answer(held, tables.transfers_view)


def resume(terminal: Terminal, *, transfers: Transfers = None, everything: All = False) -> None:
    """Let transfers go on where they stopped. The process that moved them does it, and has to be there."""
    held = operations.resume_transfers(terminal.workspace, transfers or (), everything=everything)
    terminal.answer(held, tables.transfers_view)


def cancel(terminal: Terminal, *, transfers: Transfers = None, everything: All = False) -> None:
    """End transfers, and remove what arrived of them. Tasks that wait for them fail; `convoy retry` begins anew."""
    held = operations.cancel_transfers(terminal.workspace, transfers or (), everything=everything)
    terminal.answer(held, tables.transfers_view)
