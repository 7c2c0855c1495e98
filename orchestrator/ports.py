"""What the orchestrator asks of the outside world. An adapter is a class that fits one of these."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Any, Protocol, runtime_checkable

from orchestrator.jobs import JobAttributes, JobSpec, JobStatus, NativeId, ResourceSpec, Token

Argv = tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class CommandResult:
    """What a command answered."""

    argv: Argv
    exit_code: int
    stdout: str
    stderr: str


class JobExecutor(Protocol):
    """A system that runs jobs.

    Every method may raise `SiteUnavailableError` (try again) or `SiteError` (do not). After either, nothing is
    assumed: the engine asks `find` before it submits anything a second time.
    """

    def submit(self, specs: Sequence[JobSpec]) -> Mapping[Token, NativeId]:
        """All jobs are known to the site when this returns; a token that is absent was refused.

        A site that already has a job with a token starts no second one for it.
        Raises InvalidJobError when a job asks for more than the site can ever give.
        """

    def find(self, tokens: Sequence[Token]) -> Mapping[Token, NativeId]:
        """The jobs that the site already has for these tokens, ended ones included."""

    def status(self, ids: Sequence[NativeId]) -> Mapping[NativeId, JobStatus]:
        """One question for all jobs. A job that the site does not report is absent from the answer."""

    def cancel(self, ids: Sequence[NativeId]) -> None:
        """The jobs, and every process that they started, end soon. Unknown and ended jobs are passed over."""

    def close(self) -> None:
        """Lets go of threads and connections. Jobs that run go on."""


@runtime_checkable
class SupportsNotification(Protocol):
    """An executor that tells of a change by itself, so that nobody has to ask in between."""

    @property
    def idle(self) -> bool:
        """True when everything that was submitted has ended: nothing more will change by itself."""

    def subscribe(self, notify: Callable[[], None]) -> None:
        """`notify` is called, from any thread, soon after a job changed."""


class CommandRunner(Protocol):
    """Runs short commands at a site and moves small files. It knows nothing of jobs."""

    def run(self, argv: Argv, *, stdin: str = "", timeout_s: float = 60.0) -> CommandResult:
        """The command's answer, whatever its exit code. Raises SiteUnavailableError on time-out or a lost link."""

    def put_text(self, path: PurePosixPath, text: str, *, mode: int = 0o644) -> None:
        """The file holds `text`, whole or not at all; missing folders are made."""

    def get_text(self, path: PurePosixPath) -> str:
        """The file's text (undecodable bytes replaced). Raises NotFoundError."""

    def close(self) -> None:
        """Lets go of connections."""


class Scheduler(Protocol):
    """A batch scheduler's language: commands out, answers in. Pure, so it needs no cluster to test.

    The parsers raise SiteUnavailableError when the answer says that the scheduler could not be asked, and SiteError,
    with the scheduler's words, for any other failure.
    """

    def render_script(self, spec: JobSpec, *, receipts: PurePosixPath) -> str:
        """The batch script of one job; its end is told in `receipts / native_id`, which `parse_receipt` reads.

        Raises InvalidJobError for what the scheduler cannot express.
        """

    def submit_command(self, script_path: PurePosixPath) -> Argv:
        """The command that submits a script."""

    def parse_submit(self, result: CommandResult) -> NativeId:
        """The new job's id.

        Raises InvalidJobError when the site can never run the job, TransientError when its queue is full, and
        SiteUnavailableError when in doubt: the job may have been accepted, so search before submitting again.
        """

    def status_command(self, ids: Sequence[NativeId]) -> Argv:
        """One question about all jobs."""

    def parse_status(self, result: CommandResult) -> Mapping[NativeId, JobStatus]:
        """The answer; jobs that it does not name are absent, unknown words are kept as `native_state`."""

    def cancel_command(self, ids: Sequence[NativeId]) -> Argv:
        """The command that ends jobs."""

    def parse_cancel(self, result: CommandResult) -> None:
        """Returns when every job that still lived was told to end; unknown and ended jobs are passed over."""

    def parse_receipt(self, text: str) -> JobStatus:
        """How a job ended, by its own account, with what it left behind. The scheduler's word goes before it."""


@dataclass(frozen=True, kw_only=True)
class JobUsage:
    """What a job asked for and what it used, as the scheduler counted."""

    submitted_at: float | None = None
    """Seconds since the epoch, UTC; so are the next two."""
    started_at: float | None = None
    ended_at: float | None = None
    elapsed: timedelta | None = None
    time_limit: timedelta | None = None
    cpu_cores: int | None = None
    cpu_time: timedelta | None = None
    """Of all processes together."""
    memory: int | None = None
    """Bytes asked for, over all nodes."""
    memory_used: int | None = None
    """Bytes that the largest process held at its highest."""

    @property
    def queue_wait(self) -> timedelta | None:
        """How long the job waited before it began."""
        if self.submitted_at is None or self.started_at is None:
            return None
        return timedelta(seconds=max(0.0, self.started_at - self.submitted_at))

    @property
    def cpu_efficiency(self) -> float | None:
        """CPU time used over CPU time held, 0 to 1 (above 1 when a job oversubscribed its cores)."""
        if not self.cpu_cores or not self.elapsed or self.cpu_time is None:
            return None
        return self.cpu_time / (self.elapsed * self.cpu_cores)

    @property
    def memory_efficiency(self) -> float | None:
        """Memory used over memory asked for."""
        return None if not self.memory or self.memory_used is None else self.memory_used / self.memory

    @property
    def time_efficiency(self) -> float | None:
        """Time used over time asked for."""
        return None if not self.time_limit or self.elapsed is None else self.elapsed / self.time_limit


@runtime_checkable
class SupportsArrays(Protocol):
    """A scheduler that takes many like jobs in one submission."""

    def group(self, specs: Sequence[JobSpec]) -> tuple[tuple[JobSpec, ...], ...]:
        """The jobs in groups of like ones, each small enough for one array; a group of one is a plain job."""

    def render_array(self, specs: Sequence[JobSpec], *, receipts: PurePosixPath, throttle: int | None = None) -> str:
        """The batch script of one group, of which at most `throttle` run at a time."""

    def array_ids(self, native_id: NativeId, count: int) -> tuple[NativeId, ...]:
        """The ids of the elements of a submitted array, in the order of the group."""


@runtime_checkable
class SupportsThrottle(Protocol):
    """An executor that may itself run no more than `attributes.throttle` of like jobs at a time."""

    @property
    def throttles(self) -> bool:
        """Whether it does, within one submission."""


@runtime_checkable
class SupportsSearch(Protocol):
    """A scheduler that can be asked for jobs by the token that they carry."""

    def search_commands(self, *, since: timedelta) -> tuple[Argv, ...]:
        """Questions for all of this user's jobs, ended ones included, that were submitted within `since`."""

    def parse_search(self, result: CommandResult) -> Mapping[Token, NativeId]:
        """The jobs in one answer by token. Names that are no tokens of ours are in it too, and do no harm."""


@runtime_checkable
class SupportsFollowUp(Protocol):
    """A scheduler with a longer memory behind the quick one that `status_command` asks."""

    def follow_up_commands(self, ids: Sequence[NativeId]) -> tuple[Argv, ...]:
        """Questions about jobs that the first answer did not name, in order; `parse_status` reads the answers."""


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What a script asks of its scheduler in lines of its own."""

    resources: ResourceSpec
    attributes: JobAttributes
    name: str = ""
    """What its author calls the job."""


@runtime_checkable
class SupportsDirectives(Protocol):
    """A scheduler whose scripts may say what they need, as `#SBATCH --time=10` does."""

    directive: str
    """How such a line begins."""

    def read_directives(self, script: str) -> Wishes:
        """What the script asks for. Raises InvalidJobError with the line of what cannot be."""


@runtime_checkable
class SupportsAccounting(Protocol):
    """A scheduler that counts what jobs use."""

    def accounting_command(self, ids: Sequence[NativeId]) -> Argv:
        """One question about all jobs."""

    def parse_accounting(self, result: CommandResult) -> Mapping[NativeId, JobUsage]:
        """The answer; empty where the site keeps no accounts."""


@runtime_checkable
class SupportsVersions(Protocol):
    """A scheduler whose language changed over the years."""

    def version_command(self) -> Argv:
        """The question for the version."""

    def for_version(self, result: CommandResult) -> Scheduler:
        """The same scheduler, speaking as the version in the answer does."""


@dataclass(frozen=True, kw_only=True)
class Partition:
    """One of a site's queues, and whether jobs in it can begin."""

    up: bool
    """Whether its jobs are started."""
    native_state: str
    """The site's own word for that."""
    default: bool = False
    """Whether jobs that name no queue come here."""
    time_limit: timedelta | None = None
    """The longest that a job may run; None when there is no limit."""
    nodes: int = 0
    nodes_usable: int = 0
    """Those that work for a job or wait for one, and are not drained or down."""


@runtime_checkable
class SupportsPartitions(Protocol):
    """A scheduler that tells of its queues."""

    def partitions_command(self) -> Argv:
        """One question about all of them."""

    def parse_partitions(self, result: CommandResult) -> Mapping[str, Partition]:
        """Those that this user may use, by name."""


class ContainerRuntime(Protocol):
    """Wraps a command so that it runs inside an image."""

    def command(
        self, argv: Argv, *, image: str | None, directory: PurePosixPath, binds: Sequence[PurePosixPath], gpus: int
    ) -> Argv:
        """The command to run at the site.

        Args:
            argv: What runs inside.
            image: A path at the site; None runs on the host itself.
            directory: Where it runs, and the only place where it may write.
            binds: Folders that it reads; they have the same names inside.
            gpus: How many GPUs the job holds.
        """

    def environment(self, variables: Mapping[str, str], *, image: str | None) -> Mapping[str, str]:
        """What to set around such a command so that the program sees these variables, and those of the site file."""


@runtime_checkable
class SupportsProbing(Protocol):
    """A container runtime that may be missing where it is wanted."""

    def probe_command(self) -> Argv:
        """The question whether it is there and an ordinary user may start images."""

    def parse_probe(self, result: CommandResult) -> str:
        """Its name and version. Raises SiteError that says what is missing."""


class Compression(StrEnum):
    """How a SIF is packed: gzip is read everywhere, zstd by systems of 2018 and later, and made ten times faster."""

    GZIP = "gzip"
    ZSTD = "zstd"


@runtime_checkable
class SupportsBuilding(Protocol):
    """A container runtime that also makes images."""

    def build_command(
        self, source: str, target: PurePosixPath, *, context: PurePosixPath, compression: Compression | None = None
    ) -> Argv:
        """The command that makes the image `target`; scratch files lie beside it.

        Args:
            source: A definition (`*.def`), `docker-archive:/PATH`, `oci-archive:/PATH`, or the folder of a root.
            target: The new image; its folder is there.
            context: Where the relative paths of a definition begin.
            compression: How the image is packed; the runtime's own way when left out.
        """

    def build_here(self, argv: Argv) -> CommandResult:
        """What such a command answered on this machine. Raises AdapterUnavailableError where it cannot run."""


@dataclass(frozen=True, kw_only=True)
class SiteSettings:
    """What every adapter of a site is made from."""

    name: str
    workdir: PurePosixPath
    """The folder at the site that belongs to Convoy."""
    cpus: int | None = None
    """What may be used at one time; None leaves it to the site's own scheduler."""
    memory: int | None = None
    gpus: int = 0
    environment: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    """The adapter's own settings, as the site file gives them."""
    doors: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Further ways for data: scheme -> what it needs."""
