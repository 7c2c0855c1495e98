"""Statements that SQLite and PostgreSQL both understand, where SQLAlchemy alone leaves a difference."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import sqlite

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql

# Older builds of SQLite take 999 values in one statement.
_CHUNK = 900
_T = TypeVar("_T")


def insert_missing(connection: Connection, into: Table, rows: Sequence[dict[str, Any]]) -> None:
    """Inserts all rows, in one batch, but those that a unique constraint says are there already."""
    if rows:
        connection.execute(_insert(connection, into).on_conflict_do_nothing(), rows)


def upsert(connection: Connection, into: Table, rows: Sequence[dict[str, Any]], *, key: Sequence[str]) -> None:
    """Inserts all rows, in one batch; a row that has the same `key` columns is overwritten."""
    if not rows:
        return
    statement = _insert(connection, into)
    changed = {name: statement.excluded[name] for name in rows[0] if name not in key}
    connection.execute(statement.on_conflict_do_update(index_elements=key, set_=changed), rows)


def chunks(values: Iterable[_T]) -> Iterator[list[_T]]:
    """The values in lists that are short enough for one `IN (...)`."""
    remaining = iter(values)
    while chunk := list(islice(remaining, _CHUNK)):
        yield chunk


def _insert(connection: Connection, into: Table) -> sqlite.Insert | postgresql.Insert:
    if connection.dialect.name == "postgresql":
        from sqlalchemy.dialects import postgresql  # noqa: PLC0415 - slow to load, and most never need it

        return postgresql.insert(into)
    return sqlite.insert(into)
