"""Brings the data that tasks need to their sites."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Event

from metadata.errors import MiddlewareError, StagingError, TransferInterruptedError, TransientError
from metadata.journal import Page
from metadata.policy import ANYWHERE
from metadata.records import Measurement, ReplicaRecord
from metadata.tables import TASKS, TRANSFERS
from orchestrator.engine.context import Context
from orchestrator.engine.copies import trusted
from orchestrator.engine.live import LiveRun, LiveStep, LiveTask, LiveTransfer
from orchestrator.jobs import JobState
from staging.locations import Location, store_path
from staging.ports import FileDigest
from staging.routes import Route, capabilities_of, choose_mover, link_rate
from staging.transfers import Arrival, Carrier, Order

_AT_ONCE = 4
_TRIES = 5
_TOLD_EVERY_S = 0.5


@dataclass(frozen=True, kw_only=True)
class _Outcome:
    transfer: LiveTransfer
    arrival: Arrival | None = None
    error: MiddlewareError | None = None


class Stagings:
    """The run's data on its way."""

    def __init__(self, context: Context, run: LiveRun, wake: Callable[[], None]) -> None:
        self._context = context
        self._run = run
        self._wake = wake
        self._capabilities = capabilities_of(context.movers)
        self._carrier = Carrier(storages=context.storages, movers=context.movers)
        self._threads = ThreadPoolExecutor(max_workers=_AT_ONCE, thread_name_prefix="transfer")
        self._outcomes: queue.SimpleQueue[_Outcome] = queue.SimpleQueue()
        self._carried: set[int] = set()
        self._stopping = Event()
        self._told_at = 0.0
        self._present: dict[tuple[str, str], str] = {}
        """(sha256, site) -> path, for content that was seen there."""

    @property
    def busy(self) -> bool:
        """True while a transfer is being carried."""
        return bool(self._carried)

    def path(self, sha256: str, site: str) -> str:
        """Where content lies at a site. Raises StagingError when it is not there, or not any more."""
        if (sha256, site) not in self._present:
            self._look_for({(sha256, site)})
        if (sha256, site) not in self._present:
            raise StagingError(
                f"sha256 {sha256[:12]}… no longer lies at {site}; try again with: convoy retry", site=site
            )
        return self._present[sha256, site]

    def close(self) -> None:
        """Running transfers break off at their next block; what arrived is kept for a resume."""
        self._stopping.set()
        self._threads.shutdown(wait=True, cancel_futures=True)

    # -- what is missing -----------------------------------------------------------------------------------------

    def request(self, page: Page) -> list[tuple[LiveStep, LiveTask]]:
        """Orders whatever due tasks lack at their sites; returns the tasks that lack nothing."""
        due = [
            (step, task)
            for step, task in self._run.tasks()
            if task.state in (JobState.NEW, JobState.STAGE_IN) and task.not_before <= time.time()
        ]
        self._look_for({(file["sha256"], step.plan.site) for step, task in due for file in step.needs(task)})
        ready = []
        for step, task in due:
            try:
                lacking = self._order_missing(step, task, page)
            except StagingError as error:
                fail(self._run, step, task, error.message, page)
                continue
            if not lacking:
                ready.append((step, task))
            elif task.state is JobState.NEW:
                task.state = JobState.STAGE_IN
                page.update(TASKS, task.id, state=str(task.state))
        return ready

    def _look_for(self, wanted: set[tuple[str, str]]) -> None:
        """Notes which contents are really at their sites; a copy that vanished or changed is forgotten."""
        unseen = {pair for pair in wanted if pair not in self._present}
        copies = self._context.catalogue.replicas({sha256 for sha256, _ in unseen}) if unseen else {}
        for sha256, site in unseen:
            for copy in copies.get(sha256, []):
                if copy.site == site and trusted(self._context, copy):
                    self._present[sha256, site] = copy.path
                    break

    def _order_missing(self, step: LiveStep, task: LiveTask, page: Page) -> bool:
        site, lacking = step.plan.site, False
        for file in step.needs(task):
            if (file["sha256"], site) in self._present:
                continue
            lacking = True
            transfer = self._run.transfers.get((file["sha256"], site))
            if transfer is None:
                self._order(step, file["name"], FileDigest(size_bytes=file["size_bytes"], sha256=file["sha256"]), page)
            elif transfer.state is JobState.COMPLETED:
                # It had arrived, and was taken away since.
                self._reset(transfer, page)
            elif transfer.state is JobState.FAILED:
                raise StagingError(transfer.message, site=site)
        return lacking

    def _order(self, step: LiveStep, name: str, content: FileDigest, page: Page) -> None:
        site = step.plan.site
        copies = list(self._context.catalogue.replicas([content.sha256]).get(content.sha256, []))
        copies = [copy for copy in copies if copy.site in self._context.storages]
        if not copies:
            raise StagingError(
                f"{name} (sha256 {content.sha256[:12]}…) lies at no site any more; "
                "register it again with: convoy data add"
            )
        source = min(copies, key=lambda copy: self._route(copy.site, site).seconds(content.size_bytes))
        store = store_path(self._context.sites[site].settings.workdir, content.sha256)
        transfer = LiveTransfer(
            id=next(self._context.numbers[TRANSFERS]), step_id=step.id, name=name, sha256=content.sha256,
            size_bytes=content.size_bytes, source_site=source.site, source_path=source.path, destination_site=site,
            destination_path=str(store), mover=self._route(source.site, site).mover, state=JobState.NEW,
        )  # fmt: skip
        self._run.transfers[content.sha256, site] = transfer
        row = {key: value for key, value in vars(transfer).items() if key not in ("bytes_told", "state", "message")}
        page.insert(TRANSFERS, run_id=self._run.id, state=str(transfer.state), created_at=time.time(), **row)
        page.event(
            self._run.id,
            "transfer.ordered",
            name,
            f"{source.site} -> {site}, {content.size_bytes} bytes, {transfer.mover}",
        )

    def _route(self, source: str, destination: str) -> Route:
        storages = self._context.storages
        return Route(
            mover=choose_mover(storages[source].endpoint, storages[destination].endpoint, self._capabilities),
            rate=link_rate((source, destination), measured=self._context.measured, declared=self._context.declared),
        )

    def _reset(self, transfer: LiveTransfer, page: Page) -> None:
        transfer.state, transfer.attempts, transfer.not_before = JobState.NEW, 0, 0.0
        page.update(TRANSFERS, transfer.id, state=str(transfer.state), attempts=0, not_before=0.0)

    # -- carrying ------------------------------------------------------------------------------------------------

    def admit(self, page: Page) -> list[LiveTransfer]:
        """Notes which transfers are started next, as many as there is room for; `start` follows once that is kept."""
        room = _AT_ONCE - len(self._carried)
        now = time.time()
        waiting = [
            transfer
            for transfer in self._run.transfers.values()
            if not transfer.state.final and transfer.id not in self._carried and transfer.not_before <= now
        ]
        admitted = waiting[: max(0, room)]
        for transfer in admitted:
            transfer.state = JobState.ACTIVE
            transfer.attempts += 1
            page.update(TRANSFERS, transfer.id, state="ACTIVE", attempts=transfer.attempts, started_at=now)
        return admitted

    def start(self, admitted: Iterable[LiveTransfer]) -> None:
        """Carries the transfers, each in a thread of its own."""
        transfers = list(admitted)
        if not transfers:
            return
        policies = self._context.catalogue.policies({transfer.sha256 for transfer in transfers})
        for transfer in transfers:
            order = Order(
                name=transfer.name,
                content=FileDigest(size_bytes=transfer.size_bytes, sha256=transfer.sha256),
                source=Location(site=transfer.source_site, path=transfer.source_path),
                destination=Location(site=transfer.destination_site, path=transfer.destination_path),
                mover=transfer.mover,
                policy=policies.get(transfer.sha256, ANYWHERE),
            )
            self._carried.add(transfer.id)
            self._threads.submit(self._carry, transfer, order)

    def _carry(self, transfer: LiveTransfer, order: Order) -> None:
        def progress(bytes_done: int) -> None:
            transfer.bytes_done = bytes_done
            if self._stopping.is_set():
                raise TransferInterruptedError(f"{order.name}: the engine stops")

        try:
            outcome = _Outcome(transfer=transfer, arrival=self._carrier.carry(order, progress=progress))
        except MiddlewareError as error:
            outcome = _Outcome(transfer=transfer, error=error)
        except Exception as error:  # noqa: BLE001 - the thread's outermost frame: anything else would vanish with it
            outcome = _Outcome(transfer=transfer, error=StagingError(f"{order.name}: {type(error).__name__}: {error}"))
        self._outcomes.put(outcome)
        self._wake()

    # -- what came of it -----------------------------------------------------------------------------------------

    def collect(self, page: Page) -> None:
        """Takes the outcomes of ended transfers, and notes how far the others are."""
        while not self._outcomes.empty():
            outcome = self._outcomes.get()
            self._carried.discard(outcome.transfer.id)
            if outcome.arrival is not None:
                self._arrived(outcome.transfer, outcome.arrival, page)
            elif outcome.error is not None:
                self._broke_off(outcome.transfer, outcome.error, page)
        if time.monotonic() - self._told_at >= _TOLD_EVERY_S:
            self._told_at = time.monotonic()
            for transfer in self._run.transfers.values():
                if transfer.state is JobState.ACTIVE and transfer.bytes_done != transfer.bytes_told:
                    transfer.bytes_told = transfer.bytes_done
                    page.update(TRANSFERS, transfer.id, bytes_done=transfer.bytes_done)

    def _arrived(self, transfer: LiveTransfer, arrival: Arrival, page: Page) -> None:
        now = time.time()
        self._context.catalogue.add_replicas([
            ReplicaRecord(
                sha256=transfer.sha256, size_bytes=transfer.size_bytes, site=transfer.destination_site,
                path=transfer.destination_path, modified_ns=arrival.modified_ns, verified_at=now,
            )
        ])  # fmt: skip
        if arrival.bytes_moved:
            self._context.catalogue.add_measurement(
                Measurement(
                    source_site=transfer.source_site, destination_site=transfer.destination_site, mover=transfer.mover,
                    size_bytes=arrival.bytes_moved, seconds=max(arrival.seconds, 1e-6), measured_at=now,
                )
            )  # fmt: skip
        self._present[transfer.sha256, transfer.destination_site] = transfer.destination_path
        transfer.state, transfer.bytes_done = JobState.COMPLETED, transfer.size_bytes
        transfer.bytes_moved += arrival.bytes_moved
        page.update(
            TRANSFERS, transfer.id, state="COMPLETED", bytes_done=transfer.size_bytes, bytes_moved=transfer.bytes_moved,
            ended_at=now, message="",
        )  # fmt: skip
        page.event(
            self._run.id,
            "transfer.completed",
            transfer.name,
            f"{arrival.bytes_moved} bytes in {arrival.seconds:.3f} s, sha256 verified",
        )

    def _broke_off(self, transfer: LiveTransfer, error: MiddlewareError, page: Page) -> None:
        if self._stopping.is_set():
            return  # the journal still says ACTIVE, which is what a resume wants to find
        if isinstance(error, TransientError) and transfer.attempts < _TRIES:
            transfer.state, transfer.not_before = JobState.NEW, time.time() + error.retry_after_s
            page.update(TRANSFERS, transfer.id, state="NEW", not_before=transfer.not_before, message=error.message)
            page.event(self._run.id, "transfer.retrying", transfer.name, error.message)
            return
        transfer.state, transfer.message = JobState.FAILED, error.message
        page.update(TRANSFERS, transfer.id, state="FAILED", message=error.message, ended_at=time.time())
        page.event(self._run.id, "transfer.failed", transfer.name, error.message)
        for step, task in self._run.tasks():
            needs = step.plan.site == transfer.destination_site and any(
                f["sha256"] == transfer.sha256 for f in step.needs(task)
            )
            if needs and not task.state.final:
                fail(self._run, step, task, error.message, page)

    def cancel(self, page: Page) -> None:
        """No transfer is started any more; those that run break off."""
        self._stopping.set()
        for transfer in self._run.transfers.values():
            if not transfer.state.final:
                transfer.state = JobState.CANCELED
                page.update(TRANSFERS, transfer.id, state="CANCELED", ended_at=time.time())


def fail(run: LiveRun, step: LiveStep, task: LiveTask, message: str, page: Page) -> None:
    """The task has failed for good."""
    task.state = JobState.FAILED
    page.update(TASKS, task.id, state=str(task.state), message=message)
    page.event(run.id, "task.failed", f"{step.plan.name}[{task.position}]", message)
