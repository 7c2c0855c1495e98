"""Conditions on attributes: text to values, and values to text. Pure; `metadata.clauses` turns them into SQL.

    patient=4   mpp<0.3   mpp>=0.25   stain!=HE   name~patient_00.*   organs contains breast   organs@breast

Numbers are compared by `< <= > >=`, texts are searched for a regular expression by `~`, lists by `contains` or `@`;
`=` and `!=` take a number or a text. A value in double quotes is a text even when it looks like a number.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from enum import StrEnum

from metadata.errors import InvalidInputError, SourcePosition

KEY = re.compile(r"[^\W\d][\w.:-]*")
"""What an attribute may be called, so that a condition can name it."""

FIELDS = frozenset({"name", "path", "dataset", "description", "media_type", "sha256", "size_bytes"})
"""What a condition may name although nobody set it as an attribute."""

_LONGEST_PATTERN = 200
_UNUSABLE = re.compile(r"[\0\ud800-\udfff]")


class Operator(StrEnum):
    """How a condition compares."""

    EQUAL = "="
    NOT_EQUAL = "!="
    LESS = "<"
    AT_MOST = "<="
    MORE = ">"
    AT_LEAST = ">="
    MATCHES = "~"
    CONTAINS = "@"

    @property
    def ordering(self) -> bool:
        """True for the four that only numbers have."""
        return self in _ORDERINGS


_ORDERINGS = frozenset({Operator.LESS, Operator.AT_MOST, Operator.MORE, Operator.AT_LEAST})
# The longer spelling first, or `<=` would be read as `<`.
_OPERATOR = re.compile(r"\s*(<=|>=|!=|=|<|>|~|@|\bcontains\b)\s*")
_NUMBER = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?", re.ASCII)
_ALLOWED = "= != < <= > >= ~ (regular expression), contains or @ (lists)"


@dataclass(frozen=True, kw_only=True)
class Condition:
    """One condition. It holds only for what has the attribute, also when it says `!=`."""

    key: str
    operator: Operator
    text: str
    """The value as it was written, without its quotes."""
    number: float | None = None
    """The value when it can be read as a number; a quoted one cannot."""

    def __str__(self) -> str:
        value = json.dumps(self.text, ensure_ascii=False) if self.number is None else self.text
        return f"{self.key}{self.operator.value}{value}"


def parse_condition(text: str) -> Condition:
    """The condition that `text` says. Raises InvalidInputError with the column and what is allowed there.

    >>> parse_condition("mpp < 0.3").number
    0.3
    """
    start = len(text) - len(text.lstrip())
    key = KEY.match(text, start)
    if key is None:
        raise _invalid(text, start, "name an attribute first, such as patient=4")
    operator = _OPERATOR.match(text, key.end())
    if operator is None:
        raise _invalid(text, key.end(), f"after {key.group()} comes one of {_ALLOWED}")
    word = "@" if operator.group(1) == "contains" else operator.group(1)
    return _with_value(text, operator.end(), key=key.group(), operator=Operator(word))


def _with_value(text: str, at: int, *, key: str, operator: Operator) -> Condition:
    written = text[at:].rstrip()
    if not written:
        raise _invalid(text, at, f"a value is missing after {operator.value}; an empty text is written as two quotes")
    value, number = (_quoted(text, at), None) if written.startswith('"') else (written, _number(written))
    if operator.ordering and number is None:
        raise _invalid(text, at, f"{operator.value} compares numbers, and {written} is none")
    if _UNUSABLE.search(value):
        raise _invalid(text, at, "a value cannot hold a zero byte or half a character")
    if operator is Operator.MATCHES:
        _check_pattern(text, at, pattern=value)
        number = None
    return Condition(key=key, operator=operator, text=value, number=number)


def _quoted(text: str, at: int) -> str:
    try:
        return str(json.loads(text[at:], strict=False))
    except json.JSONDecodeError as error:
        raise _invalid(text, at + error.pos, "a quoted value ends with a quote, and nothing follows it") from error


def _number(written: str) -> float | None:
    number = float(written) if _NUMBER.fullmatch(written) else None
    return number if number is not None and math.isfinite(number) else None


def _check_pattern(text: str, at: int, *, pattern: str) -> None:
    if len(pattern) > _LONGEST_PATTERN:
        raise _invalid(text, at, f"a regular expression may have {_LONGEST_PATTERN} characters")
    try:
        re.compile(pattern)
    except (re.error, OverflowError) as error:
        raise _invalid(text, at + (getattr(error, "pos", 0) or 0), f"not a regular expression: {error}") from error


def _invalid(text: str, at: int, problem: str) -> InvalidInputError:
    return InvalidInputError(f"in {text!r}: {problem}", position=SourcePosition(file="condition", column=at + 1))
