"""What is tried of a site. Each probe tries one thing for real and says what it found; none leaves anything behind."""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from pathlib import PurePosixPath

from metadata.errors import MiddlewareError, SiteError, TransientError
from metadata.policy import ANYWHERE
from orchestrator.jobs import ExpectedOutput, JobSpec, JobState, JobStatus, NativeId, Token
from orchestrator.operations.workspace import Workspace
from orchestrator.ports import (
    Argv,
    CommandResult,
    CommandRunner,
    JobExecutor,
    Partition,
    Scheduler,
    SupportsPartitions,
    SupportsProbing,
    SupportsSearch,
    SupportsVersions,
)
from orchestrator.quantities import shown_duration, shown_size
from orchestrator.registry import OpenSite, open_runner, open_scheduler, open_site
from orchestrator.settings import HERE
from orchestrator.sites import Site
from staging.locations import Location
from staging.orders import Order
from staging.ports import FileDigest

SKEW_LIMIT_S = 5.0
"""Clocks that are further apart make certificates, one-time codes and the times in reports wrong."""
ROOM_BYTES = 64 << 20
"""What is reserved to find a quota that no question tells of."""
_SMALL_BYTES = 1 << 16
JOB_LIMIT_S = 60.0
"""A job that waits longer in the queue is taken back; that tells nothing of the site."""
_CANCEL_LIMIT_S = 10.0
_ASK_EVERY_S = 0.1
_COMMAND_S = 30.0

_WHO: Argv = ("/bin/sh", "-c", "id -un; uname -n")
_CLOCK: Argv = ("date", "+%s.%N")
_SECONDS = re.compile(r"^(\d+)(\.\d+)?", re.MULTILINE)  # some dates know no %N and print it as it is
_MISSING = 'for folder; do [ -d "$folder" ] || printf "%s\\0" "$folder"; done'


class StillWaitingError(TransientError):
    """Nothing is wrong, and nothing is known yet."""


@dataclass(kw_only=True)
class Trial:
    """A site while it is tried, in a folder of its own below the workdir."""

    workspace: Workspace
    name: str
    token: str = field(default_factory=lambda: f".probe-{secrets.token_hex(4)}")
    new_folders: list[str] = field(default_factory=list)
    """The workdir and those above it that were not there before, the innermost first."""

    @cached_property
    def site(self) -> Site:
        """What its file says, with the folder for its workdir: whatever the adapters write lies in it."""
        site = self.workspace.site(self.name)
        return site.model_copy(update={"workdir": f"{site.workdir}/{self.token}"})

    @property
    def folder(self) -> PurePosixPath:
        """The folder at the site."""
        return PurePosixPath(self.site.workdir)

    @cached_property
    def opened(self) -> OpenSite:
        """Its adapters."""
        return open_site(self.name, self.site)

    @cached_property
    def runner(self) -> CommandRunner:
        """How commands get there."""
        return open_runner(self.name, self.site)

    @cached_property
    def scheduler(self) -> Scheduler | None:
        """The language of its batch system; None where there is none."""
        return open_scheduler(self.site.scheduler) if self.site.scheduler else None

    @property
    def partitions(self) -> SupportsPartitions | None:
        """Its batch system where that can be asked for its queues."""
        with suppress(MiddlewareError):
            return self.scheduler if isinstance(self.scheduler, SupportsPartitions) else None
        return None

    def ask(self, argv: Argv) -> CommandResult:
        """What a command at the site answered, whatever its exit code."""
        return self.runner.run(argv, timeout_s=_COMMAND_S)

    def tidy(self) -> None:
        """The folder is gone, and so are those that were made for it. Raises MiddlewareError when it stays."""
        self.opened.storage.remove(str(self.folder))
        if self.new_folders:
            self.ask(("rmdir", "--", *self.new_folders))  # one that others use by now stays

    def close(self) -> None:
        """Lets go of the connections."""
        if "opened" in self.__dict__:
            self.opened.executor.close()
        if "runner" in self.__dict__:
            self.runner.close()


def probe_adapters(trial: Trial) -> str:
    """Every adapter of the site is there, and takes its options."""
    opened = trial.opened, trial.runner, trial.scheduler
    del opened  # to open them is the test
    site = trial.site
    return f"jobs by {site.executes_by}, storage {site.storage.type}, container {site.container.type}"


def probe_login(trial: Trial) -> str:
    """Commands get to the site."""
    begin = time.monotonic()
    answer = trial.ask(_WHO)
    took = shown_duration(time.monotonic() - begin)
    if answer.exit_code:
        raise SiteError(f"a plain command failed there: {answer.stderr.strip()}", site=trial.name)
    user, host, *_ = [*answer.stdout.split(), "", ""]
    return f"{user} at {host}, by {trial.site.runner.type}, in {took}"


def probe_clock(trial: Trial) -> str:
    """The site's clock agrees with this machine's, as far as the way there and back lets one see."""
    before = time.time()
    answer = trial.ask(_CLOCK)
    after = time.time()
    told = _SECONDS.search(answer.stdout)
    if answer.exit_code or told is None:
        raise SiteError(f"date answered {(answer.stderr or answer.stdout).strip()!r}", site=trial.name)
    ahead_s, doubt_s = float(told[0]) - (before + after) / 2, (after - before) / 2
    detail = f"{abs(ahead_s):.2f} s {'ahead' if ahead_s > 0 else 'behind'}, give or take {doubt_s:.2f} s"
    if abs(ahead_s) - doubt_s > SKEW_LIMIT_S:
        raise SiteError(f"{detail}; more than {SKEW_LIMIT_S:g} s is too much", site=trial.name)
    return detail


def probe_scheduler(trial: Trial) -> str:
    """The batch system answers a question about jobs, and says what it is."""
    scheduler, words = trial.scheduler, [trial.site.scheduler.type if trial.site.scheduler else ""]
    if isinstance(scheduler, SupportsVersions):
        answer = trial.ask(scheduler.version_command())
        scheduler = scheduler.for_version(answer)
        words = answer.stdout.strip().splitlines()[-1:]
    begin = time.monotonic()
    if isinstance(scheduler, SupportsSearch):
        scheduler.parse_search(trial.ask(scheduler.search_commands(since=timedelta(hours=1))[0]))
    return f"{words[0]} answers in {shown_duration(time.monotonic() - begin)}"


def probe_partitions(trial: Trial) -> str:
    """The queue that jobs go to which name none can start them."""
    scheduler = trial.partitions
    found = scheduler.parse_partitions(trial.ask(scheduler.partitions_command())) if scheduler else {}
    told = "; ".join(_shown_partition(name, partition) for name, partition in found.items())
    if not found:
        raise SiteError("there is no partition that this user may use", site=trial.name)
    default = next(((name, row) for name, row in found.items() if row.default), None)
    if default is None:
        raise SiteError(f"no partition is the default one ({told})", site=trial.name)
    name, partition = default
    if not partition.up:
        raise SiteError(f"{name}, where jobs go that name none, is {partition.native_state} ({told})", site=trial.name)
    if not partition.nodes_usable:
        raise SiteError(f"no node of {name}, where jobs go that name none, can be used ({told})", site=trial.name)
    return told


def _shown_partition(name: str, partition: Partition) -> str:
    limit = "no time limit" if partition.time_limit is None else f"up to {_shown_limit(partition.time_limit)}"
    nodes = f"{partition.nodes_usable} of {partition.nodes} nodes usable"
    return f"{name}{' (default)' * partition.default} {partition.native_state}, {limit}, {nodes}"


def _shown_limit(limit: timedelta) -> str:
    return shown_duration(limit.total_seconds())


def probe_storage(trial: Trial) -> str:
    """A file comes back as it was written."""
    workdir = trial.folder.parent
    answer = trial.ask(("/bin/sh", "-c", _MISSING, "sh", *map(str, (workdir, *workdir.parents))))
    trial.new_folders = [folder for folder in answer.stdout.split("\0") if folder]
    path, content = str(trial.folder / "content"), secrets.token_bytes(_SMALL_BYTES)
    begin = time.monotonic()
    trial.opened.storage.write(path, content)
    if trial.opened.storage.read(path) != content:
        raise SiteError(f"{path} did not come back as it was written", site=trial.name)
    return f"wrote and read a file in {shown_duration(time.monotonic() - begin)}"


def probe_room(trial: Trial) -> str:
    """There is room, and the user's quota lets them have some of it."""
    free_bytes = trial.opened.storage.survey([str(trial.folder)]).free_bytes
    trial.opened.storage.probe_room(str(trial.folder / "room"), size_bytes=ROOM_BYTES)
    return f"{shown_size(free_bytes)} free by the file system; {shown_size(ROOM_BYTES)} were to be had"


def probe_container(trial: Trial) -> str:
    """The container runtime is there, where there shall be one."""
    if not isinstance(trial.opened.container, SupportsProbing):
        return f"{trial.site.container.type}: programs run without an image"
    return trial.opened.container.parse_probe(trial.ask(trial.opened.container.probe_command()))


def probe_movers(trial: Trial) -> str:
    """A file goes there and comes back by the best way, verified."""
    here, content = trial.workspace.storages[HERE], secrets.token_bytes(_SMALL_BYTES)
    home = f"{trial.workspace.settings.home}/{trial.token}"
    out = Location(site=HERE, path=f"{home}/out")
    there = Location(site=trial.name, path=str(trial.folder / "moved"))
    back = Location(site=HERE, path=f"{home}/back")
    try:
        here.write(out.path, content)
        ways = _moved(trial, out, there, content), _moved(trial, there, back, content)
    finally:
        here.remove(home)
    return f"there by {ways[0]}; back by {ways[1]}"


def _moved(trial: Trial, source: Location, destination: Location, content: bytes) -> str:
    """By which way it went, which others there are, and which of those that come before it could not."""
    digest = FileDigest(size_bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
    ways = [
        route.way for route in trial.workspace.routes.ranked(source.site, destination.site, size_bytes=len(content))
    ]
    order = Order(name="a small file", content=digest, source=source, destination=destination, policy=ANYWHERE)
    delivery = trial.workspace.carrier.carry([order], ways=ways)
    (outcome,) = delivery.outcomes
    if isinstance(outcome, MiddlewareError):
        message = f"from {source.site} to {destination.site} by {ways[0]}: {outcome.message}"
        raise SiteError(message, site=trial.name) from outcome
    trip, broken = delivery.trips[-1], sorted({way.mover for way in delivery.broken})
    others = sorted({way.mover for way in ways} - {trip.way.mover, *broken})
    also = f" (also: {', '.join(others)})" if others else ""
    failed = f", after {', '.join(broken)} could not" if broken else ""
    return f"{trip.way} in {shown_duration(trip.seconds)}{also}{failed}"


def probe_job(trial: Trial) -> str:
    """A small job runs and leaves its file.

    Raises StillWaitingError when it waited in the queue until it was taken back.
    """
    token, begin = Token(f"probe.{secrets.token_hex(4)}"), time.monotonic()
    status = _ended(trial, _submitted(trial, token))
    if status.state is not JobState.COMPLETED or not status.outputs:
        raise SiteError(f"a small job ended as {status.native_state}: {status.message}", site=trial.name)
    took = shown_duration(time.monotonic() - begin)
    return f"a small job ran on {status.node or trial.name} and left its file, in {took}"


def _small_job(token: Token, directory: PurePosixPath) -> JobSpec:
    return JobSpec(
        token=token,
        executable="/bin/sh",
        arguments=("-c", "echo works > probe.txt"),
        directory=directory,
        stdout_path=directory / "stdout.txt",
        stderr_path=directory / "stderr.txt",
        stage_out=(ExpectedOutput(name="probe", path="probe.txt"),),
    )


def _submitted(trial: Trial, token: Token) -> NativeId:
    executor = trial.opened.executor
    try:
        sent = executor.submit([_small_job(token, trial.folder / "job")])
    except TransientError:
        with suppress(MiddlewareError):  # the site may have taken it although its answer got lost
            executor.cancel(list(executor.find([token]).values()))
        raise
    if token not in sent:
        raise SiteError("a small job was refused", site=trial.name)
    return sent[token]


def _ended(trial: Trial, native_id: NativeId) -> JobStatus:
    executor, limit = trial.opened.executor, shown_duration(JOB_LIMIT_S)
    status = None
    try:
        status = _watched(executor, native_id, JOB_LIMIT_S)
    finally:
        if status is None or not status.state.final:
            executor.cancel([native_id])
    if status is not None and status.state.final:
        return status
    _watched(executor, native_id, _CANCEL_LIMIT_S)  # nobody writes in the folder any more when it is removed
    if status is not None and status.state is JobState.QUEUED:
        raise StillWaitingError(f"the job was taken, but waited for {limit}: {status.message or status.native_state}")
    raise SiteError(f"a small job did not end within {limit}", site=trial.name)


def _watched(executor: JobExecutor, native_id: NativeId, limit_s: float) -> JobStatus | None:
    """Where the job stands when it has ended, or when the time is over."""
    begin, status = time.monotonic(), None
    while time.monotonic() - begin < limit_s:
        status = executor.status([native_id]).get(native_id)
        if status is not None and status.state.final:
            break
        time.sleep(_ASK_EVERY_S)
    return status
