"""A plan: its steps, its transfers, and on request what else was considered."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from orchestrator.faces.cli.tables.style import NOTHING, sheet, titled
from orchestrator.plans import Plan, PlannedStep, PlannedTransfer
from orchestrator.quantities import shown_duration, shown_size

_MOST_TRANSFERS = 40


def plan_view(plan: Plan, *, explain: bool = False) -> RenderableType:
    """The whole plan."""
    parts: list[RenderableType] = [_headline(plan), titled("Steps", _steps(plan))]
    if plan.transfers:
        parts.append(titled("Transfers", _transfers(plan.transfers)))
    if explain:
        parts.append(titled("Sites that were considered", _candidates(plan)))
    return Group(*parts)


def _headline(plan: Plan) -> Text:
    known = [row.size_bytes or 0 for row in plan.transfers]
    sites = {step.site for step in plan.steps if step.site}
    moved = f", {shown_size(sum(known))} to move" if sum(known) else ""
    return Text.assemble(
        (plan.name, "bold"), f"  {len(plan.steps)} steps at {len(sites)} sites{moved}  ", (plan.digest, "dim")
    )


def _steps(plan: Plan) -> Table:
    table = sheet(
        "step",
        "site",
        "tasks",
        "image",
        "transfers",
        "queue",
        "run",
        "why",
        right=("tasks", "transfers", "queue", "run"),
        wrapped=("why",),
    )
    for step in plan.steps:
        table.add_row(
            Text(step.name, style="bold"), step.site or NOTHING, *_numbers(step), Text(_why(step), style="dim")
        )
    return table


def _numbers(step: PlannedStep) -> tuple[RenderableType, ...]:
    prediction = step.prediction
    tasks = NOTHING if step.tasks is None else str(step.tasks)
    image = Text("host", style="dim") if step.runtime == "host" or not step.image else Text(step.image)
    return tasks, image, _seconds(prediction.transfer_s), _seconds(prediction.queue_s), _seconds(prediction.run_s)


def _why(step: PlannedStep) -> str:
    if step.skipped:
        return f"skipped: {step.skipped}"
    basis = "" if step.prediction.basis in step.reason else step.prediction.basis
    return "; ".join(part for part in (step.reason, basis) if part)


def _seconds(seconds: float | None) -> RenderableType:
    return shown_duration(seconds) if seconds else NOTHING


def _transfers(transfers: tuple[PlannedTransfer, ...]) -> RenderableType:
    table = sheet(
        "what", "for", "size", "from → to", "by", "time", "why", right=("size", "time"), wrapped=("what", "why")
    )
    for row in transfers[:_MOST_TRANSFERS]:
        size = NOTHING if row.size_bytes is None else Text(shown_size(row.size_bytes))
        way = f"{row.source} → {row.destination}"
        table.add_row(
            Text(_name(row.what)), row.step, size, way, _way(row), _seconds(row.seconds), Text(row.reason, style="dim")
        )
    left = len(transfers) - _MOST_TRANSFERS
    return Group(table, Text(f"and {left} more; --json shows all", style="dim")) if left > 0 else table


def _way(row: PlannedTransfer) -> str:
    """The mover, whether the data pass through this machine, and by how many streams."""
    between = {"third-party": "direct", "relay": "relayed"}.get(row.direction)
    streams = f"{row.streams} streams" if row.streams > 1 else None
    return ", ".join(part for part in (row.mover, between, streams) if part)


def _name(what: str) -> str:
    """A file of this machine by its own name alone: its path says little and takes much room."""
    return what.rpartition("/")[2] if what.startswith("/") else what


def _candidates(plan: Plan) -> Table:
    table = sheet("step", "site", "time", "why", right=("time",), wrapped=("why",))
    for step in plan.steps:
        for candidate in step.candidates:
            chosen = "bold green" if candidate.site == step.site else ""
            time = Text("cannot", style="dim") if candidate.seconds is None else Text(shown_duration(candidate.seconds))
            table.add_row(step.name, Text(candidate.site, style=chosen), time, Text(candidate.reason, style="dim"))
    return table
