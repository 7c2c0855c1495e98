"""Shows results: a table for people, a document for programs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.table import Table

from benchmarks.orchestration.results import Bar
from benchmarks.orchestration.tables import machine
from benchmarks.slurm.results import QUESTIONS, Observation, Row, spread

_COLUMNS = ("tasks", "contender", "min s", "median s", "max s", "time / Convoy's", "commands", *QUESTIONS)


def render_table(found: Iterable[Row], labels: Mapping[str, str], *, rtt_ms: float) -> Table:
    """One line a contender."""
    table = Table(title=f"No-op jobs on a real cluster, from start to all done; round trips of {rtt_ms / 2:g} ms")
    for name in _COLUMNS:
        table.add_column(name, justify="left" if name == "contender" else "right", no_wrap=True)
    for row in found:
        summary = row.summary
        seconds = [f"{value:.1f}" for value in (summary.min_s, summary.median_s, summary.max_s)]
        ratio = "" if summary.ratio is None else f"{summary.ratio:.1f}"
        counts = [f"{row.commands.get(name, 0):g}" for name in QUESTIONS]
        table.add_row(f"{summary.tasks:,}", labels[summary.contender], *seconds, ratio, f"{row.asked:.0f}/100", *counts)
    return table


def render_lags(found: Iterable[Row], labels: Mapping[str, str]) -> list[str]:
    """How long Convoy took to see an end."""
    return [f"{labels[row.summary.contender]}: lag {spread(row.lags_s)}" for row in found if row.lags_s]


def render_document(
    observations: Sequence[Observation],
    found: Sequence[Row],
    told: Sequence[Bar],
    facts: Mapping[str, Any],
) -> dict[str, Any]:
    """Everything, with what a reader needs to judge it."""
    return {
        "machine": machine(),
        **facts,
        "observations": [asdict(row) for row in observations],
        "rows": [{**asdict(row), "asked": row.asked} for row in found],
        "bars": [asdict(row) for row in told],
    }
