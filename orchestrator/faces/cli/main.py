"""The command `convoy`: global options, all verbs, and errors turned into exit codes."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from orchestrator.faces.cli.faults import tell
from orchestrator.faces.cli.parts import VERBS, late_group
from orchestrator.faces.cli.terminal import Terminal
from orchestrator.faces.cli.verbs import Json, Quiet, Verbose, flag, section, set_voice, show_help
from orchestrator.faces.exit_codes import ALL
from orchestrator.version import convoy_version

_PLACES = "Where things are"
_EPILOG = "\n".join(
    [
        section("Exit codes", [f"[cyan]{row.exit_code:>3}[/cyan]  {row.meaning}" for row in ALL]),
        section(
            "Examples",
            [
                "[cyan]convoy init && convoy run hello.yaml[/cyan]",
                "[cyan]convoy usecase run camnet[/cyan]",
                "[cyan]convoy run study.yaml --input slides=dataset://camelyon17 --detach[/cyan]",
            ],
        ),
    ]
)

Home = Annotated[
    Path | None,
    typer.Option(
        "--home", envvar="CONVOY_HOME", rich_help_panel=_PLACES, help="The home; the nearest .convoy without it."
    ),
]
Sites = Annotated[
    Path | None,
    typer.Option(
        "--sites",
        envvar="CONVOY_SITES",
        rich_help_panel=_PLACES,
        help="The site file; sites.yaml in the home without it.",
    ),
]
Database = Annotated[
    str | None,
    typer.Option(
        "--database",
        envvar="CONVOY_DATABASE",
        rich_help_panel=_PLACES,
        help="A database URL; SQLite in the home without it.",
    ),
]


def _say_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"convoy {convoy_version()}")
        raise typer.Exit


Version = Annotated[bool, flag("--version", about="Say the version.", is_eager=True, callback=_say_version)]

app = typer.Typer(
    name="convoy", cls=late_group(__package__, VERBS), rich_markup_mode="rich", invoke_without_command=True,
    epilog=_EPILOG, pretty_exceptions_enable=False, context_settings={"help_option_names": ["--help", "-h"]},
)  # fmt: skip


@app.callback()
def convoy(
    ctx: typer.Context,
    home: Home = None,
    sites: Sites = None,
    database: Database = None,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
    _version: Version = False,
) -> None:
    """Move jobs and their data together between computing centres, and prove that every byte arrived."""
    show_help(ctx)
    ctx.obj.at(home=home, sites_file=sites, database_url=database)
    set_voice(ctx.obj, as_json=as_json, quiet=quiet, verbose=verbose)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs the command and ends the process with an exit code of `orchestrator.faces.exit_codes`."""
    # Asking every installed package for plugins of pydantic, which Convoy does not use, costs as much again.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    words = list(sys.argv[1:] if arguments is None else arguments)
    terminal = Terminal(as_json="--json" in _own(words))
    try:
        code = app(_with_open_waits(words), prog_name="convoy", standalone_mode=False, obj=terminal)
    except Exception as error:  # noqa: BLE001 - the process begins here, and every error ends as a message
        code = tell(terminal, error, words)
    finally:
        terminal.close()
    sys.exit(code or 0)


def _own(words: Sequence[str]) -> Sequence[str]:
    """The words that are the command's own: what follows `--` belongs to a command at a site."""
    return words[: words.index("--")] if "--" in words else words


def _with_open_waits(words: Sequence[str]) -> list[str]:
    """A bare `--wait` waits for ever; an option whose value may be left out is nothing that the parser knows."""
    own = _own(words)
    return [*("--wait=forever" if word == "--wait" else word for word in own), *words[len(own) :]]


if __name__ == "__main__":
    main()
