"""Which module has which verbs: a call imports and builds its own; all of them are built only to be shown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup

VERBS = {
    "starting": ("init", "schema", "check", "plan"),
    "sandbox": ("sandbox",),
    "usecases": ("demo-data", "usecase"),
    "runs": ("run", "resume", "retry", "cancel"),
    "looking": ("ls", "show", "logs", "report"),
    "jobs": ("job",),
    "sites": ("site",),
    "data": ("data",),
    "transfers": ("transfer",),
    "images": ("image",),
    "benchmarks": ("bench",),
}
"""Module -> the verbs and groups that it registers, in the order in which help shows them."""

_MODULE_OF = {name: module for module, names in VERBS.items() for name in names}


class LateGroup(TyperGroup):
    """The command with all its verbs, of which none is built before it is asked for."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options | {"commands": _Commands()})


class _Commands(Mapping[str, Any]):
    """Name -> command. Looking one up builds it; looking through them builds all."""

    def __init__(self) -> None:
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._made:
            self._made |= _built([_MODULE_OF[name]], only=name)
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        self._made = _built(VERBS) | self._made
        return iter(self._made)

    def __len__(self) -> int:
        return len(_MODULE_OF)


def _built(modules: Iterable[str], *, only: str | None = None) -> dict[str, Any]:
    app = typer.Typer(rich_markup_mode="rich")
    for module in modules:
        import_module(f"{__package__}.{module}").register(app)
    if only is not None:
        app.registered_commands = [row for row in app.registered_commands if row.name == only]
        app.registered_groups = [row for row in app.registered_groups if row.name == only]
    return dict(typer.main.get_group(app).commands)
