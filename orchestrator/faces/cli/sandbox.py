"""Practice clusters: sandbox up, down, status."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator import operations
from orchestrator.faces.cli import tables
from orchestrator.faces.cli.terminal import Terminal
from orchestrator.faces.cli.values import parse_limit
from orchestrator.faces.cli.verbs import BEGIN, flag, group, verb

Names = Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="The clusters; agh and lrz without any.")]
Rate = Annotated[str | None, typer.Option("--rate", help="Limit of each link, such as '200 Mbit/s'; 'none' for none.")]
Rtt = Annotated[float | None, typer.Option("--rtt", metavar="MS", min=0, help="Time there and back between them.")]
Loss = Annotated[float | None, typer.Option("--loss", metavar="SHARE", min=0, max=1, help="Frames lost, 0 to 1.")]
Force = Annotated[bool, flag("--force", about="Put a site file of your own aside for the new one.")]


def register(app: typer.Typer) -> None:
    """The group is in the command."""
    sandbox = group(app, "sandbox", panel=BEGIN, about="Practice SLURM clusters on this machine (Linux, as root).")
    shaped = "convoy sandbox up --rtt 30 --rate '200 Mbit/s' --loss 0.001"
    verb(sandbox, examples=["convoy sandbox up", shaped])(up)
    verb(sandbox, examples=["convoy sandbox down"])(down)
    verb(sandbox, examples=["convoy sandbox status --json"])(status)


def up(
    terminal: Terminal,
    *,
    names: Names = None,
    rate: Rate = None,
    rtt: Rtt = None,
    loss: Loss = None,
    force: Force = False,
) -> None:
    """Bring practice clusters up, and write the home's site file about them. Needs root.

    Each is a real SLURM with sshd and Apptainer in namespaces of its own; the first time takes about a minute.
    """
    shape = operations.LinkShape(rate=parse_limit(rate), rtt_ms=rtt, loss=loss)
    terminal.say("Bringing practice clusters up …")
    chosen = names or operations.DEFAULT_CLUSTERS
    made = operations.sandbox_up(terminal.settings, chosen, link=shape, force=force)
    terminal.answer(made, tables.sandbox_view)
    terminal.hint(f"Try: convoy site test {made.clusters[0].name}")


def down(terminal: Terminal, names: Names = None) -> None:
    """Take practice clusters down, and delete everything on them. The site file stays."""
    gone = operations.sandbox_down(names or operations.DEFAULT_CLUSTERS)
    terminal.answer(gone, lambda rows: f"Gone: {', '.join(rows)}")


def status(terminal: Terminal) -> None:
    """List the practice clusters of this machine."""
    terminal.answer(operations.sandbox_status(), tables.clusters_view)
