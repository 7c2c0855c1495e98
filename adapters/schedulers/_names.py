"""Tokens in the name of a job, so that a job can be found by them whatever else is lost. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from urllib.parse import quote, unquote

from orchestrator.jobs import Token

MAX_NAME = 240
"""Characters; Slurm's accounting database keeps 255 of a name."""

_MAX_TOKENS = 100_000  # a stranger's job may be called "[0-99999999999]"
_PACKED = re.compile(r"([^\[\]+]*)\[([^\[\]]*)\]([^\[\]+]*)")
_RUN = re.compile(r"(\d{1,18})-(\d{1,18})")
_NUMBER = re.compile(r"0|[1-9]\d{0,17}")


def render_name(tokens: Sequence[Token]) -> str:
    """The tokens, in order, as one word of letters, digits and `_.-~%[+]`.

    >>> render_name([Token("r1.extract.0.1")])
    'r1.extract.0.1'
    >>> render_name([Token(f"r1.extract.{n}.2") for n in (0, 1, 2, 7)])
    'r1.extract.[0-2+7].2'
    """
    if len(tokens) == 1:
        return _word(tokens[0])
    head = _head(tokens)
    tail = _tail([token[len(head) :] for token in tokens])
    middles = [token[len(head) : len(token) - len(tail)] for token in tokens]
    return f"{_word(head)}[{'+'.join(_runs(middles))}]{_word(tail)}"


def parse_name(name: str) -> tuple[Token, ...]:
    """The tokens that a name was made from; any other name comes back as one token.

    >>> parse_name("r1.extract.[0-2+7].2")[-1]
    'r1.extract.7.2'
    """
    match = _PACKED.fullmatch(name)
    if match is None:
        return (Token(_plain(name)),)
    head, runs, tail = match.groups()
    tokens: list[Token] = []
    for run in runs.split("+"):
        for middle in _middles(run):
            tokens.append(Token(_plain(head) + middle + _plain(tail)))
            if len(tokens) > _MAX_TOKENS:
                return (Token(name),)
    return tuple(tokens)


def _word(text: str) -> str:
    # surrogateescape: a name that is not UTF-8 must survive too.
    return quote(text, safe="", errors="surrogateescape")


def _plain(word: str) -> str:
    return unquote(word, errors="surrogateescape")


def _head(tokens: Sequence[Token]) -> str:
    # A number must not be cut in two, or 10, 11, 12 would become 1[0-2].
    return _shared(tokens).rstrip("0123456789")


def _tail(rests: Sequence[str]) -> str:
    return _shared([rest[::-1] for rest in rests])[::-1].lstrip("0123456789")


def _shared(words: Sequence[str]) -> str:
    # The first and the last in order differ earliest.
    first, last = min(words), max(words)
    length = next((n for n, pair in enumerate(zip(first, last, strict=False)) if pair[0] != pair[1]), None)
    return first if length is None else first[:length]


def _runs(middles: Sequence[str]) -> Iterator[str]:
    run: list[str] = []
    for middle in middles:
        if run and not _next(run[-1], middle):
            yield _run(run)
            run = []
        run.append(middle)
    yield _run(run)


def _next(before: str, after: str) -> bool:
    numbers = _NUMBER.fullmatch(before) and _NUMBER.fullmatch(after)
    return bool(numbers) and int(after) == int(before) + 1


def _run(run: Sequence[str]) -> str:
    if len(run) > 1:
        return f"{run[0]}-{run[-1]}"
    # A lone word with a dash in it must not look like a run.
    return _word(run[0]).replace("-", "%2D")


def _middles(run: str) -> Iterator[str]:
    match = _RUN.fullmatch(run)
    if match is None:
        yield _plain(run)
        return
    first, last = int(match[1]), int(match[2])
    yield from map(str, range(first, last + 1))
