"""Shell patterns over names with `/`: `*` and `?` stay within one folder, `**` goes through any number. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from metadata.errors import InvalidInputError

_TOKEN = re.compile(r"\*\*/|\*\*|\*|\?|\[!?+(?:\][^\]]*|[^\]]+)\]|.", re.DOTALL)
_PLAIN = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}


def is_glob(text: str) -> bool:
    """True when `text` has a character that a pattern gives a meaning to."""
    return any(character in text for character in "*?[")


@lru_cache(maxsize=256)
def compile_glob(pattern: str) -> re.Pattern[str]:
    """A regular expression for `fullmatch`. Raises InvalidInputError for a range that runs backwards.

    >>> bool(compile_glob("*.tif").fullmatch("a/b.tif")), bool(compile_glob("**/*.tif").fullmatch("a/b.tif"))
    (False, True)
    """
    try:
        return re.compile("".join(_pieces(pattern)), re.DOTALL)
    except re.error as error:
        raise InvalidInputError(f"{pattern!r} is no pattern: {error}. Write such as *.tif or [a-c]*") from error


def literal_prefix(pattern: str) -> str:
    """What every match begins with, to let a database narrow the search."""
    return re.split(r"[*?\[]", pattern, maxsplit=1)[0]


def _pieces(pattern: str) -> Iterator[str]:
    for token in _TOKEN.findall(pattern):
        if token in _PLAIN:
            yield _PLAIN[token]
        elif len(token) > 1:
            yield _character_class(token)
        else:
            yield re.escape(token)


def _character_class(token: str) -> str:
    negated = token.startswith("[!")
    inside = token[2 if negated else 1 : -1]
    return f"(?!/)[{'^' if negated else ''}{''.join(_members(inside))}]"


def _members(inside: str) -> Iterator[str]:
    """Characters and ranges; everything else that Python gives a meaning to means itself in a shell pattern."""
    while inside:
        if inside[1:2] == "-" and len(inside) > 2:
            yield f"{re.escape(inside[0])}-{re.escape(inside[2])}"
            inside = inside[3:]
        else:
            yield re.escape(inside[0])
            inside = inside[1:]
