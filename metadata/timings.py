"""What earlier runs tell about the next: how long a step waited and took at a site, and how much it left behind."""

from __future__ import annotations

from collections import defaultdict
from statistics import median
from typing import Any

from sqlalchemy import Connection, func, select

from metadata.records import QueueWait
from metadata.tables import ATTEMPTS, RUNS, STEPS, TASKS

_COMPLETED = "COMPLETED"
# Enough for a steady median; older ones tell of machines and programs that have changed since.
_NEWEST = 100


def durations(connection: Connection) -> dict[tuple[str, str, str], float]:
    """(run name, step name, site) -> median seconds of its newest 100 completed attempts."""
    key = (RUNS.c.name, STEPS.c.name, ATTEMPTS.c.site)
    age = func.row_number().over(partition_by=key, order_by=ATTEMPTS.c.id.desc()).label("age")
    seconds = (ATTEMPTS.c.ended_at - ATTEMPTS.c.started_at).label("seconds")
    ended = (ATTEMPTS.c.state == _COMPLETED) & (ATTEMPTS.c.ended_at >= ATTEMPTS.c.started_at)
    columns = (RUNS.c.name.label("run"), STEPS.c.name.label("step"), ATTEMPTS.c.site, seconds, age)
    joined = ATTEMPTS.join(TASKS).join(STEPS).join(RUNS, STEPS.c.run_id == RUNS.c.id)
    numbered = select(*columns).select_from(joined).where(ended).subquery()
    seen: defaultdict[tuple[str, str, str], list[float]] = defaultdict(list)
    for row in connection.execute(select(numbered).where(numbered.c.age <= _NEWEST)):
        seen[row.run, row.step, row.site].append(row.seconds)
    return {at: median(found) for at, found in seen.items()}


def queue_waits(connection: Connection) -> dict[str, QueueWait]:
    """Site -> how long the newest 100 steps that started there, of any run, waited for their first start.

    Later tasks of a step may have waited for the earlier ones, which is no matter of the queue: the first counts.
    """
    wait = func.min(ATTEMPTS.c.started_at - ATTEMPTS.c.submitted_at).label("seconds")
    columns = (ATTEMPTS.c.site, wait, func.max(ATTEMPTS.c.id).label("newest"))
    known = ATTEMPTS.c.started_at.is_not(None) & ATTEMPTS.c.submitted_at.is_not(None)
    steps = select(*columns).select_from(ATTEMPTS.join(TASKS)).where(known).group_by(ATTEMPTS.c.site, TASKS.c.step_id)
    waits = steps.subquery()
    age = func.row_number().over(partition_by=waits.c.site, order_by=waits.c.newest.desc()).label("age")
    numbered = select(waits.c.site, waits.c.seconds, age).subquery()
    seen: defaultdict[str, list[float]] = defaultdict(list)
    for row in connection.execute(select(numbered).where(numbered.c.age <= _NEWEST)):
        # The clocks of two machines: a start may seem to lie before its submission.
        seen[row.site].append(max(0.0, row.seconds))
    return {site: QueueWait(seconds=median(found), steps=len(found)) for site, found in seen.items()}


def output_sizes(connection: Connection) -> dict[tuple[str, str], dict[str, float]]:
    """(run name, step name) -> output name -> median bytes that one of its newest 100 completed tasks left."""
    key = (RUNS.c.name, STEPS.c.name)
    age = func.row_number().over(partition_by=key, order_by=TASKS.c.id.desc()).label("age")
    columns = (RUNS.c.name.label("run"), STEPS.c.name.label("step"), TASKS.c.outputs, age)
    joined = TASKS.join(STEPS).join(RUNS, STEPS.c.run_id == RUNS.c.id)
    numbered = select(*columns).select_from(joined).where(TASKS.c.state == _COMPLETED).subquery()
    seen: defaultdict[tuple[str, str], defaultdict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for row in connection.execute(select(numbered).where(numbered.c.age <= _NEWEST)):
        for output, files in (row.outputs or {}).items():
            seen[row.run, row.step][output].append(_total_bytes(files))
    return {at: {output: median(sizes) for output, sizes in found.items()} for at, found in seen.items()}


def _total_bytes(files: list[dict[str, Any]]) -> int:
    return sum(file["size_bytes"] for file in files)
