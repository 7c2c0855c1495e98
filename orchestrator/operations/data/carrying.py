"""Brings content to places outside any run, from wherever it lies best, and notes what arrived."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from threading import BoundedSemaphore, Event, Lock

from metadata.errors import (
    IntegrityError,
    MiddlewareError,
    NotFoundError,
    SiteUnavailableError,
    StagingError,
    TransferInterruptedError,
)
from metadata.records import ReplicaRecord
from orchestrator.operations.data.errands import (
    Cargo,
    Carried,
    Errand,
    FileProgress,
    cargo_of,
    replica_of,
    stuck,
    told,
)
from orchestrator.operations.data.portions import portions
from orchestrator.operations.data.shipping import HeldError, Shipment
from orchestrator.operations.workspace import Workspace
from staging.orders import Arrival, Delivery, Order, Outcome, Trip, merged
from staging.routes import Routes, Way
from staging.transfers import Carrier

_AT_ONCE = 4
"""Portions on their way, whatever their links are."""
_AT_ONCE_A_LINK = 2
"""While one portion travels, the next is prepared and sets out."""
_ELSEWHERE = (NotFoundError, IntegrityError, SiteUnavailableError)
"""Errors that another copy of the content may not have."""

_Pair = tuple[str, str]


def carry(
    workspace: Workspace,
    errands: Iterable[Errand],
    *,
    cargo: Cargo | None = None,
    register: bool = True,
    asked_for: bool = True,
    progress: FileProgress | None = None,
) -> list[Carried]:
    """Each errand's content lies at its place, verified, or its error says why not.

    Every errand is tried from its nearest copy, and from the next one where that one is gone, changed or silent.

    Other processes may hold it meanwhile, or cancel it: see `orchestrator.operations.transfers`.

    Args:
        workspace: The home.
        errands: Any number, to any sites; no two to the same place. They are taken one by one as they come, while
            those before them travel, if `cargo` says what they are together.
        cargo: Left out, it is counted.
        register: Whether the catalogue shall know what arrived as copies.
        asked_for: Whether a person wants the data; to read a copy is to use it then. Upkeep uses nothing.
        progress: Called with the bytes that have arrived, from several threads.
    """
    if cargo is None:
        errands = list(errands)
        if not errands:
            return []
        cargo = cargo_of(errands)
    with Shipment(workspace, cargo) as shipment:
        going = _Round(
            workspace, cargo=cargo, register=register, asked_for=asked_for, progress=progress, shipment=shipment
        )
        carried = going.carried(errands)
        shipment.settle(sum(not row.good for row in carried))
    return carried


class _Round:
    """Errands on their way."""

    def __init__(
        self,
        workspace: Workspace,
        *,
        cargo: Cargo,
        register: bool,
        asked_for: bool,
        progress: FileProgress | None,
        shipment: Shipment,
    ) -> None:
        self._workspace = workspace
        self._cargo = cargo
        self._shipment = shipment
        self._register = register
        self._asked_for = asked_for
        self._routes = workspace.routes
        self._carrier = Carrier(
            storages=workspace.storages, movers=workspace.movers, routes=self._routes, claims=workspace.claims
        )
        self._tally = _Tally(cargo.size_bytes, progress)
        self._left: dict[Errand, list[ReplicaRecord]] = {}
        """Copies that were not tried yet."""
        self._ranked: dict[_Pair, float] = {}
        self._ways: dict[_Pair, Sequence[Way]] = {}
        self._links: dict[_Pair, BoundedSemaphore] = {}
        self._trips: defaultdict[_Pair, list[Trip]] = defaultdict(list)
        self._stopping = Event()

    def carried(self, errands: Iterable[Errand]) -> list[Carried]:
        found: dict[Errand, Carried | None] = {}
        pending: Iterable[Errand] = self._placed(errands, found)
        with self._crew() as crew:
            while True:
                rows = [row for future in self._sent(crew, pending) for row in future.result()]
                found.update(rows)
                again = [errand for errand, row in rows if isinstance(row.error, _ELSEWHERE) and self._left[errand]]
                if not again:
                    break
                pending = again
        self._note_links()
        return [row or stuck(errand) for errand, row in found.items()]

    def _placed(self, errands: Iterable[Errand], found: dict[Errand, Carried | None]) -> Iterator[Errand]:
        """Those that can be taken from somewhere. All of them have their place in `found` then."""
        for errand in errands:
            found[errand] = None
            self._left[errand] = self._sources(errand)
            if self._left[errand]:
                yield errand

    def _sent(self, crew: ThreadPoolExecutor, pending: Iterable[Errand]) -> list[Future[list[tuple[Errand, Carried]]]]:
        """All of them are on their way, in portions that go the same way together."""

        def pair(errand: Errand) -> _Pair:
            return self._left[errand][0].site, errand.destination.site

        sent = []
        for portion in portions(pending, size_bytes=lambda errand: errand.content.size_bytes, group=pair):
            self._prepare(pair(portion[0]))
            sent.append(crew.submit(self._bring, portion, [self._left[errand].pop(0) for errand in portion]))
        return sent

    @contextmanager
    def _crew(self) -> Iterator[ThreadPoolExecutor]:
        """After an error the others break off, and what has arrived of them is kept for a resume."""
        crew = ThreadPoolExecutor(max_workers=_AT_ONCE, thread_name_prefix="carry")
        try:
            yield crew
        except BaseException:
            self._stopping.set()
            crew.shutdown(cancel_futures=True)
            raise
        crew.shutdown()

    def _sources(self, errand: Errand) -> list[ReplicaRecord]:
        """The copies at known sites, the nearest first."""
        there = [copy for copy in errand.copies if copy.site in self._workspace.storages]
        if len(there) < 2:
            return there
        return sorted(
            there, key=lambda copy: (self._distance(copy.site, errand.destination.site), copy.site, copy.path)
        )

    def _distance(self, source: str, destination: str) -> float:
        if (source, destination) not in self._ranked:
            self._ranked[source, destination] = seconds(self._routes, source, destination, 1 << 30)
        return self._ranked[source, destination]

    def _prepare(self, pair: _Pair) -> None:
        """It is decided how to go, and how much may go at once."""
        if pair in self._links:
            return
        rules = self._routes.rules_of(*pair)
        most = rules.at_once or (1 if rules.limit_bytes_per_s else _AT_ONCE_A_LINK)
        self._links[pair] = BoundedSemaphore(min(most, _AT_ONCE_A_LINK))
        self._ways[pair] = ()
        if pair[0] != pair[1]:
            with suppress(StagingError):  # the carrier tells why there is none
                cargo = self._cargo
                routes = self._routes.ranked(*pair, size_bytes=cargo.size_bytes, files=cargo.files)
                self._ways[pair] = [route.way for route in routes]

    # -- in threads of their own -----------------------------------------------------------------------------------

    def _bring(self, portion: Sequence[Errand], sources: Sequence[ReplicaRecord]) -> list[tuple[Errand, Carried]]:
        pair = sources[0].site, portion[0].destination.site
        orders = [errand.order(source) for errand, source in zip(portion, sources, strict=True)]
        with self._links[pair]:
            delivery = self._delivered(pair, orders)
        self._note(pair, orders, delivery)
        rows = [told(order, outcome) for order, outcome in zip(orders, delivery.outcomes, strict=True)]
        settled = [errand for errand, row in zip(portion, rows, strict=True) if row.good or not self._left[errand]]
        self._tally.settle(orders[0], sum(errand.content.size_bytes for errand in settled))
        return list(zip(portion, rows, strict=True))

    def _delivered(self, pair: _Pair, orders: Sequence[Order]) -> Delivery:
        """What became of the orders. While people hold them they wait, and go on from what arrived before."""
        trips, outcomes, name = list[Trip](), list[Outcome](), orders[0].name

        def progress(done: int) -> None:
            if self._stopping.is_set():
                raise TransferInterruptedError(f"{name}: broken off")
            self._shipment.tell(self._tally.tell(orders[0], done))

        while True:
            try:
                self._shipment.go(pair, opens_at=self._routes.rules_of(*pair).opens_at, waiting=self._tally.wait)
            except StagingError as error:
                self._take_back(orders)
                return Delivery(outcomes=_canceled(outcomes or [error] * len(orders), error), trips=tuple(trips))
            delivery = self._carrier.carry(orders, ways=self._ways[pair], progress=progress, arrived=self._register_all)
            outcomes = list(delivery.outcomes)
            trips += delivery.trips
            if not any(isinstance(outcome, HeldError) for outcome in outcomes):
                return replace(delivery, trips=tuple(trips))

    def _take_back(self, orders: Sequence[Order]) -> None:
        """What is canceled leaves no partial file; what another process brings just now stays."""
        places = {order.place: order.partial_path for order in orders}
        with suppress(MiddlewareError), self._workspace.claims.held(places) as claim:  # `convoy data clean` comes later
            mine = [places[place] for place in claim.places]
            self._workspace.storages[orders[0].destination.site].remove_all(mine)

    def _register_all(self, arrivals: Mapping[Order, Arrival]) -> None:
        if self._register and arrivals:
            self._workspace.catalogue.add_replicas(replica_of(order, arrival) for order, arrival in arrivals.items())

    def _note(self, pair: _Pair, orders: Sequence[Order], delivery: Delivery) -> None:
        arrived = [
            order for order, outcome in zip(orders, delivery.outcomes, strict=True) if isinstance(outcome, Arrival)
        ]
        uses = {(order.content.sha256, order.source.site) for order in arrived if self._asked_for}
        uses |= {(order.content.sha256, order.destination.site) for order in arrived if self._register}
        self._workspace.retention.note_uses(uses)
        if arrived:
            self._trips[pair] += delivery.trips
        if delivery.lost:
            self._workspace.catalogue.remove_replicas(
                pair[0], [(order.source.path, order.content.sha256) for order in delivery.lost]
            )

    def _note_links(self) -> None:
        """What went over a link at the same time is one measurement of it."""
        for pair, trips in self._trips.items():
            for trip in merged(trips):
                self._workspace.catalogue.add_measurement(trip.measurement(*pair, measured_at=time.time()))


class _Tally:
    """How many bytes have arrived. Thread-safe."""

    def __init__(self, total_bytes: int, progress: FileProgress | None) -> None:
        self._total = total_bytes
        self._progress = progress
        self._settled = 0
        self._under_way: dict[Order, int] = {}
        """By each portion's first order."""
        self._counting = Lock()

    def tell(self, first: Order, done: int) -> int:
        """So many bytes of a portion are there. Returns how many of all are."""
        with self._counting:
            self._under_way[first] = done
            return self._told(first.name)

    def settle(self, first: Order, size_bytes: int) -> None:
        """A portion is over; so many of its bytes are not looked for any more."""
        with self._counting:
            self._under_way.pop(first, None)
            self._settled += size_bytes
            self._told(first.name)

    def wait(self, why: str) -> None:
        """Nothing moves."""
        with self._counting:
            self._told(why)

    def _told(self, name: str) -> int:
        done = self._settled + sum(self._under_way.values())
        if self._progress:
            self._progress(name, done, self._total)
        return done


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
