"""Shows results: a table for people, a document for programs."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.table import Table

from benchmarks.orchestration.results import Bar, Measurement, Summary

_COLUMNS = ("tasks", "contender", "min s", "median s", "max s", "CPU s", "tasks/s", "peak MB", "time / Convoy's")


def render_table(rows: Iterable[Summary], labels: Mapping[str, str]) -> Table:
    """One line a contender, one block a number of tasks."""
    table = Table(title="Orchestration overhead: scattered no-op tasks, whole processes by the wall clock")
    for name in _COLUMNS:
        table.add_column(name, justify="left" if name == "contender" else "right", no_wrap=True)
    before = None
    for row in rows:
        if before not in (None, row.tasks):
            table.add_section()
        before = row.tasks
        table.add_row(f"{row.tasks:,}", labels[row.contender], *_figures(row))
    return table


def _figures(row: Summary) -> list[str]:
    seconds = [f"{value:.2f}" for value in (row.min_s, row.median_s, row.max_s, row.cpu_s)]
    ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
    return [*seconds, f"{row.tasks_per_s:.0f}", f"{row.peak_bytes / 1e6:.0f}", ratio]


def render_sustained(rows: Iterable[Summary]) -> list[str]:
    """What Convoy's journal says of its rates."""
    return [
        f"Convoy, {row.tasks:,} tasks: {row.sustained_per_s:.0f} tasks/s from the first submission to the last "
        f"completion, {row.tasks_per_s:.0f} tasks/s for the whole process"
        for row in rows
        if row.sustained_per_s is not None
    ]


def render_document(
    measurements: Sequence[Measurement], rows: Sequence[Summary], told: Sequence[Bar], versions: Mapping[str, str]
) -> dict[str, Any]:
    """Everything, with what a reader needs to judge it."""
    return {
        "machine": machine(),
        "versions": dict(versions),
        "measurements": [asdict(row) for row in measurements],
        "summaries": [asdict(row) for row in rows],
        "bars": [asdict(row) for row in told],
    }


def machine() -> dict[str, Any]:
    """What the results depend on beside the contenders."""
    return {
        "system": platform.platform(),
        "python": platform.python_version(),
        "cpus": os.cpu_count(),
        "load": [round(value, 2) for value in os.getloadavg()],
    }
