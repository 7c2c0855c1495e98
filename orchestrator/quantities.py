"""Sizes and times as people write them: `8GiB`, `1h30m`."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, PlainSerializer

_DECIMAL = {"B": 1, "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_BINARY = {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
_SIZE_UNITS = _DECIMAL | _BINARY
_TIME_UNITS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)")
_TIMES = re.compile(r"(\d+(?:\.\d+)?)\s*([dhms])")
_RATE = re.compile(r"(\d+(?:\.\d+)?)\s*([kMG]?)(bit|B)/s")


def parse_size(value: Any) -> Any:
    """Bytes. A bare number is bytes already.

    >>> parse_size("8GiB")
    8589934592
    """
    if not isinstance(value, str):
        return value
    match = _SIZE.fullmatch(value.strip())
    unit = match and (match[2] or "B")
    if not match or unit not in _SIZE_UNITS:
        raise ValueError(f"{value!r} is not a size; write a number with one of {', '.join(_SIZE_UNITS)}, such as 8GiB")
    return int(float(match[1]) * _SIZE_UNITS[unit])


def parse_duration(value: Any) -> Any:
    """Seconds. A bare number is seconds already.

    >>> parse_duration("1h30m")
    5400.0
    """
    if not isinstance(value, str):
        return value
    parts = _TIMES.findall(value)
    if not parts or _TIMES.sub("", value).strip():
        raise ValueError(f"{value!r} is not a duration; write it like 45s, 30m, 4h, 1h30m or 2d")
    return sum(float(number) * _TIME_UNITS[unit] for number, unit in parts)


def parse_bundling(value: Any) -> Any:
    """Seconds; `false` is 0.

    >>> parse_bundling("2m"), parse_bundling(False)
    (120.0, 0.0)
    """
    if value is True:
        raise ValueError("say how much work short tasks may share a job for, such as 60s; or false")
    return 0.0 if value is False else parse_duration(value)


def parse_rate(value: Any) -> Any:
    """Bytes a second.

    >>> parse_rate("400 Mbit/s")
    50000000.0
    """
    if not isinstance(value, str):
        return value
    match = _RATE.fullmatch(value.strip())
    if not match:
        raise ValueError(f"{value!r} is not a rate; write it like 400 Mbit/s or 50 MB/s")
    scale = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9}[match[2]]
    return float(match[1]) * scale / (8 if match[3] == "bit" else 1)


def shown_size(size_bytes: float) -> str:
    """A size for people, three digits at most.

    >>> shown_size(1536), shown_size(10 * 2**30)
    ('1.5 KiB', '10 GiB')
    """
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size_bytes < 999.5:
            return f"{size_bytes:.3g} {unit}"
        size_bytes /= 1024
    return f"{size_bytes:.4g} TiB"


def shown_duration(seconds: float) -> str:
    """A time for people.

    >>> shown_duration(0.31), shown_duration(75), shown_duration(7260)
    ('0.3 s', '1m 15s', '2h 01m')
    """
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}m {rest:02d}s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h {minutes:02d}m" if hours < 24 else f"{hours // 24}d {hours % 24:02d}h"


def shown_rate(bytes_per_s: float) -> str:
    """A rate for people, in bytes and in the bits that networks are sold by.

    >>> shown_rate(50e6)
    '50 MB/s (400 Mbit/s)'
    """
    megabytes = bytes_per_s / 1e6
    return f"{_three_digits(megabytes)} MB/s ({_three_digits(megabytes * 8)} Mbit/s)"


def _three_digits(number: float) -> str:
    """Three digits, or all of those before the point."""
    return f"{number:.0f}" if number >= 100 else f"{number:.3g}"


_AS_TEXT: dict[str, Any] = {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string"}]}

Size = Annotated[int, BeforeValidator(parse_size), Field(ge=0, json_schema_extra=_AS_TEXT)]
Duration = Annotated[float, BeforeValidator(parse_duration), Field(ge=0, json_schema_extra=_AS_TEXT)]
Bundling = Annotated[
    float,
    BeforeValidator(parse_bundling),
    Field(ge=0, json_schema_extra={"anyOf": [*_AS_TEXT["anyOf"], {"const": False}]}),
]
"""Work that short tasks may put into one job, in seconds; 0 for none."""
Rate = Annotated[float, BeforeValidator(parse_rate), Field(gt=0, json_schema_extra=_AS_TEXT), PlainSerializer(float)]
