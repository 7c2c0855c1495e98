"""What a bundle's folder, and the scheduler's word about workers, mean for a member. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from orchestrator.bundles.records import Record
from orchestrator.jobs import JobState, JobStatus, NativeId
from orchestrator.receipts import told

LOST = JobStatus(
    state=JobState.FAILED, native_state="LOST", interrupted=True, message="the site no longer knows the job"
)
_CANCELED = JobStatus(state=JobState.CANCELED, native_state="CANCELLED")
_WAITING = JobStatus(state=JobState.QUEUED)
_UNSUNG = "the job that ran it ended without a word of it"

Ends = Mapping[NativeId, JobStatus]
"""Workers that have ended, and how; known before the folder was read, so that no receipt of theirs is missed."""


def verdict(record: Record, number: int, ended: Ends) -> JobStatus:
    """Where a member stands.

    Its receipt is the truth: its worker goes on to others and may end in any way. Without one, the scheduler's word
    for the worker's end is that for the member that it was at.
    """
    worker = record.claims.get(number)
    if number in record.receipts:
        return replace(told(record.receipts[number]), native_state=_inside(worker))
    if worker is None:
        return _CANCELED if number in record.canceled else _left_over(record, ended)
    if worker not in ended:
        return JobStatus(state=JobState.ACTIVE, native_state=_inside(worker))
    if number in record.canceled:
        return _CANCELED
    return _WAITING if is_stray(record, number, ended) else _cut_short(worker, ended[worker])


def _cut_short(worker: NativeId, end: JobStatus) -> JobStatus:
    """What became of the member that a worker was at when it ended."""
    word = f"{end.native_state} {_inside(worker)}"
    if end.state is JobState.COMPLETED:
        return JobStatus(state=JobState.FAILED, native_state=word, message=_UNSUNG, node=end.node)
    return replace(end, native_state=word, message=end.message or _UNSUNG, outputs=None)


def is_stray(record: Record, number: int, ended: Ends) -> bool:
    """Whether a member was hit when its worker was told to end, for the sake of the member before it or of nobody."""
    worker = record.claims.get(number)
    if worker not in ended or number in record.receipts or number in record.canceled:
        return False
    return worker in record.retired or any(record.claims.get(other) == worker for other in record.canceled)


def needs_workers(record: Record, number: int, ended: Ends) -> bool:
    """Whether nobody is left to take a member, although nothing went wrong: its siblings took longer than thought."""
    waits = number not in record.claims and number not in record.canceled and number not in record.receipts
    return waits and _deserted(record, ended) and not _failed_early(record, ended)


def _left_over(record: Record, ended: Ends) -> JobStatus:
    """A member that nobody took. A worker that ended badly before it took anything was its chance."""
    failed = _failed_early(record, ended) if _deserted(record, ended) else []
    return replace(failed[-1], outputs=None) if failed else _WAITING


def _deserted(record: Record, ended: Ends) -> bool:
    return bool(record.workers) and all(worker in ended or worker in record.retired for worker in record.workers)


def _failed_early(record: Record, ended: Ends) -> list[JobStatus]:
    busy = {*record.claims.values(), *record.retired}
    ends = [ended[worker] for worker in record.workers if worker in ended and worker not in busy]
    return [end for end in ends if end.state is not JobState.COMPLETED]


def _inside(worker: NativeId | None) -> str:
    return f"in {worker}" if worker else "in a bundle"
