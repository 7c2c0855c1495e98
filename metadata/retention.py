"""What shall be kept: rules, pins, when copies were last used, and which of them may go."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from metadata import datasets, files, pins, replicas
from metadata.errors import NotFoundError
from metadata.records import PinRecord, ReplicaRecord, RuleRecord
from metadata.sessions import Row, Session, Sessions, document, insertion
from metadata.statements import among, upsert

_ACTIVE = "runs.state NOT IN ('COMPLETED', 'FAILED', 'CANCELED')"
_NOTED = "SELECT sha256, site, used_at FROM uses WHERE used_at >= :since"
_MOVED = """
    SELECT sha256, source_site, destination_site, coalesce(ended_at, created_at) FROM transfers
    WHERE coalesce(ended_at, created_at) >= :since
"""
_NAMED = """
    SELECT files.sha256, replicas.site, files.created_at FROM files JOIN replicas ON replicas.sha256 = files.sha256
    WHERE files.created_at >= :since
"""
_TASKS = """
    SELECT steps.site, tasks.inputs, tasks.outputs, coalesce(
        (SELECT max(attempts.ended_at) FROM attempts WHERE attempts.task_id = tasks.id), runs.created_at
    )
    FROM tasks JOIN steps ON steps.id = tasks.step_id JOIN runs ON runs.id = tasks.run_id
    WHERE runs.ended_at IS NULL OR runs.ended_at >= :since
"""
_PLANS = f"SELECT plan FROM runs WHERE {_ACTIVE}"
_WORKED_ON = f"SELECT inputs, outputs FROM tasks JOIN runs ON runs.id = tasks.run_id WHERE {_ACTIVE}"
_MOVING = f"SELECT sha256 FROM transfers JOIN runs ON runs.id = transfers.run_id WHERE {_ACTIVE}"

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

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    # -- rules ---------------------------------------------------------------------------------------------------

    def add_rule(self, rule: RuleRecord) -> RuleRecord:
        """The rule holds from now on, under the number that it has in the answer."""
        values = {
            "target": rule.target, "copies": rule.copies, "at": json.dumps(rule.at) if rule.at else None,
            "keep_s": rule.keep_s, "site": rule.site, "created_at": time.time(),
        }  # fmt: skip
        with self._sessions.writing() as session:
            [made] = session.rows(f"{insertion('rules', values)} RETURNING *", **values)
            return _rule(made)

    def rules(self) -> list[RuleRecord]:
        """All rules, the oldest first."""
        with self._sessions.reading() as session:
            return [_rule(row) for row in session.rows("SELECT * FROM rules ORDER BY id")]

    def remove_rule(self, rule_id: int) -> None:
        """The rule holds no longer. Raises NotFoundError."""
        with self._sessions.writing() as session:
            if session.change("DELETE FROM rules WHERE id = :id", id=rule_id) != 1:
                raise NotFoundError(f"there is no rule {rule_id}; see: convoy data rule ls")

    # -- pins ----------------------------------------------------------------------------------------------------

    def pin(self, dataset: str, path: str = "", *, site: str = "") -> None:
        """The dataset with all that will ever be in it, or the files that `path` means now, are pinned.

        Raises NotFoundError.
        """
        with self._sessions.writing() as session:
            dataset_id = datasets.find_id(session, dataset, lock=True)
            pins.add(session, dataset_id, self._meant(session, dataset_id, dataset, path), site=site)

    def unpin(self, dataset: str, path: str = "", *, site: str = "") -> int:
        """Such pins are gone; how many there were. A dataset's pin goes only with the whole dataset's name."""
        with self._sessions.writing() as session:
            dataset_id = datasets.find_id(session, dataset, lock=True)
            return pins.remove(session, dataset_id, self._meant(session, dataset_id, dataset, path), site=site)

    @staticmethod
    def _meant(session: Session, dataset_id: int, dataset: str, path: str) -> list[int] | None:
        if not path:
            return None
        meant = files.meant_by(session, dataset_id, path)
        if not meant:
            raise files.unknown(session, dataset_id, path, dataset=dataset)
        return [row[0] for row in files.rows_of(session, dataset_id, [file.path for file in meant])]

    def pins(self, dataset: str | None = None) -> list[PinRecord]:
        """All pins, or those of one dataset."""
        with self._sessions.reading() as session:
            return pins.listed(session, None if dataset is None else datasets.find_id(session, dataset))

    def pinned_sites(self, sha256s: Iterable[str]) -> dict[str, frozenset[str]]:
        """The sites where each pinned content must stay, under whatever name it is pinned; "" stands for everywhere."""
        with self._sessions.reading() as session:
            return pins.sites(session, sha256s)

    # -- uses ----------------------------------------------------------------------------------------------------

    def note_uses(self, places: Iterable[Place], *, used_at: float | None = None) -> None:
        """The contents were used at these sites, now if nothing else is said."""
        at = time.time() if used_at is None else used_at
        rows = [{"sha256": sha256, "site": site, "used_at": at} for sha256, site in sorted(set(places))]
        with self._sessions.writing() as session:
            upsert(session, "uses", rows, key=("sha256", "site"))

    def last_uses(self, *, since: float) -> dict[Place, float]:
        """When contents were last used at each site: those that were, after `since`; by runs or otherwise."""
        found: defaultdict[Place, float] = defaultdict(float)
        with self._sessions.reading() as session:
            for place, at in self._uses_since(session, since):
                found[place] = max(found[place], at)
        return dict(found)

    @staticmethod
    def _uses_since(session: Session, since: float) -> Iterator[tuple[Place, float]]:
        for sha256, site, at in session.tuples(_NOTED, since=since):
            yield (sha256, site), at
        for sha256, source, destination, at in session.tuples(_MOVED, since=since):
            yield (sha256, source), at
            yield (sha256, destination), at
        # A name is as young as its data: what was added yesterday was not unused for a month.
        for sha256, site, at in session.tuples(_NAMED, since=since):
            yield (sha256, site), at
        yield from _task_uses(session, since)

    # -- what may go ---------------------------------------------------------------------------------------------

    def active_runs(self) -> frozenset[str]:
        """The runs that have not ended. Their results go to datasets of their names."""
        with self._sessions.reading() as session:
            return frozenset(run_id for (run_id,) in session.tuples(f"SELECT id FROM runs WHERE {_ACTIVE}"))

    def needed(self) -> frozenset[str]:
        """The contents that runs which have not ended read, made or move."""
        with self._sessions.reading() as session:
            return frozenset(_needed(session))

    def let_go(
        self, releases: Sequence[Release], *, names: Collection[tuple[str, str]] | None = None
    ) -> list[ReplicaRecord]:
        """Forgets the copies that may still go, and returns them; their bytes are the caller's to remove.

        One stays when none of its survivors is known any more, since somebody else may have let that one go at the
        same time; when it is pinned by now; and when a run that has not ended needs it.

        names: Those that go with the copies, as (dataset, path). A content that has another one by now keeps its
            copies. None when names stay.
        """
        gone = []
        with self._sessions.writing() as session:
            hashes = {release.copy.sha256 for release in releases}
            # Whoever else lets go of these contents waits here, and then sees what is left.
            among(session, "SELECT id FROM replicas WHERE sha256 IN :each" + session.for_update, sorted(hashes))
            kept = set(_needed(session)) & hashes
            if names is not None:
                kept |= files.named_elsewhere(session, hashes, outside=set(names))
            pinned = pins.sites(session, hashes)
            known = {(copy.site, copy.path) for copies in replicas.of(session, hashes).values() for copy in copies}
            for release in releases:
                mine = (release.copy.site, release.copy.path)
                left = {(copy.site, copy.path) for copy in release.survivors} & known - {mine}
                held = release.copy.sha256 in kept or {"", mine[0]} & pinned.get(release.copy.sha256, frozenset())
                if mine in known and not held and (left or not release.survivors):
                    replicas.remove(session, site=mine[0], pairs=[(mine[1], release.copy.sha256)])
                    known.discard(mine)
                    gone.append(release.copy)
        return gone


def _rule(row: Row) -> RuleRecord:
    return RuleRecord(**{**row, "at": tuple(document(row["at"]) or ())})


def _task_uses(session: Session, since: float) -> Iterator[tuple[Place, float]]:
    """What tasks read and made: when their last attempt ended, or else when their run began."""
    for site, inputs, outputs, at in session.tuples(_TASKS, since=since):
        if at >= since:
            for sha256 in {*_hashes(document(inputs)), *_hashes(document(outputs))}:
                yield (sha256, site), at


def _needed(session: Session) -> Iterator[str]:
    for (plan,) in session.tuples(_PLANS):
        yield from _hashes(document(plan))
    for inputs, outputs in session.tuples(_WORKED_ON):
        yield from (*_hashes(document(inputs)), *_hashes(document(outputs)))
    for (sha256,) in session.tuples(_MOVING):
        yield sha256


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
