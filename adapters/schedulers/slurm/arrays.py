"""How Slurm writes the elements of a job array. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import groupby

from orchestrator.jobs import NativeId

_EXPRESSION = re.compile(r"(\d+)_\[([^%\]]*)(?:%\d+)?\]?")
_RANGE = re.compile(r"(\d+)(?:-(\d+)(?::(\d+))?)?")


def expand(native_id: str) -> tuple[NativeId, ...]:
    """The jobs that one line of an answer is about.

    >>> expand("123_[4-7:3,9%2]")
    ('123_4', '123_7', '123_9')
    >>> expand("123")
    ('123',)
    """
    match = _EXPRESSION.match(native_id)
    if match is None:
        return (NativeId(native_id),)
    return tuple(NativeId(f"{match[1]}_{index}") for index in parse_indexes(match[2]))


def parse_indexes(expression: str) -> Iterator[int]:
    """The numbers in `0,3-5,10-20:5`; Slurm may end a long one with `...`, and what it left out is not guessed."""
    for part in expression.split(","):
        match = _RANGE.fullmatch(part.strip())
        if match is None:
            continue
        first, last, step = match.groups()
        yield from range(int(first), int(last or first) + 1, max(1, int(step or 1)))


def packed(ids: Sequence[NativeId]) -> tuple[str, ...]:
    """The ids with neighbours in an array as one word, so that one request goes out for them.

    >>> packed(["12", "13_0", "13_1", "13_2", "13_7"])
    ('12', '13_[0-2,7]')
    """
    elements: dict[str, list[int]] = {}
    for native_id in ids:
        job, _, index = native_id.partition("_")
        elements.setdefault(job, []).extend([int(index)] if index.isdigit() else [])
    return tuple(f"{job}_[{','.join(_runs(sorted(indexes)))}]" if indexes else job for job, indexes in elements.items())


def _runs(indexes: Sequence[int]) -> Iterator[str]:
    for _, group in groupby(enumerate(indexes), key=lambda pair: pair[1] - pair[0]):
        run = [index for _, index in group]
        yield f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0])


def whole_jobs(ids: Sequence[NativeId]) -> str:
    """The ids for `-j`, each array named once: its elements come with it, and the command stays short."""
    return ",".join(dict.fromkeys(native_id.partition("_")[0] for native_id in ids))
