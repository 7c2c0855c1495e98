"""The command has every verb of the operations, and each of its verbs has what all of them have."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest
import typer

import orchestrator.faces.cli
from orchestrator import operations
from orchestrator.faces.cli import data, parts
from orchestrator.faces.cli.main import app

FOLDER = Path(orchestrator.faces.cli.__file__).parent
COMMAND = typer.main.get_command(app)


def leaves(command: object, path: str = "") -> Iterator[tuple[str, object]]:
    """Every verb with its full name."""
    for name, child in getattr(command, "commands", {}).items():
        yield from leaves(child, f"{path} {name}".strip())
    if not hasattr(command, "commands"):
        yield path, command


VERBS = dict(leaves(COMMAND))


def called() -> set[str]:
    """What the command calls of the operations."""
    nodes = (node for path in FOLDER.rglob("*.py") for node in ast.walk(ast.parse(path.read_text())))
    return {
        node.attr
        for node in nodes
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "operations"
    }


def test_every_operation_can_be_reached_from_the_command() -> None:
    offered = {name for name in operations.__all__ if inspect.isfunction(getattr(operations, name))}
    assert offered - called() == set()


def test_the_command_calls_nothing_that_is_not_a_public_operation() -> None:
    assert called() <= set(operations.__all__)


@pytest.mark.parametrize("name", sorted(VERBS))
def test_every_verb_answers_in_json_and_explains_itself(name: str) -> None:
    verb = VERBS[name]
    options = {option for parameter in verb.params for option in parameter.opts}
    assert {"--json", "--quiet", "--verbose"} <= options
    assert verb.help
    assert verb.help.splitlines()[0].endswith(".")


def test_a_face_is_thin() -> None:
    """Parse, call, render: no verb of the command is long, and none knows how sites or databases are reached."""
    for path in FOLDER.rglob("*.py"):
        tree = ast.parse(path.read_text())
        imported = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert not {
            name for name in imported if name.startswith(("sqlalchemy", "sqlmodel", "paramiko", "adapters", "staging"))
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                assert len(node.body) <= 12, f"{path.name}: {node.name}"


@pytest.mark.parametrize("late", [parts, data])
def test_every_verb_is_in_the_module_that_is_imported_for_it(late: ModuleType) -> None:
    offered = {}
    for module in late.VERBS:
        app = typer.Typer()
        import_module(f"{late.__package__}.{module}").register(app)
        offered[module] = {row.name for row in (*app.registered_commands, *app.registered_groups)}
    assert offered == {module: set(names) for module, names in late.VERBS.items()}


def test_a_verb_that_is_asked_for_is_built_alone() -> None:
    code = "import sys, typer; from orchestrator.faces.cli.main import app; typer.main.get_command(app).get_command(None, 'run'); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    modules = {name for name in done.stdout.split() if name.startswith("orchestrator.faces.cli.")}
    assert {f"orchestrator.faces.cli.{name}" for name in parts.VERBS} & modules == {"orchestrator.faces.cli.runs"}


def test_help_needs_neither_the_database_nor_the_operations() -> None:
    """The shell's TAB and --help answer at once."""
    code = "import sys; from orchestrator.faces.cli.main import app; import typer; typer.main.get_command(app); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"sqlalchemy", "pydantic", "rich.table", "rich.live"} & set(done.stdout.split())
