"""Jobs outside any run, and how well tasks used what they asked for."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from orchestrator.faces.cli.tables.style import NOTHING, facts, moment, sheet, span, state_text, titled
from orchestrator.operations import JobAccount, JobRecord, RunEfficiency
from orchestrator.quantities import shown_duration, shown_size

_POOR, _FULL = 0.5, 1.0


def jobs_view(jobs: Sequence[JobRecord]) -> RenderableType:
    """One line a job; a doubt stands below the job that it is about."""
    if not jobs:
        return Text("There is no such job. Hand one in with: convoy job submit SITE SCRIPT", style="dim")
    table = sheet("job", "state", "site", "there", "tag", "handed in", "took", right=("took",), wrapped=("tag",))
    for job in jobs:
        took, there = span(job.started_at, job.ended_at), Text(_there(job))
        name, tag = Text(job.id, style="bold"), Text(job.tag)
        table.add_row(name, state_text(job.state), job.site, there, tag, moment(job.created_at), took)
    doubts = [Text(f"{job.id}: {job.doubt}", style="yellow") for job in jobs if job.doubt]
    return Group(table, *doubts)


def _there(job: JobRecord) -> str:
    """The job's name at its site, where that is another one."""
    return job.native_id if job.native_id not in ("", job.id) else "-"


def job_view(job: JobRecord) -> RenderableType:
    """One job in full."""
    title = Text.assemble((job.id, "bold"), "  ", state_text(job.state))
    rows: dict[str, RenderableType | None] = {
        "doubt": Text(job.doubt, style="yellow") if job.doubt else None,
        "message": job.message,
        "site": f"{job.site}, as {job.native_id}" if _there(job) != "-" else job.site,
        "tag": job.tag,
        "exit code": None if job.exit_code is None else str(job.exit_code),
        "node": job.node,
        "handed in": moment(job.created_at),
        "directory": job.directory,
        "stdout": job.stdout_path,
        "stderr": job.stderr_path,
    }
    return Group(title, facts(rows), *([titled("Used", _account(job.account))] if job.account else []))


def _account(account: JobAccount) -> RenderableType:
    rows: dict[str, RenderableType | None] = {
        "nodes": str(account.nodes),
        "cores": str(account.cores),
        "waited": _time(account.queue_time_s),
        "ran": _time(account.wall_time_s),
        "CPU time": _time(account.cpu_time_s),
        "memory": _of(account.memory_used, account.memory),
        "by": "the site's accounting" if account.counted else "Convoy's own clock; the site has not told (yet)",
    }
    return facts(rows)


def efficiency_view(efficiency: RunEfficiency) -> RenderableType:
    """One line a task: what it asked for, and which share of it it used."""
    if not efficiency.tasks:
        return Text("No task of this run was handed to a site.", style="dim")
    right = ("waited", "ran", "of limit", "CPU", "memory", "of limit ")
    table = sheet("task", "for", "site", *right, right=right, wrapped=("for",))
    for row in efficiency.tasks:
        name = Text(f"{row.step}.{row.position}", style="bold")
        times = _time(row.queue_wait_s), _time(row.elapsed_s), _share(row.time_efficiency)
        memory = _of(row.memory_used, None), _share(row.memory_efficiency)
        table.add_row(name, Text(row.label), row.site, *times, _share(row.cpu_efficiency), *memory)
    for shared in efficiency.shared:
        times = _time(shared.queue_wait_s), _time(shared.elapsed_s), _share(shared.time_efficiency)
        memory = _of(shared.memory_used, None), _share(shared.memory_efficiency)
        told = f"{shared.tasks} tasks in {shared.jobs} job{'s' * (shared.jobs != 1)}"
        name, label = Text(shared.step, style="bold"), Text(told)
        table.add_row(name, label, shared.site, *times, _share(shared.cpu_efficiency), *memory)
    silent = [Text(f"{site} did not tell: {reason}", style="yellow") for site, reason in efficiency.silent.items()]
    if not silent and not all(row.counted for row in efficiency.tasks):
        told = "Where only times stand, the site keeps no accounts of what jobs use, or tasks shared jobs (bundle)."
        silent = [Text(told, style="dim")]
    return Group(table, *silent)


def _share(value: float | None) -> Text:
    """A share in percent; one that is small, or above all that was asked for, catches the eye."""
    if value is None:
        return NOTHING
    return Text(f"{100 * value:.0f} %", style="" if _POOR <= value <= _FULL else "yellow")


def _time(seconds: float | None) -> Text:
    return NOTHING if seconds is None else Text(shown_duration(seconds))


def _of(used: int | None, asked: int | None) -> Text:
    if used is None:
        return NOTHING
    return Text(f"{shown_size(used)} of {shown_size(asked)}" if asked else shown_size(used))
