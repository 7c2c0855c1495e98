"""Use cases: usecase ls, show, run, and demo-data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from orchestrator import operations
from orchestrator.faces.cli import completions, tables, words
from orchestrator.faces.cli.runs import start
from orchestrator.faces.cli.terminal import Terminal
from orchestrator.faces.cli.values import parse_values
from orchestrator.faces.cli.verbs import BEGIN, DATA, group, verb

UseCaseName = Annotated[
    str, typer.Argument(metavar="USECASE", help="The use case's name.", autocompletion=completions.usecases)
]
Slides = Annotated[list[str] | None, typer.Option("--slide", help="A slide of your own; may come several times.")]
Annotations = Annotated[list[str] | None, typer.Option("--annotation", help="The outlines that belong to a slide.")]
Extra = Annotated[
    list[str] | None, typer.Argument(metavar="[OPTIONS OF THE PROGRAM]...", help="Such as: --slides 4 --size 8192")
]

_DEFAULT = "camnet"
_PASS_ON = {"ignore_unknown_options": True}


def register(app: typer.Typer) -> None:
    """The group and `demo-data` are in the command."""
    usecases = group(app, "usecase", panel=DATA, about="Look at the use cases, and run them.")
    verb(usecases)(ls)
    verb(usecases, examples=["convoy usecase show camnet"])(show)
    own = "convoy usecase run camnet --slide slide.tif --annotation slide.xml --param epochs=10"
    verb(usecases, examples=["convoy usecase run camnet", own])(run)
    made = ["convoy demo-data", "convoy demo-data --output slides/ --slides 4 --size 8192"]
    verb(app, "demo-data", panel=BEGIN, examples=made, context=_PASS_ON)(demo_data)


def ls(terminal: Terminal) -> None:
    """List the use cases."""
    terminal.answer(operations.list_usecases(), tables.usecases_view)


def show(terminal: Terminal, usecase: UseCaseName) -> None:
    """Show a use case: what its layers take and give."""
    terminal.answer(operations.show_usecase(usecase), tables.usecase_view)


def run(
    terminal: Terminal,
    *,
    usecase: UseCaseName,
    slide: Slides = None,
    annotation: Annotations = None,
    params: words.Parameters = None,
    fresh: words.Fresh = False,
    wait: words.Wait = None,
    detach: words.Detach = False,
    report: words.WithReport = True,
) -> None:
    """Run a use case from end to end: on slides of your own, or on demo data that are made first."""
    workflow, values = operations.usecase_workflow(usecase), parse_values(params or [], option="--param")
    inputs = _own(slide, annotation) if slide else _demo_inputs(terminal, usecase)
    made = operations.plan(terminal.workspace, workflow, inputs=inputs, parameters=values)
    terminal.preview(made, tables.plan_view)
    start(terminal, made, fresh=fresh, wait=wait, detach=detach, report=report)


def demo_data(
    terminal: Terminal,
    *,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The folder; below the home without it.")
    ] = None,
    usecase: Annotated[
        str, typer.Option("--usecase", help="Whose demo data.", autocompletion=completions.usecases)
    ] = _DEFAULT,
    extra: Extra = None,
) -> None:
    """Make invented data to try a use case with. Options that are not known here go to the program that makes them."""
    folder = output or _demo_folder(terminal, usecase)
    made = operations.make_demo_data(usecase, folder, options=extra or ())
    terminal.answer(made, lambda data: tables.paths_view([*data.slides, *data.annotations]))


def _own(slides: list[str], annotations: list[str] | None) -> dict[str, list[str]]:
    return {"slides": slides, **({"annotations": annotations} if annotations else {})}


def _demo_inputs(terminal: Terminal, usecase: str) -> dict[str, list[str]]:
    terminal.say("Making demo data, unless they are there already …")
    made = operations.make_demo_data(usecase, _demo_folder(terminal, usecase))
    return _own([str(path) for path in made.slides], [str(path) for path in made.annotations])


def _demo_folder(terminal: Terminal, usecase: str) -> Path:
    return terminal.settings.home / "demo-data" / usecase
