"""The rows of attributes: facts about datasets and files, each a number, a text or a list."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, delete, select

from metadata.errors import InvalidInputError
from metadata.records import AttributeValue
from metadata.search import FIELDS, KEY
from metadata.statements import chunks
from metadata.tables import ATTRIBUTES

# Above this a float no longer tells one whole number from the next.
_EXACT = 2**53


def replace(
    connection: Connection, values: Mapping[str, AttributeValue | None], *, dataset_id: int, file_id: int | None
) -> None:
    """Sets each key to its value, and removes those whose value is None; other keys stay.

    Raises InvalidInputError for a key that a search could not name, and for a value of another type.
    """
    rows = [_row(key, value, dataset_id=dataset_id, file_id=file_id) for key, value in values.items()]
    for chunk in chunks(values):
        whose = _of(dataset_id=dataset_id, file_id=file_id)
        connection.execute(delete(ATTRIBUTES).where(whose, ATTRIBUTES.c.key.in_(chunk)))
    kept = [row for row in rows if values[row["key"]] is not None]
    if kept:
        connection.execute(ATTRIBUTES.insert(), kept)


def of_one(connection: Connection, *, dataset_id: int, file_id: int | None) -> dict[str, AttributeValue]:
    """The attributes of a dataset, or of one of its files, sorted by key."""
    rows = connection.execute(select(ATTRIBUTES).where(_of(dataset_id=dataset_id, file_id=file_id)))
    return dict(sorted((row.key, _value(row)) for row in rows))


def of_datasets(connection: Connection, dataset_ids: Iterable[int]) -> dict[int, dict[str, AttributeValue]]:
    """The datasets' own attributes, sorted by key."""
    found: defaultdict[int, dict[str, AttributeValue]] = defaultdict(dict)
    for chunk in chunks(dataset_ids):
        whose = ATTRIBUTES.c.dataset_id.in_(chunk) & ATTRIBUTES.c.file_id.is_(None)
        for row in sorted(connection.execute(select(ATTRIBUTES).where(whose)), key=lambda row: str(row.key)):
            found[row.dataset_id][row.key] = _value(row)
    return dict(found)


def _of(*, dataset_id: int, file_id: int | None) -> ColumnElement[bool]:
    if file_id is None:
        return (ATTRIBUTES.c.dataset_id == dataset_id) & ATTRIBUTES.c.file_id.is_(None)
    return ATTRIBUTES.c.file_id == file_id


def _row(key: str, value: Any, *, dataset_id: int, file_id: int | None) -> dict[str, Any]:
    if not KEY.fullmatch(key) or key in FIELDS:
        why = "every file or dataset has a field of that name" if key in FIELDS else "use letters, digits and _ . : -"
        raise InvalidInputError(f"{key!r} cannot name an attribute: {why}")
    row: dict[str, Any] = {"dataset_id": dataset_id, "file_id": file_id, "key": key}
    row |= {"number": None, "text": None, "items": None}
    if value is not None:
        row[_column(key, value)] = value
    return row


def _column(key: str, value: Any) -> str:
    if isinstance(value, list) and all(_is_number(item) or _is_text(item) for item in value):
        return "items"
    if _is_text(value):
        return "text"
    if _is_number(value):
        return "number"
    raise InvalidInputError(f"{key} cannot be {value!r}; write a finite number, a text, or a list of numbers and texts")


def _is_text(value: Any) -> bool:
    # PostgreSQL stores no zero byte, and neither database half a character.
    return isinstance(value, str) and not re.search(r"[\0\ud800-\udfff]", value)


def _is_number(value: Any) -> bool:
    # A truth value is an int to Python, and would come back as 1.
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _value(row: Row[Any]) -> AttributeValue:
    if row.items is not None:
        return list(row.items)
    if row.text is not None:
        return str(row.text)
    number = float(row.number)
    return int(number) if number.is_integer() and abs(number) < _EXACT else number
