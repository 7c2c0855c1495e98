"""Files dealt out to streams as these get done with what they have, so that all are done at about the same time."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Sequence

_AHEAD_S = 0.5
"""A stream has this much to do: it must not run dry until its reports have come and more has gone to it."""
_LEAST_BYTES, _MOST_AT_FIRST_BYTES = 1 << 18, 1 << 20
_MEMORY_S = 0.5
_FILE_BYTES = 1 << 12
"""What a file costs beside its bytes."""


class Dealer:
    """Who of several streams takes which files: a slow one, which lost packets, takes fewer."""

    def __init__(self, sizes: Sequence[int], *, streams: int, at: float) -> None:
        """sizes: of the files, the largest first, or the last one keeps all others waiting. at: now, in seconds."""
        self._costs = [size + _FILE_BYTES for size in sizes]
        self._next = 0
        self._left = [0] * streams
        self._told_at = [at] * streams
        self._rates = [0.0] * streams
        fair = sum(self._costs) // (4 * streams)
        self._at_first = min(_MOST_AT_FIRST_BYTES, fair) if streams > 1 else math.inf

    @property
    def done(self) -> bool:
        """Whether nothing is left to deal."""
        return self._next == len(self._costs)

    def deal(self, stream: int) -> range:
        """The numbers of the files that the stream takes next; none as long as it has enough to do."""
        begin, left = self._next, self._left[stream]
        wanted = max(_LEAST_BYTES, _AHEAD_S * self._rates[stream]) if self._rates[stream] else self._at_first
        while not self.done and left < wanted:
            left += self._costs[self._next]
            self._next += 1
        self._left[stream] = left
        return range(begin, self._next)

    def arrived(self, stream: int, numbers: Iterable[int], *, at: float) -> None:
        """A stream is done with some files."""
        done = sum(self._costs[number] for number in numbers)
        passed_s = max(at - self._told_at[stream], 1e-3)
        weight = 1 - math.exp(-passed_s / _MEMORY_S) if self._rates[stream] else 1
        self._rates[stream] += weight * (done / passed_s - self._rates[stream])
        self._left[stream] -= done
        self._told_at[stream] = at


def shared_out(sizes: Sequence[int], streams: int) -> list[list[int]]:
    """Which stream takes which files, by number, where all is told at once: each takes about as many bytes."""
    shares = [list[int]() for _ in range(streams)]
    loads = [(0, stream) for stream in range(streams)]
    for number in sorted(range(len(sizes)), key=lambda number: -sizes[number]):
        load, stream = loads[0]
        heapq.heapreplace(loads, (load + sizes[number] + _FILE_BYTES, stream))
        shares[stream].append(number)
    return [sorted(share) for share in shares]
