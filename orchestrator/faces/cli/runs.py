"""Carrying out: run, resume, retry, cancel."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from metadata.errors import InvalidInputError
from orchestrator import operations
from orchestrator.faces.cli import words
from orchestrator.faces.cli.background import resume_in_background
from orchestrator.faces.cli.endings import record_line, summary
from orchestrator.faces.cli.following import carry_out
from orchestrator.faces.cli.terminal import Terminal
from orchestrator.faces.cli.values import parse_inputs, parse_values, parse_wait
from orchestrator.faces.cli.verbs import RUNS, verb

if TYPE_CHECKING:
    from orchestrator.plans import Plan

PlanFile = Annotated[Path | None, typer.Option("--plan", help="Carry out a plan that was saved, exactly.")]


def register(app: typer.Typer) -> None:
    """The verbs are in the command."""
    verb(
        app,
        panel=RUNS,
        examples=[
            "convoy run hello.yaml",
            "convoy run study.yaml --input slides=slides/ --param epochs=5",
            "convoy run --plan plan.json --detach",
        ],
    )(run)
    verb(app, panel=RUNS, examples=["convoy resume", "convoy resume hello-0514-a3f2 --wait=1m"])(resume)
    verb(app, panel=RUNS, examples=["convoy retry hello-0514-a3f2"])(retry)
    verb(app, panel=RUNS, examples=["convoy cancel hello-0514-a3f2"])(cancel)


def run(
    terminal: Terminal,
    *,
    workflow: Annotated[Path | None, typer.Argument(metavar="WORKFLOW", help="A workflow file in YAML.")] = None,
    plan: PlanFile = None,
    inputs: words.Inputs = None,
    params: words.Parameters = None,
    fresh: words.Fresh = False,
    wait: words.Wait = None,
    detach: words.Detach = False,
    report: words.WithReport = True,
) -> None:
    """Plan a workflow and carry it out, or carry out a saved plan. Ctrl-C leaves the run; its jobs go on."""
    made = _planned(terminal, workflow=workflow, plan=plan, inputs=inputs, params=params)
    start(terminal, made, fresh=fresh, wait=wait, detach=detach, report=report)


def start(terminal: Terminal, plan: Plan, *, fresh: bool, wait: str | None, detach: bool, report: bool) -> None:
    """The plan is carried out here, or goes on in the background."""
    if detach:
        run_id = operations.create_run(terminal.workspace, plan, fresh=fresh)
        _let_go(terminal, run_id, report=report)
        return
    begin = partial(operations.start, terminal.workspace, plan, fresh=fresh, wait_s=parse_wait(wait))
    carry_out(terminal, lambda watch: begin(watch=watch), report=report)


def resume(
    terminal: Terminal,
    *,
    run: words.NewestRun = None,
    wait: words.Wait = None,
    detach: words.Detach = False,
    report: words.WithReport = True,
) -> None:
    """Go on with a run that was left or whose engine was stopped. Nothing that was done is done again."""
    if detach:
        _let_go(terminal, operations.to_resume(terminal.workspace, run), report=report)
        return
    begin = partial(operations.resume, terminal.workspace, run, wait_s=parse_wait(wait))
    carry_out(terminal, lambda watch: begin(watch=watch), report=report)


def retry(terminal: Terminal, run: words.Run, wait: words.Wait = None, report: words.WithReport = True) -> None:
    """Go on with a run that failed: what failed is tried again, what succeeded stays."""
    begin = partial(operations.retry, terminal.workspace, run, wait_s=parse_wait(wait))
    carry_out(terminal, lambda watch: begin(watch=watch), report=report)


def cancel(terminal: Terminal, run: words.Run) -> None:
    """End a run and its jobs."""
    operations.cancel(terminal.workspace, run)
    record = operations.progress(terminal.workspace, run)
    terminal.answer(summary(record), lambda _: record_line(record))


def _planned(
    terminal: Terminal, *, workflow: Path | None, plan: Path | None, inputs: list[str] | None, params: list[str] | None
) -> Plan:
    """The plan that was saved, or a new one. Raises InvalidInputError unless exactly one of them is asked for."""
    if (workflow is None) == (plan is None):
        raise InvalidInputError("say what to run: a WORKFLOW, or --plan FILE, and not both")
    if workflow:
        values = parse_values(params or [], option="--param")
        return operations.plan(terminal.workspace, workflow, inputs=parse_inputs(inputs or []), parameters=values)
    if inputs or params:
        raise InvalidInputError("a saved plan has its inputs and parameters; make another plan to change them")
    return operations.saved_plan(terminal.workspace, plan or Path())


def _let_go(terminal: Terminal, run_id: str, *, report: bool) -> None:
    log = resume_in_background(terminal.settings, run_id, report=report)
    terminal.answer({"id": run_id, "log": log}, lambda _: run_id)
    terminal.hint(f"It goes on in the background and writes to {log}. Look on with: convoy show {run_id} --watch")
