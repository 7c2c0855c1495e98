"""From single runs to a table and bars. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median, quantiles

from benchmarks.orchestration.results import Bar, Measurement, Summary, summaries

QUESTIONS = ("sbatch", "squeue", "scontrol", "sacct", "scancel")
"""The commands that go to the controller or the accounting for jobs; they are what a centre notices."""

_OUTSIDE = frozenset({"streamflow"})
"""Peers that drive the cluster over SSH, as Convoy does; the others run on its login node."""


@dataclass(frozen=True, kw_only=True)
class Observation:
    """One run of one contender, and what the site saw of it."""

    measurement: Measurement
    commands: Mapping[str, int]
    """How often each of the scheduler's commands was given."""
    lags_s: tuple[float, ...] = ()
    """Convoy alone: from the end of each task to the note of it."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """All runs of one contender."""

    summary: Summary
    commands: Mapping[str, float]
    """The median of its runs, by command."""
    lags_s: tuple[float, ...]
    """Of all runs together, sorted."""

    @property
    def asked(self) -> float:
        """Commands for each hundred jobs."""
        return 100 * sum(self.commands.get(name, 0) for name in QUESTIONS) / self.summary.tasks


def rows(observations: Sequence[Observation]) -> list[Row]:
    """One row a contender, in the order in which they first ran."""
    found = []
    for summary in summaries(one.measurement for one in observations):
        mine = [one for one in observations if _same(one.measurement, summary)]
        names = sorted({name for one in mine for name in one.commands})
        found.append(
            Row(
                summary=summary,
                commands={name: median(one.commands.get(name, 0) for one in mine) for name in names},
                lags_s=tuple(sorted(lag for one in mine for lag in one.lags_s)),
            )
        )
    return found


def _same(measurement: Measurement, summary: Summary) -> bool:
    return (measurement.contender, measurement.tasks) == (summary.contender, summary.tasks)


def bars(found: Iterable[Row], *, command_ms: Sequence[float]) -> list[Bar]:
    """The promises that these results can tell something about."""
    by_name = {row.summary.contender: row for row in found}
    ours = by_name.get("convoy")
    told: list[Bar] = []
    if ours is not None:
        told += _against(ours, [row for name, row in by_name.items() if not name.startswith("convoy")])
    if command_ms:
        middle = median(command_ms)
        told.append(
            Bar(promise="SSH command at most 3 ms on an open connection", found=f"{middle:.1f} ms", met=middle <= 3.0)
        )
    return told


def _against(ours: Row, peers: Sequence[Row]) -> list[Bar]:
    told: list[Bar] = []
    outside = [row for row in peers if row.summary.contender in _OUTSIDE]
    if outside:
        ratio = min(row.summary.median_s for row in outside) / ours.summary.median_s
        promise = "at least 3x faster end to end than the best peer from outside"
        told.append(Bar(promise=promise, found=f"{ratio:.1f}x", met=ratio >= 3.0))
    if peers:
        fewest = min(row.asked for row in peers)
        share = f"{ours.asked:.0f} against {fewest:.0f}"
        promise = "scheduler commands for 100 jobs at most a tenth of the peers' best"
        told.append(Bar(promise=promise, found=share, met=ours.asked <= fewest / 10))
    if ours.lags_s:
        lag = median(ours.lags_s)
        told.append(Bar(promise="median lag at most 1 s", found=f"{lag:.2f} s", met=lag <= 1.0))
    return told


def spread(lags_s: Sequence[float]) -> str:
    """The distribution of lags, for people."""
    if len(lags_s) < 2:
        return ""
    cuts = quantiles(lags_s, n=20)
    return f"median {median(lags_s):.2f} s, 5 % {cuts[0]:.2f} s, 95 % {cuts[-1]:.2f} s, most {max(lags_s):.2f} s"
