"""From single runs to medians, ratios and bars. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

_MB = 1e6


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One run of one contender."""

    contender: str
    tasks: int
    wall_s: float
    """From the start of the process to its end."""
    cpu_s: float
    """User and system time of the process and of all that it waited for, its tasks included."""
    peak_bytes: int
    """The largest resident set of a single process."""
    sustained_s: float | None = None
    """Convoy alone: from the first submission to the last completion, as its journal tells it."""


@dataclass(frozen=True, kw_only=True)
class Summary:
    """All runs of one contender with one number of tasks."""

    contender: str
    tasks: int
    runs: int
    min_s: float
    median_s: float
    max_s: float
    cpu_s: float
    """Median; it suffers less than the wall clock when others use the machine."""
    tasks_per_s: float
    """By the median."""
    peak_bytes: int
    """Of the largest run."""
    ratio: float | None
    """How many times as long as Convoy's median it took."""
    sustained_per_s: float | None
    """Convoy alone: tasks a second by its journal; the median run."""


@dataclass(frozen=True, kw_only=True)
class Bar:
    """Something that Convoy has promised."""

    promise: str
    found: str
    met: bool

    def __str__(self) -> str:
        return f"bar: {self.promise}: {self.found}, {'met' if self.met else 'missed'}"


def summaries(measurements: Iterable[Measurement]) -> list[Summary]:
    """One summary for each contender and number of tasks, in the order in which they first ran."""
    groups: dict[tuple[int, str], list[Measurement]] = {}
    for row in measurements:
        groups.setdefault((row.tasks, row.contender), []).append(row)
    medians = {key: median(row.wall_s for row in rows) for key, rows in groups.items()}
    return [
        _summary(rows, ours=medians.get((tasks, "convoy")))
        for (tasks, _), rows in sorted(groups.items(), key=lambda item: item[0][0])
    ]


def _summary(rows: Sequence[Measurement], *, ours: float | None) -> Summary:
    walls = [row.wall_s for row in rows]
    middle = median(walls)
    sustained = [row.tasks / row.sustained_s for row in rows if row.sustained_s]
    return Summary(
        contender=rows[0].contender, tasks=rows[0].tasks, runs=len(rows), min_s=min(walls), median_s=middle,
        max_s=max(walls), cpu_s=median(row.cpu_s for row in rows), tasks_per_s=rows[0].tasks / middle,
        peak_bytes=max(row.peak_bytes for row in rows), ratio=middle / ours if ours else None,
        sustained_per_s=median(sustained) if sustained else None,
    )  # fmt: skip


def bars(rows: Iterable[Summary]) -> list[Bar]:
    """The promises that these results can tell something about."""
    found = {(row.contender, row.tasks): row for row in rows}
    told = [
        *_faster("StreamFlow", 3.0, found.get(("streamflow", 100))),
        *_faster("Snakemake", 1.5, found.get(("snakemake", 100))),
        *_sustained(300, found.get(("convoy", 1000))),
    ]
    ours = [row.peak_bytes for row in found.values() if row.contender == "convoy"]
    if ours:
        peak = max(ours)
        told.append(Bar(promise="engine's peak below 150 MB", found=f"{peak / _MB:.0f} MB", met=peak < 150 * _MB))
    return told


def _faster(label: str, factor: float, peer: Summary | None) -> list[Bar]:
    if peer is None or peer.ratio is None:
        return []
    promise = f"at least {factor:g}x faster than {label} for {peer.tasks} tasks"
    return [Bar(promise=promise, found=f"{peer.ratio:.2f}x", met=peer.ratio >= factor)]


def _sustained(rate: float, ours: Summary | None) -> list[Bar]:
    if ours is None or ours.sustained_per_s is None:
        return []
    promise = f"at least {rate:g} tasks/s sustained for {ours.tasks:,} tasks with the journal on"
    found = f"{ours.sustained_per_s:.0f} tasks/s"
    return [Bar(promise=promise, found=found, met=ours.sustained_per_s >= rate)]
