"""When everything happened: a band for each step and for each link, all over one clock. Pure.

A band of few things has a bar for each. A band of many shows how many were under way at each moment, or how many bytes
a second flowed; what failed stays visible as a mark.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from metadata.history import AttemptRecord, RunRecord, TaskRecord, TransferRecord
from orchestrator.quantities import shown_duration, shown_rate, shown_size
from orchestrator.reports.dag import shortened
from orchestrator.reports.measures import horizon

WIDTH, _LEFT, _RIGHT = 1140.0, 196.0, 24.0
_AXIS, _HEAD, _ROW, _AREA, _BAND_GAP = 30.0, 22.0, 20.0, 62.0, 12.0
_MOST_BARS = 24
_SLICES = 160
_TICKS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400, 172800, 604800)
_NARROWEST = 1.5


@dataclass(frozen=True, kw_only=True)
class Span:
    """Something with a beginning and an end."""

    row: str
    start: float
    end: float
    waited_from: float | None = None
    """Since when it waited; None when it did not."""
    state: str
    amount: float = 1.0
    """How much it adds to the band's area: 1, or bytes a second."""
    tip: str


@dataclass(frozen=True, kw_only=True)
class Bar:
    """A span, drawn."""

    x: float
    y: float
    width: float
    waited_x: float
    waited_width: float
    state: str
    tip: str


@dataclass(frozen=True, kw_only=True)
class Area:
    """Many spans, drawn as a sum over time."""

    path: str
    notes: tuple[str, str]
    """How many spans there are, and the most of them at once."""
    failures: tuple[float, ...]
    """Where something failed."""


@dataclass(frozen=True, kw_only=True)
class Band:
    """A step or a link."""

    y: float
    height: float
    title: str
    note: str
    site_number: int | None
    rows: tuple[tuple[str, float], ...]
    """(label, middle) of each row."""
    bars: tuple[Bar, ...] = ()
    area: Area | None = None


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """The whole drawing; `bands` is empty when nothing began."""

    width: float
    height: float
    left: float
    right: float
    ticks: tuple[tuple[float, str], ...]
    bands: tuple[Band, ...]


@dataclass(frozen=True, kw_only=True)
class _Clock:
    """Moments as places on paper."""

    start: float
    end: float

    def x(self, moment: float) -> float:
        share = (min(max(moment, self.start), self.end) - self.start) / (self.end - self.start)
        return _LEFT + share * (WIDTH - _LEFT - _RIGHT)


@dataclass(frozen=True, kw_only=True)
class _Group:
    """The spans of a band."""

    title: str
    note: str
    site_number: int | None
    spans: Sequence[Span]
    bytes_flow: bool = False


def draw_timeline(record: RunRecord, sites: Mapping[str, int]) -> Timeline:
    """The drawing of a run."""
    now = horizon(record)
    groups = [*_steps(record, sites, now), *_links(record, now)]
    spans = [span for group in groups for span in group.spans]
    if not spans:
        return Timeline(width=WIDTH, height=0, left=_LEFT, right=WIDTH - _RIGHT, ticks=(), bands=())
    start = min([record.started_at or now, *(span.waited_from or span.start for span in spans)])
    clock = _Clock(start=start, end=max(now, start + 1))
    bands, y = [], _AXIS
    for group in groups:
        band = _band(group, clock, y)
        bands.append(band)
        y += band.height + _BAND_GAP
    return Timeline(
        width=WIDTH, height=y, left=_LEFT, right=WIDTH - _RIGHT, ticks=_ticks(clock), bands=tuple(bands),
    )  # fmt: skip


def _steps(record: RunRecord, sites: Mapping[str, int], now: float) -> Iterable[_Group]:
    for step in record.steps:
        spans = [span for task in step.tasks for span in _task_spans(task, now)]
        if spans:
            yield _Group(title=step.name, note=step.site, site_number=sites[step.site], spans=spans)


def _task_spans(task: TaskRecord, now: float) -> Iterable[Span]:
    for attempt in task.attempts:
        if attempt.started_at is None:
            continue
        end = attempt.ended_at or now
        label = task.label or f"task {task.position}"
        yield Span(
            row=label, start=attempt.started_at, end=end, waited_from=attempt.submitted_at or attempt.created_at,
            state=attempt.state, tip=_attempt_tip(label, attempt, end - attempt.started_at),
        )  # fmt: skip


def _attempt_tip(label: str, attempt: AttemptRecord, seconds: float) -> str:
    place = f" on {attempt.node}" if attempt.node else ""
    waited = (attempt.started_at or 0) - (attempt.submitted_at or attempt.created_at)
    text = f"{label}, attempt {attempt.number}{place}: {attempt.state.lower()}, ran {shown_duration(seconds)}"
    text += f" after {shown_duration(max(0.0, waited))} in the queue"
    return f"{text}. {attempt.message}" if attempt.message else text


def _links(record: RunRecord, now: float) -> Iterable[_Group]:
    links: dict[tuple[str, str], list[Span]] = {}
    for row in record.transfers:
        if row.started_at is not None:
            spans = links.setdefault((row.source_site, row.destination_site), [])
            spans.append(_transfer_span(row, row.started_at, row.ended_at or now))
    for (source, destination), spans in links.items():
        yield _Group(title=f"{source} → {destination}", note="", site_number=None, spans=spans, bytes_flow=True)


def _transfer_span(row: TransferRecord, start: float, end: float) -> Span:
    seconds = max(end - start, 1e-3)
    arrived = row.bytes_moved or row.bytes_done
    tip = (
        f"{row.name}: {shown_size(arrived)} in {shown_duration(seconds)}, {shown_rate(arrived / seconds)}, {row.mover}"
    )
    return Span(row=row.name, start=start, end=end, state=row.state, amount=arrived / seconds, tip=tip)


def _band(group: _Group, clock: _Clock, y: float) -> Band:
    if len(group.spans) > _MOST_BARS:
        area = _area(group, clock, y + _HEAD)
        return Band(
            y=y, height=_HEAD + _AREA, title=group.title, note=group.note, site_number=group.site_number, rows=(),
            area=area,
        )  # fmt: skip
    names = list(dict.fromkeys(span.row for span in group.spans))
    middles = {name: y + _HEAD + number * _ROW + _ROW / 2 for number, name in enumerate(names)}
    return Band(
        y=y, height=_HEAD + len(names) * _ROW, title=group.title, note=group.note, site_number=group.site_number,
        rows=tuple((shortened(name, 27), middle) for name, middle in middles.items()),
        bars=tuple(_bar(span, clock, middles[span.row]) for span in group.spans),
    )  # fmt: skip


def _bar(span: Span, clock: _Clock, middle: float) -> Bar:
    x = clock.x(span.start)
    waited_x = clock.x(span.waited_from) if span.waited_from is not None else x
    width = max(_NARROWEST, clock.x(span.end) - x)
    return Bar(
        x=x, y=middle, width=width, waited_x=waited_x, waited_width=x - waited_x, state=span.state, tip=span.tip,
    )  # fmt: skip


def _area(group: _Group, clock: _Clock, top: float) -> Area:
    sums = _sums(group.spans, clock)
    peak = max(*sums, 1e-9)
    step = (clock.x(clock.end) - clock.x(clock.start)) / _SLICES
    bottom = top + _AREA
    path = f"M{_LEFT:.1f} {bottom:.1f}"
    for number, amount in enumerate(sums):
        height = bottom - (_AREA - 6) * amount / peak
        path += f" L{_LEFT + number * step:.1f} {height:.1f} L{_LEFT + (number + 1) * step:.1f} {height:.1f}"
    path += f" L{_LEFT + _SLICES * step:.1f} {bottom:.1f} Z"
    many = f"{len(group.spans)} {'transfers' if group.bytes_flow else 'attempts'}"
    most = f"up to {shown_rate(peak)}" if group.bytes_flow else f"up to {peak:.0f} at once"
    failures = {round(clock.x(span.end), 0) for span in group.spans if span.state == "FAILED"}
    return Area(path=path, notes=(many, most), failures=tuple(sorted(failures)))


def _sums(spans: Iterable[Span], clock: _Clock) -> list[float]:
    """For each slice of time, the mean of what was under way in it."""
    slice_s = (clock.end - clock.start) / _SLICES
    changes = [0.0] * (_SLICES + 1)
    extra = [0.0] * _SLICES
    for span in spans:
        first, last = ((moment - clock.start) / slice_s for moment in (span.start, span.end))
        begin, finish = min(int(first), _SLICES - 1), min(int(last), _SLICES - 1)
        # Whole slices are summed by their changes; the two at the ends count by the part that is covered.
        changes[begin] += span.amount
        changes[finish + 1] -= span.amount
        extra[begin] -= span.amount * (first - begin)
        extra[finish] -= span.amount * (finish + 1 - last)
    sums, level = [], 0.0
    for number in range(_SLICES):
        level += changes[number]
        sums.append(max(0.0, level + extra[number]))
    return sums


def _ticks(clock: _Clock) -> tuple[tuple[float, str], ...]:
    length = clock.end - clock.start
    step = next((tick for tick in _TICKS if length / tick <= 10), _TICKS[-1] * max(1, round(length / _TICKS[-1] / 8)))
    count = int(length / step) + 1
    return tuple((clock.x(clock.start + number * step), _shown_tick(number * step)) for number in range(count))


def _shown_tick(seconds: int) -> str:
    """A moment on the axis, as short as it can be.

    >>> _shown_tick(90), _shown_tick(3600), _shown_tick(5400)
    ('1:30', '1 h', '1:30 h')
    """
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min" if seconds % 60 == 0 else f"{seconds // 60}:{seconds % 60:02d}"
    hours, minutes = seconds // 3600, seconds % 3600 // 60
    return f"{hours} h" if not minutes else f"{hours}:{minutes:02d} h"
