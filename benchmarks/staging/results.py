"""From single runs to ratios and bars. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median

from benchmarks.orchestration.results import Bar

BIG, SMALL = "big", "files"
_OURS = "convoy"
_PEERS = ("scp", "rsync", "rclone", "globus-url-copy")
"""Those that the bars speak of."""
_BARS = {BIG: 0.95, SMALL: 1.5}
"""How many times the rate of the best peer Convoy has to reach."""
_NEAR = 1.10
"""A choice may be so much slower than the best way."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run of one contender."""

    link: str
    load: str
    contender: str
    verified_s: float
    """Until all was there and had been compared; whole programs, logins included."""
    plain_s: float
    """What the transfer took of that."""
    cpu_s: float
    """Of all programs on this machine."""
    way: str = ""
    """Convoy alone: the mover."""
    stopped: bool = False
    """It was far behind, and ended by us; the times are how far it got."""


@dataclass(frozen=True, kw_only=True)
class Summary:
    """All runs of one contender with one load over one link."""

    link: str
    load: str
    contender: str
    runs: int
    verified_s: float
    """Median, as the others."""
    plain_s: float
    cpu_s: float
    way: str
    stopped: bool
    ratio: float | None
    """Its verified time divided by Convoy's."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What Convoy chose after its probes, and what its ways took then."""

    link: str
    load: str
    probes: int
    chosen: str
    seconds: Mapping[str, Sequence[float]]
    """Way -> each round."""

    @property
    def best(self) -> str:
        """The way with the shortest median."""
        return min(self.seconds, key=lambda way: median(self.seconds[way]))

    @property
    def lag(self) -> float:
        """How many times as long as the best way the chosen one takes."""
        return median(self.seconds[self.chosen]) / median(self.seconds[self.best])


def summaries(runs: Iterable[Run]) -> list[Summary]:
    """One for each link, load and contender, in the order in which they first ran."""
    groups: dict[tuple[str, str, str], list[Run]] = {}
    for run in runs:
        groups.setdefault((run.link, run.load, run.contender), []).append(run)
    medians = {key: median(run.verified_s for run in rows) for key, rows in groups.items()}
    return [_summary(rows, ours=medians.get((key[0], key[1], _OURS))) for key, rows in sorted_groups(groups)]


def sorted_groups(
    groups: Mapping[tuple[str, str, str], list[Run]],
) -> list[tuple[tuple[str, str, str], list[Run]]]:
    """By link and load in their first order, the quickest contender first."""
    cells = list(dict.fromkeys(key[:2] for key in groups))
    return sorted(groups.items(), key=lambda item: (cells.index(item[0][:2]), median(r.verified_s for r in item[1])))


def _summary(rows: Sequence[Run], *, ours: float | None) -> Summary:
    verified = median(row.verified_s for row in rows)
    return Summary(
        link=rows[0].link, load=rows[0].load, contender=rows[0].contender, runs=len(rows), verified_s=verified,
        plain_s=median(row.plain_s for row in rows), cpu_s=median(row.cpu_s for row in rows),
        way=" / ".join(sorted({row.way for row in rows if row.way})), stopped=any(row.stopped for row in rows),
        ratio=verified / ours if ours else None,
    )  # fmt: skip


def bars(rows: Sequence[Summary], choices: Iterable[Choice], *, floors: Mapping[tuple[str, str], float]) -> list[Bar]:
    """What was promised; `floors` holds the seconds that a link's rate alone asks for a load."""
    told = []
    for link, load in dict.fromkeys((row.link, row.load) for row in rows):
        cell = {row.contender: row for row in rows if (row.link, row.load) == (link, load)}
        peers = [cell[name] for name in _PEERS if name in cell and not cell[name].stopped]
        if _OURS in cell and peers:
            told.append(_rate_bar(cell[_OURS], min(peers, key=lambda row: row.verified_s), floors.get((link, load))))
            told[-1] = replace(told[-1], found=told[-1].found + _unverified(cell[_OURS], peers))
    return told + [_choice_bar(choice) for choice in choices]


def _rate_bar(ours: Summary, best: Summary, floor_s: float | None) -> Bar:
    factor = _BARS[ours.load]
    ratio = best.verified_s / ours.verified_s
    what = "one large file" if ours.load == BIG else "many small files"
    limit = ""
    if floor_s and best.verified_s / floor_s < factor:
        limit = f"; the link's rate alone allows {best.verified_s / floor_s:.2f}x at most"
    return Bar(
        promise=f"{ours.link}: {what}, verified, at least {factor:g}x the best peer's rate",
        found=f"{ratio:.2f}x {best.contender}'s{limit}",
        met=ratio >= factor,
    )


def _unverified(ours: Summary, peers: Sequence[Summary]) -> str:
    """So that nobody is fooled by what verification costs the peers."""
    best = min(peers, key=lambda row: row.plain_s)
    return f" ({best.plain_s / ours.verified_s:.2f}x {best.contender}'s without sums)"


def _choice_bar(choice: Choice) -> Bar:
    what = "one large file" if choice.load == BIG else "many small files"
    lag = choice.lag
    return Bar(
        promise=f"{choice.link}: {what}, choice after 3 probes at most 10 % slower than the best mover",
        found=f"{choice.chosen}: {100 * (lag - 1):.0f} % slower than {choice.best}",
        met=lag <= _NEAR,
    )
