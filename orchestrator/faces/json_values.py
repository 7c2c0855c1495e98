"""Values as JSON documents: the same for every face."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

_PLAIN = (str, int, float, bool, type(None))


def plain(value: Any) -> Any:
    """The value in dictionaries, lists, texts and numbers; sets come sorted, paths and the like as text.

    >>> plain({"sites": frozenset({"uva", "agh"})})
    {'sites': ['agh', 'uva']}
    """
    if isinstance(value, Enum):
        return plain(value.value)
    if isinstance(value, _PLAIN):
        return value
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json", by_alias=True)
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    return _plain_collection(value)


def _plain_collection(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, set | frozenset):
        return sorted(map(plain, value))
    if isinstance(value, Iterable):
        return [plain(item) for item in value]
    return str(value)


def render_json(value: Any, *, indent: int | None = 2) -> str:
    """The value as a JSON document."""
    return json.dumps(plain(value), indent=indent, ensure_ascii=False)
