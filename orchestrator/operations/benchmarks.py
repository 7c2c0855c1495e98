"""Measuring the links between sites, with real files and every check that transfers have."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from metadata.errors import MiddlewareError, SiteError
from metadata.policy import ANYWHERE
from orchestrator.operations.workspace import Workspace
from orchestrator.reports.rates import write_rates
from orchestrator.settings import HERE
from staging.benchmark import Best, Case, Crossing, Timing, cases, crossings, curves, matrix, size_series
from staging.locations import Location
from staging.orders import Order
from staging.ports import FileDigest, Storage

__all__ = ["LinkBenchmark", "Timing", "bench_transfer", "draw_benchmark"]

CaseProgress = Callable[[str, int, int], None]
"""(case, cases done, cases in all)"""

SMALL_FILE_BYTES = 20_000
"""A patch of a slide, about: what many small files are here."""

_MAKE_TIMEOUT_S = 3600.0
_MAKE = 'mkdir -p -- "$1" && head -c "$(($2 * $3))" /dev/urandom | split -a 6 -d -b "$3" - "$1/f"'


@dataclass(frozen=True, kw_only=True)
class LinkBenchmark:
    """What was measured, and what it tells."""

    sites: tuple[str, ...]
    measured_at: float
    timings: tuple[Timing, ...]
    matrix: tuple[Best, ...]
    """The best rate from each site to each other."""
    crossings: tuple[Crossing, ...]
    """From which size on another way is quicker."""
    interrupted: bool = False
    """True when not all was measured that was asked for."""


def bench_transfer(
    workspace: Workspace,
    sites: Sequence[str],
    *,
    size_bytes: int = 64 << 20,
    files: Sequence[int] = (1, 1000),
    movers: Sequence[str] = (),
    repeat: int = 1,
    progress: CaseProgress | None = None,
) -> LinkBenchmark:
    """Every way between the sites is measured, with verification, and fills the history that routes are chosen by.

    A KeyboardInterrupt once something is measured ends the measuring, and what was found so far is the answer.

    Args:
        workspace: The home with its sites.
        sites: Two or more; `here` is this machine.
        size_bytes: Of the largest single file; smaller ones down to about 1 MiB are tried as well.
        files: Numbers of files: 1 for single files of all sizes, others for so many of 20 kB.
        movers: Only these; all when there are none.
        repeat: Rounds of each case; the median counts.
        progress: Called before each case.

    Raises:
        NotFoundError: There is no such site.
        InvalidInputError: Fewer than two sites, or a mover that is unknown.
    """
    for name in sites:
        if name != HERE:
            workspace.site(name)
    loads = [
        (count, size) for count in files for size in (size_series(size_bytes) if count == 1 else [SMALL_FILE_BYTES])
    ]
    wanted = cases(workspace.routes, sites, loads=loads, movers=movers)
    timings: list[Timing] = []
    try:
        with _stocks(workspace, sites, loads) as stocks:
            for done, case in enumerate(wanted):
                if progress:
                    progress(_shown(case), done, len(wanted))
                timings.append(_timed(workspace, case, stocks, repeat))
    except KeyboardInterrupt:
        if not timings:
            raise
    return LinkBenchmark(
        interrupted=len(timings) < len(wanted),
        sites=tuple(sites),
        measured_at=time.time(),
        timings=tuple(timings),
        matrix=tuple(matrix(timings).values()),
        crossings=tuple(crossings(timings)),
    )


def draw_benchmark(bench: LinkBenchmark, folder: Path, *, tables: str) -> list[Path]:
    """Pictures of rate against size, and a page with them and the tables; the page comes first.

    Raises AdapterUnavailableError when matplotlib is not installed.
    """
    return write_rates(folder, curves(bench.timings), tables=tables)


def _shown(case: Case) -> str:
    return f"{case.source} → {case.destination}, {case.way}, {case.files} of {case.file_bytes} bytes"


@dataclass(frozen=True, kw_only=True)
class _Stock:
    """A site's folder for the benchmark, with what it can send."""

    folder: str
    contents: dict[tuple[int, int], list[tuple[str, FileDigest]]]
    """(files, bytes of each) -> path and digest of each file."""


@contextmanager
def _stocks(
    workspace: Workspace, sites: Iterable[str], loads: Sequence[tuple[int, int]]
) -> Iterator[dict[str, _Stock]]:
    """Every site has files that no other has. They are gone afterwards."""
    token, stocks = secrets.token_hex(4), {}
    try:
        for name in sites:
            home = workspace.settings.home if name == HERE else workspace.site(name).workdir
            stocks[name] = _Stock(folder=f"{home}/benchmark-{token}", contents={})
            for load in loads:
                stocks[name].contents[load] = _made(workspace.storages[name], stocks[name].folder, load)
        yield stocks
    finally:
        for name, stock in stocks.items():
            with suppress(MiddlewareError):
                workspace.storages[name].remove(stock.folder)


def _made(storage: Storage, folder: str, load: tuple[int, int]) -> list[tuple[str, FileDigest]]:
    """Files of random bytes at the site, which no tool can compress."""
    count, size = load
    place = f"{folder}/out-{count}-{size}"
    if storage.endpoint.local:
        _make_here(Path(place), count, size)
    elif storage.endpoint.shell is not None:
        argv = ("/bin/sh", "-c", _MAKE, "sh", place, str(count), str(size))
        answer = storage.endpoint.shell.run(argv, timeout_s=_MAKE_TIMEOUT_S)
        if answer.exit_code != 0:
            site = storage.endpoint.site
            raise SiteError(f"{site}: no files for the benchmark could be made: {answer.stderr.strip()}", site=site)
    names = storage.files_below(place)
    return sorted(storage.digests([f"{place}/{name}" for name in names]).items())


def _make_here(folder: Path, count: int, size: int) -> None:
    folder.mkdir(parents=True)
    for number in range(count):
        with (folder / f"f{number:06}").open("wb") as file:
            left = size
            while left > 0:
                left -= file.write(os.urandom(min(left, 4 << 20)))


def _timed(workspace: Workspace, case: Case, stocks: dict[str, _Stock], repeat: int) -> Timing:
    seconds = []
    for number in range(repeat):
        try:
            seconds.append(_carried(workspace, case, stocks, number))
        except MiddlewareError as error:
            return Timing(case=case, error=error.message)
    return Timing(case=case, seconds=tuple(seconds))


def _carried(workspace: Workspace, case: Case, stocks: dict[str, _Stock], number: int) -> float:
    """The seconds of one round. What arrived is removed, so that the next round finds nothing."""
    target = f"{stocks[case.destination].folder}/in-{number}"
    orders = [
        Order(
            name=path,
            content=digest,
            source=Location(site=case.source, path=path),
            destination=Location(site=case.destination, path=f"{target}/{Path(path).name}"),
            policy=ANYWHERE,
        )
        for path, digest in stocks[case.source].contents[case.files, case.file_bytes]
    ]
    try:
        delivery = workspace.carrier.carry(orders, ways=[case.way])
    finally:
        with suppress(MiddlewareError):
            workspace.storages[case.destination].remove(target)
    failed = next((outcome for outcome in delivery.outcomes if isinstance(outcome, MiddlewareError)), None)
    if failed is not None:
        raise failed
    for trip in delivery.trips:
        measurement = trip.measurement(case.source, case.destination, measured_at=time.time())
        workspace.catalogue.add_measurement(measurement)
    return sum(trip.seconds for trip in delivery.trips)
