"""What tasks lack at their sites, and where it can be had."""

from __future__ import annotations

import time
from collections import defaultdict
from typing import Any

from metadata.errors import MiddlewareError, StagingError
from metadata.journal import TASKS, TRANSFERS, Page
from metadata.records import ReplicaRecord
from orchestrator.engine.batches import Queue
from orchestrator.engine.context import Context
from orchestrator.engine.copies import trusted
from orchestrator.engine.live import LiveRun, LiveStep, LiveTask, LiveTransfer
from orchestrator.engine.silences import Silences
from orchestrator.jobs import JobState
from staging.locations import store_path
from staging.routes import Route

_ORDERED_AT_ONCE = 5000
"""Transfers that one page of the journal takes; more of them wait for the next turn."""

_Place = tuple[str, str]
"""(sha256, site)"""


class Needs:
    """What the run's tasks lack. Each task is looked at once, and told when what it lacked has come."""

    def __init__(self, context: Context, run: LiveRun, queue: Queue, silences: Silences) -> None:
        self._context = context
        self._run = run
        self._queue = queue
        self._silences = silences
        self._present: dict[_Place, str] = {}
        """Path of content that was seen at a site."""
        self._routes: dict[tuple[str, str, int], Route] = {}
        self.waiting: dict[_Place, list[tuple[LiveStep, LiveTask]]] = defaultdict(list)
        """Tasks that wait for content at a site."""
        for transfer in run.transfers.values():
            if not transfer.state.final:
                queue.add(transfer)

    def path(self, sha256: str, site: str) -> str:
        """Where content lies at a site. Raises StagingError when it is not there, or not any more."""
        if (sha256, site) not in self._present:
            self._look_for({(sha256, site)})
        if (sha256, site) not in self._present:
            raise StagingError(
                f"sha256 {sha256[:12]}… no longer lies at {site}; try again with: convoy retry", site=site
            )
        return self._present[sha256, site]

    def request(self, page: Page) -> list[tuple[LiveStep, LiveTask]]:
        """Orders whatever due tasks lack at their sites; returns the tasks that lack nothing."""
        now = time.time()
        due = [
            (step, task)
            for step, task in self._run.tasks()
            if task.state in (JobState.NEW, JobState.STAGE_IN) and task.not_before <= now
        ]
        self._look_at([(step, task) for step, task in due if task.missing is None], page)
        for _, task in due:
            if task.missing and task.state is JobState.NEW:
                task.state = JobState.STAGE_IN
                page.update(TASKS, task.id, state=str(task.state))
        return [(step, task) for step, task in due if task.missing is not None and not task.missing]

    def arrived(self, transfer: LiveTransfer) -> None:
        """The content is there for all tasks that wait for it."""
        place = transfer.sha256, transfer.destination_site
        self._present[place] = transfer.destination_path
        for _, task in self.waiting.pop(place, []):
            if task.missing:
                task.missing.discard(transfer.sha256)

    def given_up(self, transfer: LiveTransfer) -> list[tuple[LiveStep, LiveTask]]:
        """The tasks that waited for the content in vain."""
        tasks = self.waiting.pop((transfer.sha256, transfer.destination_site), [])
        return [(step, task) for step, task in tasks if not task.state.final]

    def _look_at(self, fresh: list[tuple[LiveStep, LiveTask]], page: Page) -> None:
        """Finds what each task lacks and orders it, as far as the page has room."""
        self._routes = {}
        fresh = self._looked_up(fresh, page)
        some, room = [], _ORDERED_AT_ONCE
        for step, task in fresh:
            if room <= 0:
                break
            lacking = {file["sha256"]: file for file in step.needs(task) if not self._is_there(file, step)}
            room -= sum((sha256, step.plan.site) not in self._run.transfers for sha256 in lacking)
            some.append((step, task, lacking))
        unordered = {
            sha256
            for step, _, lacking in some
            for sha256 in lacking
            if (sha256, step.plan.site) not in self._run.transfers
        }
        copies = self._context.catalogue.replicas(unordered) if unordered else {}
        ordered: list[LiveTransfer] = []
        for step, task, lacking in some:
            try:
                ordered += self._order_missing(step, lacking, copies, page)
            except StagingError as error:
                fail(self._run, step, task, error.message, page)
                continue
            task.missing = set(lacking)
            for sha256 in lacking:
                self.waiting[sha256, step.plan.site].append((step, task))
        self._tell(ordered, page)

    def _looked_up(self, fresh: list[tuple[LiveStep, LiveTask]], page: Page) -> list[tuple[LiveStep, LiveTask]]:
        """The tasks whose sites told what they have; those of a silent site wait."""
        by_site: dict[str, set[_Place]] = defaultdict(set)
        for step, task in fresh:
            by_site[step.plan.site] |= {(file["sha256"], step.plan.site) for file in step.needs(task)}
        silent = {site for site in by_site if self._silences.rests(site)}
        for site in by_site.keys() - silent:
            try:
                self._look_for(by_site[site])
            except MiddlewareError as error:
                self._silences.note(site, error, page)
                silent.add(site)
        return [(step, task) for step, task in fresh if step.plan.site not in silent]

    def _is_there(self, file: dict[str, Any], step: LiveStep) -> bool:
        return (file["sha256"], step.plan.site) in self._present

    def _look_for(self, wanted: set[_Place]) -> None:
        """Notes which contents are really at their sites; a copy that vanished or changed is forgotten."""
        unseen = {place for place in wanted if place not in self._present}
        copies = self._context.catalogue.replicas({sha256 for sha256, _ in unseen}) if unseen else {}
        there = [copy for sha256, site in unseen for copy in copies.get(sha256, []) if copy.site == site]
        for copy in trusted(self._context, there):
            self._present.setdefault((copy.sha256, copy.site), copy.path)

    def _order_missing(
        self, step: LiveStep, lacking: dict[str, dict[str, Any]], copies: dict[str, list[ReplicaRecord]], page: Page
    ) -> list[LiveTransfer]:
        """The new transfers for a task; those that are under way for another one serve it, too."""
        ordered, site = [], step.plan.site
        for sha256, file in lacking.items():
            transfer = self._run.transfers.get((sha256, site))
            if transfer is None:
                ordered.append(self._order(step, file, copies.get(sha256, []), page))
            elif transfer.state is JobState.COMPLETED:
                self._reset(transfer, page)  # it had arrived, and was taken away since
            elif transfer.state in (JobState.FAILED, JobState.CANCELED):
                raise StagingError(transfer.message, site=site)
        return ordered

    def _order(self, step: LiveStep, file: dict[str, Any], copies: list[ReplicaRecord], page: Page) -> LiveTransfer:
        site, sha256, size = step.plan.site, file["sha256"], file["size_bytes"]
        known = [copy for copy in copies if copy.site in self._context.storages]
        if not known:
            raise StagingError(
                f"{file['name']} (sha256 {sha256[:12]}…) lies at no site any more; "
                "register it again with: convoy data add"
            )
        routes = {copy.site: self._best(copy.site, site, size) for copy in known}
        source = min(known, key=lambda copy: routes[copy.site].seconds)
        way = routes[source.site].way
        transfer = LiveTransfer(
            id=next(self._context.numbers[TRANSFERS]), step_id=step.id, name=file["name"], sha256=sha256,
            size_bytes=size, source_site=source.site, source_path=source.path, destination_site=site,
            destination_path=store_path(self._context.sites[site].settings.workdir, sha256), state=JobState.NEW,
            mover=way.mover, direction=str(way.direction), streams=way.streams, credential=str(way.credential),
        )  # fmt: skip
        self._run.transfers[sha256, site] = transfer
        self._queue.add(transfer)
        row = {key: value for key, value in vars(transfer).items() if key not in ("state", "started")}
        page.insert(TRANSFERS, run_id=self._run.id, state=str(transfer.state), created_at=time.time(), **row)
        return transfer

    def _best(self, source: str, destination: str, size_bytes: int) -> Route:
        """The same for files of about the same size: of ten thousand, few differ."""
        key = (source, destination, size_bytes.bit_length())
        if key not in self._routes:
            self._routes[key] = self._context.routes.ranked(source, destination, size_bytes=size_bytes)[0]
        return self._routes[key]

    def _reset(self, transfer: LiveTransfer, page: Page) -> None:
        transfer.state, transfer.attempts, transfer.not_before = JobState.NEW, 0, 0.0
        page.update(TRANSFERS, transfer.id, state=str(transfer.state), attempts=0, not_before=0.0)
        self._queue.add(transfer)

    def _tell(self, ordered: list[LiveTransfer], page: Page) -> None:
        """One line for each link, however many files it has to carry."""
        by_pair: dict[_Place, list[LiveTransfer]] = defaultdict(list)
        for transfer in ordered:
            by_pair[transfer.source_site, transfer.destination_site].append(transfer)
        for (source, destination), some in by_pair.items():
            size = sum(transfer.size_bytes for transfer in some)
            page.event(self._run.id, "transfer.ordered", subject(some), f"{source} -> {destination}, {size} bytes")


def subject(transfers: list[LiveTransfer] | tuple[LiveTransfer, ...]) -> str:
    """What the transfers are called together."""
    return transfers[0].name if len(transfers) == 1 else f"{len(transfers)} files"


def fail(run: LiveRun, step: LiveStep, task: LiveTask, message: str, page: Page) -> None:
    """The task has failed for good."""
    task.state = JobState.FAILED
    page.update(TASKS, task.id, state=str(task.state), message=message)
    page.event(run.id, "task.failed", f"{step.plan.name}[{task.position}]", message)
