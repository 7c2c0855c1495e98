"""What an engine writes down before it acts: pages of changes, each kept whole or not at all."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Engine, Table, bindparam, func, insert, select, update

from metadata.errors import EngineBusyError, NotFoundError
from metadata.statements import chunks
from metadata.tables import ATTEMPTS, EVENTS, LEASES, RUNS, STEPS, TASKS, TRANSFERS

_Row = dict[str, Any]


@dataclass(kw_only=True)
class Page:
    """Changes that belong together. Of several values for one column of one row, the last counts."""

    inserts: dict[Table, list[_Row]] = field(default_factory=lambda: defaultdict(list))
    updates: dict[tuple[Table, int | str], _Row] = field(default_factory=lambda: defaultdict(dict))
    events: list[_Row] = field(default_factory=list)

    def insert(self, table: Table, **values: Any) -> None:
        """A new row."""
        self.inserts[table].append(values)

    def update(self, table: Table, row_id: int | str, **values: Any) -> None:
        """New values for a row that is there, or that this page inserts."""
        self.updates[table, row_id].update(values)

    def event(self, run_id: str, kind: str, subject: str, message: str = "") -> None:
        """A line of the run's story."""
        self.events.append({"run_id": run_id, "at": time.time(), "kind": kind, "subject": subject, "message": message})

    @property
    def empty(self) -> bool:
        """True when there is nothing to keep."""
        return not (self.inserts or self.updates or self.events)


class Journal:
    """The engine's side of the database."""

    def __init__(self, engine: Engine, *, holder: str | None = None) -> None:
        self._writer = engine.execution_options(writing=True)
        self._reader = engine
        self._holder = holder

    def guarded_by(self, holder: str) -> Journal:
        """The same journal, but a page is kept only while this holder has the lease."""
        return Journal(self._reader, holder=holder)

    def commit(self, page: Page) -> None:
        """Everything on the page is kept, even if this process dies right after.

        Raises EngineBusyError, and keeps nothing, when another engine has taken the lease.
        """
        if page.empty:
            return
        with self._writer.begin() as connection:
            self._check_lease(connection)
            for table in _PARENTS_FIRST:
                if table in page.inserts:
                    connection.execute(insert(table), page.inserts[table])
            for (table, names), rows in _alike(page.updates).items():
                _update(connection, table, names, rows)
            if page.events:
                connection.execute(insert(EVENTS), page.events)

    def _check_lease(self, connection: Connection) -> None:
        if self._holder is None:
            return
        mine = update(LEASES).where(LEASES.c.holder == self._holder).values(heartbeat_at=time.time())
        if connection.execute(mine).rowcount != 1:
            raise EngineBusyError(
                "another engine has taken over this database while this one was silent; it stops here"
            )

    def rows(self, table: Table, run_id: str) -> list[_Row]:
        """A run's rows of one table, oldest first."""
        question = select(table).where(table.c.run_id == run_id).order_by(table.c.id)
        with self._reader.connect() as connection:
            return [dict(row) for row in connection.execute(question).mappings()]

    def subjects(self, run_id: str, kind: str) -> set[str]:
        """What the run's events of one kind are about."""
        question = select(EVENTS.c.subject).where(EVENTS.c.run_id == run_id, EVENTS.c.kind == kind)
        with self._reader.connect() as connection:
            return set(connection.scalars(question))

    def run(self, run_id: str) -> _Row:
        """The run's own row. Raises NotFoundError."""
        with self._reader.connect() as connection:
            row = connection.execute(select(RUNS).where(RUNS.c.id == run_id)).mappings().first()
        if row is None:
            raise NotFoundError(f"there is no run {run_id}")
        return dict(row)

    def wanted(self, run_id: str) -> str:
        """What people want of the run now."""
        with self._reader.connect() as connection:
            return str(connection.execute(select(RUNS.c.wanted).where(RUNS.c.id == run_id)).scalar_one())

    def last_ids(self) -> dict[Table, int]:
        """The highest id in use: the engine numbers its rows itself, being the only one that adds any."""
        with self._reader.connect() as connection:
            return {
                table: connection.execute(select(func.coalesce(func.max(table.c.id), 0))).scalar_one()
                for table in (STEPS, TASKS, ATTEMPTS, TRANSFERS)
            }

    def unfinished_transfers(self) -> set[tuple[str, str]]:
        """(sha256, destination site) of every transfer that some run still wants."""
        ended = ("COMPLETED", "FAILED", "CANCELED")
        question = (
            select(TRANSFERS.c.sha256, TRANSFERS.c.destination_site)
            .join(RUNS, RUNS.c.id == TRANSFERS.c.run_id)
            .where(TRANSFERS.c.state.not_in(ended), RUNS.c.state.not_in(ended))
        )
        with self._reader.connect() as connection:
            return {(sha256, site) for sha256, site in connection.execute(question)}

    def earlier_results(self, keys: Iterable[str]) -> dict[str, list[_Row]]:
        """Completed tasks with these content keys, newest first, by key."""
        found: dict[str, list[_Row]] = defaultdict(list)
        with self._reader.connect() as connection:
            for some in chunks(sorted(set(keys))):
                question = select(TASKS.c.id, TASKS.c.run_id, TASKS.c.content_key, TASKS.c.outputs).where(
                    TASKS.c.content_key.in_(some), TASKS.c.state == "COMPLETED", TASKS.c.reused_from == ""
                )
                for row in connection.execute(question.order_by(TASKS.c.id.desc())).mappings():
                    found[row["content_key"]].append(dict(row))
        return found


_PARENTS_FIRST: tuple[Table, ...] = (RUNS, STEPS, TASKS, ATTEMPTS, TRANSFERS)


def _alike(
    updates: dict[tuple[Table, int | str], _Row],
) -> dict[tuple[Table, tuple[str, ...]], list[_Row]]:
    """Updates by the columns that they set: each group is one statement."""
    groups: dict[tuple[Table, tuple[str, ...]], list[_Row]] = defaultdict(list)
    for (table, row_id), values in updates.items():
        groups[table, tuple(sorted(values))].append({"row_id": row_id, **values})
    return groups


def _update(connection: Connection, table: Table, names: Sequence[str], rows: list[_Row]) -> None:
    # The bound names must differ from the columns' own, which SQLAlchemy keeps for itself.
    values: dict[str, Any] = {name: bindparam(f"new_{name}") for name in names}
    bound = [{"row_id": row["row_id"], **{f"new_{name}": row[name] for name in names}} for row in rows]
    connection.execute(update(table).where(table.c.id == bindparam("row_id")).values(values), bound)
