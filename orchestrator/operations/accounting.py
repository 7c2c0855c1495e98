"""What jobs asked for and what they used, as their sites counted."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import PurePosixPath
from threading import Thread

from metadata.errors import MiddlewareError
from metadata.history import AttemptRecord, RunRecord, StepRecord, TaskRecord
from orchestrator.bundles import find_hosts, is_member
from orchestrator.jobs import NativeId
from orchestrator.operations.workspace import Workspace
from orchestrator.ports import CommandRunner, JobUsage, Scheduler, SupportsAccounting, SupportsVersions
from orchestrator.registry import load, open_runner
from orchestrator.reports.efficiency import RunEfficiency, StepEfficiency, TaskEfficiency, summed_up

__all__ = ["RunEfficiency", "TaskEfficiency", "efficiency", "efficiency_of", "in_seconds", "usage_of"]

_Row = tuple[StepRecord, TaskRecord, AttemptRecord]
_AT_ONCE = 1000
"""Jobs a question: their ids must fit into one command line."""
_COMMAND_S = 60.0


def usage_of(workspace: Workspace, site: str, ids: Sequence[NativeId]) -> Mapping[NativeId, JobUsage]:
    """What the site's accounting says of the jobs; nothing where it keeps none, and nothing of jobs that shared others.

    Raises NotFoundError (the site), SiteUnavailableError or SiteError.
    """
    return _accounts_of(workspace, site, [native_id for native_id in ids if not is_member(native_id)]).usages


@dataclass(frozen=True, kw_only=True)
class _Accounts:
    """What one site tells of its jobs."""

    usages: Mapping[NativeId, JobUsage] = field(default_factory=dict)
    hosts: Mapping[NativeId, NativeId] = field(default_factory=dict)
    """A member of a bundle -> the job that it ran in."""


def _accounts_of(workspace: Workspace, site: str, ids: Sequence[NativeId]) -> _Accounts:
    chosen = workspace.site(site)
    if chosen.scheduler is None or not ids:
        return _Accounts()
    scheduler: Scheduler = load("schedulers", chosen.scheduler.type)(**chosen.scheduler.options)
    runner = open_runner(site, chosen)
    try:
        hosts = find_hosts(runner, PurePosixPath(chosen.workdir), ids)
        jobs = [native_id for native_id in ids if not is_member(native_id)]
        return _Accounts(usages=_asked(scheduler, runner, [*jobs, *dict.fromkeys(hosts.values())]), hosts=hosts)
    finally:
        runner.close()


def _asked(scheduler: Scheduler, runner: CommandRunner, ids: Sequence[NativeId]) -> Mapping[NativeId, JobUsage]:
    if isinstance(scheduler, SupportsVersions):
        scheduler = scheduler.for_version(runner.run(scheduler.version_command(), timeout_s=_COMMAND_S))
    if not isinstance(scheduler, SupportsAccounting) or not ids:
        return {}
    found: dict[NativeId, JobUsage] = {}
    for start in range(0, len(ids), _AT_ONCE):
        command = scheduler.accounting_command(ids[start : start + _AT_ONCE])
        found.update(scheduler.parse_accounting(runner.run(command, timeout_s=_COMMAND_S)))
    return {native_id: found[native_id] for native_id in ids if native_id in found}


def efficiency(workspace: Workspace, run_id: str) -> RunEfficiency:
    """Requested against used, for each task's last try, by the accounts of the sites where they ran.

    A site that keeps no accounts, or does not answer, leaves queue wait and run time as Convoy saw them. Tasks whose
    results were taken over from an earlier run used nothing and are left out. Raises NotFoundError.
    """
    return efficiency_of(workspace, workspace.history.run(run_id))


def efficiency_of(workspace: Workspace, record: RunRecord, *, within_s: float | None = None) -> RunEfficiency:
    """The same of a run that was read already. A site that has not answered `within_s` seconds is silent."""
    rows = list(_tried(record.steps))
    ids: dict[str, list[NativeId]] = defaultdict(list)
    for _, _, attempt in rows:
        ids[attempt.site].append(NativeId(attempt.native_id))
    inquiries = [_Inquiry(workspace, site, some) for site, some in ids.items()]
    deadline = None if within_s is None else time.monotonic() + within_s
    for inquiry in inquiries:
        inquiry.join(None if deadline is None else max(0.0, deadline - time.monotonic()))
    answers = {inquiry.site: inquiry.answer for inquiry in inquiries}
    told = {site: answer for site, answer in answers.items() if not isinstance(answer, str)}
    tasks = tuple(
        _efficiency(step, task, attempt, told.get(attempt.site, _Accounts()).usages.get(NativeId(attempt.native_id)))
        for step, task, attempt in rows
    )
    silent = {site: answer for site, answer in answers.items() if isinstance(answer, str)}
    return RunEfficiency(run=record.id, tasks=tasks, silent=silent, shared=tuple(_shared(rows, told)))


def _shared(rows: Sequence[_Row], told: Mapping[str, _Accounts]) -> Iterator[StepEfficiency]:
    """A line for each step and site where tasks shared jobs that the site counted."""
    groups: defaultdict[tuple[str, str], list[_Row]] = defaultdict(list)
    for step, task, attempt in rows:
        if attempt.native_id in told.get(attempt.site, _Accounts()).hosts:
            groups[step.name, attempt.site].append((step, task, attempt))
    for (name, site), members in groups.items():
        accounts = told[site]
        hosts = dict.fromkeys(accounts.hosts[NativeId(attempt.native_id)] for _, _, attempt in members)
        jobs = [_efficiency(*members[0], usage) for host in hosts if (usage := accounts.usages.get(host))]
        if jobs:
            yield replace(summed_up(name, site, jobs), tasks=len(members), jobs=len(jobs))


class _Inquiry(Thread):
    """A question to one site. A daemon: who has waited enough leaves it behind."""

    def __init__(self, workspace: Workspace, site: str, ids: Sequence[NativeId]) -> None:
        super().__init__(name=f"accounts of {site}", daemon=True)
        self.site = site
        self.answer: _Accounts | str = "it did not answer in time"
        """What it said, or why it is silent."""
        self._workspace, self._ids = workspace, ids
        self.start()

    def run(self) -> None:
        """The answer is there, as soon as the site has given it."""
        try:
            self.answer = _accounts_of(self._workspace, self.site, self._ids)
        except MiddlewareError as error:
            self.answer = error.message


def _tried(steps: Sequence[StepRecord]) -> Iterator[_Row]:
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
