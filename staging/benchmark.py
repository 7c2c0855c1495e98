"""What a benchmark of links measures, and what its figures tell: a matrix of rates, rate against size, crossings.

The matrix is Table 5 of the PROCESS paper and rate against size its Figure 8: a tool that is started on demand is
overtaken by a plain one below the size at which their curves cross.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from metadata.errors import InvalidInputError, StagingError
from staging.routes import Routes, Way, has_files_for, ways

_SERIES_FACTOR = 8
_SMALLEST_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True, order=True)
class Case:
    """Some files of one size that one way takes from one site to another."""

    source: str
    destination: str
    way: Way
    files: int
    file_bytes: int

    @property
    def size_bytes(self) -> int:
        """All files together."""
        return self.files * self.file_bytes


@dataclass(frozen=True, kw_only=True)
class Timing:
    """What became of a case."""

    case: Case
    seconds: tuple[float, ...] = ()
    """One a round: until every file was verified and had its final name. Empty when it failed."""
    error: str = ""

    @property
    def rate_bytes_per_s(self) -> float | None:
        """By the median round."""
        return self.case.size_bytes / median(self.seconds) if self.seconds else None

    @property
    def files_per_s(self) -> float | None:
        """By the median round."""
        return self.case.files / median(self.seconds) if self.seconds else None


@dataclass(frozen=True, kw_only=True)
class Best:
    """The quickest way between two sites for the largest file that was tried."""

    source: str
    destination: str
    way: Way
    file_bytes: int
    rate_bytes_per_s: float


@dataclass(frozen=True, kw_only=True)
class Crossing:
    """From which size on one way is quicker than another, between two sites."""

    source: str
    destination: str
    small: Way
    """The quicker one below."""
    large: Way
    """The quicker one above."""
    file_bytes: int


def size_series(largest_bytes: int) -> list[int]:
    """Sizes from about 1 MiB up to the largest, each eight times the one before.

    >>> [size >> 20 for size in size_series(1 << 30)]
    [2, 16, 128, 1024]
    """
    sizes = [largest_bytes]
    while sizes[0] // _SERIES_FACTOR >= _SMALLEST_BYTES:
        sizes.insert(0, sizes[0] // _SERIES_FACTOR)
    return sizes


def cases(
    routes: Routes, sites: Sequence[str], *, loads: Sequence[tuple[int, int]], movers: Sequence[str] = ()
) -> list[Case]:
    """Every load on every way that has a use for so many files, between every ordered pair of sites.

    Args:
        routes: Between the sites.
        sites: At least two.
        loads: (files, bytes of each).
        movers: Only these; all when there are none.

    Raises:
        InvalidInputError: A site or mover is unknown, or there is only one site.
    """
    if len(set(sites)) < 2:
        raise InvalidInputError("a benchmark of links needs two sites or more; name them: --sites here,agh")
    for name in movers:
        if name not in routes.movers:
            raise InvalidInputError(f"there is no mover {name!r}; there are: {', '.join(sorted(routes.movers))}")
    pairs = [(one, other) for one in sites for other in sites if one != other]
    return [
        Case(source=source, destination=destination, way=way, files=files, file_bytes=file_bytes)
        for source, destination in pairs
        for way in _ways(routes, source, destination)
        if not movers or way.mover in movers
        for files, file_bytes in loads
        if has_files_for(way, routes.movers[way.mover], files)
    ]


def _ways(routes: Routes, source: str, destination: str) -> list[Way]:
    rules = routes.rules_of(source, destination)
    try:
        return ways(routes.endpoints[source], routes.endpoints[destination], routes.movers, rules)
    except StagingError:
        return []


def matrix(timings: Iterable[Timing]) -> dict[tuple[str, str], Best]:
    """(source, destination) -> the best way for the largest single file."""
    found: dict[tuple[str, str], Best] = {}
    for timing in timings:
        rate, case = timing.rate_bytes_per_s, timing.case
        if rate is None or case.files > 1:
            continue
        pair, best = (case.source, case.destination), found.get((case.source, case.destination))
        if best is None or (case.file_bytes, rate) > (best.file_bytes, best.rate_bytes_per_s):
            found[pair] = Best(
                source=pair[0], destination=pair[1], way=case.way, file_bytes=case.file_bytes, rate_bytes_per_s=rate
            )
    return found


def curves(timings: Iterable[Timing]) -> dict[tuple[str, str], dict[Way, list[tuple[int, float]]]]:
    """(source, destination) -> way -> (bytes of the file, bytes a second), by size."""
    found: defaultdict[tuple[str, str], defaultdict[Way, list[tuple[int, float]]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for timing in timings:
        rate, case = timing.rate_bytes_per_s, timing.case
        if rate is not None and case.files == 1:
            found[case.source, case.destination][case.way].append((case.file_bytes, rate))
    return {pair: {way: sorted(points) for way, points in rows.items()} for pair, rows in found.items()}


def crossings(timings: Iterable[Timing]) -> list[Crossing]:
    """Where the way that is quickest for the smallest file is overtaken by the one that is quickest for the largest."""
    found = []
    for (source, destination), rows in sorted(curves(timings).items()):
        small = max(rows, key=lambda way: rows[way][0][1])
        large = max(rows, key=lambda way: rows[way][-1][1])
        at = _crossing(rows[small], rows[large])
        if small != large and at is not None:
            found.append(Crossing(source=source, destination=destination, small=small, large=large, file_bytes=at))
    return found


def _crossing(small: Sequence[tuple[int, float]], large: Sequence[tuple[int, float]]) -> int | None:
    """The size at which the second curve rises above the first, between sizes on straight lines of logarithms."""
    rates: Mapping[int, float] = dict(small)
    gaps = [(math.log(size), math.log(rate / rates[size])) for size, rate in large if size in rates]
    for (x0, y0), (x1, y1) in pairwise(gaps):
        if y0 < 0 <= y1:
            return round(math.exp(x0 + (x1 - x0) * -y0 / (y1 - y0)))
    return None
