"""Statements for many rows and many values, as SQLite and PostgreSQL both understand them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import islice
from typing import Any

from metadata.sessions import Row, Session, insertion

# Older builds of SQLite take 999 values in one statement; beyond some hundreds nothing is won.
_AT_ONCE = 250


def insert_missing(session: Session, table: str, rows: Sequence[Row]) -> int:
    """Inserts all rows, in one batch, but those that a unique constraint says are there already.

    Returns how many were inserted; -1 where the database does not tell.
    """
    return session.change_each(f"{insertion(table, rows[0])} ON CONFLICT DO NOTHING", rows) if rows else 0


def upsert(session: Session, table: str, rows: Sequence[Row], *, key: Sequence[str]) -> None:
    """Inserts all rows, in one batch; a row that has the same `key` columns is overwritten."""
    if not rows:
        return
    changed = ", ".join(f"{name} = excluded.{name}" for name in rows[0] if name not in key)
    session.change_each(f"{insertion(table, rows[0])} ON CONFLICT ({', '.join(key)}) DO UPDATE SET {changed}", rows)


def among(session: Session, question: str, values: Iterable[Any], **others: Any) -> list[tuple[Any, ...]]:
    """The answer for any number of values, of which the question says `IN :each`. It is asked for some at a time."""
    remaining, found = iter(values), list[tuple[Any, ...]]()
    while chunk := list(islice(remaining, _AT_ONCE)):
        names, some = _of_each(question, len(chunk))
        found += session.tuples(some, **dict(zip(names, chunk, strict=True)), **others)
    return found


@lru_cache
def _of_each(question: str, count: int) -> tuple[list[str], str]:
    names = [f"each_{number}" for number in range(count)]
    return names, question.replace(":each", f"({', '.join(f':{name}' for name in names)})")
