"""Which module has which verbs: a call imports and builds its own; all of them are built only to be shown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
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


def late_group(package: str, verbs: Mapping[str, Sequence[str]]) -> type[TyperGroup]:
    """The class of a group that builds none of its verbs before it is asked for.

    Args:
        package: Where the modules are.
        verbs: Module -> the verbs and groups that its `register` adds.
    """

    class LateGroup(TyperGroup):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options | {"commands": _Commands(package, verbs)})

    return LateGroup


class _Commands(Mapping[str, Any]):
    """Name -> command. Looking one up builds it; looking through them builds all."""

    def __init__(self, package: str, verbs: Mapping[str, Sequence[str]]) -> None:
        self._package = package
        self._verbs = verbs
        self._module_of = {name: module for module, names in verbs.items() for name in names}
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._made:
            self._made |= self._built([self._module_of[name]], only=name)
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        self._made = self._built(self._verbs) | self._made
        return iter(self._made)

    def __len__(self) -> int:
        return len(self._module_of)

    def _built(self, modules: Iterable[str], *, only: str | None = None) -> dict[str, Any]:
        app = typer.Typer(rich_markup_mode="rich")
        for module in modules:
            import_module(f"{self._package}.{module}").register(app)
        if only is not None:
            app.registered_commands = [row for row in app.registered_commands if row.name == only]
            app.registered_groups = [row for row in app.registered_groups if row.name == only]
        return dict(typer.main.get_group(app).commands)
