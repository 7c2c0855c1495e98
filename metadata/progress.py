"""How far a run has come, read cheaply enough to be asked several times a second.

`metadata.history` tells everything of a run. It takes longer to load, and most runs end before somebody asks for it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from metadata.errors import NotFoundError
from metadata.sessions import Session, Sessions

_MOST_ACTIVE = 100
"""Transfers under way that are told one by one; nobody reads more, and thousands may travel together."""

Counts = Mapping[str, int]
"""How many there are in each state; states that nothing is in are left out."""

_RUN = "SELECT id, name, state, wanted, message, created_at, started_at, ended_at FROM runs WHERE id = :run_id"
_STEPS = "SELECT id, name, position, site, skipped, expanded FROM steps WHERE run_id = :run_id ORDER BY position"
_TASKS = """
    SELECT step_id, state, reused_from <> '' AS taken, count(*) AS tasks FROM tasks
    WHERE run_id = :run_id GROUP BY step_id, state, reused_from <> ''
"""
_SUMS = """
    SELECT state, count(*) AS transfers, sum(bytes_done) AS done, sum(size_bytes) AS total, sum(bytes_moved) AS moved
    FROM transfers WHERE run_id = :run_id GROUP BY state
"""
_ACTIVE = """
    SELECT name, size_bytes, bytes_done, source_site, destination_site, mover, state, started_at FROM transfers
    WHERE run_id = :run_id AND started_at IS NOT NULL AND ended_at IS NULL
        AND state NOT IN ('NEW', 'COMPLETED', 'FAILED', 'CANCELED')
    ORDER BY id LIMIT :most
"""


@dataclass(frozen=True, kw_only=True)
class StepProgress:
    """How far a step has come."""

    name: str
    position: int
    site: str
    skipped: str
    expanded: bool
    counts: Counts
    reused: int = 0
    """Tasks whose results were taken over from an earlier run."""

    @property
    def total(self) -> int:
        """Its tasks so far; more may come until it is expanded."""
        return sum(self.counts.values())


@dataclass(frozen=True, kw_only=True)
class TransferProgress:
    """A transfer that is under way."""

    name: str
    size_bytes: int
    bytes_done: int
    source_site: str
    destination_site: str
    mover: str
    state: str
    started_at: float | None


@dataclass(frozen=True, kw_only=True)
class RunProgress:
    """A run at one moment, cheap enough to ask several times a second."""

    id: str
    name: str
    state: str
    wanted: str
    message: str
    created_at: float
    started_at: float | None
    ended_at: float | None
    steps: tuple[StepProgress, ...]
    transfers: tuple[TransferProgress, ...]
    """Those under way, oldest first; a hundred at most."""
    transfer_counts: Counts
    """All of them, by state."""
    bytes_done: int
    bytes_total: int
    bytes_moved: int
    """What really travelled; less than what arrived when transfers were resumed."""

    @property
    def counts(self) -> Counts:
        """Its tasks, by state."""
        totals: dict[str, int] = {}
        for step in self.steps:
            for state, tasks in step.counts.items():
                totals[state] = totals.get(state, 0) + tasks
        return totals


def progress_of(sessions: Sessions, run_id: str) -> RunProgress:
    """How far the run has come: a few small questions, however many tasks it has. Raises NotFoundError."""
    with sessions.reading() as session:
        run = session.rows(_RUN, run_id=run_id)
        if not run:
            raise NotFoundError(f"there is no run {run_id}")
        sums = session.rows(_SUMS, run_id=run_id)
        active = session.rows(_ACTIVE, run_id=run_id, most=_MOST_ACTIVE) if sums else []
        return RunProgress(
            **run[0],
            steps=_steps(session, run_id),
            transfers=tuple(TransferProgress(**row) for row in active),
            transfer_counts={row["state"]: row["transfers"] for row in sums},
            bytes_done=sum(int(row["done"]) for row in sums),
            bytes_total=sum(int(row["total"]) for row in sums),
            bytes_moved=sum(int(row["moved"]) for row in sums),
        )


def _steps(session: Session, run_id: str) -> tuple[StepProgress, ...]:
    counts: defaultdict[int, dict[str, int]] = defaultdict(dict)
    reused: defaultdict[int, int] = defaultdict(int)
    for row in session.rows(_TASKS, run_id=run_id):
        states = counts[row["step_id"]]
        states[row["state"]] = states.get(row["state"], 0) + row["tasks"]
        reused[row["step_id"]] += row["tasks"] if row["taken"] else 0
    return tuple(
        StepProgress(
            name=row["name"], position=row["position"], site=row["site"], skipped=row["skipped"],
            expanded=bool(row["expanded"]), counts=counts[row["id"]], reused=reused[row["id"]],
        )
        for row in session.rows(_STEPS, run_id=run_id)
    )  # fmt: skip
