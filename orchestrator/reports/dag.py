"""The steps of a run as a graph: boxes coloured by site, and on each arrow the data that moved along it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from metadata.history import RunRecord, TransferRecord
from orchestrator.plans import Plan, PlannedInput
from orchestrator.quantities import shown_duration, shown_size
from orchestrator.reports.measures import SKIPPED, StepMeasure, glyph
from orchestrator.reports.placement import Edge, Placement, placed

STEP_WIDTH, STEP_HEIGHT = 204.0, 98.0
_INPUT_WIDTH, _INPUT_HEIGHT = 148.0, 54.0
_GAP_X, _GAP_Y, _MARGIN = 134.0, 34.0, 8.0
_PORT = 34.0
_LEVEL = 10.0
_TITLE_LETTERS = 24


@dataclass(frozen=True, kw_only=True)
class StepBox:
    """A step."""

    x: float
    y: float
    step: StepMeasure
    title: str
    site_number: int
    lines: tuple[str, ...]
    segments: tuple[tuple[str, float, float], ...]
    """(state, x, width) of its tasks' bar."""


@dataclass(frozen=True, kw_only=True)
class InputBox:
    """Files that the run starts from."""

    x: float
    y: float
    title: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Arrow:
    """Data on their way from a box to a step."""

    path: str
    kind: str
    """`moved`, `planned`, or `still` for data that were in place."""
    x: float
    y: float
    """The middle of its label."""
    backing: float
    """Width of the ground that hides a sloping line behind its label; 0 where the line is level."""
    label: str
    detail: str
    tip: str


@dataclass(frozen=True, kw_only=True)
class Dag:
    """The whole drawing."""

    width: float
    height: float
    steps: tuple[StepBox, ...]
    inputs: tuple[InputBox, ...]
    arrows: tuple[Arrow, ...]
    summary: str
    """The drawing in a sentence, for those who cannot see it."""


@dataclass(frozen=True, kw_only=True)
class _Traffic:
    """What moved, or will move, along an edge."""

    size_bytes: int | None
    files: int
    links: tuple[str, ...]
    planned: bool


def draw_dag(record: RunRecord, plan: Plan, measures: Sequence[StepMeasure], sites: Mapping[str, int]) -> Dag:
    """The drawing of a run."""
    edges = _edges(plan)
    heights = {name: _INPUT_HEIGHT for name, _ in edges if name.startswith("inputs.")}
    heights |= {step.name: STEP_HEIGHT for step in measures}
    place = placed(heights, list(edges), gap=_GAP_Y)
    lefts = _lefts(place, heights)
    corners = {name: (lefts[place.layers[name]], _MARGIN + place.middles[name] - heights[name] / 2) for name in heights}
    columns = max(place.layers.values(), default=0)
    return Dag(
        width=lefts[columns] + STEP_WIDTH + _MARGIN,
        height=place.height + 2 * _MARGIN,
        steps=tuple(_step_box(step, corners[step.name], sites) for step in measures),
        inputs=tuple(_input_box(name, corners[name], plan) for name in heights if name.startswith("inputs.")),
        arrows=tuple(_arrow(edge, record, plan, place, lefts, edges) for edge in edges),
        summary="; ".join(_told(step, edges) for step in measures),
    )


def _edges(plan: Plan) -> dict[Edge, list[PlannedInput]]:
    """(box, step) -> the step's inputs that come from there."""
    edges: dict[Edge, list[PlannedInput]] = {}
    for step in plan.steps:
        for planned in step.inputs.values():
            makers = [producer.partition(".")[0] for producer in planned.producers]
            for source in dict.fromkeys([*makers, *_read_inputs(plan, planned)]):
                edges.setdefault((source, step.name), []).append(planned)
    return edges


def _read_inputs(plan: Plan, planned: PlannedInput) -> Iterable[str]:
    wanted = {file.sha256 for file in planned.files}
    for name, files in plan.inputs.items():
        if wanted & {file.sha256 for file in files}:
            yield f"inputs.{name}"


def _lefts(place: Placement, heights: Mapping[str, float]) -> list[float]:
    """The left end of each layer; a layer of inputs alone is narrow."""
    lefts, x = [], _MARGIN
    for layer in range(max(place.layers.values(), default=0) + 1):
        lefts.append(x)
        narrow = all(heights[name] == _INPUT_HEIGHT for name in place.layers if place.layers[name] == layer)
        x += (_INPUT_WIDTH if narrow else STEP_WIDTH) + _GAP_X
    return lefts


def _step_box(step: StepMeasure, corner: tuple[float, float], sites: Mapping[str, int]) -> StepBox:
    x, y = corner
    segments, left = [], x + 14
    for state, share in step.shares:
        segments.append((state, left, share * (STEP_WIDTH - 28)))
        left += share * (STEP_WIDTH - 28)
    return StepBox(
        x=x, y=y, step=step, title=shortened(step.name, _TITLE_LETTERS - 4), site_number=sites[step.site],
        lines=(_where(step), _took(step)), segments=tuple(segments),
    )  # fmt: skip


def _where(step: StepMeasure) -> str:
    if step.state == SKIPPED:
        return "skipped"
    number = (
        "tasks not known yet" if step.tasks is None else f"{step.done} of {step.tasks} task{'s'[: step.tasks != 1]}"
    )
    return shortened(f"{step.site} · {number}", 31)


def _took(step: StepMeasure) -> str:
    if step.run_s is None:
        return f"predicted {shown_duration(step.planned.prediction.run_s)}" if step.state != SKIPPED else ""
    retried = f" · {step.retried} retried" if step.retried else ""
    return shown_duration(step.run_s) + retried


def shortened(text: str, letters: int) -> str:
    """The text, cut to a number of letters with an ellipsis.

    >>> shortened("heatmaps", 5)
    'heat…'
    """
    return text if len(text) <= letters else text[: letters - 1] + "…"


def _input_box(name: str, corner: tuple[float, float], plan: Plan) -> InputBox:
    title = name.removeprefix("inputs.")
    files = plan.inputs[title]
    size = shown_size(sum(file.size_bytes for file in files))
    text = f"{len(files)} file{'s'[: len(files) != 1]}, {size}"
    return InputBox(x=corner[0], y=corner[1], title=shortened(title, 15), text=text)


def _arrow(
    edge: Edge, record: RunRecord, plan: Plan, place: Placement, lefts: Sequence[float], edges: Mapping[Edge, object]
) -> Arrow:
    source, target = edge
    width = _INPUT_WIDTH if source.startswith("inputs.") else STEP_WIDTH
    start = (lefts[place.layers[source]] + width, _MARGIN + place.middles[source])
    end = (lefts[place.layers[target]] - 3, _MARGIN + place.middles[target] + _port(edge, edges, place))
    points = [start]
    for layer, middle in place.routes[edge]:
        points += [(lefts[layer] - 10, _MARGIN + middle), (lefts[layer] + STEP_WIDTH + 10, _MARGIN + middle)]
    points.append(end)
    traffic = _traffic(edge, record, plan)
    label = _label(edge, traffic)
    return Arrow(
        path=_curve(points), kind=_kind(traffic), x=(points[-2][0] + end[0]) / 2, y=(points[-2][1] + end[1]) / 2,
        backing=_backing(label) if abs(points[-2][1] - end[1]) > _LEVEL else 0.0, **label,
    )  # fmt: skip


def _kind(traffic: _Traffic | None) -> str:
    if traffic is None:
        return "still"
    return "planned" if traffic.planned else "moved"


def _backing(label: Mapping[str, str]) -> float:
    """About as wide as the label's longer line."""
    return 8 + max(7.8 * len(label["label"]), 6.5 * len(label["detail"]))


def _port(edge: Edge, edges: Mapping[Edge, object], place: Placement) -> float:
    """Where on the step's left side the arrow ends: one below the other, in the order in which they come."""
    coming = [other for other in edges if other[1] == edge[1]]
    coming.sort(key=lambda other: place.routes[other][-1][1] if place.routes[other] else place.middles[other[0]])
    spacing = min(_PORT, (STEP_HEIGHT - 20) / len(coming))
    return (coming.index(edge) - (len(coming) - 1) / 2) * spacing


def _curve(points: Sequence[tuple[float, float]]) -> str:
    x, y = points[0]
    path = f"M{x:.1f} {y:.1f}"
    for to_x, to_y in points[1:]:
        bend = (to_x - x) / 2
        path += f" C{x + bend:.1f} {y:.1f} {to_x - bend:.1f} {to_y:.1f} {to_x:.1f} {to_y:.1f}"
        x, y = to_x, to_y
    return path


def _label(edge: Edge, traffic: _Traffic | None) -> dict[str, str]:
    if traffic is None:
        return {"label": "", "detail": "in place", "tip": f"{edge[0]} to {edge[1]}: nothing had to move"}
    size = "size not known" if traffic.size_bytes is None else shown_size(traffic.size_bytes)
    links = traffic.links[0] if len(traffic.links) == 1 else f"{len(traffic.links)} links"
    tense = "planned" if traffic.planned else "moved"
    count = f"{traffic.files} transfer{'s'[: traffic.files != 1]}"
    tip = f"{edge[0]} to {edge[1]}: {count}, {size} {tense} ({', '.join(traffic.links)})"
    return {"label": size, "detail": shortened(links, 21), "tip": tip}


def _traffic(edge: Edge, record: RunRecord, plan: Plan) -> _Traffic | None:
    """What moved, as the journal says; what is planned where nothing was ordered yet. None: the data were there."""
    rows = [row for row in record.transfers if row.step == edge[1] and row.sha256 in _content(edge[0], record, plan)]
    if rows:
        size = sum(row.bytes_moved or row.size_bytes for row in rows)
        return _Traffic(size_bytes=size, files=len(rows), links=_links(rows), planned=False)
    tasks = [task for step in record.steps if step.name == edge[1] for task in step.tasks]
    begun = any(task.attempts or task.reused_from for task in tasks)
    return None if begun else _planned_traffic(edge, plan)


def _planned_traffic(edge: Edge, plan: Plan) -> _Traffic | None:
    source, target = edge
    origins = {file.origin for file in plan.inputs.get(source.removeprefix("inputs."), ())}
    rows = [row for row in plan.transfers if row.step == target]
    rows = [row for row in rows if row.what in origins or row.what.partition(".")[0] == source]
    if not rows:
        return None
    sizes = [row.size_bytes for row in rows]
    size = None if None in sizes else sum(size for size in sizes if size is not None)
    links = tuple(dict.fromkeys(f"{row.source} → {row.destination}" for row in rows))
    return _Traffic(size_bytes=size, files=len(rows), links=links, planned=True)


def _content(source: str, record: RunRecord, plan: Plan) -> set[str]:
    if source.startswith("inputs."):
        return {file.sha256 for file in plan.inputs[source.removeprefix("inputs.")]}
    tasks = [task for step in record.steps if step.name == source for task in step.tasks]
    return {file.sha256 for task in tasks for files in task.outputs.values() for file in files}


def _links(rows: Iterable[TransferRecord]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(f"{row.source_site} → {row.destination_site}" for row in rows))


def _told(step: StepMeasure, edges: Mapping[Edge, object]) -> str:
    sources = [source for source, target in edges if target == step.name]
    after = f" after {' and '.join(sources)}" if sources else ""
    return f"{step.name} at {step.site}{after}: {glyph(step.state)} {step.state.lower()}, {_took(step)}"
