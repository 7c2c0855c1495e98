"""What every verb has: a terminal to speak through, and --json, --quiet, --verbose behind it as well as before."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Annotated, Any, Concatenate, ParamSpec

import typer
from typer.core import TyperGroup

from metadata.errors import InvalidInputError
from orchestrator.faces.cli.terminal import Terminal
from orchestrator.faces.cli.values import parse_names

Words = ParamSpec("Words")
Verb = Callable[Concatenate[Terminal, Words], None]

RUNS, LOOK, DATA, BEGIN = "Runs", "Looking", "Sites, data and use cases", "Beginning"
_EVERYWHERE = "Everywhere"


def flag(*names: str, about: str, panel: str | None = None, **more: Any) -> Any:
    """An option without a value. Typer would write `<bool>` behind its name."""
    return typer.Option(*names, help=about, metavar="", show_default=False, rich_help_panel=panel, **more)


def several(*names: str, about: str, **more: Any) -> Any:
    """An option that takes several names: it may come several times, and each time with commas between them.

    It raises InvalidInputError for a value without any name: what was asked for would be taken for nothing.
    """
    return typer.Option(*names, help=f"{about}; several by commas, or once each.", callback=_separated, **more)


def _separated(option: typer.CallbackParam, words: list[str] | None) -> list[str] | None:
    found = {word: parse_names(word) for word in words or ()}
    empty = next((word for word, names in found.items() if not names), None)
    if empty is not None:
        raise InvalidInputError(f"{option.opts[0]} {empty!r}: no name is in it")
    return words and list(dict.fromkeys(name for word in words for name in found[word]))


Json = Annotated[bool, flag("--json", about="Answer with one JSON document.", panel=_EVERYWHERE)]
Quiet = Annotated[bool, flag("--quiet", "-q", about="Say only what was asked for.", panel=_EVERYWHERE)]
Verbose = Annotated[
    int, flag("--verbose", "-v", about="Say more; twice: tracebacks too.", panel=_EVERYWHERE, count=True)
]
_COMMON: dict[str, tuple[Any, Any]] = {"as_json": (Json, False), "quiet": (Quiet, False), "verbose": (Verbose, 0)}


def verb(
    app: typer.Typer,
    name: str | None = None,
    *,
    panel: str | None = None,
    examples: Sequence[str] = (),
    context: dict[str, Any] | None = None,
) -> Callable[[Verb[Words]], Verb[Words]]:
    """Makes a function a verb of `app`; its terminal is given to it, the rest comes from the command line."""

    def decorate(function: Verb[Words]) -> Verb[Words]:
        register = app.command(
            name or function.__name__,
            rich_help_panel=panel,
            epilog=shown_examples(examples),
            context_settings=context or {},
        )
        register(_with_terminal(function))
        return function

    return decorate


def group(
    app: typer.Typer, name: str, *, panel: str | None, about: str, cls: type[TyperGroup] | None = None
) -> typer.Typer:
    """A group of verbs in `app`; without a verb it tells what there is. `cls` may bring verbs of its own."""
    made = typer.Typer(help=about, invoke_without_command=True, rich_markup_mode="rich", cls=cls or TyperGroup)
    made.callback()(show_help)
    app.add_typer(made, name=name, rich_help_panel=panel)
    return made


def show_help(ctx: typer.Context) -> None:
    """Tells what there is where no verb is given."""
    if ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help())
        raise typer.Exit


def shown_examples(examples: Sequence[str]) -> str | None:
    """The end of a help page."""
    return section("Examples", [f"[cyan]{line}[/cyan]" for line in examples]) if examples else None


def section(title: str, lines: Sequence[str]) -> str:
    """A titled part of a help page. The empty line in front keeps typer from taking the indentation away."""
    return "\n".join(["", f"[bold]{title}[/bold]", *(f"  {line}" for line in lines)])


def set_voice(terminal: Terminal, *, as_json: bool, quiet: bool, verbose: int) -> None:
    """What was said of the voice, before the verb or behind it, holds."""
    terminal.as_json = terminal.as_json or as_json
    terminal.verbosity = -1 if quiet else terminal.verbosity + verbose


def _with_terminal(function: Verb[Words]) -> Callable[..., None]:
    """The function as typer wants it: the common options in its signature, and no terminal."""

    @wraps(function)
    def command(ctx: typer.Context, as_json: bool, quiet: bool, verbose: int, **values: Any) -> None:
        set_voice(ctx.obj, as_json=as_json, quiet=quiet, verbose=verbose)
        function(ctx.obj, **values)  # type: ignore[call-arg]

    signature = inspect.signature(function, eval_str=True)
    own = [row.replace(kind=inspect.Parameter.KEYWORD_ONLY) for row in list(signature.parameters.values())[1:]]
    common = [_parameter("ctx", typer.Context), *(_parameter(name, *row) for name, row in _COMMON.items())]
    command.__signature__ = signature.replace(parameters=[*own, *common])  # type: ignore[attr-defined]
    command.__annotations__ = {row.name: row.annotation for row in (*own, *common)}
    return command


def _parameter(name: str, annotation: Any, default: Any = inspect.Parameter.empty) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default)
