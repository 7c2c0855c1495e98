"""Before anything runs: init, check, plan, schema."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from orchestrator import operations
from orchestrator.faces.cli import tables, words
from orchestrator.faces.cli.terminal import Terminal
from orchestrator.faces.cli.values import parse_inputs, parse_values
from orchestrator.faces.cli.verbs import BEGIN, RUNS, flag, verb
from orchestrator.settings import HOME_FOLDER

_KINDS = ("workflow", "sites", "usecase", "plan")


def register(app: typer.Typer) -> None:
    """The verbs are in the command."""
    verb(app, panel=BEGIN, examples=["convoy init", "convoy init ~/study"])(init)
    verb(app, panel=BEGIN, examples=["convoy schema workflow > workflow.schema.json"])(schema)
    verb(app, panel=RUNS, examples=["convoy check study.yaml --input slides=slides/"])(check)
    verb(
        app,
        panel=RUNS,
        examples=[
            "convoy plan hello.yaml",
            "convoy plan study.yaml --input slides=dataset://camelyon17 --param epochs=5 --explain",
            "convoy plan study.yaml --output plan.json; convoy run --plan plan.json",
        ],
    )(plan)


def init(
    terminal: Terminal,
    folder: Annotated[
        Path | None,
        typer.Argument(help="Where the home and the first workflow go; here without it, or where --home says."),
    ] = None,
) -> None:
    """Make a home with three practice sites on this machine, and a first workflow beside it."""
    named = terminal.settings.home if terminal.home_was_named and folder is None else None
    written = operations.init(named or (folder or Path()).expanduser().resolve() / HOME_FOLDER)
    terminal.answer(written, tables.paths_view)
    terminal.hint("Try: convoy run hello.yaml")


def check(
    terminal: Terminal, workflow: words.WorkflowFile, inputs: words.Inputs = None, params: words.Parameters = None
) -> None:
    """Tell what is wrong in a workflow file, without touching any data."""
    given, values = parse_inputs(inputs or []), parse_values(params or [], option="--param")
    checked = operations.check_workflow(terminal.workspace, workflow, inputs=given, parameters=values)
    terminal.answer(
        checked,
        lambda found: (
            f"{workflow}: nothing is wrong in {found.name}, {len(found.steps)} step{'s' * (len(found.steps) != 1)}"
        ),
    )


def plan(
    terminal: Terminal,
    *,
    workflow: words.WorkflowFile,
    inputs: words.Inputs = None,
    params: words.Parameters = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Save the plan as JSON, for: convoy run --plan")
    ] = None,
    explain: Annotated[bool, flag("--explain", about="Show the sites that were considered as well.")] = False,
) -> None:
    """Show where each step would run, what would move, and how long that takes. Nothing is done."""
    given, values = parse_inputs(inputs or []), parse_values(params or [], option="--param")
    made = operations.plan(terminal.workspace, workflow, inputs=given, parameters=values)
    if output:
        terminal.save_json(made, output)
    terminal.answer(made, partial(tables.plan_view, explain=explain))


def schema(
    terminal: Terminal,
    *,
    kind: Annotated[
        str, typer.Argument(help=f"One of {', '.join(_KINDS)}.", autocompletion=lambda: _KINDS)
    ] = "workflow",
) -> None:
    """Print the JSON Schema of a file that people write, for editors and checkers."""
    terminal.write_json(operations.schema(kind))
