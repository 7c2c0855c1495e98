"""What sacct counted. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from adapters.schedulers.slurm.arrays import expand
from adapters.schedulers.slurm.documents import ledger_job, number, parse_jobs, seconds_since_epoch
from adapters.schedulers.slurm.rows import cells, parse_time
from orchestrator.jobs import NativeId
from orchestrator.ports import JobUsage

USAGE_COLUMNS = (
    "JobID",
    "Submit",
    "Start",
    "End",
    "ElapsedRaw",
    "TimelimitRaw",
    "AllocCPUS",
    "TotalCPU",
    "ReqMem",
    "MaxRSS",
)

_SIZE = re.compile(r"([\d.]+)([KMGTP]?)[nc]?")
_CPU_TIME = re.compile(r"(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+(?:\.\d+)?)")
_MIB = 1024 * 1024


def parse_text(text: str) -> Mapping[NativeId, JobUsage]:
    """The rows of `sacct -P` with `USAGE_COLUMNS`, a job's steps after the job."""
    jobs: dict[str, JobUsage] = {}
    for line in text.splitlines():
        row = cells(line, columns=USAGE_COLUMNS)
        if row is None or not row["JobID"][:1].isdigit():
            continue
        # Only a job's steps know its memory, and before its end only they know its CPU time.
        job, _, step = row["JobID"].partition(".")
        jobs[job] = _with_step(jobs[job], row) if step and job in jobs else _usage(row)
    return _by_job(jobs.items())


def _usage(row: Mapping[str, str]) -> JobUsage:
    return JobUsage(
        submitted_at=parse_time(row["Submit"]),
        started_at=parse_time(row["Start"]),
        ended_at=parse_time(row["End"]),
        elapsed=_duration(row["ElapsedRaw"]),
        time_limit=_duration(row["TimelimitRaw"], unit_s=60),
        cpu_cores=int(row["AllocCPUS"]) if row["AllocCPUS"].isdigit() else None,
        cpu_time=parse_cpu_time(row["TotalCPU"]),
        memory=parse_size(row["ReqMem"]),
    )


def _with_step(job: JobUsage, row: Mapping[str, str]) -> JobUsage:
    return replace(
        job,
        memory_used=_largest(job.memory_used, parse_size(row["MaxRSS"])),
        cpu_time=_largest(job.cpu_time, parse_cpu_time(row["TotalCPU"])),
    )


def _duration(text: str, *, unit_s: int = 1) -> timedelta | None:
    return timedelta(seconds=int(text) * unit_s) if text.isdigit() else None


def parse_cpu_time(text: str) -> timedelta | None:
    """Sacct's `[days-[hours:]]minutes:seconds`.

    >>> parse_cpu_time("1-02:03:04"), parse_cpu_time("00:00.002")
    (datetime.timedelta(days=1, seconds=7384), datetime.timedelta(microseconds=2000))
    """
    match = _CPU_TIME.fullmatch(text)
    if match is None:
        return None
    days, hours, minutes = (int(part or 0) for part in match.groups()[:3])
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=float(match[4]))


def parse_size(text: str) -> int | None:
    """Sacct's sizes in bytes; a number alone counts bytes.

    >>> parse_size("1.50G"), parse_size("4000Mn"), parse_size("")
    (1610612736, 4194304000, None)
    """
    match = _SIZE.fullmatch(text)
    return int(float(match[1]) * 1024 ** " KMGTP".index(match[2] or " ")) if match else None


def parse_json(text: str) -> Mapping[NativeId, JobUsage]:
    """The jobs of `sacct --json`."""
    return _by_job((ledger_job(job), _document(job)) for job in parse_jobs(text))


def _document(job: Mapping[str, Any]) -> JobUsage:
    times = job.get("time") or {}
    allocated = _resources((job.get("tres") or {}).get("allocated"))
    limit, total = number(times.get("limit")), times.get("total") or {}
    return JobUsage(
        submitted_at=seconds_since_epoch(times.get("submission")),
        started_at=seconds_since_epoch(times.get("start")),
        ended_at=seconds_since_epoch(times.get("end")),
        elapsed=timedelta(seconds=number(times.get("elapsed")) or 0),
        time_limit=timedelta(minutes=limit) if limit else None,
        cpu_cores=allocated.get("cpu"),
        cpu_time=timedelta(seconds=total.get("seconds", 0), microseconds=total.get("microseconds", 0)),
        # In a job's resources memory counts MiB; in a step's, bytes.
        memory=allocated["mem"] * _MIB if allocated.get("mem") else None,
        memory_used=_largest(*(_peak(step) for step in job.get("steps") or [])),
    )


def _peak(step: Mapping[str, Any]) -> int | None:
    # Slurm calls what the tasks were seen to use "requested", and what they allocated "consumed".
    return _resources(((step.get("tres") or {}).get("requested") or {}).get("max")).get("mem")


def _resources(entries: Any) -> dict[str, int]:
    counts = ((entry["type"], number(entry.get("count"))) for entry in entries or [])
    return {kind: int(count) for kind, count in counts if count and count > 0}


def _largest(*values: Any) -> Any:
    return max((value for value in values if value is not None), default=None)


def _by_job(usages: Iterable[tuple[str, JobUsage]]) -> Mapping[NativeId, JobUsage]:
    return dict(_expanded(usages))


def _expanded(usages: Iterable[tuple[str, JobUsage]]) -> Iterator[tuple[NativeId, JobUsage]]:
    for job, usage in usages:
        for native_id in expand(job):
            yield native_id, usage
