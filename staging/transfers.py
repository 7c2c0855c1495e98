"""Brings content to a site: checks, moves, verifies and gives it its final name at one instant."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from metadata.claims import Claim, Claims
from metadata.errors import (
    IntegrityError,
    MiddlewareError,
    NoSpaceError,
    NotFoundError,
    PermanentError,
    SiteUnavailableError,
    StagingError,
    TransferInterruptedError,
    TransientError,
    no_room,
)
from metadata.policy import check_move
from staging.orders import Arrival, Arrived, Delivery, Order, Outcome, Trip, changed, gone, shown
from staging.ports import FileDigest, FileStat, Mover, MoveRequest, Progress, Settled, Storage
from staging.routes import Routes, Way

_SPARE_BYTES = 1 << 20
"""Room that must be left beside the files, for whatever else the site does."""
_PROBED_BYTES = 1 << 30
"""Batches of this size reserve their room once before a byte moves: no question tells of a quota."""
_PATIENCE_S = 0.5
"""Between two looks whether another process has done with a file."""
_DIVISIONS = 40
"""How often a batch that fails is divided to find the files that it fails for; one of a thousand takes twenty."""


def _unheard(_done: int) -> None:
    """Progress that nobody wants to know."""


def _unnoted(_arrivals: Mapping[Order, Arrival]) -> None:
    """Arrivals that nobody notes."""


class Carrier:
    """Carries out orders between sites whose file systems it was given."""

    def __init__(
        self, *, storages: Mapping[str, Storage], movers: Mapping[str, Mover], routes: Routes, claims: Claims
    ) -> None:
        self._storages = storages
        self._movers = movers
        self.routes = routes
        self._claims = claims

    def carry(
        self,
        orders: Sequence[Order],
        *,
        ways: Sequence[Way] = (),
        progress: Progress = _unheard,
        arrived: Arrived = _unnoted,
    ) -> Delivery:
        """Every order's content lies at its destination with the right hash, under its final name, or it has its error.

        Args:
            orders: At least one; all of them from one site to one site. Of those to the same path one is carried.
            ways: The one to take, and what to fall back on; left out, the quickest go first.
            progress: Called with the bytes of all orders together that lie at the destination; it may raise
                TransferInterruptedError to break off.
            arrived: Called with orders that have arrived, while nobody else may bring or remove what lies there.
        """
        pair = orders[0].source.site, orders[0].destination.site
        if not ways and pair[0] != pair[1]:
            try:
                size = sum(order.content.size_bytes for order in orders)
                routes = self.routes.ranked(*pair, size_bytes=size, files=len(orders))
            except StagingError as error:
                return Delivery(outcomes=tuple(error for _ in orders))
            ways = [route.way for route in routes]
        distinct = {order.destination.path: order for order in orders}
        load = _Load(
            source=self._storages[pair[0]],
            destination=self._storages[pair[1]],
            movers=self._movers,
            claims=self._claims,
            ways=ways,
            limit_bytes_per_s=self.routes.rules_of(*pair).share_bytes_per_s,
            progress=progress,
            arrived=arrived,
            orders=list(distinct.values()),
        )
        load.carry()
        travelled = {trip.way for trip in load.trips}
        return Delivery(
            outcomes=tuple(load.outcomes[distinct[order.destination.path]] for order in orders),
            trips=tuple(load.trips),
            broken=tuple(way for way in load.broken if way not in travelled),
            lost=tuple(load.lost),
        )

    def carry_one(self, order: Order, *, progress: Progress = _unheard) -> Arrival:
        """The content lies at its destination.

        Raises PolicyError (it may not go there), NoSpaceError, NotFoundError or IntegrityError (the source is gone
        or changed), TransferInterruptedError (try again) or StagingError.
        """
        outcome = self.carry([order], progress=progress).outcomes[0]
        if isinstance(outcome, MiddlewareError):
            raise outcome
        return outcome


@dataclass(kw_only=True)
class _Load:
    """One batch on its way: what is pending, and what has become of the rest."""

    source: Storage
    destination: Storage
    movers: Mapping[str, Mover]
    claims: Claims
    ways: Sequence[Way]
    limit_bytes_per_s: float | None
    progress: Progress
    arrived: Arrived
    orders: list[Order]
    """The part of the batch that is dealt with."""
    outcomes: dict[Order, Outcome] = field(default_factory=dict)
    trips: list[Trip] = field(default_factory=list)
    broken: dict[Way, None] = field(default_factory=dict)
    lost: dict[Order, None] = field(default_factory=dict)
    """Orders whose source does not hold the content."""
    claim: Claim = field(default_factory=Claim)
    """What this process alone may write now."""
    holes: dict[Order, int] = field(default_factory=dict)
    """Bytes of the sources that are holes."""
    present: Mapping[str, FileStat] = field(default_factory=dict)
    """Partial files that lay there when the move began, by path."""
    free_bytes: int = 0
    """At the destination, as of then."""
    divisions_left: int = _DIVISIONS
    called_off: bool = False
    """Whether it was broken off by whoever is told how far it is, which is no fault of the way."""

    @property
    def pending(self) -> list[Order]:
        """Orders that have no outcome yet."""
        return [order for order in self.orders if order not in self.outcomes]

    def carry(self) -> None:
        """Every order has its outcome. What another process brings just now is waited for."""
        self._refuse_forbidden()
        left = {order: order.place for order in self.pending}
        while left:
            with self.claims.held(set(left.values())) as self.claim:
                self.orders = [order for order, place in left.items() if place in self.claim.places]
                claimed = self.orders
                self._carry_claimed()
                self.arrived({order: row for order in claimed if isinstance(row := self.outcomes[order], Arrival)})
            left = {order: place for order, place in left.items() if place not in self.claim.places}
            if left:
                try:
                    self.progress(self._settled_bytes())
                except TransientError as error:
                    self._fail(left, error)
                    return
                time.sleep(_PATIENCE_S)

    def _carry_claimed(self) -> None:
        """Nobody else writes where these orders go."""
        claimed = self.pending
        try:
            self._look()
            self._bring()
        except TransientError as error:
            self._fail(self.pending, error)
        except PermanentError as error:
            self._divide(error)
        self._clean_up(claimed)

    # -- before ------------------------------------------------------------------------------------------------

    def _refuse_forbidden(self) -> None:
        for order in self.pending:
            try:
                check_move(order.policy, order.destination.site, what=order.name)
            except PermanentError as error:
                self._fail([order], error)

    def _skip_present(self) -> None:
        """Takes what lies under its final name already, as when an earlier try got that far."""
        if not self.pending:
            return
        # One question for all: at a site with a long way each would be a journey.
        partials = [order.partial_path for order in self.pending]
        survey = self.destination.survey([*(order.destination.path for order in self.pending), *partials])
        finals, self.free_bytes = survey.facts, survey.free_bytes
        self.present = {path: finals[path] for path in partials if path in finals}
        alike = [
            order.destination.path
            for order in self.pending
            if order.destination.path in finals
            and finals[order.destination.path].size_bytes == order.content.size_bytes
        ]
        digests = self.destination.digests(alike) if alike else {}
        for order in self.pending:
            path = order.destination.path
            if digests.get(path) == order.content:
                self.outcomes[order] = Arrival(bytes_moved=0, facts=finals[path])

    def _bring(self) -> None:
        if self.pending and self.source is self.destination:
            self._check_sources()
            self._check_room()
            self._copy_within()
        elif self.pending:
            self._check_sources()
            self._check_room()
            self._move_by_best()

    def _look(self) -> None:
        """What lies there, whole or in part, before a move and after one that broke off."""
        self._skip_present()
        self._use_partials()

    def _use_partials(self) -> None:
        """Partial files that are whole get their names; wrong ones of full length go, others wait to be resumed."""
        whole = [
            order
            for order in self.pending
            if (facts := self.present.get(order.partial_path)) and facts.size_bytes >= order.content.size_bytes
        ]
        if whole:
            wrong = self._accept(whole, {}, dict.fromkeys(whole, 0))
            if wrong:
                self.destination.remove_all([order.partial_path for order in wrong])
                self.free_bytes = self.destination.survey([wrong[0].partial_path]).free_bytes
            self.present = {path: facts for path, facts in self.present.items() if path not in _partials(wrong)}

    def _check_sources(self) -> None:
        """What is gone or has another size fails here, before its fellows have to wait for it."""
        facts = self.source.stats([order.source.path for order in self.pending])
        for order in self.pending:
            found = facts.get(order.source.path)
            if found is None:
                self._lose(order, gone(order))
            elif found.size_bytes != order.content.size_bytes:
                self._lose(order, changed(order))
            elif found.hole_bytes:
                self.holes[order] = found.hole_bytes

    def _check_room(self) -> None:
        if not self.pending:
            return
        kept = {order: self._kept_holes(order) for order in self.holes}
        wanted = sum(max(0, self._missing_bytes(order) - kept.get(order, 0)) for order in self.pending)
        if self.free_bytes < wanted + _SPARE_BYTES:
            free = f"{self.free_bytes} are free, of which {_SPARE_BYTES} stay so"
            raise no_room(self.destination.endpoint.site, f"{shown(self.pending)} needs {wanted} bytes and {free}")
        if wanted >= _PROBED_BYTES:
            self.destination.probe_room(self.pending[0].partial_path, size_bytes=wanted)

    # -- moving ------------------------------------------------------------------------------------------------

    def _copy_within(self) -> None:
        """Content of the same site does not travel."""
        if self.pending:
            self.destination.copy_all([(order.source.path, order.partial_path) for order in self.pending])
            self._explain(self._accept(self.pending, {}, dict.fromkeys(self.pending, 0)))

    def _move_by_best(self) -> None:
        """Each way in turn, until one can."""
        trouble: PermanentError | None = None
        for way in self._ways_for_holes():
            if not self.pending:
                return
            try:
                self._move(way)
            except NotFoundError as error:
                # One of many is gone: it is found, and the others go on.
                before = len(self.pending)
                self._check_sources()
                if len(self.pending) == before:
                    raise
                self._look()
                trouble = error
            except (NoSpaceError, IntegrityError):
                self._look()
                raise
            except TransientError as error:
                if not self.called_off:
                    self.broken[way] = None
                    self._check_full(error)
                raise
            except PermanentError as error:
                self.broken[way] = None
                trouble = error
                # A tool that stumbles over a source that changed says so in words of its own.
                self._check_sources()
                self._look()
        if self.pending and trouble:
            raise trouble

    def _check_full(self, error: TransientError) -> None:
        """Raises NoSpaceError when the disk is full: whose connection broke because of that need not have said so."""
        if isinstance(error, SiteUnavailableError):
            return
        free = None
        with suppress(MiddlewareError):  # the first error is what is told then
            free = self.destination.survey([self.pending[0].destination.path]).free_bytes
        if free is not None and free < _SPARE_BYTES:
            raise no_room(self.destination.endpoint.site, f"no room left for {shown(self.pending)}") from error

    def _ways_for_holes(self) -> Sequence[Way]:
        """Ways that keep holes come first where there is much of them: the others send and write every zero."""
        holes = sum(self.holes.get(order, 0) for order in self.pending)
        if 2 * holes < sum(order.content.size_bytes for order in self.pending) or holes < _SPARE_BYTES:
            return self.ways
        return sorted(self.ways, key=lambda way: not self.movers[way.mover].capabilities.keeps_holes)

    def _kept_holes(self, order: Order) -> int:
        """Bytes for which no room is needed, if all goes well."""
        within = self.source is self.destination
        kept = within or any(self.movers[way.mover].capabilities.keeps_holes for way in self.ways)
        return self.holes.get(order, 0) if kept else 0

    def _move(self, way: Way) -> None:
        resumed = [order for order in self.pending if order.partial_path in self.present]
        wrong = self._move_once(way, self.pending)
        again = [order for order in wrong if order in resumed]
        if again:
            # What an earlier try left was not the beginning of these files; they are brought anew, once.
            self.destination.remove_all([order.partial_path for order in again])
            self.present = {}
            wrong = [order for order in wrong if order not in again] + self._move_once(way, again)
        self._explain(wrong)

    def _move_once(self, way: Way, orders: Sequence[Order]) -> list[Order]:
        """The orders whose bytes are not right at their partial paths; all others have arrived."""
        if not orders:
            return []
        begin = time.monotonic()
        mover = self.movers[way.mover]
        settled, lacking = self._settled_bytes(), {order: self._missing_bytes(order) for order in orders}
        request = MoveRequest(
            source=self.source.endpoint,
            destination=self.destination.endpoint,
            files=tuple(order.file for order in orders),
            direction=way.direction,
            credential=way.credential,
            streams=way.streams,
            limit_bytes_per_s=self.limit_bytes_per_s,
            fresh=not any(order.partial_path in self.present for order in orders),
            settled=self._settling(lacking),
        )
        result = mover.move(request, progress=lambda done: self._tell(settled + done))
        if len(orders) == 1:
            lacking[orders[0]] = result.bytes_moved
            self._count_alone(orders[0], result.bytes_moved)
        unsettled = [order for order in orders if order not in self.outcomes]
        wrong = self._accept(unsettled, result.digests, lacking, seen=result.facts)
        seconds = time.monotonic() - begin
        self.trips.append(
            Trip(
                way=way, files=len(orders), bytes_moved=result.bytes_moved, seconds=seconds, began_at=begin,
                hole_bytes=result.hole_bytes,
            )
        )  # fmt: skip
        return wrong

    def _tell(self, done: int) -> None:
        self._check_claim()
        try:
            self.progress(done)
        except TransientError:
            self.called_off = True
            raise

    def _check_claim(self) -> None:
        """What two processes write at once is not what either of them has hashed."""
        if self.claim.lost:
            message = f"{shown(self.pending)}: this process was silent for so long that another one took over"
            raise TransferInterruptedError(message)

    def _settled_bytes(self) -> int:
        return sum(order.content.size_bytes for order, row in self.outcomes.items() if isinstance(row, Arrival))

    def _missing_bytes(self, order: Order) -> int:
        facts, size = self.present.get(order.partial_path), order.content.size_bytes
        return max(0, size - facts.size_bytes) if facts else size

    # -- after -------------------------------------------------------------------------------------------------

    def _settling(self, lacking: Mapping[Order, int]) -> Settled:
        """What the mover found right, and gave its final name, has arrived, whatever becomes of the others."""
        by_path = {order.partial_path: order for order in lacking}

        def settled(path: str, facts: FileStat) -> None:
            self._check_claim()
            order = by_path[path]
            self.outcomes[order] = Arrival(bytes_moved=lacking[order], facts=facts)

        return settled

    def _count_alone(self, order: Order, bytes_moved: int) -> None:
        """Of a file that goes alone it is known what travelled; of several only what all of them lacked."""
        if isinstance(arrival := self.outcomes.get(order), Arrival):
            self.outcomes[order] = replace(arrival, bytes_moved=bytes_moved)

    def _accept(
        self,
        orders: Sequence[Order],
        known: Mapping[str, FileDigest],
        moved: Mapping[Order, int],
        *,
        seen: Mapping[str, FileStat] = MappingProxyType({}),
    ) -> list[Order]:
        """Whatever is right at its partial path gets its final name; returns the others.

        known, seen: What a mover told of partial files; whatever it did not is asked for.
        """
        unknown = [path for order in orders if (path := order.partial_path) not in known]
        digests = {**known, **(self.destination.digests(unknown) if unknown else {})}
        right = [order for order in orders if digests.get(order.partial_path) == order.content]
        if right:
            self._check_claim()
            self.destination.rename_all([(order.partial_path, order.destination.path) for order in right])
            # A new name changes neither time nor inode of a file.
            told = {
                order.destination.path: facts
                for order in right
                if (facts := seen.get(order.partial_path)) and facts.size_bytes == order.content.size_bytes
            }
            untold = [order.destination.path for order in right if order.destination.path not in told]
            finals = {**told, **(self.destination.stats(untold) if untold else {})}
            for order in right:
                if facts := finals.get(order.destination.path):
                    self.outcomes[order] = Arrival(bytes_moved=moved[order], facts=facts)
        return [order for order in orders if order not in self.outcomes]

    def _explain(self, wrong: Sequence[Order]) -> None:
        """Says for each whether the source or the way is to blame for wrong bytes. They do not stay."""
        if not wrong:
            return
        self.destination.remove_all([order.partial_path for order in wrong])
        digests = self.source.digests([order.source.path for order in wrong])
        for order in wrong:
            if order.source.path not in digests:
                self._lose(order, gone(order))
            elif digests[order.source.path] != order.content:
                self._lose(order, changed(order))
            else:
                site = order.destination.site
                message = f"{order.name} arrived wrong at {site}; it is sent again"
                self._fail([order], TransferInterruptedError(message, site=site))

    def _divide(self, error: PermanentError) -> None:
        """One bad file does not fail its fellows: the halves of a batch that failed go their own ways."""
        if len(self.pending) == 1 or isinstance(error, NoSpaceError) or self.divisions_left <= 0:
            self._fail(self.pending, error)
            return
        orders, middle = self.pending, len(self.pending) // 2
        for half in (orders[:middle], orders[middle:]):
            self.orders = half
            self.divisions_left -= 1
            try:
                self._look()
                self._bring()
            except TransientError as trouble:
                self._fail(self.pending, trouble)
            except PermanentError as trouble:
                self._divide(trouble)

    def _lose(self, order: Order, error: MiddlewareError) -> None:
        self.lost[order] = None
        self._fail([order], error)

    def _fail(self, orders: Iterable[Order], error: MiddlewareError) -> None:
        self.outcomes |= dict.fromkeys(orders, error)

    def _clean_up(self, orders: Iterable[Order]) -> None:
        """What failed for good leaves nothing: half a file would keep its room from others."""
        failed = [order.partial_path for order in orders if isinstance(self.outcomes.get(order), PermanentError)]
        if failed:
            with suppress(MiddlewareError):  # the failure itself is what is told
                self.destination.remove_all(failed)


def _partials(orders: Sequence[Order]) -> set[str]:
    return {order.partial_path for order in orders}
