"""What jobs asked for and what they used, as their sites counted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from metadata.errors import MiddlewareError
from metadata.history import AttemptRecord, StepRecord, TaskRecord
from orchestrator.bundles import is_member
from orchestrator.jobs import NativeId
from orchestrator.operations.workspace import Workspace
from orchestrator.ports import CommandRunner, JobUsage, Scheduler, SupportsAccounting, SupportsVersions
from orchestrator.registry import load, open_runner

_AT_ONCE = 1000
"""Jobs a question: their ids must fit into one command line."""
_COMMAND_S = 60.0


def usage_of(workspace: Workspace, site: str, ids: Sequence[NativeId]) -> Mapping[NativeId, JobUsage]:
    """What the site's accounting says of the jobs; nothing where it keeps none, and nothing of jobs that shared others.

    Raises NotFoundError (the site), SiteUnavailableError or SiteError.
    """
    chosen = workspace.site(site)
    alone = [native_id for native_id in ids if not is_member(native_id)]
    if chosen.scheduler is None or not alone:
        return {}
    scheduler: Scheduler = load("schedulers", chosen.scheduler.type)(**chosen.scheduler.options)
    runner = open_runner(site, chosen)
    try:
        return _asked(scheduler, runner, alone)
    finally:
        runner.close()


def _asked(scheduler: Scheduler, runner: CommandRunner, ids: Sequence[NativeId]) -> Mapping[NativeId, JobUsage]:
    if isinstance(scheduler, SupportsVersions):
        scheduler = scheduler.for_version(runner.run(scheduler.version_command(), timeout_s=_COMMAND_S))
    if not isinstance(scheduler, SupportsAccounting):
        return {}
    found: dict[NativeId, JobUsage] = {}
    for start in range(0, len(ids), _AT_ONCE):
        command = scheduler.accounting_command(ids[start : start + _AT_ONCE])
        found.update(scheduler.parse_accounting(runner.run(command, timeout_s=_COMMAND_S)))
    return {native_id: found[native_id] for native_id in ids if native_id in found}


@dataclass(frozen=True, kw_only=True)
class TaskEfficiency:
    """How well one task's last try used what it asked for. Shares run from 0 to 1; None is not known."""

    step: str
    position: int
    label: str
    site: str
    native_id: str
    state: str
    queue_wait_s: float | None
    """Seconds between the submission and the start."""
    elapsed_s: float | None
    """Seconds that it ran."""
    time_limit_s: float | None = None
    time_efficiency: float | None = None
    """Time used over time asked for."""
    cpu_cores: int | None = None
    cpu_efficiency: float | None = None
    """CPU time used over CPU time held; above 1 when more processes ran than cores were held."""
    memory: int | None = None
    """Bytes asked for."""
    memory_used: int | None = None
    """Bytes that the largest process held at its highest."""
    memory_efficiency: float | None = None
    """Memory used over memory asked for."""
    counted: bool
    """True when the site's accounting said all this; False when Convoy's own clock is all there is."""


@dataclass(frozen=True, kw_only=True)
class RunEfficiency:
    """How well a run's tasks used what they asked for."""

    run: str
    tasks: tuple[TaskEfficiency, ...]
    silent: Mapping[str, str]
    """Sites that could not be asked, and why."""


def efficiency(workspace: Workspace, run_id: str) -> RunEfficiency:
    """Requested against used, for each task's last try, by the accounts of the sites where they ran.

    A site that keeps no accounts, or does not answer, leaves queue wait and run time as Convoy saw them. Tasks whose
    results were taken over from an earlier run used nothing and are left out. Raises NotFoundError.
    """
    record = workspace.history.run(run_id)
    rows = list(_tried(record.steps))
    ids: dict[str, list[NativeId]] = defaultdict(list)
    for _, _, attempt in rows:
        ids[attempt.site].append(NativeId(attempt.native_id))
    usages: dict[tuple[str, str], JobUsage] = {}
    silent: dict[str, str] = {}
    for site, some in ids.items():
        try:
            usages |= {(site, native_id): usage for native_id, usage in usage_of(workspace, site, some).items()}
        except MiddlewareError as error:
            silent[site] = error.message
    tasks = tuple(
        _efficiency(step, task, attempt, usages.get((attempt.site, attempt.native_id))) for step, task, attempt in rows
    )
    return RunEfficiency(run=record.id, tasks=tasks, silent=silent)


def _tried(steps: Sequence[StepRecord]) -> Iterator[tuple[StepRecord, TaskRecord, AttemptRecord]]:
    for step in steps:
        for task in step.tasks:
            if task.last is not None and task.last.native_id:
                yield step, task, task.last


def _efficiency(step: StepRecord, task: TaskRecord, attempt: AttemptRecord, usage: JobUsage | None) -> TaskEfficiency:
    seen = _seen(attempt)
    told = usage or seen
    wait = told.queue_wait if told.queue_wait is not None else seen.queue_wait
    elapsed = told.elapsed if told.elapsed is not None else seen.elapsed
    return TaskEfficiency(
        step=step.name,
        position=task.position,
        label=task.label,
        site=attempt.site,
        native_id=attempt.native_id,
        state=attempt.state,
        queue_wait_s=in_seconds(wait),
        elapsed_s=in_seconds(elapsed),
        time_limit_s=in_seconds(told.time_limit),
        time_efficiency=told.time_efficiency,
        cpu_cores=told.cpu_cores,
        cpu_efficiency=told.cpu_efficiency,
        memory=told.memory,
        memory_used=told.memory_used,
        memory_efficiency=told.memory_efficiency,
        counted=usage is not None,
    )


def _seen(attempt: AttemptRecord) -> JobUsage:
    """What Convoy itself knows of an attempt."""
    began, ended, limit_s = attempt.started_at, attempt.ended_at, attempt.resources.get("time")
    return JobUsage(
        submitted_at=attempt.submitted_at,
        started_at=began,
        ended_at=ended,
        elapsed=timedelta(seconds=max(0.0, ended - began)) if began is not None and ended is not None else None,
        time_limit=timedelta(seconds=limit_s) if limit_s else None,
    )


def in_seconds(duration: timedelta | None) -> float | None:
    """A duration for a document: JSON has no word for one."""
    return None if duration is None else duration.total_seconds()
