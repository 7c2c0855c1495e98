"""What a job is, in PSI/J's words (https://exaworks.org/job-api-spec). Pure data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from pathlib import PurePosixPath
from typing import NewType

Token = NewType("Token", str)
"""Names one attempt for ever: `<run>.<step>.<task>.<attempt>`. Journalled before anything is submitted."""

NativeId = NewType("NativeId", str)
"""A job's name at its site; means nothing anywhere else."""


class JobState(StrEnum):
    """Where a job stands. UNKNOWN means that the site did not say, never that the job ended."""

    NEW = "NEW"
    STAGE_IN = "STAGE_IN"
    QUEUED = "QUEUED"
    ACTIVE = "ACTIVE"
    STAGE_OUT = "STAGE_OUT"
    CLEANUP = "CLEANUP"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELED = "CANCELED"
    UNKNOWN = "UNKNOWN"

    @property
    def final(self) -> bool:
        """True for the three states that never change again."""
        return self in _FINAL


_FINAL = frozenset({JobState.COMPLETED, JobState.FAILED, JobState.CANCELED})


@dataclass(frozen=True, kw_only=True)
class ResourceSpec:
    """What one job asks of its site."""

    node_count: int = 1
    process_count: int = 1
    processes_per_node: int | None = None
    cpu_cores_per_process: int = 1
    gpu_cores_per_process: int = 0
    exclusive_node_use: bool = False
    memory: int | None = None
    """Bytes a node; None leaves it to the site."""

    @property
    def cpu_cores(self) -> int:
        """CPU cores of the whole job."""
        return self.process_count * self.cpu_cores_per_process

    @property
    def gpu_cores(self) -> int:
        """GPUs of the whole job."""
        return self.process_count * self.gpu_cores_per_process


@dataclass(frozen=True, kw_only=True)
class JobAttributes:
    """How a scheduler shall treat the job."""

    duration: timedelta | None = None
    queue_name: str | None = None
    account: str | None = None
    reservation_id: str | None = None
    custom_attributes: Mapping[str, str] = field(default_factory=dict)
    """The scheduler's own options by name, such as `{"slurm.qos": "high"}`."""
    throttle: int | None = None
    """Of the jobs of one submission that are like this one, at most so many run at a time."""
    expected: timedelta | None = None
    """How long it is thought to take; None when there is nothing to judge by."""
    bundle: timedelta | None = None
    """Short like jobs may share one of the scheduler's, up to about so much work; None gives each its own."""


@dataclass(frozen=True, kw_only=True)
class StagedLink:
    """A file that lies at the site already and is linked into the job's directory before it starts."""

    source: PurePosixPath
    target: PurePosixPath
    """Relative to the job's directory."""


@dataclass(frozen=True, kw_only=True)
class ExpectedOutput:
    """A file, or a pattern of files, that the job must leave behind. It is hashed at the site when the job ends."""

    name: str
    path: str
    """Relative to the job's directory; may be a shell pattern when `many`."""
    many: bool = False
    optional: bool = False


@dataclass(frozen=True, kw_only=True)
class JobSpec:
    """One job, ready for any executor."""

    token: Token
    executable: str
    arguments: tuple[str, ...] = ()
    directory: PurePosixPath
    """Where it runs; made when it does not exist."""
    environment: Mapping[str, str] = field(default_factory=dict)
    stdin_path: PurePosixPath | None = None
    stdout_path: PurePosixPath
    stderr_path: PurePosixPath
    resources: ResourceSpec = field(default_factory=ResourceSpec)
    attributes: JobAttributes = field(default_factory=JobAttributes)
    launcher: str = "single"
    stage_in: tuple[StagedLink, ...] = ()
    stage_out: tuple[ExpectedOutput, ...] = ()

    @property
    def argv(self) -> tuple[str, ...]:
        """The command with its arguments."""
        return (self.executable, *self.arguments)


@dataclass(frozen=True, kw_only=True)
class JobStatus:
    """What a site says of one job at one moment."""

    state: JobState
    native_state: str = ""
    """The scheduler's own word, kept even when it is not understood."""
    exit_code: int | None = None
    message: str = ""
    started_at: float | None = None
    """Seconds since the epoch, UTC."""
    ended_at: float | None = None
    node: str = ""
    token: Token | None = None
    """Whose job this is, where the site tells it: after a crash a scheduler may give a number a second time."""
    interrupted: bool = False
    """The site ended it for a reason of its own: its node broke, or another job took its place."""
    outputs: tuple[ProducedFile, ...] | None = None
    """What the job left behind, hashed at the site; None when the site has not told yet."""


@dataclass(frozen=True, kw_only=True)
class ProducedFile:
    """A file that a job left behind, hashed where it lies."""

    output: str
    """The name of the declared output that it belongs to."""
    path: PurePosixPath
    size_bytes: int
    sha256: str
