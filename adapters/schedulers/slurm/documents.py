"""Answers of squeue, scontrol and sacct as JSON, whose shape changed with nearly every release. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from adapters.schedulers.slurm.rows import Row
from metadata.errors import SiteError

Fields = Mapping[str, Any]

_NOT_YET = 0xFFFFFFFE


def parse_jobs(text: str) -> list[Fields]:
    """The jobs of any answer, after whatever a login shell said before. Raises SiteError when it is no JSON."""
    try:
        answer = json.loads(text[text.index("{") :])
    except ValueError as error:
        raise SiteError(f"Slurm's answer is no JSON: {text[:200]!r}") from error
    jobs = answer.get("jobs") or []
    return [job for job in jobs if isinstance(job, dict)]


def parse_queue(text: str) -> Iterator[Row]:
    """The rows of `squeue --json` and `scontrol show job --json`."""
    for job in parse_jobs(text):
        code, signal = _exit(job.get("exit_code"))
        yield Row(
            job=_queue_job(job),
            words=_words(job.get("job_state")),
            code=code,
            signal=signal,
            started_at=seconds_since_epoch(job.get("start_time")),
            ended_at=seconds_since_epoch(job.get("end_time")),
            node=str(job.get("batch_host") or ""),
            reason=_reason(job.get("state_reason")),
        )


def parse_ledger(text: str) -> Iterator[Row]:
    """The rows of `sacct --json`."""
    for job in parse_jobs(text):
        code, signal = _exit(job.get("exit_code"))
        state, times = job.get("state") or {}, job.get("time") or {}
        yield Row(
            job=ledger_job(job),
            words=_words(state.get("current")),
            code=code,
            signal=signal,
            started_at=seconds_since_epoch(times.get("start")),
            ended_at=seconds_since_epoch(times.get("end")),
            node=_reason(job.get("nodes")),
            waited_for=_reason(state.get("reason")),
        )


def number(value: Any) -> float | None:
    """A number, which is `5`, or since 23.02 `{"set": true, "infinite": false, "number": 5}`; None when not set."""
    if isinstance(value, dict):
        value = value.get("number") if value.get("set") and not value.get("infinite") else None
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def ledger_job(job: Fields) -> str:
    """The job's id as squeue writes it."""
    array = job.get("array") or {}
    return _job(job, array.get("job_id"), array.get("task_id"), array.get("task"))


def _queue_job(job: Fields) -> str:
    return _job(job, job.get("array_job_id"), job.get("array_task_id"), job.get("array_task_string"))


def _job(job: Fields, array: Any, index: Any, waiting: Any) -> str:
    parent, element = number(array), number(index)
    if not parent:
        return str(job.get("job_id", ""))
    if waiting:
        return f"{parent:.0f}_[{_indexes(str(waiting))}]"
    return f"{parent:.0f}_{element:.0f}" if element is not None else f"{parent:.0f}"


def _words(state: Any) -> tuple[str, ...]:
    return tuple(map(str, state)) if isinstance(state, list) else (str(state or ""),)


def _indexes(waiting: str) -> str:
    """The waiting elements of an array; sacct gives them as the bits of a hexadecimal number."""
    if not waiting.startswith("0x"):
        return waiting
    bits = int(waiting, 16)
    return ",".join(str(index) for index in range(bits.bit_length()) if bits >> index & 1)


def seconds_since_epoch(value: Any) -> float | None:
    """A time; None for 0 and for the two largest 32-bit numbers, which mean "not yet" and "never"."""
    seconds = number(value)
    return float(seconds) if seconds and seconds < _NOT_YET else None


def _reason(value: Any) -> str:
    text = str(value or "")
    return "" if text in {"None", "None assigned"} else text


def _exit(value: Any) -> tuple[int, int]:
    if not isinstance(value, dict):
        status = int(number(value) or 0)
        return status >> 8 & 0xFF, status & 0x7F
    if "number" in value:
        status = int(number(value) or 0)
        return status >> 8 & 0xFF, status & 0x7F
    told = value.get("signal") or {}
    signal = number(told.get("id", told.get("signal_id"))) if isinstance(told, dict) else None
    return int(number(value.get("return_code")) or 0), int(signal or 0)
