"""What is to be brought where, and what became of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from metadata.claims import place_of
from metadata.errors import IntegrityError, MiddlewareError, NotFoundError
from metadata.policy import Policy
from metadata.records import Measurement
from staging.locations import Location, partial_path
from staging.ports import FileDigest, FileStat, MoveFile
from staging.routes import Way

_INSTANT_S = 1e-6


@dataclass(frozen=True, kw_only=True, eq=False)
class Order:
    """Some content that shall be brought to a site."""

    name: str
    """For people."""
    content: FileDigest
    source: Location
    destination: Location
    policy: Policy

    @cached_property
    def partial_path(self) -> str:
        """Where the content is gathered."""
        return partial_path(self.destination.path, self.content.sha256)

    @property
    def place(self) -> str:
        """What whoever brings it claims: see `metadata.claims`."""
        return place_of(self.destination.site, self.partial_path)

    @property
    def file(self) -> MoveFile:
        """What a mover has to know of it."""
        return MoveFile(
            source_path=self.source.path, partial_path=self.partial_path, size_bytes=self.content.size_bytes,
            final_path=self.destination.path, sha256=self.content.sha256,
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Arrival:
    """Content that lies where it was ordered, verified."""

    bytes_moved: int
    """Bytes that travelled: none when the content was there already, fewer than its size after a resume."""
    facts: FileStat
    """The file's, at its destination."""


Arrived = Callable[[Mapping[Order, Arrival]], None]
"""Hears of orders that have arrived."""
Outcome = Arrival | MiddlewareError
"""What became of an order. After a TransientError what arrived is kept for a resume; after others nothing is left."""


@dataclass(frozen=True, kw_only=True)
class Trip:
    """What one call of a mover told about a way."""

    way: Way
    files: int
    bytes_moved: int
    seconds: float
    """Until all was verified and had its final name."""
    began_at: float = 0.0
    """In time.monotonic()'s seconds."""
    hole_bytes: int = 0
    """Bytes that were not sent because they are nothing."""

    @property
    def telling(self) -> bool:
        """Whether it says something of the link: holes cost time, but go no way."""
        return self.bytes_moved > 0 and not self.hole_bytes

    def measurement(self, source: str, destination: str, *, measured_at: float) -> Measurement:
        """What the link between two sites is known by; the time is in seconds since the epoch."""
        return Measurement(
            source_site=source, destination_site=destination, mover=self.way.mover,
            direction=str(self.way.direction), streams=self.way.streams, files=self.files,
            size_bytes=self.bytes_moved, seconds=max(self.seconds, _INSTANT_S), measured_at=measured_at,
        )  # fmt: skip


def merged(trips: Iterable[Trip]) -> list[Trip]:
    """One trip for each way, of those that tell something; time in which several were under way counts once."""
    by_way: dict[Way, list[Trip]] = {}
    for trip in trips:
        if trip.telling:
            by_way.setdefault(trip.way, []).append(trip)
    return [
        Trip(
            way=way, files=sum(trip.files for trip in rows), bytes_moved=sum(trip.bytes_moved for trip in rows),
            seconds=_busy_s(rows), began_at=min(trip.began_at for trip in rows),
        )
        for way, rows in by_way.items()
    ]  # fmt: skip


def _busy_s(trips: Iterable[Trip]) -> float:
    """For how long at least one of them was under way."""
    busy, until = 0.0, float("-inf")
    for trip in sorted(trips, key=lambda trip: trip.began_at):
        ended = trip.began_at + trip.seconds
        busy += max(0.0, ended - max(until, trip.began_at))
        until = max(until, ended)
    return busy


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """What became of a batch."""

    outcomes: tuple[Outcome, ...]
    """In the order of the orders."""
    trips: tuple[Trip, ...] = ()
    broken: tuple[Way, ...] = ()
    """Ways that could not, or broke off, and brought nothing."""
    lost: tuple[Order, ...] = ()
    """Orders whose source was looked at and holds something else now, or nothing: it is no copy any longer."""


def shown(orders: Sequence[Order]) -> str:
    """Some orders in few words."""
    return orders[0].name if len(orders) == 1 else f"{orders[0].name} with {len(orders) - 1} more"


def gone(order: Order) -> NotFoundError:
    """Its source is not there."""
    site = order.source.site
    return NotFoundError(
        f"{site}: {order.source.path} ({order.name}) is gone, and no longer counted as a copy. When it is back, "
        "register it again with: convoy data add",
        site=site,
    )


def changed(order: Order) -> IntegrityError:
    """Its source holds something else."""
    return IntegrityError(
        f"{order.name} changed: {order.source} no longer holds sha256 {order.content.sha256[:12]}…, and is no longer "
        "counted as a copy. Register the new file, or the old one when it is back, with: convoy data add",
        site=order.source.site,
    )
