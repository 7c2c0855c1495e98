"""What an engine writes down before it acts: pages of changes, each kept whole or not at all."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Engine, Table, bindparam, func, insert, select, update
from sqlmodel import SQLModel

from metadata.errors import EngineBusyError, NotFoundError
from metadata.statements import chunks, table
from metadata.tables import Attempt, Event, Lease, Run, Step, Task, Transfer

_Row = dict[str, Any]


@dataclass(kw_only=True)
class Page:
    """Changes that belong together. Of several values for one column of one row, the last counts."""

    inserts: dict[type[SQLModel], list[_Row]] = field(default_factory=lambda: defaultdict(list))
    updates: dict[tuple[type[SQLModel], int | str], _Row] = field(default_factory=lambda: defaultdict(dict))
    events: list[_Row] = field(default_factory=list)

    def insert(self, model: type[SQLModel], **values: Any) -> None:
        """A new row."""
        self.inserts[model].append(values)

    def update(self, model: type[SQLModel], row_id: int | str, **values: Any) -> None:
        """New values for a row that is there, or that this page inserts."""
        self.updates[model, row_id].update(values)

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
            for model in _PARENTS_FIRST:
                if model in page.inserts:
                    connection.execute(insert(table(model)), page.inserts[model])
            for (model, names), rows in _alike(page.updates).items():
                _update(connection, table(model), names, rows)
            if page.events:
                connection.execute(insert(table(Event)), page.events)

    def _check_lease(self, connection: Connection) -> None:
        if self._holder is None:
            return
        leases = table(Lease)
        mine = update(leases).where(leases.c.holder == self._holder).values(heartbeat_at=time.time())
        if connection.execute(mine).rowcount != 1:
            raise EngineBusyError(
                "another engine has taken over this database while this one was silent; it stops here"
            )

    def rows(self, model: type[SQLModel], run_id: str) -> list[_Row]:
        """A run's rows of one table, oldest first."""
        rows = table(model)
        question = select(rows).where(rows.c.run_id == run_id).order_by(rows.c.id)
        with self._reader.connect() as connection:
            return [dict(row) for row in connection.execute(question).mappings()]

    def run(self, run_id: str) -> _Row:
        """The run's own row. Raises NotFoundError."""
        rows = table(Run)
        with self._reader.connect() as connection:
            row = connection.execute(select(rows).where(rows.c.id == run_id)).mappings().first()
        if row is None:
            raise NotFoundError(f"there is no run {run_id}")
        return dict(row)

    def wanted(self, run_id: str) -> str:
        """What people want of the run now."""
        rows = table(Run)
        with self._reader.connect() as connection:
            return str(connection.execute(select(rows.c.wanted).where(rows.c.id == run_id)).scalar_one())

    def last_ids(self) -> dict[type[SQLModel], int]:
        """The highest id in use: the engine numbers its rows itself, being the only one that adds any."""
        with self._reader.connect() as connection:
            return {
                model: connection.execute(select(func.coalesce(func.max(table(model).c.id), 0))).scalar_one()
                for model in (Step, Task, Attempt, Transfer)
            }

    def earlier_results(self, keys: Iterable[str]) -> dict[str, list[_Row]]:
        """Completed tasks with these content keys, newest first, by key."""
        rows = table(Task)
        found: dict[str, list[_Row]] = defaultdict(list)
        with self._reader.connect() as connection:
            for some in chunks(sorted(set(keys))):
                question = select(rows.c.id, rows.c.run_id, rows.c.content_key, rows.c.outputs).where(
                    rows.c.content_key.in_(some), rows.c.state == "COMPLETED", rows.c.reused_from == ""
                )
                for row in connection.execute(question.order_by(rows.c.id.desc())).mappings():
                    found[row["content_key"]].append(dict(row))
        return found


_PARENTS_FIRST: tuple[type[SQLModel], ...] = (Run, Step, Task, Attempt, Transfer)


def _alike(
    updates: dict[tuple[type[SQLModel], int | str], _Row],
) -> dict[tuple[type[SQLModel], tuple[str, ...]], list[_Row]]:
    """Updates by the columns that they set: each group is one statement."""
    groups: dict[tuple[type[SQLModel], tuple[str, ...]], list[_Row]] = defaultdict(list)
    for (model, row_id), values in updates.items():
        groups[model, tuple(sorted(values))].append({"row_id": row_id, **values})
    return groups


def _update(connection: Connection, table: Table, names: Sequence[str], rows: list[_Row]) -> None:
    # The bound names must differ from the columns' own, which SQLAlchemy keeps for itself.
    values: dict[str, Any] = {name: bindparam(f"new_{name}") for name in names}
    bound = [{"row_id": row["row_id"], **{f"new_{name}": row[name] for name in names}} for row in rows]
    connection.execute(update(table).where(table.c.id == bindparam("row_id")).values(values), bound)
