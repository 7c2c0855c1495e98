"""Rows of the report's tables. Long lists are cut, what failed or was retried first; the report says so. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from metadata.history import AttemptRecord, RunRecord, TaskFile, TransferRecord
from orchestrator.plans import Plan

MOST_ROWS = 300

Row = TypeVar("Row")


@dataclass(frozen=True, kw_only=True)
class Listing(Generic[Row]):
    """Rows, and how many there are in all."""

    rows: tuple[Row, ...]
    total: int


@dataclass(frozen=True, kw_only=True)
class TaskRow:
    """A task."""

    step: str
    label: str
    site: str
    state: str
    attempts: tuple[AttemptRecord, ...]
    waited_s: float | None
    ran_s: float | None
    node: str
    exit_code: int | None
    reused_from: str
    message: str


@dataclass(frozen=True, kw_only=True)
class TransferRow:
    """A transfer."""

    transfer: TransferRecord
    seconds: float | None
    rate: float | None
    """Bytes a second."""
    verified: bool


@dataclass(frozen=True, kw_only=True)
class FileRow:
    """A file that the run read or made."""

    name: str
    owner: str
    """The input, or the step and output, that it belongs to."""
    size_bytes: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class ValueRow:
    """A parameter that was set."""

    owner: str
    name: str
    value: str


def task_rows(record: RunRecord) -> Listing[TaskRow]:
    """The tasks, in order; of many, those that went wrong come first."""
    rows = [_task_row(step.name, step.site, task) for step in record.steps for task in step.tasks]
    return _cut(rows, notable=lambda row: row.state not in ("COMPLETED", "NEW") or len(row.attempts) > 1)


def _task_row(step: str, site: str, task: Any) -> TaskRow:
    last = task.last
    ran = last.ended_at - last.started_at if last and last.started_at and last.ended_at else None
    waited = last.started_at - (last.submitted_at or last.created_at) if last and last.started_at else None
    return TaskRow(
        step=step, label=task.label or "-", site=last.site if last else site, state=task.state, attempts=task.attempts,
        waited_s=None if waited is None else max(0.0, waited), ran_s=ran, node=last.node if last else "",
        exit_code=last.exit_code if last else None, reused_from=task.reused_from,
        message=task.message or (last.message if last else ""),
    )  # fmt: skip


def transfer_rows(record: RunRecord) -> Listing[TransferRow]:
    """The transfers, in order; of many, those that went wrong come first."""
    return _cut([_transfer_row(row) for row in record.transfers], notable=lambda row: not row.verified)


def _transfer_row(row: TransferRecord) -> TransferRow:
    seconds = row.ended_at - row.started_at if row.started_at is not None and row.ended_at is not None else None
    rate = row.bytes_moved / seconds if seconds else None
    # A transfer counts as completed only after the SHA-256 at its destination was found to be right.
    return TransferRow(transfer=row, seconds=seconds, rate=rate, verified=row.state == "COMPLETED")


def input_rows(plan: Plan) -> Listing[FileRow]:
    """The files that the run started from."""
    rows = [
        FileRow(name=file.origin or file.name, owner=name, size_bytes=file.size_bytes, sha256=file.sha256)
        for name, files in plan.inputs.items()
        for file in files
    ]
    return _cut(rows)


def output_rows(record: RunRecord, plan: Plan) -> Listing[FileRow]:
    """The files that count as results, or all that were made where the workflow names none."""
    wanted = {source: name for name, source in plan.outputs.items()}
    rows = [
        FileRow(name=file.name, owner=wanted.get(source, source), size_bytes=file.size_bytes, sha256=file.sha256)
        for source, file in _made(record)
        if source in wanted or not wanted
    ]
    return _cut(rows)


def _made(record: RunRecord) -> Iterable[tuple[str, TaskFile]]:
    for step in record.steps:
        for task in step.tasks:
            for output, files in task.outputs.items():
                for file in files:
                    yield f"{step.name}.{output}", file


def value_rows(plan: Plan) -> list[ValueRow]:
    """The parameters of the workflow, then those of each step."""
    owners: list[tuple[str, Mapping[str, Any]]] = [("workflow", plan.parameters)]
    owners += [(step.name, step.parameters) for step in plan.steps]
    return [
        ValueRow(owner=owner, name=name, value=_shown(value))
        for owner, values in owners
        for name, value in values.items()
    ]


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _cut(rows: Sequence[Row], *, notable: Any = lambda _row: False) -> Listing[Row]:
    """The first rows, those that are notable before all others when there are too many."""
    kept = rows if len(rows) <= MOST_ROWS else sorted(rows, key=lambda row: not notable(row))[:MOST_ROWS]
    return Listing(rows=tuple(kept), total=len(rows))
