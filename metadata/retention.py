"""What shall be kept: rules, pins, when copies were last used, and which of them may go."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, delete, func, insert, or_, select

from metadata import datasets, files, pins, replicas
from metadata.errors import NotFoundError
from metadata.records import PinRecord, ReplicaRecord, RuleRecord
from metadata.statements import chunks, upsert
from metadata.tables import ATTEMPTS, FILES, REPLICAS, RULES, RUNS, STEPS, TASKS, TRANSFERS, USES

_FINAL = ("COMPLETED", "FAILED", "CANCELED")
_ACTIVE = RUNS.c.state.not_in(_FINAL)

Place = tuple[str, str]
"""(sha256, site)"""


@dataclass(frozen=True, kw_only=True)
class Release:
    """A copy that may go as long as one of the others is there."""

    copy: ReplicaRecord
    survivors: tuple[ReplicaRecord, ...]
    """Copies that were seen a moment ago. None at all: it may go although it is the last."""


class Retention:
    """The side of the database that says what stays. Every method is one transaction."""

    def __init__(self, engine: Engine) -> None:
        self._writer = engine.execution_options(writing=True)
        self._reader = engine

    # -- rules ---------------------------------------------------------------------------------------------------

    def add_rule(self, rule: RuleRecord) -> RuleRecord:
        """The rule holds from now on, under the number that it has in the answer."""
        values = {
            "target": rule.target, "copies": rule.copies, "at": list(rule.at) or None, "keep_s": rule.keep_s,
            "site": rule.site, "created_at": time.time(),
        }  # fmt: skip
        with self._writer.begin() as connection:
            made = connection.execute(insert(RULES).values(**values).returning(RULES)).one()
            return _rule(made)

    def rules(self) -> list[RuleRecord]:
        """All rules, the oldest first."""
        with self._reader.connect() as connection:
            return [_rule(row) for row in connection.execute(select(RULES).order_by(RULES.c.id))]

    def remove_rule(self, rule_id: int) -> None:
        """The rule holds no longer. Raises NotFoundError."""
        with self._writer.begin() as connection:
            if connection.execute(delete(RULES).where(RULES.c.id == rule_id)).rowcount != 1:
                raise NotFoundError(f"there is no rule {rule_id}; see: convoy data rule ls")

    # -- pins ----------------------------------------------------------------------------------------------------

    def pin(self, dataset: str, path: str = "", *, site: str = "") -> None:
        """The dataset with all that will ever be in it, or the files that `path` means now, are pinned.

        Raises NotFoundError.
        """
        with self._writer.begin() as connection:
            dataset_id = datasets.find_id(connection, dataset, lock=True)
            pins.add(connection, dataset_id, self._meant(connection, dataset_id, dataset, path), site=site)

    def unpin(self, dataset: str, path: str = "", *, site: str = "") -> int:
        """Such pins are gone; how many there were. A dataset's pin goes only with the whole dataset's name."""
        with self._writer.begin() as connection:
            dataset_id = datasets.find_id(connection, dataset, lock=True)
            return pins.remove(connection, dataset_id, self._meant(connection, dataset_id, dataset, path), site=site)

    @staticmethod
    def _meant(connection: Connection, dataset_id: int, dataset: str, path: str) -> list[int] | None:
        if not path:
            return None
        meant = files.meant_by(connection, dataset_id, path)
        if not meant:
            raise files.unknown(connection, dataset_id, path, dataset=dataset)
        return files.ids_of(connection, dataset_id, [file.path for file in meant])

    def pins(self, dataset: str | None = None) -> list[PinRecord]:
        """All pins, or those of one dataset."""
        with self._reader.connect() as connection:
            return pins.listed(connection, None if dataset is None else datasets.find_id(connection, dataset))

    def pinned_sites(self, sha256s: Iterable[str]) -> dict[str, frozenset[str]]:
        """The sites where each pinned content must stay, under whatever name it is pinned; "" stands for everywhere."""
        with self._reader.connect() as connection:
            return pins.sites(connection, sha256s)

    # -- uses ----------------------------------------------------------------------------------------------------

    def note_uses(self, places: Iterable[Place], *, used_at: float | None = None) -> None:
        """The contents were used at these sites, now if nothing else is said."""
        at = time.time() if used_at is None else used_at
        rows = [{"sha256": sha256, "site": site, "used_at": at} for sha256, site in sorted(set(places))]
        with self._writer.begin() as connection:
            upsert(connection, USES, rows, key=("sha256", "site"))

    def last_uses(self, *, since: float) -> dict[Place, float]:
        """When contents were last used at each site: those that were, after `since`; by runs or otherwise."""
        found: defaultdict[Place, float] = defaultdict(float)
        with self._reader.connect() as connection:
            for place, at in self._uses_since(connection, since):
                found[place] = max(found[place], at)
        return dict(found)

    @staticmethod
    def _uses_since(connection: Connection, since: float) -> Iterator[tuple[Place, float]]:
        for row in connection.execute(select(USES).where(USES.c.used_at >= since)):
            yield (row.sha256, row.site), row.used_at
        ended = func.coalesce(TRANSFERS.c.ended_at, TRANSFERS.c.created_at).label("ended_at")
        question = select(TRANSFERS.c.sha256, TRANSFERS.c.source_site, TRANSFERS.c.destination_site, ended)
        for row in connection.execute(question.where(ended >= since)):
            yield (row.sha256, row.source_site), row.ended_at
            yield (row.sha256, row.destination_site), row.ended_at
        # A name is as young as its data: what was added yesterday was not unused for a month.
        named = select(FILES.c.sha256, REPLICAS.c.site, FILES.c.created_at).join(
            REPLICAS, REPLICAS.c.sha256 == FILES.c.sha256
        )
        for row in connection.execute(named.where(FILES.c.created_at >= since)):
            yield (row.sha256, row.site), row.created_at
        yield from _task_uses(connection, since)

    # -- what may go ---------------------------------------------------------------------------------------------

    def active_runs(self) -> frozenset[str]:
        """The runs that have not ended. Their results go to datasets of their names."""
        with self._reader.connect() as connection:
            return frozenset(connection.execute(select(RUNS.c.id).where(_ACTIVE)).scalars())

    def needed(self) -> frozenset[str]:
        """The contents that runs which have not ended read, made or move."""
        with self._reader.connect() as connection:
            return frozenset(_needed(connection))

    def let_go(self, releases: Sequence[Release]) -> list[ReplicaRecord]:
        """Forgets the copies that may still go, and returns them; their bytes are the caller's to remove.

        One stays when none of its survivors is known any more, since somebody else may have let that one go at the
        same time, and when a run that has not ended needs it.
        """
        gone = []
        with self._writer.begin() as connection:
            hashes = {release.copy.sha256 for release in releases}
            for chunk in chunks(sorted(hashes)):
                # Whoever else lets go of these contents waits here, and then sees what is left.
                connection.execute(select(REPLICAS.c.id).where(REPLICAS.c.sha256.in_(chunk)).with_for_update()).all()
            needed = set(_needed(connection)) & hashes
            known = {(copy.site, copy.path) for copies in replicas.of(connection, hashes).values() for copy in copies}
            for release in releases:
                mine = (release.copy.site, release.copy.path)
                left = {(copy.site, copy.path) for copy in release.survivors} & known - {mine}
                if mine in known and release.copy.sha256 not in needed and (left or not release.survivors):
                    replicas.remove(connection, site=mine[0], pairs=[(mine[1], release.copy.sha256)])
                    known.discard(mine)
                    gone.append(release.copy)
        return gone


def _rule(row: Any) -> RuleRecord:
    return RuleRecord(
        id=row.id, target=row.target, copies=row.copies, at=tuple(row.at or ()), keep_s=row.keep_s, site=row.site,
        created_at=row.created_at,
    )  # fmt: skip


def _task_uses(connection: Connection, since: float) -> Iterator[tuple[Place, float]]:
    """What tasks read and made: when their last attempt ended, or else when their run began."""
    ended = (
        select(func.max(ATTEMPTS.c.ended_at)).where(ATTEMPTS.c.task_id == TASKS.c.id).correlate(TASKS)
    ).scalar_subquery()
    question = (
        select(STEPS.c.site, TASKS.c.inputs, TASKS.c.outputs, func.coalesce(ended, RUNS.c.created_at).label("at"))
        .join(STEPS, STEPS.c.id == TASKS.c.step_id)
        .join(RUNS, RUNS.c.id == TASKS.c.run_id)
        .where(or_(RUNS.c.ended_at.is_(None), RUNS.c.ended_at >= since))
    )
    for row in connection.execute(question):
        if row.at >= since:
            for sha256 in {*_hashes(row.inputs), *_hashes(row.outputs)}:
                yield (sha256, row.site), row.at


def _needed(connection: Connection) -> Iterator[str]:
    for plan in connection.execute(select(RUNS.c.plan).where(_ACTIVE)).scalars():
        yield from _hashes(plan)
    tasks = select(TASKS.c.inputs, TASKS.c.outputs).join(RUNS, RUNS.c.id == TASKS.c.run_id).where(_ACTIVE)
    for row in connection.execute(tasks):
        yield from (*_hashes(row.inputs), *_hashes(row.outputs))
    moving = select(TRANSFERS.c.sha256).join(RUNS, RUNS.c.id == TRANSFERS.c.run_id).where(_ACTIVE)
    yield from connection.execute(moving).scalars()


def _hashes(document: Any) -> Iterator[str]:
    """Every `sha256` anywhere in a document."""
    if isinstance(document, dict):
        if isinstance(document.get("sha256"), str):
            yield document["sha256"]
        for value in document.values():
            yield from _hashes(value)
    elif isinstance(document, list):
        for value in document:
            yield from _hashes(value)
