"""What an engine writes down before it acts: pages of changes, each kept whole or not at all."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from metadata.errors import EngineBusyError, NotFoundError
from metadata.holds import Wishes, read_wishes
from metadata.sessions import Row, Session, Sessions, document, insertion
from metadata.statements import among

RUNS, STEPS, TASKS, ATTEMPTS, TRANSFERS, MESSAGES = _PARENTS_FIRST = (
    "runs", "steps", "tasks", "attempts", "transfers", "messages",
)  # fmt: skip
"""The tables that a page may name; `metadata.tables` says what stands in them."""

_DOCUMENTS = ("plan", "inputs", "parameters", "outputs", "resources")
_RESULTS = """
    SELECT content_key, id, run_id, outputs FROM tasks
    WHERE content_key IN :each AND state = 'COMPLETED' AND reused_from = '' ORDER BY id DESC
"""


@dataclass(kw_only=True)
class Page:
    """Changes that belong together. Of several values for one column of one row, the last counts."""

    inserts: dict[str, dict[int | str, Row]] = field(default_factory=lambda: defaultdict(dict))
    updates: dict[tuple[str, int | str], Row] = field(default_factory=lambda: defaultdict(dict))
    events: list[Row] = field(default_factory=list)

    def insert(self, table: str, **values: Any) -> None:
        """A new row, whole but for columns that may be empty."""
        self.inserts[table][values["id"]] = values

    def update(self, table: str, row_id: int | str, **values: Any) -> None:
        """New values for a row that is there, or that this page inserts."""
        fresh = self.inserts[table].get(row_id) if table in self.inserts else None
        (self.updates[table, row_id] if fresh is None else fresh).update(values)

    def event(self, run_id: str, kind: str, subject: str, message: str = "") -> None:
        """A line of the run's story."""
        self.events.append({"run_id": run_id, "at": time.time(), "kind": kind, "subject": subject, "message": message})

    @property
    def empty(self) -> bool:
        """True when there is nothing to keep."""
        return not (self.inserts or self.updates or self.events)


class Journal:
    """The engine's side of the database."""

    def __init__(self, sessions: Sessions, *, holder: str | None = None) -> None:
        self._sessions = sessions
        self._holder = holder

    def guarded_by(self, holder: str) -> Journal:
        """The same journal, but a page is kept only while this holder has the lease."""
        return Journal(self._sessions, holder=holder)

    def commit(self, page: Page) -> None:
        """Everything on the page is kept, even if this process dies right after.

        Raises EngineBusyError, and keeps nothing, when another engine has taken the lease.
        """
        if page.empty:
            return
        with self._sessions.writing() as session:
            self._check_lease(session)
            for table in _PARENTS_FIRST:
                for names, rows in _alike(page.inserts.get(table, {}).values()).items():
                    session.change_each(insertion(table, names), rows)
            for table in _PARENTS_FIRST:
                changes = [{"id": key, **row} for (of, key), row in page.updates.items() if of == table]
                for names, rows in _alike(changes).items():
                    settings = ", ".join(f"{name} = :{name}" for name in names if name != "id")
                    session.change_each(f"UPDATE {table} SET {settings} WHERE id = :id", rows)
            if page.events:
                session.change_each(insertion("events", page.events[0]), page.events)

    def _check_lease(self, session: Session) -> None:
        if self._holder is None:
            return
        mine = "UPDATE leases SET heartbeat_at = :now WHERE holder = :holder"
        if session.change(mine, now=time.time(), holder=self._holder) != 1:
            raise EngineBusyError(
                "another engine has taken over this database while this one was silent; it stops here"
            )

    def rows(self, table: str, run_id: str) -> list[Row]:
        """A run's rows of one table, oldest first."""
        return self._read(f"SELECT * FROM {table} WHERE run_id = :run_id ORDER BY id", run_id=run_id)

    def subjects(self, run_id: str, kind: str) -> set[str]:
        """What the run's events of one kind are about."""
        question = "SELECT subject FROM events WHERE run_id = :run_id AND kind = :kind"
        return {row["subject"] for row in self._read(question, run_id=run_id, kind=kind)}

    def run(self, run_id: str) -> Row:
        """The run's own row. Raises NotFoundError."""
        rows = self._read("SELECT * FROM runs WHERE id = :run_id", run_id=run_id)
        if not rows:
            raise NotFoundError(f"there is no run {run_id}")
        return rows[0]

    def wanted(self, run_id: str) -> str:
        """What people want of the run now."""
        [row] = self._read("SELECT wanted FROM runs WHERE id = :run_id", run_id=run_id)
        return str(row["wanted"])

    def wishes(self) -> Wishes:
        """What people want to be moved later, or never."""
        with self._sessions.reading() as session:
            return read_wishes(session)

    def last_ids(self) -> dict[str, int]:
        """The highest id in use: the engine numbers its rows itself, being the only one that adds any."""
        tables = (STEPS, TASKS, ATTEMPTS, TRANSFERS)
        [row] = self._read("SELECT " + ", ".join(f"(SELECT max(id) FROM {name}) AS {name}" for name in tables))
        return {name: row[name] or 0 for name in tables}

    def unfinished_transfers(self) -> set[tuple[str, str]]:
        """(sha256, destination site) of every transfer that some run still wants."""
        question = """
            SELECT sha256, destination_site FROM transfers JOIN runs ON runs.id = transfers.run_id
            WHERE transfers.state NOT IN ('COMPLETED', 'FAILED', 'CANCELED')
                AND runs.state NOT IN ('COMPLETED', 'FAILED', 'CANCELED')
        """
        return {(row["sha256"], row["destination_site"]) for row in self._read(question)}

    def earlier_results(self, keys: Iterable[str]) -> dict[str, list[Row]]:
        """Completed tasks with these content keys, newest first, by key."""
        found: dict[str, list[Row]] = defaultdict(list)
        with self._sessions.reading() as session:
            for key, task_id, run_id, outputs in among(session, _RESULTS, sorted(set(keys))):
                found[key].append({"id": task_id, "run_id": run_id, "outputs": document(outputs)})
        return found

    def _read(self, question: str, **values: Any) -> list[Row]:
        with self._sessions.reading() as session:
            rows = session.rows(question, **values)
        for row in rows:
            row |= {name: document(row[name]) for name in _DOCUMENTS if name in row}
        return rows


def _alike(rows: Iterable[Row]) -> dict[tuple[str, ...], list[Row]]:
    """The rows by the columns that they name: each group is one statement."""
    groups: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    for row in rows:
        groups[tuple(row)].append(row)
    return groups
