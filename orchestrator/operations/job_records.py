"""Jobs that people handed in, as frozen values for every face."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import PurePosixPath

from metadata.jobs import Row
from orchestrator.jobs import JobState, ResourceSpec
from orchestrator.operations.accounting import in_seconds
from orchestrator.operations.job_scripts import time_limit_of
from orchestrator.ports import JobUsage


@dataclass(frozen=True, kw_only=True)
class JobAccount:
    """What a job used. What is not known is None."""

    nodes: int
    cores: int
    queue_time_s: float | None
    """How long it waited before it began."""
    wall_time_s: float | None
    """How long it ran."""
    cpu_time_s: float | None = None
    memory: int | None = None
    """Bytes asked for."""
    memory_used: int | None = None
    """Bytes that the largest process held at its highest."""
    time_limit_s: float | None = None
    counted: bool = False
    """True when the site's accounting said so; False when it is what Convoy saw."""


@dataclass(frozen=True, kw_only=True)
class JobRecord:
    """A job that somebody handed in."""

    id: str
    owner: str
    site: str
    tag: str
    state: JobState
    native_id: str
    """The job's name at its site; empty while the site is not known to have it."""
    native_state: str
    node: str
    exit_code: int | None
    message: str
    directory: str
    """Where it runs."""
    script_path: str
    stdout_path: str
    stderr_path: str
    created_at: float
    """Seconds since the epoch, UTC; so are the next three."""
    submitted_at: float | None
    started_at: float | None
    ended_at: float | None
    account: JobAccount | None
    """Once it has ended."""
    doubt: str = ""
    """Why the state may be old or unsure; empty when its site has just said it, or when it never changes again."""


_COPIED = (
    "id", "owner", "site", "tag", "native_id", "native_state", "node", "exit_code", "message", "directory",
    "created_at", "submitted_at", "started_at", "ended_at",
)  # fmt: skip


def record_of(row: Row, doubts: Mapping[str, str] | None = None) -> JobRecord:
    """The job in a row of the journal; `doubts` are reasons by job."""
    state, folder, counted = JobState(row["state"]), PurePosixPath(row["folder"]), row["usage"]
    return JobRecord(
        **{name: row[name] for name in _COPIED},
        state=state,
        script_path=str(folder / "script"),
        stdout_path=str(folder / "stdout.txt"),
        stderr_path=str(folder / "stderr.txt"),
        account=(JobAccount(**counted) if counted else account_of(row, None)) if state.final else None,
        doubt="" if state.final else (doubts or {}).get(row["id"], ""),
    )


def account_of(row: Row, usage: JobUsage | None) -> JobAccount:
    """A site gives exactly the nodes that were asked for; all else is better known to its accounting."""
    wanted, began, ended = ResourceSpec(**row["resources"]), row["started_at"], row["ended_at"]
    told = usage or JobUsage(
        submitted_at=row["submitted_at"],
        started_at=began,
        elapsed=None if began is None or ended is None else timedelta(seconds=max(0.0, ended - began)),
        time_limit=time_limit_of(row),
    )
    return JobAccount(
        nodes=wanted.node_count,
        cores=told.cpu_cores or wanted.cpu_cores,
        queue_time_s=in_seconds(told.queue_wait),
        wall_time_s=in_seconds(told.elapsed),
        cpu_time_s=in_seconds(told.cpu_time),
        memory=told.memory or wanted.memory,
        memory_used=told.memory_used,
        time_limit_s=in_seconds(told.time_limit),
        counted=usage is not None,
    )
