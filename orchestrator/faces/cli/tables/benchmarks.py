"""What a benchmark of links told."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.text import Text

from orchestrator.faces.cli.tables.style import NOTHING, sheet, titled
from orchestrator.operations import LinkBenchmark, Timing
from orchestrator.quantities import shown_size


def benchmark_view(bench: LinkBenchmark) -> RenderableType:
    """The matrix, then each way by size, then small files, then what failed."""
    return Group(*_parts(bench))


def _parts(bench: LinkBenchmark) -> Iterator[RenderableType]:
    yield titled("Best rate for one large file, Mbit/s (rows send, columns receive)", _matrix(bench))
    single = [timing for timing in bench.timings if timing.case.files == 1 and timing.seconds]
    if single:
        yield titled("One file, Mbit/s by its size", _by_size(single))
    many = [timing for timing in bench.timings if timing.case.files > 1 and timing.seconds]
    if many:
        yield titled("Many small files", _small(many))
    for row in bench.crossings:
        what = f"{row.large} is quicker than {row.small} from {shown_size(row.file_bytes)} on"
        yield Text(f"  {row.source} → {row.destination}: {what}")
    failed = [timing for timing in bench.timings if timing.error]
    if failed:
        yield titled("Failed", _failures(failed))


def _matrix(bench: LinkBenchmark) -> RenderableType:
    rates = {(best.source, best.destination): best for best in bench.matrix}
    table = sheet("from \\ to", *bench.sites, right=bench.sites)
    for source in bench.sites:
        cells: list[RenderableType] = []
        for destination in bench.sites:
            best = rates.get((source, destination))
            cells.append(f"{_mbit(best.rate_bytes_per_s)} {best.way.mover}" if best else NOTHING)
        table.add_row(Text(source, style="bold"), *cells)
    return table


def _by_size(timings: list[Timing]) -> RenderableType:
    sizes = sorted({timing.case.file_bytes for timing in timings})
    heads = [shown_size(size) for size in sizes]
    rates = {
        (timing.case.source, timing.case.destination, timing.case.way, timing.case.file_bytes): timing.rate_bytes_per_s
        for timing in timings
    }
    table = sheet("from", "to", "way", *heads, right=heads)
    for source, destination, way in dict.fromkeys(key[:3] for key in rates):
        found = [rates.get((source, destination, way, size)) for size in sizes]
        table.add_row(source, destination, str(way), *(_mbit(rate) if rate else NOTHING for rate in found))
    return table


def _small(timings: list[Timing]) -> RenderableType:
    table = sheet("from", "to", "way", "files", "files/s", "Mbit/s", right=("files", "files/s", "Mbit/s"))
    for timing in timings:
        case = timing.case
        rate, per_s = timing.rate_bytes_per_s or 0.0, timing.files_per_s or 0.0
        size = f"{case.files:,} of {shown_size(case.file_bytes)}"
        table.add_row(case.source, case.destination, str(case.way), size, f"{per_s:,.0f}", _mbit(rate))
    return table


def _failures(timings: list[Timing]) -> RenderableType:
    table = sheet("from", "to", "way", "why", wrapped=("why",))
    for key, rows in _grouped(timings).items():
        table.add_row(*key, Text(rows[0].error, style="yellow"))
    return table


def _grouped(timings: list[Timing]) -> dict[tuple[str, str, str], list[Timing]]:
    found: dict[tuple[str, str, str], list[Timing]] = {}
    for timing in timings:
        key = timing.case.source, timing.case.destination, str(timing.case.way)
        found.setdefault(key, []).append(timing)
    return found


def _mbit(rate_bytes_per_s: float) -> str:
    return f"{rate_bytes_per_s * 8 / 1e6:,.0f}" if rate_bytes_per_s >= 1.25e6 else f"{rate_bytes_per_s * 8 / 1e6:.1f}"
