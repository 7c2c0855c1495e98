"""Brings the data that tasks need to their sites."""

from __future__ import annotations

import queue
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from threading import Event

from metadata.errors import (
    MiddlewareError,
    SiteUnavailableError,
    StagingError,
    TransferInterruptedError,
    TransientError,
)
from metadata.holds import CANCEL, PAUSE, Wishes, wish_of
from metadata.journal import TRANSFERS, Page
from metadata.policy import ANYWHERE
from metadata.records import ReplicaRecord
from orchestrator.engine.batches import AT_ONCE, Batch, Pair, Queue, importance_of
from orchestrator.engine.context import Context
from orchestrator.engine.live import LiveRun, LiveStep, LiveTask, LiveTransfer
from orchestrator.engine.needs import Needs, fail, subject
from orchestrator.engine.silences import Silences
from orchestrator.jobs import JobState
from staging.locations import Location, partial_path
from staging.orders import Arrival, Delivery, Order, Trip
from staging.ports import FileDigest
from staging.routes import Way
from staging.rules import LinkRules

_TRIES = 5
_TRIES_A_WAY = 2
"""A way that broke off so often is tried again after the others."""
_TOLD_EVERY_S = 0.5
_CANCELED = "{name} was canceled on request: convoy transfer cancel. To bring it after all: convoy retry"


@dataclass(frozen=True, kw_only=True)
class _Outcome:
    batch: Batch
    delivery: Delivery
    seconds: float


class Stagings:
    """The run's data on its way."""

    def __init__(self, context: Context, run: LiveRun, wake: Callable[[], None], silences: Silences) -> None:
        self._context = context
        self._run = run
        self._wake = wake
        self._wishes: Wishes = {}
        self._held: dict[int, str] = {}
        """What people want of transfers that have not ended, as it was when they were last asked."""
        self._queue = Queue(rules=self._rules, held=lambda transfer: bool(self._wish(transfer)))
        self._needs = Needs(context, run, self._queue, silences)
        self._threads = ThreadPoolExecutor(max_workers=AT_ONCE, thread_name_prefix="transfer")
        self._outcomes: queue.SimpleQueue[_Outcome] = queue.SimpleQueue()
        self._stopping = Event()
        self._told_at = 0.0
        self._silences = silences
        self._closed: set[Pair] = set()
        """Links of which the journal says that they wait for their window."""

    @property
    def busy(self) -> bool:
        """True while a transfer is being carried."""
        return bool(self._queue.under_way)

    def due_at(self, now: float) -> Iterator[float]:
        """Moments at which waiting transfers may begin."""
        yield from self._queue.due_at(now)

    def path(self, sha256: str, site: str) -> str:
        """Where content lies at a site. Raises StagingError when it is not there, or not any more."""
        return self._needs.path(sha256, site)

    def request(self, page: Page) -> list[tuple[LiveStep, LiveTask]]:
        """Orders whatever due tasks lack at their sites; returns the tasks that lack nothing."""
        return self._needs.request(page)

    def close(self) -> None:
        """Running transfers break off at their next block; what arrived is kept for a resume."""
        self._stopping.set()
        self._threads.shutdown(wait=True, cancel_futures=True)
        if self._run.state.final:
            self._tidy()

    def _tidy(self) -> None:
        """Nobody will resume what a run left that has ended."""
        left: dict[str, list[str]] = defaultdict(list)
        for transfer in self._run.transfers.values():
            if transfer.state is JobState.CANCELED and transfer.started:
                left[transfer.destination_site].append(partial_path(transfer.destination_path, transfer.sha256))
        for site, paths in left.items():
            with suppress(MiddlewareError):  # `convoy data clean` finds them later
                self._context.storages[site].remove_all(paths)

    def _rules(self, pair: Pair) -> LinkRules:
        return self._context.routes.rules_of(*pair)

    # -- carrying ------------------------------------------------------------------------------------------------

    def admit(self, page: Page) -> list[Batch]:
        """Notes which transfers are started next, as many as there is room for; `start` follows once that is kept."""
        now = time.time()
        waiting = self._needs.waiting
        lacking = {place: [task.missing or set() for _, task in tasks] for place, tasks in waiting.items()}
        priorities = {place: max(step.plan.priority for step, _ in tasks) for place, tasks in waiting.items() if tasks}
        batches = self._queue.take(now, importance_of(lacking, priorities))
        for batch in batches:
            for transfer in batch.transfers:
                transfer.state = JobState.ACTIVE
                transfer.attempts += 1
                transfer.started = True
                page.update(TRANSFERS, transfer.id, state="ACTIVE", attempts=transfer.attempts, started_at=now)
        closed = self._queue.closed(now)
        for pair in closed.keys() - self._closed:
            opens = time.strftime("%H:%M", time.localtime(closed[pair]))
            page.event(self._run.id, "transfer.waiting", " -> ".join(pair), f"its window opens at {opens}")
        self._closed = set(closed)
        return batches

    def start(self, batches: Iterable[Batch]) -> None:
        """Carries the batches, each in a thread of its own."""
        batches = list(batches)
        hashes = {transfer.sha256 for batch in batches for transfer in batch.transfers}
        policies = self._context.catalogue.policies(hashes) if hashes else {}
        for batch in batches:
            orders = [
                Order(
                    name=transfer.name,
                    content=FileDigest(size_bytes=transfer.size_bytes, sha256=transfer.sha256),
                    source=Location(site=transfer.source_site, path=transfer.source_path),
                    destination=Location(site=transfer.destination_site, path=transfer.destination_path),
                    policy=policies.get(transfer.sha256, ANYWHERE),
                )
                for transfer in batch.transfers
            ]
            self._threads.submit(self._carry, batch, orders)

    def _carry(self, batch: Batch, orders: Sequence[Order]) -> None:
        def progress(bytes_done: int) -> None:
            batch.bytes_done = bytes_done
            if self._stopping.is_set() or batch.held:
                raise TransferInterruptedError(f"{orders[0].name}: {'held' if batch.held else 'the engine stops'}")

        begin = time.monotonic()
        try:
            delivery = self._context.carrier.carry(orders, ways=self._ways(batch), progress=progress)
        except MiddlewareError as error:
            delivery = _failed(orders, error)
        except Exception as error:  # noqa: BLE001 - the thread's outermost frame: anything else would vanish with it
            delivery = _failed(orders, StagingError(f"{orders[0].name}: {type(error).__name__}: {error}"))
        self._outcomes.put(_Outcome(batch=batch, delivery=delivery, seconds=time.monotonic() - begin))
        self._wake()

    def _ways(self, batch: Batch) -> list[Way]:
        """The quickest first; one that broke off again and again makes room for the next."""
        if batch.pair[0] == batch.pair[1]:
            return []
        routes = self._context.routes.ranked(
            *batch.pair, size_bytes=batch.size_bytes, files=len(batch.transfers), explore=True
        )
        ways = [route.way for route in routes]
        turn = (batch.transfers[0].attempts - 1) // _TRIES_A_WAY % len(ways)
        return ways[turn:] + ways[:turn]

    # -- what came of it -----------------------------------------------------------------------------------------

    def collect(self, page: Page) -> None:
        """Takes the outcomes of ended batches, and notes how far the others are."""
        while not self._outcomes.empty():
            outcome = self._outcomes.get()
            self._queue.done(outcome.batch)
            self._arrived(outcome, page)
            if self._stopping.is_set():
                continue  # of what broke off the journal says what the end of the run, or a resume, wants to find
            for transfer, result in zip(outcome.batch.transfers, outcome.delivery.outcomes, strict=True):
                if isinstance(result, TransferInterruptedError) and outcome.batch.held:
                    self._put_back(transfer, page)
                elif isinstance(result, MiddlewareError):
                    self._broke_off(transfer, result, page)
        if time.monotonic() - self._told_at >= _TOLD_EVERY_S:
            self._told_at = time.monotonic()
            for batch in self._queue.under_way:
                _tell_progress(batch, page)

    def _arrived(self, outcome: _Outcome, page: Page) -> None:
        """What lies there is registered before it is noted: a crash in between has it looked for again, not moved."""
        now = time.time()
        rows = zip(outcome.batch.transfers, outcome.delivery.outcomes, strict=True)
        done = [(transfer, result) for transfer, result in rows if isinstance(result, Arrival)]
        self._context.catalogue.add_replicas(_replica(transfer, arrival, now) for transfer, arrival in done)
        for trip in outcome.delivery.trips:
            self._measure(outcome.batch.pair, trip, now)
        for broken in outcome.delivery.broken:
            self._context.routes.history.note_failure(outcome.batch.pair, broken.key)
        if lost := [(order.source.path, order.content.sha256) for order in outcome.delivery.lost]:
            self._context.catalogue.remove_replicas(outcome.batch.pair[0], lost)
        way = outcome.delivery.trips[-1].way if outcome.delivery.trips else None
        for transfer, arrival in done:
            transfer.state = JobState.COMPLETED
            transfer.bytes_moved += arrival.bytes_moved
            if way:
                transfer.mover, transfer.direction = way.mover, str(way.direction)
                transfer.streams, transfer.credential = way.streams, str(way.credential)
            page.update(
                TRANSFERS, transfer.id, state="COMPLETED", bytes_done=transfer.size_bytes, ended_at=now, message="",
                bytes_moved=transfer.bytes_moved, mover=transfer.mover, direction=transfer.direction,
                streams=transfer.streams, credential=transfer.credential,
            )  # fmt: skip
            self._needs.arrived(transfer)
        if done:
            moved = sum(arrival.bytes_moved for _, arrival in done)
            told = f"{moved} bytes in {outcome.seconds:.3f} s{f' by {way}' if way else ''}, sha256 verified"
            page.event(self._run.id, "transfer.completed", subject([transfer for transfer, _ in done]), told)

    def _measure(self, pair: Pair, trip: Trip, now: float) -> None:
        if trip.telling:
            measurement = trip.measurement(*pair, measured_at=now)
            self._context.catalogue.add_measurement(measurement)
            self._context.routes.history.note(measurement)

    def _broke_off(self, transfer: LiveTransfer, error: MiddlewareError, page: Page) -> None:
        # A site that is silent comes back some day; a way that breaks off again and again does not mend itself.
        silent = isinstance(error, SiteUnavailableError)
        if isinstance(error, TransientError) and (silent or transfer.attempts < _TRIES):
            wait_s = error.retry_after_s * (1 if silent else 2 ** (transfer.attempts - 1))
            transfer.state, transfer.not_before = JobState.NEW, time.time() + wait_s
            page.update(TRANSFERS, transfer.id, state="NEW", not_before=transfer.not_before, message=error.message)
            page.event(self._run.id, "transfer.retrying", transfer.name, error.message)
            self._queue.add(transfer)
            return
        self._give_up(transfer, JobState.FAILED, error.message, page)

    def _give_up(self, transfer: LiveTransfer, state: JobState, message: str, page: Page) -> None:
        """It does not come, and the tasks that wait for it fail."""
        transfer.state, transfer.message = state, message
        page.update(TRANSFERS, transfer.id, state=str(state), message=message, ended_at=time.time())
        page.event(self._run.id, f"transfer.{state.lower()}", transfer.name, message)
        for step, task in self._needs.given_up(transfer):
            fail(self._run, step, task, message, page)

    # -- what people want ----------------------------------------------------------------------------------------

    def heed(self, wishes: Wishes, page: Page) -> None:
        """Transfers that people hold stop at their next block and wait; what they cancel fails, and leaves nothing."""
        self._wishes = wishes
        if not wishes and not self._held:
            return
        open_ones = [transfer for transfer in self._run.transfers.values() if not transfer.state.final]
        before, self._held = self._held, {row.id: wish for row in open_ones if (wish := self._wish(row))}
        for batch in self._queue.under_way:
            batch.held = batch.held or any(transfer.id in self._held for transfer in batch.transfers)
        for transfer in open_ones:
            if self._held.get(transfer.id) == CANCEL and self._queue.drop(transfer):
                self._give_up(transfer, JobState.CANCELED, _CANCELED.format(name=transfer.name), page)
        self._tell_holds(before, page)

    def _wish(self, transfer: LiveTransfer) -> str:
        return wish_of(self._wishes, str(transfer.id), self._run.id) if self._wishes else ""

    def _tell_holds(self, before: Mapping[int, str], page: Page) -> None:
        now = {number for number, wish in self._held.items() if wish == PAUSE}
        then = {number for number, wish in before.items() if wish == PAUSE}
        for kind, numbers in (("paused", now - then), ("resumed", then - now)):
            found = [row for row in self._run.transfers.values() if row.id in numbers and not row.state.final]
            if found:
                page.event(self._run.id, f"transfer.{kind}", subject(found), "on request")
        self._silences.pause(len(now), page)

    def _put_back(self, transfer: LiveTransfer, page: Page) -> None:
        """It was held on its way, or travelled with one that is: no failure, and what arrived of it is kept."""
        transfer.state, transfer.attempts = JobState.NEW, transfer.attempts - 1
        page.update(TRANSFERS, transfer.id, state="NEW", attempts=transfer.attempts)
        self._queue.add(transfer)

    def cancel(self, page: Page) -> None:
        """No transfer is started any more; those that run break off."""
        self._stopping.set()
        for transfer in self._run.transfers.values():
            if not transfer.state.final:
                transfer.state = JobState.CANCELED
                page.update(TRANSFERS, transfer.id, state="CANCELED", ended_at=time.time())


def _failed(orders: Sequence[Order], error: MiddlewareError) -> Delivery:
    return Delivery(outcomes=tuple(error for _ in orders))


def _replica(transfer: LiveTransfer, arrival: Arrival, now: float) -> ReplicaRecord:
    return ReplicaRecord(
        sha256=transfer.sha256, size_bytes=transfer.size_bytes, site=transfer.destination_site,
        path=transfer.destination_path, modified_ns=arrival.facts.modified_ns, inode=arrival.facts.inode,
        verified_at=now,
    )  # fmt: skip


def _tell_progress(batch: Batch, page: Page) -> None:
    """The bytes of a batch fill its files one after the other; only what changed is written."""
    before = sum(transfer.size_bytes for transfer in batch.transfers[: batch.told])
    for transfer in batch.transfers[batch.told :]:
        done = min(transfer.size_bytes, max(0, batch.bytes_done - before))
        if done != transfer.bytes_done:
            transfer.bytes_done = done
            page.update(TRANSFERS, transfer.id, bytes_done=done)
        if done < transfer.size_bytes:
            return
        before += transfer.size_bytes
        batch.told += 1
