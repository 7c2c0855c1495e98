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


def insert_missing(connection: Connection, into: Table, rows: Sequence[dict[str, Any]]) -> int:
    """Inserts all rows, in one batch, but those that a unique constraint says are there already.

    Returns how many were inserted; -1 where the database does not tell.
    """
    if not rows:
        return 0
    return _carry_out(connection, _insert(connection, into).on_conflict_do_nothing(), into, rows)


def upsert(connection: Connection, into: Table, rows: Sequence[dict[str, Any]], *, key: Sequence[str]) -> None:
    """Inserts all rows, in one batch; a row that has the same `key` columns is overwritten."""
    if not rows:
        return
    statement = _insert(connection, into)
    changed = {name: statement.excluded[name] for name in rows[0] if name not in key}
    _carry_out(connection, statement.on_conflict_do_update(index_elements=key, set_=changed), into, rows)


def chunks(values: Iterable[_T]) -> Iterator[list[_T]]:
    """The values in lists that are short enough for one `IN (...)`."""
    remaining = iter(values)
    while chunk := list(islice(remaining, _CHUNK)):
        yield chunk


def _carry_out(
    connection: Connection, statement: sqlite.Insert | postgresql.Insert, into: Table, rows: Sequence[dict[str, Any]]
) -> int:
    """How many rows were inserted or changed; -1 where the database does not tell.

    SQLite's driver is given the values as they are: with thousands of rows SQLAlchemy's own way to it takes longer
    than the database does.
    """
    dialect = connection.dialect
    compiled = statement.compile(dialect=dialect, column_keys=list(rows[0]))
    names = compiled.positiontup or []
    if dialect.name != "sqlite" or rows[0].keys() != set(names):  # what has a default is left to SQLAlchemy
        return connection.execute(statement, rows).rowcount
    changes = {
        name: change for name in names if (change := into.c[name].type.dialect_impl(dialect).bind_processor(dialect))
    }
    values = [tuple(row[name] for name in names) for row in rows]
    if changes:
        values = [
            tuple(changes[name](value) if name in changes else value for name, value in zip(names, row, strict=True))
            for row in values
        ]
    return connection.exec_driver_sql(str(compiled), values).rowcount


def _insert(connection: Connection, into: Table) -> sqlite.Insert | postgresql.Insert:
    if connection.dialect.name == "postgresql":
        from sqlalchemy.dialects import postgresql  # noqa: PLC0415 - slow to load, and most never need it

        return postgresql.insert(into)
    return sqlite.insert(into)
