"""Looking at runs: ls, show, logs, report."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from metadata.errors import InvalidInputError
from orchestrator import operations
from orchestrator.faces.cli import completions, tables, words
from orchestrator.faces.cli.following import look_on
from orchestrator.faces.cli.logs import follow_logs, write_logs
from orchestrator.faces.cli.terminal import Terminal
from orchestrator.faces.cli.values import parse_state, parse_task
from orchestrator.faces.cli.verbs import LOOK, flag, verb
from orchestrator.faces.states import LOOKS

StepOrTask = Annotated[
    str | None,
    typer.Argument(metavar="[STEP[.TASK]]", help="One step, or one of its tasks.", autocompletion=completions.steps),
]
State = Annotated[
    str | None,
    typer.Option(
        "--state",
        metavar="STATE",
        help="Only runs in this state.",
        autocompletion=lambda: [look.word for look in LOOKS.values()],
    ),
]
Streams = Annotated[bool | None, flag("--stdout/--stderr", about="Only one of the two; both without it.")]
Tail = Annotated[int | None, typer.Option("--tail", metavar="BYTES", min=1, help="Only the end of each file.")]


def register(app: typer.Typer) -> None:
    """The verbs are in the command."""
    verb(app, panel=LOOK, examples=["convoy ls", "convoy ls --state failed --limit 5"])(ls)
    verb(app, panel=LOOK, examples=["convoy show", "convoy show hello-0514-a3f2 --watch", "convoy show --efficiency"])(
        show
    )
    verb(app, panel=LOOK, examples=["convoy logs", "convoy logs hello-0514-a3f2 greet.2 --stderr", "convoy logs -f"])(
        logs
    )
    verb(app, panel=LOOK, examples=["convoy report", "convoy report hello-0514-a3f2 --output report/"])(report)


def ls(
    terminal: Terminal,
    *,
    state: State = None,
    name: Annotated[str | None, typer.Option("--name", help="Only runs of this workflow.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="At most so many.")] = 20,
) -> None:
    """List the newest runs."""
    wanted = parse_state(state) if state else None
    found = operations.list_runs(terminal.workspace, limit=limit, state=wanted, name=name)
    terminal.answer(found, partial(tables.runs_view, chosen=bool(state or name)))


def show(
    terminal: Terminal,
    *,
    run: words.NewestRun = None,
    watch: Annotated[bool, flag("--watch", "-w", about="Look on until the run has ended.")] = False,
    everything: Annotated[bool, flag("--all", "-a", about="Show every task and transfer.")] = False,
    efficiency: Annotated[bool, flag("--efficiency", about="Show what tasks asked for and what they used.")] = False,
) -> None:
    """Show a run: its steps, tasks, transfers, and what went wrong."""
    if watch:
        look_on(terminal, run or operations.newest(terminal.workspace))
    if efficiency:
        used = operations.efficiency(terminal.workspace, run or operations.newest(terminal.workspace))
        terminal.answer(used, tables.efficiency_view)
        return
    terminal.answer(operations.show(terminal.workspace, run), partial(tables.run_view, everything=everything))


def logs(
    terminal: Terminal,
    *,
    run: words.NewestRun = None,
    step: StepOrTask = None,
    follow: Annotated[bool, flag("--follow", "-f", about="Go on until the run has ended.")] = False,
    stdout: Streams = None,
    tail: Tail = None,
) -> None:
    """Print what the newest tries of a run's tasks wrote."""
    if follow and terminal.as_json:
        raise InvalidInputError("--follow writes as it goes and --json only at the end; take one of them")
    name, task = parse_task(step)
    chosen = run or operations.newest(terminal.workspace)
    if follow:
        follow_logs(terminal, chosen, step=name, task=task, stdout=stdout)
    else:
        write_logs(
            terminal, operations.logs(terminal.workspace, chosen, name, task=task, limit_bytes=tail), stdout=stdout
        )


def report(
    terminal: Terminal,
    *,
    run: words.NewestRun = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The folder to write to.")] = None,
) -> None:
    """Write a run's report as HTML, its pictures, and its RO-Crate, and tell where they are."""
    chosen = run or operations.newest(terminal.workspace)
    terminal.answer(operations.write_report(terminal.workspace, chosen, folder=output), tables.report_view)
