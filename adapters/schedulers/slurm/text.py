"""Answers of squeue, scontrol and sacct as text. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from adapters.schedulers.slurm.rows import Row, cells, parse_exit, parse_time

QUEUE_COLUMNS = ("JobArrayID", "State", "exit_code", "StartTime", "EndTime", "BatchHost", "Reason")
LEDGER_COLUMNS = ("JobID", "State", "ExitCode", "Start", "End", "NodeList", "Reason")

# The keys are Slurm's own and begin with a capital letter; a value may hold blanks, and "=" too.
_FIELD = re.compile(r"(?:^|\s)([A-Z][\w/:]*)=")


def parse_queue(text: str) -> Iterator[Row]:
    """The rows of `squeue -O` with `QUEUE_COLUMNS`, of which each ends with a bar."""
    yield from _rows((line.removesuffix("|") for line in text.splitlines()), QUEUE_COLUMNS)


def parse_ledger(text: str) -> Iterator[Row]:
    """The rows of `sacct -P` with `LEDGER_COLUMNS`; sacct takes 128 off a higher exit code, so 9 may be 137."""
    for row in _rows(iter(text.splitlines()), LEDGER_COLUMNS):
        yield replace(row, reason="", waited_for=row.reason)


def _rows(lines: Iterator[str], columns: Sequence[str]) -> Iterator[Row]:
    for line in lines:
        row = cells(line, columns=columns)
        if row is None or not row[columns[0]][:1].isdigit():
            continue
        job, state, exit_, start, end, node, reason = row.values()
        code, signal = parse_exit(exit_)
        yield Row(
            job=job,
            words=(state,),
            code=code,
            signal=signal,
            started_at=parse_time(start),
            ended_at=parse_time(end),
            node=_present(node),
            reason=_present(reason),
        )


def parse_details(text: str) -> Iterator[Row]:
    """The rows of `scontrol -o show job`, one job a line."""
    for line in text.splitlines():
        fields = _fields(line)
        if "JobId" not in fields or "JobState" not in fields:
            continue
        code, signal = parse_exit(fields.get("ExitCode", "0:0"))
        yield Row(
            job=_job(fields),
            words=(fields["JobState"],),
            code=code,
            signal=signal,
            started_at=parse_time(fields.get("StartTime", "")),
            ended_at=parse_time(fields.get("EndTime", "")),
            node=_present(fields.get("BatchHost", "")),
            reason=_present(fields.get("Reason", "")),
        )


def _fields(line: str) -> Mapping[str, str]:
    parts = _FIELD.split(line)
    # The first of two equal keys is Slurm's; a later one stands in a name or a comment.
    fields: dict[str, str] = {}
    for key, value in zip(parts[1::2], parts[2::2], strict=True):
        fields.setdefault(key, value.strip())
    return fields


def _job(fields: Mapping[str, str]) -> str:
    if "ArrayTaskId" not in fields:
        return fields["JobId"]
    index = fields["ArrayTaskId"]
    return f"{fields['ArrayJobId']}_{index if index.isdigit() else f'[{index}]'}"


def _present(text: str) -> str:
    return "" if text in {"n/a", "N/A", "None", "None assigned", "(null)"} else text
