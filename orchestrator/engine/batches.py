"""Which transfers go together, which go first, and how many at one time. Pure."""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from orchestrator.engine.live import LiveTransfer
from staging.rules import LinkRules

Pair = tuple[str, str]
"""Source site, destination site."""

AT_ONCE = 8
_AT_A_SITE = 4
_ON_A_LINK = 2
MOST_FILES = 1000
MOST_BYTES = 256 << 20
ALONE_BYTES = 64 << 20
"""From this size on a file is a batch of its own: what is said of it is true of it alone."""


@dataclass(kw_only=True, eq=False)
class Batch:
    """Transfers that are carried together."""

    pair: Pair
    transfers: tuple[LiveTransfer, ...]
    bytes_done: int = 0
    told: int = 0
    """How many of its transfers the journal knows to be whole, or more."""
    held: bool = False
    """True once somebody wants one of them to be moved later, or never: it breaks off, and the others begin anew."""

    @property
    def size_bytes(self) -> int:
        """Of all of them."""
        return sum(transfer.size_bytes for transfer in self.transfers)


@dataclass(kw_only=True)
class Queue:
    """Transfers that wait for their turn, and the batches that are under way."""

    rules: Callable[[Pair], LinkRules]
    waiting: dict[Pair, dict[int, LiveTransfer]] = field(default_factory=lambda: defaultdict(dict))
    under_way: set[Batch] = field(default_factory=set)
    held: Callable[[LiveTransfer], bool] = lambda _: False
    """Whether people want a transfer to be moved later, or never."""

    def add(self, transfer: LiveTransfer) -> None:
        """The transfer waits."""
        self.waiting[transfer.source_site, transfer.destination_site][transfer.id] = transfer

    def take(self, now: float, importance: Callable[[LiveTransfer], tuple[float, ...]]) -> list[Batch]:
        """The batches that may begin now; they count as under way until `done`. Small `importance` goes first."""
        taken = []
        for batch in iter(lambda: self._next(now, importance), None):
            self.under_way.add(batch)
            for transfer in batch.transfers:
                del self.waiting[batch.pair][transfer.id]
            taken.append(batch)
        return taken

    def drop(self, transfer: LiveTransfer) -> bool:
        """The transfer waits no longer. False when it did not."""
        waiting = self.waiting[transfer.source_site, transfer.destination_site]
        return waiting.pop(transfer.id, None) is not None

    def done(self, batch: Batch) -> None:
        """The batch no longer takes up room."""
        self.under_way.discard(batch)

    def due_at(self, now: float) -> Iterator[float]:
        """When waiting transfers may begin that may not yet."""
        for pair, transfers in self.waiting.items():
            opens = self.rules(pair).opens_at(now)
            if opens > now and transfers:
                yield opens
            yield from {transfer.not_before for transfer in transfers.values() if transfer.not_before > now}

    def closed(self, now: float) -> dict[Pair, float]:
        """Links on which something waits for their window, with the time when it opens."""
        opens = {pair: self.rules(pair).opens_at(now) for pair, found in self.waiting.items() if found}
        return {pair: at for pair, at in opens.items() if at > now}

    def _next(self, now: float, importance: Callable[[LiveTransfer], tuple[float, ...]]) -> Batch | None:
        best: tuple[tuple[float, ...], Pair, list[LiveTransfer]] | None = None
        for pair in self._open(now):
            due = [
                transfer
                for transfer in self.waiting[pair].values()
                if transfer.not_before <= now and not self.held(transfer)
            ]
            first = heapq.nsmallest(MOST_FILES, due, key=importance)
            if first and (best is None or importance(first[0]) < best[0]):
                best = (importance(first[0]), pair, first)
        return Batch(pair=best[1], transfers=tuple(_together(best[2]))) if best else None

    def _open(self, now: float) -> list[Pair]:
        """Links on which another batch may begin."""
        if len(self.under_way) >= AT_ONCE:
            return []
        links = Counter(batch.pair for batch in self.under_way)
        sites = Counter(site for batch in self.under_way for site in set(batch.pair))
        return [
            pair
            for pair, transfers in self.waiting.items()
            if transfers
            and links[pair] < (self.rules(pair).at_once or _default_at_once(self.rules(pair)))
            and all(sites[site] < _AT_A_SITE for site in pair)
            and self.rules(pair).opens_at(now) <= now
        ]


def _default_at_once(rules: LinkRules) -> int:
    """Transfers under a limit go one after the other: each has all of it then."""
    return 1 if rules.limit_bytes_per_s else _ON_A_LINK


def _together(ranked: list[LiveTransfer]) -> Iterator[LiveTransfer]:
    """The first, and what may travel with it."""
    first, size = ranked[0], 0
    for transfer in ranked:
        alike = transfer.size_bytes < ALONE_BYTES and transfer.attempts == first.attempts
        if transfer is first or alike:
            size += transfer.size_bytes
            if transfer is not first and size > MOST_BYTES:
                return
            yield transfer
        if first.size_bytes >= ALONE_BYTES:
            return


def importance_of(
    waiting: Mapping[tuple[str, str], list[set[str]]], priorities: Mapping[tuple[str, str], int] = MappingProxyType({})
) -> Callable[[LiveTransfer], tuple[float, ...]]:
    """What is brought first: what tasks lack nothing else than, then what most tasks lack, then the oldest.

    Args:
        waiting: (sha256, site) -> for each task that waits for it, all that this task lacks.
        priorities: (sha256, site) -> the highest priority of their steps; it goes before all else.
    """

    def importance(transfer: LiveTransfer) -> tuple[float, ...]:
        place = transfer.sha256, transfer.destination_site
        tasks = waiting.get(place, [])
        least = min((len(lacking) for lacking in tasks), default=0)
        return (-priorities.get(place, 0), least, -len(tasks), transfer.id)

    return importance
