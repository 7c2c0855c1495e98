"""Names for the shell's TAB. A completion that fails says nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

import typer

from orchestrator import operations
from orchestrator.settings import Settings, find_settings

_NEWEST = 50


def _names_of(listed: Callable[[Any, dict[str, Any]], Iterable[str]]) -> Callable[[typer.Context, str], list[str]]:
    """A completion from what `listed` finds, given the workspace and the words so far."""

    def complete(ctx: typer.Context, incomplete: str) -> list[str]:
        # Whatever goes wrong, a traceback in the middle of a person's command line helps nobody.
        with suppress(Exception), operations.Workspace(_settings(ctx)) as workspace:
            return [name for name in listed(workspace, ctx.params) if name.startswith(incomplete)]
        return []

    return complete


def _settings(ctx: typer.Context) -> Settings:
    said = ctx.find_root().params
    return find_settings(home=said.get("home"), sites_file=said.get("sites"), database_url=said.get("database"))


def _steps(workspace: Any, said: dict[str, Any]) -> list[str]:
    return [step.name for step in operations.progress(workspace, said.get("run") or operations.newest(workspace)).steps]


def names(ctx: typer.Context, incomplete: str) -> list[str]:
    """Datasets; and behind a dataset's name and a slash, what lies there."""
    if "/" not in incomplete or "://" in incomplete:
        return datasets(ctx, incomplete)
    folder, _, _ = incomplete.rpartition("/")
    with suppress(Exception), operations.Workspace(_settings(ctx)) as workspace:
        entries = operations.list_folder(workspace, folder)
        return [name for entry in entries if (name := f"{folder}/{entry.name}").startswith(incomplete)]
    return []


runs = _names_of(lambda workspace, _: [run.id for run in operations.list_runs(workspace, limit=_NEWEST)])
steps = _names_of(_steps)
datasets = _names_of(lambda workspace, _: [dataset.name for dataset in operations.list_data(workspace)])
sites = _names_of(lambda workspace, _: operations.list_sites(workspace))
transfers = _names_of(lambda workspace, _: [row.id for row in operations.list_transfers(workspace, over_s=0)])
usecases = _names_of(lambda *_: [usecase.name for usecase in operations.list_usecases()])
