"""Carrying out a run, or looking on, before a person's eyes."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import typer

from metadata.errors import MiddlewareError
from orchestrator import operations
from orchestrator.faces.cli import live
from orchestrator.faces.cli.endings import fault_lines, record_line, report_lines, summary
from orchestrator.faces.cli.plain import PlainLines
from orchestrator.faces.cli.terminal import Terminal
from orchestrator.faces.exit_codes import BY_STATE, INTERRUPTED, TRY_AGAIN

if TYPE_CHECKING:
    from metadata.progress import RunProgress
    from orchestrator.operations import Report

Watch = Callable[["RunProgress"], None]
_LOOK_EVERY_S = 0.5


def view_for(terminal: Terminal) -> PlainLines | live.LiveView:
    """A picture where a person looks on, lines elsewhere."""
    return live.LiveView(terminal.console) if terminal.watched else PlainLines(terminal.say)


def carry_out(terminal: Terminal, begin: Callable[[Watch], RunProgress], *, report: bool) -> None:
    """Carries a run out, shows it meanwhile, and ends the command as the run ended.

    Args:
        terminal: Where to show it.
        begin: The verb that carries it out, given whom to tell of progress.
        report: Whether to write the run's report.
    """
    # Whoever stops the machine means the same as a person who presses Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    view = view_for(terminal)
    try:
        with view:
            ended = begin(view)
    except (KeyboardInterrupt, BrokenPipeError):  # nobody reads on: they went away like a person who presses Ctrl-C
        _leave(terminal, view.last)
    written = _report(terminal, ended.id) if report else None
    _conclude(terminal, ended, written)
    raise typer.Exit(BY_STATE.get(ended.state, TRY_AGAIN).exit_code)


def look_on(terminal: Terminal, run_id: str) -> None:
    """Shows a run that another engine carries out, until it has ended or the person goes away."""
    with view_for(terminal) as view:
        view(operations.progress(terminal.workspace, run_id))
        while view.last is not None and view.last.ended_at is None:
            time.sleep(_LOOK_EVERY_S)
            view(operations.progress(terminal.workspace, run_id))


def _leave(terminal: Terminal, progress: RunProgress | None) -> None:
    name = f" {progress.id}" if progress else ""
    terminal.warn(f"left the run{name}; its jobs go on. Take it up again with: convoy resume{name}")
    raise typer.Exit(INTERRUPTED.exit_code)


def _report(terminal: Terminal, run_id: str) -> Report | None:
    """A report that cannot be written is no reason to call the run a failure."""
    try:
        return operations.write_report(terminal.workspace, run_id)
    except MiddlewareError as error:
        terminal.warn(f"there is no report: {error.message}")
        return None


def _conclude(terminal: Terminal, ended: RunProgress, report: Report | None) -> None:
    if terminal.as_json:
        terminal.write_json({**summary(ended), "report": report})
        return
    if not terminal.watched:  # the picture says the same
        terminal.say(record_line(ended))
    if ended.state != "COMPLETED":
        for line in fault_lines(operations.show(terminal.workspace, ended.id)):
            terminal.warn(line)
    for line in report_lines(report) if report else ():
        terminal.say(line)
