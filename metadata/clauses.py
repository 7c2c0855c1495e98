"""Conditions as SQL, for SQLite and PostgreSQL."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from metadata.errors import InvalidInputError
from metadata.search import FIELDS, Condition, Operator

Kind = Literal["datasets", "files"]
_COLUMNS: dict[Kind, dict[str, str]] = {
    "datasets": {"name": "datasets.name", "description": "datasets.description"},
    "files": {
        "name": "files.path",
        "path": "files.path",
        "dataset": "datasets.name",
        "media_type": "files.media_type",
        "sha256": "files.sha256",
        "size_bytes": "files.size_bytes",
    },
}
_REGEXP = {"sqlite": "REGEXP", "postgresql": "~"}


@dataclass(frozen=True, kw_only=True)
class Clause:
    """What stands behind WHERE."""

    text: str
    values: dict[str, Any]


def clause(conditions: Sequence[Condition], *, kind: Kind, dialect: str) -> Clause:
    """What holds for the rows that meet every condition. `dialect` is as `metadata.sessions` says it.

    A file has its dataset's attributes too, except those that it has itself.
    Raises InvalidInputError for a field that this kind lacks or that cannot be compared in this way.
    """
    words = _Words(dialect=dialect)
    texts = [_one(condition, words, kind=kind) for condition in conditions]
    return Clause(text=" AND ".join(f"({text})" for text in texts) or "TRUE", values=words.values)


@dataclass(kw_only=True)
class _Words:
    """The database's own, and names for the values that conditions compare with."""

    dialect: str
    values: dict[str, Any] = field(default_factory=dict)

    def name(self, value: Any) -> str:
        self.values[name := f"value_{len(self.values)}"] = value
        return f":{name}"

    @property
    def regexp(self) -> str:
        return _REGEXP[self.dialect]


def _one(condition: Condition, words: _Words, *, kind: Kind) -> str:
    column = _COLUMNS[kind].get(condition.key)
    if column is not None:
        return _on_field(condition, words, column)
    if condition.key in FIELDS:
        raise InvalidInputError(f"{condition}: {kind} have no {condition.key}; they have {', '.join(_COLUMNS[kind])}")
    key = f"key = {words.name(condition.key)}"
    fits = f"{key} AND ({_on_value(condition, words)})"
    of_dataset = f"SELECT dataset_id FROM attributes WHERE {fits} AND file_id IS NULL"
    if kind == "datasets":
        return f"datasets.id IN ({of_dataset})"
    own = f"SELECT file_id FROM attributes WHERE {fits} AND file_id IS NOT NULL"
    hidden = f"SELECT file_id FROM attributes WHERE {key} AND file_id IS NOT NULL"
    return f"files.id IN ({own}) OR (files.dataset_id IN ({of_dataset}) AND files.id NOT IN ({hidden}))"


def _on_field(condition: Condition, words: _Words, column: str) -> str:
    operator, numeric = condition.operator, condition.key == "size_bytes"
    value = condition.number if numeric else condition.text
    if operator in (Operator.EQUAL, Operator.NOT_EQUAL) and value is not None:
        return f"{column} {operator.value} {words.name(value)}"
    if numeric and operator.ordering:
        return f"{column} {operator.value} {words.name(value)}"
    if not numeric and operator is Operator.MATCHES:
        return f"{column} {words.regexp} {words.name(value)}"
    allowed = "a number, compared by = != < <= > >=" if numeric else "a text, compared by = != ~"
    raise InvalidInputError(f"{condition}: {condition.key} is {allowed}")


def _on_value(condition: Condition, words: _Words) -> str:
    operator = condition.operator
    if operator is Operator.CONTAINS:
        return _contains(condition, words)
    if operator is Operator.MATCHES:
        return f"text {words.regexp} {words.name(condition.text)}"
    if operator.ordering:
        return f"number {operator.value} {words.name(condition.number)}"
    # `patient=004` finds the text 004 as well as the number 4.
    text = f"text {operator.value} {words.name(condition.text)}"
    if condition.number is not None:
        return f"{text} OR number {operator.value} {words.name(condition.number)}"
    return text if operator is Operator.EQUAL else f"{text} OR number IS NOT NULL"


def _contains(condition: Condition, words: _Words) -> str:
    wanted: list[Any] = [condition.text] if condition.number is None else [condition.text, condition.number]
    if words.dialect == "postgresql":
        lists = [f"CAST(items AS JSONB) @> CAST({words.name(json.dumps([value]))} AS JSONB)" for value in wanted]
        return " OR ".join(lists)
    values = ", ".join(words.name(value) for value in wanted)
    return f"EXISTS (SELECT 1 FROM json_each(items) WHERE value IN ({values}))"
