"""Runs: the list of them, and one in full."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from metadata.history import RunRecord, RunSummary, StepRecord, TaskRecord, TransferRecord
from metadata.progress import Counts
from orchestrator.faces.cli.tables.style import NOTHING, facts, moment, sheet, span, state_text, titled
from orchestrator.faces.states import count_of, step_state
from orchestrator.quantities import shown_rate, shown_size

_MOST_ROWS = 20
_TELLING_BYTES = 1_000_000
"""What moves less is done before a rate means anything."""
_QUIET = ("NEW", "COMPLETED")


def runs_view(runs: Sequence[RunSummary], *, chosen: bool = False) -> RenderableType:
    """One line a run; `chosen` says that not all were asked for."""
    if not runs and chosen:
        return Text("No run is like that. All of them: convoy ls", style="dim")
    if not runs:
        return Text("There is no run yet. Start one with: convoy run WORKFLOW", style="dim")
    table = sheet(
        "run", "state", "tasks", "moved", "started", "took", "message", right=("moved", "took"), wrapped=("message",)
    )
    for run in runs:
        moved = shown_size(run.bytes_moved) if run.bytes_moved else NOTHING
        took = span(run.started_at, run.ended_at)
        message = Text(run.message, style="dim")
        table.add_row(
            Text(run.id, style="bold"),
            state_text(run.state),
            _share(run.counts),
            moved,
            moment(run.created_at),
            took,
            message,
        )
    return table


def _share(counts: Counts) -> str:
    total = sum(counts.values())
    return f"{counts.get('COMPLETED', 0)}/{total}" if total else "-"


def run_view(run: RunRecord, *, everything: bool = False) -> RenderableType:
    """A run in full; of its tasks and transfers those that matter most, unless `everything` is wanted."""
    parts: list[RenderableType] = [_head(run), titled("Steps", _steps(run.steps))]
    tasks = [(step, task) for step in run.steps for task in step.tasks]
    chosen = tasks if everything or len(tasks) <= _MOST_ROWS else [row for row in tasks if row[1].state not in _QUIET]
    if chosen:
        parts.append(titled("Tasks", _tasks(chosen if everything else chosen[:_MOST_ROWS], total=len(tasks))))
    if run.transfers:
        parts.append(titled("Transfers", _transfers(run.transfers, most=None if everything else _MOST_ROWS)))
    return Group(*parts)


def _head(run: RunRecord) -> RenderableType:
    title = Text.assemble((run.id, "bold"), "  ", state_text(run.state))
    rows: dict[str, RenderableType | None] = {
        "message": run.message,
        "started": moment(run.started_at),
        "took": span(run.started_at, run.ended_at),
        "moved": shown_size(run.bytes_moved) if run.bytes_moved else None,
    }
    return Group(title, facts(rows))


def _steps(steps: Sequence[StepRecord]) -> Table:
    table = sheet("step", "state", "site", "done", "failed", "why", right=("done", "failed"), wrapped=("why",))
    for step in steps:
        failed = count_of(step, "FAILED")
        table.add_row(
            Text(step.name, style="bold"), state_text(step_state(step)), step.site or NOTHING, _share(step.counts),
            Text(str(failed), style="bold red") if failed else NOTHING, Text(step.skipped, style="dim"),
        )  # fmt: skip
    return table


def _tasks(rows: Sequence[tuple[StepRecord, TaskRecord]], *, total: int) -> RenderableType:
    table = sheet(
        "task", "for", "state", "tries", "node", "took", "message", right=("tries", "took"), wrapped=("for", "message")
    )
    for step, task in rows:
        last = task.last
        message = f"taken over from {task.reused_from}" if task.reused_from else task.message
        took = span(last.started_at, last.ended_at) if last else NOTHING
        name, tries = Text(f"{step.name}.{task.position}", style="bold"), str(len(task.attempts) or "-")
        node = last.node if last else ""
        table.add_row(name, Text(task.label), state_text(task.state), tries, node, took, Text(message, style="dim"))
    return _with_rest(table, total - len(rows), "tasks")


def _transfers(rows: Sequence[TransferRecord], *, most: int | None) -> RenderableType:
    table = sheet(
        "what", "state", "size", "from → to", "mover", "took", "rate", right=("size", "took"), wrapped=("what",)
    )
    for row in islice(rows, most):
        way, took = f"{row.source_site} → {row.destination_site}", span(row.started_at, row.ended_at)
        size = shown_size(row.size_bytes)
        table.add_row(Text(row.name), state_text(row.state), size, way, row.mover, took, _rate(row))
    return _with_rest(table, len(rows) - table.row_count, "transfers")


def _rate(row: TransferRecord) -> RenderableType:
    if row.started_at is None or row.ended_at is None or row.bytes_moved < _TELLING_BYTES:
        return NOTHING
    return shown_rate(row.bytes_moved / max(row.ended_at - row.started_at, 1e-3))


def _with_rest(table: Table, left: int, what: str) -> RenderableType:
    return Group(table, Text(f"and {left} more {what}; --all shows them", style="dim")) if left > 0 else table
