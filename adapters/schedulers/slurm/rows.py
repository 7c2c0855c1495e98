"""One line of an answer, whatever tool and format it came in, and what it means. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from adapters.schedulers.slurm.arrays import expand
from adapters.schedulers.slurm.states import explain, interrupted, parse_state
from orchestrator.jobs import JobState, JobStatus, NativeId


@dataclass(frozen=True, kw_only=True)
class Row:
    """What Slurm told of one job, or of the waiting elements of an array."""

    job: str
    """`12`, `12_3` or `12_[4-7%2]`."""
    words: tuple[str, ...]
    """The state and its flags."""
    code: int = 0
    signal: int = 0
    started_at: float | None = None
    ended_at: float | None = None
    node: str = ""
    reason: str = ""
    waited_for: str = ""
    """Why it did not start; sacct goes on telling it when the job has long ended."""


def statuses(rows: Iterable[Row]) -> Mapping[NativeId, JobStatus]:
    """The rows by job. An element that has a line of its own is not taken from the line of the whole array."""
    answer: dict[NativeId, JobStatus] = {}
    for row in sorted(rows, key=lambda row: "[" not in row.job):
        status = _status(row)
        answer.update(dict.fromkeys(expand(row.job), status))
    return answer


def _status(row: Row) -> JobStatus:
    state = parse_state(row.words)
    return JobStatus(
        state=state,
        native_state="+".join(row.words),
        exit_code=_exit_code(row, state),
        message=explain(row.words, row.reason or (row.waited_for if state is JobState.QUEUED else "")),
        started_at=row.started_at if state is not JobState.QUEUED else None,
        # Slurm tells when a job that runs will have to end.
        ended_at=row.ended_at if state.final else None,
        node=row.node,
        interrupted=state is JobState.FAILED and interrupted(row.words),
    )


def _exit_code(row: Row, state: JobState) -> int | None:
    if not state.final:
        return None
    code = 128 + row.signal if row.signal else row.code
    # A job that was stopped from outside shows 0, which says nothing.
    return code if code or state is JobState.COMPLETED else None


def parse_exit(text: str) -> tuple[int, int]:
    """Exit code and signal from `3:0`, or from the wait status that squeue printed before 23.02.

    >>> parse_exit("3:0"), parse_exit("768"), parse_exit("9")
    ((3, 0), (3, 0), (0, 9))
    """
    code, colon, signal = text.partition(":")
    if colon:
        return _number(code), _number(signal)
    status = _number(code)
    return status >> 8 & 0xFF, status & 0x7F


def parse_time(text: str) -> float | None:
    """Seconds since the epoch as SLURM_TIME_FORMAT=%s gives them; None for N/A, Unknown and 0."""
    return float(text) if text.isdigit() and int(text) else None


def _number(text: str) -> int:
    return int(text) if text.isdigit() else 0


def cells(line: str, *, columns: Sequence[str], separator: str = "|") -> dict[str, str] | None:
    """A line by column; the last one keeps any separators in it. None when the line is no row (a login banner)."""
    parts = line.split(separator, len(columns) - 1)
    return dict(zip(columns, parts, strict=True)) if len(parts) == len(columns) else None
