"""Shows results: tables for people, a document for programs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from statistics import median
from typing import Any

from rich.table import Table

from benchmarks.orchestration.results import Bar
from benchmarks.orchestration.tables import machine
from benchmarks.staging.results import BIG, Choice, Run, Summary

_COLUMNS = (
    "link", "load", "contender", "verified s", "MB/s verified", "transfer s", "MB/s plain", "CPU s", "time / Convoy's",
)  # fmt: skip
_TEXTS = ("link", "load", "contender")


def render_table(
    rows: Iterable[Summary], labels: Mapping[str, str], sizes: Mapping[tuple[str, str], int], *, files: int
) -> Table:
    """One line a contender, one block a link and load; `sizes` holds the bytes by link and load."""
    table = Table(title="Data to a site, whole programs by the wall clock; medians")
    for name in _COLUMNS:
        table.add_column(name, justify="left" if name in _TEXTS else "right", no_wrap=True)
    before = None
    for row in rows:
        if before not in (None, (row.link, row.load)):
            table.add_section()
        before = (row.link, row.load)
        size = sizes[row.link, row.load]
        label = f"{size / 2**30:g} GiB" if row.load == BIG else f"{files:,} x {size / files / 1000:g} kB"
        named = labels[row.contender] + (f": {row.way}" if row.way else "")
        table.add_row(row.link, label, named, *_figures(row, size))
    return table


def _figures(row: Summary, size: int) -> list[str]:
    ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
    if row.stopped:
        return [f"> {row.verified_s:.0f}", "", "", "", f"{row.cpu_s:.1f}", f"> {ratio}"]
    return [
        f"{row.verified_s:.2f}", f"{size / row.verified_s / 1e6:.0f}", f"{row.plain_s:.2f}",
        f"{size / row.plain_s / 1e6:.0f}", f"{row.cpu_s:.1f}", ratio,
    ]  # fmt: skip


def render_choices(choices: Iterable[Choice]) -> list[str]:
    """What each way took once the choice was made."""
    return [
        f"{choice.link}, {choice.load}: after {choice.probes} probes Convoy takes {choice.chosen}; medians: "
        + ", ".join(f"{way} {median(took):.2f} s" for way, took in choice.seconds.items())
        for choice in choices
    ]


def render_document(
    runs: Sequence[Run],
    rows: Sequence[Summary],
    choices: Sequence[Choice],
    told: Sequence[Bar],
    facts: Mapping[str, Any],
) -> dict[str, Any]:
    """Everything, with what a reader needs to judge it."""
    return {
        "machine": machine(),
        **facts,
        "runs": [asdict(row) for row in runs],
        "summaries": [asdict(row) for row in rows],
        "choices": [{**asdict(row), "best": row.best, "lag": row.lag} for row in choices],
        "bars": [asdict(row) for row in told],
    }
