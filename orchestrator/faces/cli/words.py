"""Arguments and options that several verbs take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.faces.cli import completions
from orchestrator.faces.cli.verbs import flag

Run = Annotated[
    str, typer.Argument(metavar="RUN", help="The run's id, or its beginning.", autocompletion=completions.runs)
]
NewestRun = Annotated[
    str | None,
    typer.Argument(
        metavar="RUN", help="The run's id, or its beginning; the newest without it.", autocompletion=completions.runs
    ),
]
WorkflowFile = Annotated[Path, typer.Argument(metavar="WORKFLOW", help="A workflow file in YAML.")]
Inputs = Annotated[
    list[str] | None,
    typer.Option(
        "--input", "-i", metavar="NAME=PATH", help="A path, a dataset://name/path or a pattern; may come several times."
    ),
]
Parameters = Annotated[
    list[str] | None, typer.Option("--param", "-p", metavar="NAME=VALUE", help="A parameter; may come several times.")
]
Fresh = Annotated[bool, flag("--fresh", about="Do everything anew, even where earlier results would do.")]
Wait = Annotated[
    str | None,
    typer.Option("--wait", metavar="[=TIME]", help="Wait while another engine works: --wait, or --wait=30s at most."),
]
Detach = Annotated[bool, flag("--detach", "-d", about="Go on in the background, and say only the run's id.")]
WithReport = Annotated[bool, flag("--report/--no-report", about="Write the report, the pictures and the crate.")]
