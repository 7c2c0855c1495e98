"""Conditions as SQL, for SQLite and PostgreSQL."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, Literal

from sqlalchemy import ColumnElement, and_, cast, false, func, or_, select

from metadata.errors import InvalidInputError
from metadata.search import FIELDS, Condition, Operator
from metadata.tables import ATTRIBUTES, DATASETS, FILES

Kind = Literal["datasets", "files"]
_COLUMNS: dict[Kind, dict[str, ColumnElement[Any]]] = {
    "datasets": {"name": DATASETS.c.name, "description": DATASETS.c.description},
    "files": {
        "name": FILES.c.path,
        "path": FILES.c.path,
        "dataset": DATASETS.c.name,
        "media_type": FILES.c.media_type,
        "sha256": FILES.c.sha256,
        "size_bytes": FILES.c.size_bytes,
    },
}
_ORDER: dict[Operator, Callable[[Any, Any], ColumnElement[bool]]] = {
    Operator.LESS: operator.lt,
    Operator.AT_MOST: operator.le,
    Operator.MORE: operator.gt,
    Operator.AT_LEAST: operator.ge,
}


def clause(condition: Condition, *, kind: Kind, dialect: str) -> ColumnElement[bool]:
    """What holds for the rows that meet the condition. `dialect` is SQLAlchemy's name of the database.

    A file has its dataset's attributes too, except those that it has itself.
    Raises InvalidInputError for a field that this kind lacks or that cannot be compared in this way.
    """
    column = _COLUMNS[kind].get(condition.key)
    if column is not None:
        return _on_field(condition, column)
    if condition.key in FIELDS:
        raise InvalidInputError(f"{condition}: {kind} have no {condition.key}; they have {', '.join(_COLUMNS[kind])}")
    fits = and_(ATTRIBUTES.c.key == condition.key, _on_value(condition, dialect=dialect))
    of_dataset = select(ATTRIBUTES.c.dataset_id).where(fits, ATTRIBUTES.c.file_id.is_(None))
    if kind == "datasets":
        return DATASETS.c.id.in_(of_dataset)
    of_file = ATTRIBUTES.c.file_id.is_not(None)
    own = select(ATTRIBUTES.c.file_id).where(fits, of_file)
    hidden = select(ATTRIBUTES.c.file_id).where(ATTRIBUTES.c.key == condition.key, of_file)
    return or_(FILES.c.id.in_(own), and_(FILES.c.dataset_id.in_(of_dataset), FILES.c.id.not_in(hidden)))


def _on_field(condition: Condition, column: ColumnElement[Any]) -> ColumnElement[bool]:
    numeric = condition.key == "size_bytes"
    value = condition.number if numeric else condition.text
    if condition.operator is Operator.EQUAL and value is not None:
        return column == value
    if condition.operator is Operator.NOT_EQUAL and value is not None:
        return column != value
    if numeric and condition.operator.ordering:
        return _ORDER[condition.operator](column, value)
    if not numeric and condition.operator is Operator.MATCHES:
        return column.regexp_match(condition.text)
    allowed = "a number, compared by = != < <= > >=" if numeric else "a text, compared by = != ~"
    raise InvalidInputError(f"{condition}: {condition.key} is {allowed}")


def _on_value(condition: Condition, *, dialect: str) -> ColumnElement[bool]:
    number, text = ATTRIBUTES.c.number, ATTRIBUTES.c.text
    if condition.operator is Operator.CONTAINS:
        return _contains(condition, dialect=dialect)
    if condition.operator is Operator.MATCHES:
        return text.regexp_match(condition.text)
    if condition.operator is Operator.EQUAL:
        # `patient=004` finds the text 004 as well as the number 4.
        return or_(text == condition.text, false() if condition.number is None else number == condition.number)
    if condition.operator is Operator.NOT_EQUAL:
        other = number.is_not(None) if condition.number is None else number != condition.number
        return or_(text != condition.text, other)
    return _ORDER[condition.operator](number, condition.number)


def _contains(condition: Condition, *, dialect: str) -> ColumnElement[bool]:
    wanted: list[Any] = [condition.text] if condition.number is None else [condition.text, condition.number]
    items = ATTRIBUTES.c["items"]
    if dialect == "postgresql":
        from sqlalchemy.dialects.postgresql import JSONB  # noqa: PLC0415 - slow to load, and most never need it

        return or_(*(cast(items, JSONB).contains([value]) for value in wanted))
    each = func.json_each(items).table_valued("value")
    return select(each.c.value).where(or_(*(each.c.value == value for value in wanted))).exists()
