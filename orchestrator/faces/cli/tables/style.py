"""What all tables share: no frames, quiet heads, one way to write times and states."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from orchestrator.faces.states import look_of
from orchestrator.quantities import shown_duration

NOTHING = Text("-", style="dim")


def sheet(*heads: str, right: Iterable[str] = (), wrapped: Iterable[str] = ()) -> Table:
    """An empty table. Columns in `right` hold numbers. Where room is short those in `wrapped` give way, then all."""
    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0))
    for head in heads:
        gives_way = head in wrapped
        table.add_column(
            head,
            justify="right" if head in right else "left",
            no_wrap=not gives_way,
            overflow="fold" if gives_way else "ellipsis",
        )
    return table


def facts(rows: Mapping[str, RenderableType | None]) -> Table:
    """Names and values, one a line; those without a value are left out."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows.items():
        if value:
            table.add_row(name, Text(value) if isinstance(value, str) else value)
    return table


def titled(title: str, body: RenderableType) -> Group:
    """A body below its title, with air above."""
    return Group(Text(""), Text(title, style="bold"), Padding.indent(body, 2))


def state_text(state: str) -> Text:
    """A state's sign and word in its colour."""
    look = look_of(state)
    return Text(f"{look.sign} {look.word}", style=look.style)


def moment(at: float | None) -> Text:
    """A time of this machine's day; the date too where it is not today."""
    if at is None:
        return NOTHING
    then = time.localtime(at)
    today = time.strftime("%F", then) == time.strftime("%F")
    return Text(time.strftime("%H:%M:%S" if today else "%F %H:%M", then))


def span(begin: float | None, end: float | None) -> Text:
    """How long something took, or has taken so far."""
    if begin is None:
        return NOTHING
    return Text(shown_duration(max(0.0, (end or time.time()) - begin)))


def shown_value(value: Any) -> str:
    """A parameter or attribute."""
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
