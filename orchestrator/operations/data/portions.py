"""Divides many files into portions, of which one is prepared while another travels."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import TypeVar

FIRST_FILES, MOST_FILES = 2000, 8000
FIRST_BYTES, MOST_BYTES = 256 << 20, 4 << 30
"""Of a portion. The first is small, so that the link has something to do soon; each is twice the one before, because
each costs a question or two to the site."""

_T = TypeVar("_T")


def portions(
    items: Iterable[_T], *, size_bytes: Callable[[_T], int], group: Callable[[_T], Hashable] = lambda _: None
) -> Iterator[list[_T]]:
    """The items in their order, those of each group in portions of their own; a portion has at least one item.

    The items are taken as they come: a portion is there before the items behind it are.
    """
    open_portions: defaultdict[Hashable, list[_T]] = defaultdict(list)
    sizes: defaultdict[Hashable, int] = defaultdict(int)
    made: defaultdict[Hashable, int] = defaultdict(int)
    for item in items:
        key, size = group(item), size_bytes(item)
        if open_portions[key] and sizes[key] + size > min(FIRST_BYTES << made[key], MOST_BYTES):
            yield open_portions.pop(key)
            sizes[key], made[key] = 0, made[key] + 1
        open_portions[key].append(item)
        sizes[key] += size
        if len(open_portions[key]) >= min(FIRST_FILES << made[key], MOST_FILES):
            yield open_portions.pop(key)
            sizes[key], made[key] = 0, made[key] + 1
    yield from (portion for portion in open_portions.values() if portion)
