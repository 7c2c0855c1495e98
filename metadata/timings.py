"""What earlier runs tell about the next: how long a step waited and took at a site, and how much it left behind."""

from __future__ import annotations

from collections import defaultdict
from statistics import median
from typing import Any

from metadata.records import QueueWait
from metadata.sessions import Sessions, document

_NEWEST = 100
"""Enough for a steady median; older ones tell of machines and programs that have changed since."""

_DURATIONS = """
    SELECT * FROM (
        SELECT runs.name AS run, steps.name AS step, attempts.site,
            attempts.ended_at - attempts.started_at AS seconds,
            row_number() OVER (PARTITION BY runs.name, steps.name, attempts.site ORDER BY attempts.id DESC) AS age
        FROM attempts
        JOIN tasks ON tasks.id = attempts.task_id
        JOIN steps ON steps.id = tasks.step_id
        JOIN runs ON runs.id = steps.run_id
        WHERE attempts.state = 'COMPLETED' AND attempts.ended_at >= attempts.started_at
    ) AS numbered WHERE age <= :newest
"""

_QUEUE_WAITS = """
    SELECT * FROM (
        SELECT site, seconds, row_number() OVER (PARTITION BY site ORDER BY newest DESC) AS age FROM (
            SELECT attempts.site, min(attempts.started_at - attempts.submitted_at) AS seconds,
                max(attempts.id) AS newest
            FROM attempts JOIN tasks ON tasks.id = attempts.task_id
            WHERE attempts.started_at IS NOT NULL AND attempts.submitted_at IS NOT NULL
            GROUP BY attempts.site, tasks.step_id
        ) AS waits
    ) AS numbered WHERE age <= :newest
"""

_OUTPUTS = """
    SELECT * FROM (
        SELECT runs.name AS run, steps.name AS step, tasks.outputs,
            row_number() OVER (PARTITION BY runs.name, steps.name ORDER BY tasks.id DESC) AS age
        FROM tasks
        JOIN steps ON steps.id = tasks.step_id
        JOIN runs ON runs.id = steps.run_id
        WHERE tasks.state = 'COMPLETED'
    ) AS numbered WHERE age <= :newest
"""


class Timings:
    """The past in one database."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def durations(self) -> dict[tuple[str, str, str], float]:
        """(run name, step name, site) -> median seconds of its newest 100 completed attempts."""
        seen: defaultdict[tuple[str, str, str], list[float]] = defaultdict(list)
        for row in self._newest(_DURATIONS):
            seen[row["run"], row["step"], row["site"]].append(row["seconds"])
        return {at: median(found) for at, found in seen.items()}

    def queue_waits(self) -> dict[str, QueueWait]:
        """Site -> how long the newest 100 steps that started there, of any run, waited for their first start.

        Later tasks of a step may have waited for the earlier ones, which is no matter of the queue: the first counts.
        """
        seen: defaultdict[str, list[float]] = defaultdict(list)
        for row in self._newest(_QUEUE_WAITS):
            # The clocks of two machines: a start may seem to lie before its submission.
            seen[row["site"]].append(max(0.0, row["seconds"]))
        return {site: QueueWait(seconds=median(found), steps=len(found)) for site, found in seen.items()}

    def output_sizes(self) -> dict[tuple[str, str], dict[str, float]]:
        """(run name, step name) -> output name -> median bytes that one of its newest 100 completed tasks left."""
        seen: defaultdict[tuple[str, str], defaultdict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
        for row in self._newest(_OUTPUTS):
            for output, files in (document(row["outputs"]) or {}).items():
                seen[row["run"], row["step"]][output].append(_total_bytes(files))
        return {at: {output: median(sizes) for output, sizes in found.items()} for at, found in seen.items()}

    def _newest(self, question: str) -> list[dict[str, Any]]:
        with self._sessions.reading() as session:
            return session.rows(question, newest=_NEWEST)


def _total_bytes(files: list[dict[str, Any]]) -> int:
    return sum(file["size_bytes"] for file in files)
