"""Brings content to places outside any run, from wherever it lies best, and notes what arrived."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from metadata.errors import (
    IntegrityError,
    MiddlewareError,
    NotFoundError,
    SiteUnavailableError,
    StagingError,
    TransferInterruptedError,
)
from metadata.policy import Policy
from metadata.records import ReplicaRecord
from orchestrator.operations.data.shipping import Shipment
from orchestrator.operations.workspace import Workspace
from staging.locations import Location, store_path
from staging.orders import Arrival, Delivery, Order, Outcome, Trip
from staging.ports import FileDigest
from staging.routes import Routes
from staging.transfers import Carrier

FileProgress = Callable[[str, int, int], None]
"""(what is on its way or read, bytes done, how many in all)"""

_BATCH_FILES, _BATCH_BYTES = 10_000, 4 << 30
"""What travels in one call, and is noted when it has arrived: between two calls the link is idle for a second."""
_ELSEWHERE = (NotFoundError, IntegrityError, SiteUnavailableError)
"""Errors that another copy of the content may not have."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Errand:
    """Some content that shall lie at a place."""

    name: str
    """For people."""
    content: FileDigest
    copies: tuple[ReplicaRecord, ...]
    """Where it may be taken from."""
    destination: Location
    policy: Policy


@dataclass(frozen=True, kw_only=True)
class Carried:
    """What became of an errand."""

    name: str
    site: str
    path: str
    size_bytes: int
    bytes_moved: int = 0
    """Bytes that travelled: none when the content was there already."""
    source: str = ""
    """The site that it came from."""
    error: MiddlewareError | None = None

    @property
    def good(self) -> bool:
        """Whether the content lies at its destination, verified."""
        return self.error is None


def carry(
    workspace: Workspace,
    errands: Sequence[Errand],
    *,
    register: bool = True,
    asked_for: bool = True,
    progress: FileProgress | None = None,
) -> list[Carried]:
    """Each errand's content lies at its place, verified, or its error says why not.

    Every errand is tried from its nearest copy, and from the next one where that one is gone, changed or silent.

    Other processes may hold it meanwhile, or cancel it: see `orchestrator.operations.transfers`.

    Args:
        workspace: The home.
        errands: Any number, to any sites; no two to the same place.
        register: Whether the catalogue shall know what arrived as copies.
        asked_for: Whether a person wants the data; to read a copy is to use it then. Upkeep uses nothing.
        progress: Called with the bytes that have arrived.
    """
    if not errands:
        return []
    name, size = _called(errands), sum(errand.content.size_bytes for errand in errands)
    with Shipment(workspace, name=name, files=len(errands), size_bytes=size) as shipment:
        going = _Round(
            workspace, register=register, asked_for=asked_for, progress=progress, errands=errands, shipment=shipment
        )
        carried = going.carried()
        shipment.settle(sum(not row.good for row in carried))
    return carried


def _called(errands: Sequence[Errand]) -> str:
    return errands[0].name if len(errands) == 1 else f"{errands[0].name} with {len(errands) - 1} more"


def store_at(workspace: Workspace, site: str, sha256: str) -> Location:
    """Where a site keeps content by its hash. Raises NotFoundError."""
    return Location(site=site, path=str(store_path(workspace.workdir(site), sha256)))


def raise_first(carried: Iterable[Carried]) -> None:
    """Raises the first error; returns when there is none."""
    for row in carried:
        if row.error is not None:
            raise row.error


class _Round:
    """Errands on their way."""

    def __init__(
        self,
        workspace: Workspace,
        *,
        register: bool,
        asked_for: bool,
        progress: FileProgress | None,
        errands: Sequence[Errand],
        shipment: Shipment,
    ) -> None:
        self._workspace = workspace
        self._shipment = shipment
        self._register = register
        self._asked_for = asked_for
        self._progress = progress
        self._errands = errands
        self._routes = workspace.routes
        self._carrier = Carrier(
            storages=workspace.storages, movers=workspace.movers, routes=self._routes, claims=workspace.claims
        )
        self._total = sum(errand.content.size_bytes for errand in errands)
        self._settled = 0
        self._ranked: dict[tuple[str, str], float] = {}

    def carried(self) -> list[Carried]:
        left: dict[Errand, list[ReplicaRecord]] = {errand: self._sources(errand) for errand in self._errands}
        found: dict[Errand, Carried] = {errand: _stuck(errand) for errand, sources in left.items() if not sources}
        pending = [errand for errand, sources in left.items() if sources]
        while pending:
            again: list[Errand] = []
            for batch in _batches(pending, left):
                sources = [left[errand].pop(0) for errand in batch]
                for errand, carried in zip(batch, self._bring(batch, sources), strict=True):
                    found[errand] = carried
                    if isinstance(carried.error, _ELSEWHERE) and left[errand]:
                        again.append(errand)
                    else:
                        self._settled += errand.content.size_bytes
            pending = again
        return [found[errand] for errand in self._errands]

    def _sources(self, errand: Errand) -> list[ReplicaRecord]:
        """The copies at known sites, the nearest first."""
        there = [copy for copy in errand.copies if copy.site in self._workspace.storages]
        return sorted(there, key=lambda copy: (self._way(copy.site, errand.destination.site), copy.site, copy.path))

    def _way(self, source: str, destination: str) -> float:
        if (source, destination) not in self._ranked:
            self._ranked[source, destination] = seconds(self._routes, source, destination, 1 << 30)
        return self._ranked[source, destination]

    def _bring(self, batch: Sequence[Errand], sources: Sequence[ReplicaRecord]) -> list[Carried]:
        orders = [
            Order(
                name=errand.name,
                content=errand.content,
                source=Location(site=source.site, path=source.path),
                destination=errand.destination,
                policy=errand.policy,
            )
            for errand, source in zip(batch, sources, strict=True)
        ]
        self._tell(batch[0].name, self._settled)
        delivery = self._delivered(batch[0].name, orders)
        arrived = [
            (order, outcome)
            for order, outcome in zip(orders, delivery.outcomes, strict=True)
            if isinstance(outcome, Arrival)
        ]
        self._note(arrived, delivery.trips)
        if delivery.lost:
            pairs = [(order.source.path, order.content.sha256) for order in delivery.lost]
            self._workspace.catalogue.remove_replicas(orders[0].source.site, pairs)
        return [_told(order, outcome) for order, outcome in zip(orders, delivery.outcomes, strict=True)]

    def _delivered(self, name: str, orders: Sequence[Order]) -> Delivery:
        """What became of the orders. While people hold them they wait, and go on from what arrived before."""
        begun, trips = self._settled, list[Trip]()
        outcomes: Sequence[Outcome] = ()
        pair = orders[0].source.site, orders[0].destination.site

        def progress(done: int) -> None:
            self._tell(name, begun + done)
            self._shipment.tell(begun + done)

        while True:
            try:
                self._shipment.go(pair=pair, waiting=lambda why: self._tell(why, begun))
            except StagingError as error:
                self._take_back(orders)
                return Delivery(outcomes=_canceled(outcomes or [error] * len(orders), error), trips=tuple(trips))
            delivery = self._carrier.carry(orders, progress=progress)
            outcomes = delivery.outcomes
            trips += delivery.trips
            held = any(isinstance(outcome, TransferInterruptedError) for outcome in outcomes)
            if not (held and self._shipment.wish):
                return replace(delivery, trips=tuple(trips))

    def _take_back(self, orders: Sequence[Order]) -> None:
        """What is canceled leaves no partial file."""
        with suppress(MiddlewareError):  # `convoy data clean` finds them later
            self._workspace.storages[orders[0].destination.site].remove_all([order.partial_path for order in orders])

    def _tell(self, name: str, done: int) -> None:
        if self._progress:
            self._progress(name, done, self._total)

    def _note(self, arrived: Sequence[tuple[Order, Arrival]], trips: Sequence[Trip]) -> None:
        if self._register and arrived:
            self._workspace.catalogue.add_replicas([_replica(order, arrival) for order, arrival in arrived])
        uses = {(order.content.sha256, order.source.site) for order, _ in arrived if self._asked_for}
        uses |= {(order.content.sha256, order.destination.site) for order, _ in arrived if self._register}
        self._workspace.retention.note_uses(uses)
        if arrived:
            order = arrived[0][0]
            link = order.source.site, order.destination.site
            for trip in trips:
                if trip.telling:
                    self._workspace.catalogue.add_measurement(trip.measurement(*link, measured_at=time.time()))


def _canceled(outcomes: Sequence[Outcome], error: StagingError) -> tuple[Outcome, ...]:
    """What had arrived stays."""
    return tuple(outcome if isinstance(outcome, Arrival) else error for outcome in outcomes)


def seconds(routes: Routes, source: str, destination: str, size_bytes: int) -> float:
    """How long a transfer of so many bytes takes; infinite where there is no way."""
    if source == destination:
        return 0.0
    try:
        return routes.ranked(source, destination, size_bytes=size_bytes)[0].seconds
    except StagingError:
        return float("inf")


def _batches(pending: Sequence[Errand], left: dict[Errand, list[ReplicaRecord]]) -> list[list[Errand]]:
    """Errands that go the same way together."""
    groups: defaultdict[tuple[str, str], list[Errand]] = defaultdict(list)
    for errand in pending:
        groups[left[errand][0].site, errand.destination.site].append(errand)
    return [batch for group in groups.values() for batch in _portions(group)]


def _portions(group: Sequence[Errand]) -> Iterator[list[Errand]]:
    """At least one errand each, and no more than one call should have."""
    batch: list[Errand] = []
    size_bytes = 0
    for errand in group:
        if batch and (len(batch) == _BATCH_FILES or size_bytes + errand.content.size_bytes > _BATCH_BYTES):
            yield batch
            batch, size_bytes = [], 0
        batch.append(errand)
        size_bytes += errand.content.size_bytes
    if batch:
        yield batch


def _stuck(errand: Errand) -> Carried:
    error = NotFoundError(f"{errand.name} lies at no site that is known; see: convoy data show {errand.name}")
    return _carried(errand.name, errand.destination, errand.content, error=error)


def _told(order: Order, outcome: Arrival | MiddlewareError) -> Carried:
    if isinstance(outcome, Arrival):
        return _carried(
            order.name, order.destination, order.content, bytes_moved=outcome.bytes_moved, source=order.source.site
        )
    return _carried(order.name, order.destination, order.content, source=order.source.site, error=outcome)


def _carried(
    name: str,
    destination: Location,
    content: FileDigest,
    *,
    bytes_moved: int = 0,
    source: str = "",
    error: MiddlewareError | None = None,
) -> Carried:
    return Carried(
        name=name, site=destination.site, path=destination.path, size_bytes=content.size_bytes, source=source,
        bytes_moved=bytes_moved, error=error,
    )  # fmt: skip


def _replica(order: Order, arrival: Arrival) -> ReplicaRecord:
    return ReplicaRecord(
        sha256=order.content.sha256,
        size_bytes=order.content.size_bytes,
        site=order.destination.site,
        path=order.destination.path,
        modified_ns=arrival.facts.modified_ns,
        inode=arrival.facts.inode,
        verified_at=time.time(),
    )
