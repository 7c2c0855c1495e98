"""The rows of attributes: facts about datasets and files, each a number, a text or a list."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from metadata.errors import InvalidInputError
from metadata.records import AttributeValue
from metadata.search import FIELDS, KEY
from metadata.sessions import Row, Session, document, insertion
from metadata.statements import among

_SELECT = "SELECT dataset_id, key, number, text, items FROM attributes WHERE "
# Above this a float no longer tells one whole number from the next.
_EXACT = 2**53


def replace(
    session: Session, values: Mapping[str, AttributeValue | None], *, dataset_id: int, file_id: int | None
) -> None:
    """Sets each key to its value, and removes those whose value is None; other keys stay.

    Raises InvalidInputError for a key that a search could not name, and for a value of another type.
    """
    rows = [_row(key, value, dataset_id=dataset_id, file_id=file_id) for key, value in values.items()]
    whose, ids = _of(dataset_id=dataset_id, file_id=file_id)
    session.change_each(f"DELETE FROM attributes WHERE {whose} AND key = :key", [{"key": key, **ids} for key in values])
    kept = [row for row in rows if values[row["key"]] is not None]
    if kept:
        session.change_each(insertion("attributes", kept[0]), kept)


def check(values: Mapping[str, AttributeValue | None]) -> None:
    """Returns when such attributes can be set. Raises InvalidInputError, as `replace` does."""
    for key, value in values.items():
        _row(key, value, dataset_id=0, file_id=None)


def of_one(session: Session, *, dataset_id: int, file_id: int | None) -> dict[str, AttributeValue]:
    """The attributes of a dataset, or of one of its files, sorted by key."""
    whose, ids = _of(dataset_id=dataset_id, file_id=file_id)
    return {key: value for _, key, value in _told(session.tuples(_SELECT + whose, **ids))}


def of_datasets(session: Session, dataset_ids: Iterable[int]) -> dict[int, dict[str, AttributeValue]]:
    """The datasets' own attributes, sorted by key."""
    found: defaultdict[int, dict[str, AttributeValue]] = defaultdict(dict)
    rows = among(session, _SELECT + "dataset_id IN :each AND file_id IS NULL", dataset_ids)
    for dataset_id, key, value in _told(rows):
        found[dataset_id][key] = value
    return dict(found)


def _of(*, dataset_id: int, file_id: int | None) -> tuple[str, dict[str, int]]:
    """Which rows are meant: a condition, and the values in it."""
    if file_id is None:
        return "dataset_id = :dataset_id AND file_id IS NULL", {"dataset_id": dataset_id}
    return "file_id = :file_id", {"file_id": file_id}


def _told(rows: Iterable[tuple[Any, ...]]) -> list[tuple[int, str, AttributeValue]]:
    """(dataset's row, key, value), sorted by key."""
    return [(dataset_id, key, _value(*value)) for dataset_id, key, *value in sorted(rows, key=lambda row: str(row[1]))]


def _row(key: str, value: Any, *, dataset_id: int, file_id: int | None) -> Row:
    if not KEY.fullmatch(key) or key in FIELDS:
        why = "every file or dataset has a field of that name" if key in FIELDS else "use letters, digits and _ . : -"
        raise InvalidInputError(f"{key!r} cannot name an attribute: {why}")
    row: Row = {"dataset_id": dataset_id, "file_id": file_id, "key": key}
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


def _value(number: Any, text: Any, items: Any) -> AttributeValue:
    if items is not None:
        return list(document(items))
    if text is not None:
        return str(text)
    return int(number) if number.is_integer() and abs(number) < _EXACT else float(number)
