"""Use cases and their layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from orchestrator.faces.cli.tables.style import sheet, titled
from orchestrator.layers import Layer, LayerInput, LayerParameter, UseCase
from orchestrator.workflows import Output


def usecases_view(usecases: Sequence[UseCase]) -> RenderableType:
    """One line a use case."""
    table = sheet("use case", "layers", "title", wrapped=("title",))
    for usecase in usecases:
        table.add_row(Text(usecase.name, style="bold"), ", ".join(usecase.layers), Text(usecase.title, style="dim"))
    return table


def usecase_view(usecase: UseCase) -> RenderableType:
    """A use case with everything that its layers take and give."""
    head = [Text(usecase.title, style="bold"), Text(usecase.description)]
    return Group(*head, *(titled(f"{usecase.name}/{name}", _layer(layer)) for name, layer in usecase.layers.items()))


def _layer(layer: Layer) -> RenderableType:
    table = sheet("", "name", "type", "default", "about", wrapped=("about",))
    for kind, rows in (("in", layer.inputs), ("with", layer.parameters), ("out", layer.outputs)):
        _add(table, kind, rows)
    return Group(Text(layer.summary), table)


def _add(table: Table, kind: str, rows: Mapping[str, LayerInput | LayerParameter | Output]) -> None:
    for name, row in rows.items():
        default = _default(row)
        table.add_row(
            Text(kind, style="dim"),
            Text(name, style="bold"),
            str(row.type),
            default,
            Text(row.description, style="dim"),
        )


def _default(row: LayerInput | LayerParameter | Output) -> str:
    if isinstance(row, LayerParameter):
        return "" if row.default is None else str(row.default)
    return "optional" if row.optional else ""
