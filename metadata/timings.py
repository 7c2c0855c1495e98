"""What earlier runs tell about the next: how long a step took at a site, and how much it left behind."""

from __future__ import annotations

from collections import defaultdict
from statistics import median
from typing import Any

from sqlalchemy import Connection, func, select

from metadata.statements import table
from metadata.tables import Attempt, Run, Step, Task

_RUNS, _STEPS, _TASKS, _ATTEMPTS = table(Run), table(Step), table(Task), table(Attempt)
_COMPLETED = "COMPLETED"
# Enough for a steady median; older ones tell of machines and programs that have changed since.
_NEWEST = 100


def durations(connection: Connection) -> dict[tuple[str, str, str], float]:
    """(run name, step name, site) -> median seconds of its newest 100 completed attempts."""
    key = (_RUNS.c.name, _STEPS.c.name, _ATTEMPTS.c.site)
    age = func.row_number().over(partition_by=key, order_by=_ATTEMPTS.c.id.desc()).label("age")
    seconds = (_ATTEMPTS.c.ended_at - _ATTEMPTS.c.started_at).label("seconds")
    ended = (_ATTEMPTS.c.state == _COMPLETED) & (_ATTEMPTS.c.ended_at >= _ATTEMPTS.c.started_at)
    columns = (_RUNS.c.name.label("run"), _STEPS.c.name.label("step"), _ATTEMPTS.c.site, seconds, age)
    joined = _ATTEMPTS.join(_TASKS).join(_STEPS).join(_RUNS, _STEPS.c.run_id == _RUNS.c.id)
    numbered = select(*columns).select_from(joined).where(ended).subquery()
    seen: defaultdict[tuple[str, str, str], list[float]] = defaultdict(list)
    for row in connection.execute(select(numbered).where(numbered.c.age <= _NEWEST)):
        seen[row.run, row.step, row.site].append(row.seconds)
    return {at: median(found) for at, found in seen.items()}


def output_sizes(connection: Connection) -> dict[tuple[str, str], dict[str, float]]:
    """(run name, step name) -> output name -> median bytes that one of its newest 100 completed tasks left."""
    key = (_RUNS.c.name, _STEPS.c.name)
    age = func.row_number().over(partition_by=key, order_by=_TASKS.c.id.desc()).label("age")
    columns = (_RUNS.c.name.label("run"), _STEPS.c.name.label("step"), _TASKS.c.outputs, age)
    joined = _TASKS.join(_STEPS).join(_RUNS, _STEPS.c.run_id == _RUNS.c.id)
    numbered = select(*columns).select_from(joined).where(_TASKS.c.state == _COMPLETED).subquery()
    seen: defaultdict[tuple[str, str], defaultdict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for row in connection.execute(select(numbered).where(numbered.c.age <= _NEWEST)):
        for output, files in (row.outputs or {}).items():
            seen[row.run, row.step][output].append(_total_bytes(files))
    return {at: {output: median(sizes) for output, sizes in found.items()} for at, found in seen.items()}


def _total_bytes(files: list[dict[str, Any]]) -> int:
    return sum(file["size_bytes"] for file in files)
