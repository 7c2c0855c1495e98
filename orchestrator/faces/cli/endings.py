"""How a run ended, in words. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orchestrator import quantities
from orchestrator.faces.states import look_of

if TYPE_CHECKING:
    from metadata.history import RunRecord
    from metadata.progress import RunProgress
    from orchestrator.operations import Report

_MOST_FAULTS = 5
_BRIEF = ("id", "name", "state", "message", "counts", "created_at", "started_at", "ended_at", "bytes_moved")


def summary(record: RunProgress) -> dict[str, Any]:
    """What a program wants to know of a run that it started."""
    return {name: getattr(record, name) for name in _BRIEF}


def record_line(record: RunProgress) -> str:
    """The run in one line."""
    look, took = look_of(record.state), (record.ended_at or 0.0) - (record.started_at or 0.0)
    parts = [f"{look.sign} {record.id} {look.word}"]
    parts += [f"in {quantities.shown_duration(took)}"] if record.ended_at and record.started_at else []
    parts += [f"with {quantities.shown_size(record.bytes_moved)} moved"] if record.bytes_moved else []
    return " ".join(parts)


def fault_lines(record: RunRecord) -> list[str]:
    """Why it did not go well, the reason of each of the first failed tasks, and where to read on."""
    lines = [record.message] if record.message else []
    failed = [(step.name, task) for step in record.steps for task in step.tasks if task.state == "FAILED"]
    for step, task in failed[:_MOST_FAULTS]:
        label = f" ({task.label})" if task.label else ""
        lines.append(
            f"{step}.{task.position}{label}: {task.message}; see: convoy logs {record.id} {step}.{task.position}"
        )
    left = len(failed) - _MOST_FAULTS
    return [*lines, f"and {left} more; see: convoy show {record.id}"] if left > 0 else lines


def report_lines(report: Report) -> list[str]:
    """Where everything is that a person may want to open."""
    rows = [("report", str(report.page)), *(("picture", str(path)) for path in report.pictures)]
    rows += [("crate", str(report.crate))] if report.crate else []
    return [f"{name:<8}  {text}" for name, text in [*rows, *(("withheld", text) for text in report.withheld)]]
