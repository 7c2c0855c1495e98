"""Turns the wheel until a run has ended."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial

from metadata.errors import MiddlewareError
from metadata.holders import HEARTBEAT_S
from metadata.journal import RUNS, TASKS, Page
from metadata.lease import EngineLease
from orchestrator.engine.batches import Batch
from orchestrator.engine.completions import Completions
from orchestrator.engine.context import Context
from orchestrator.engine.expansion import open_steps, opens
from orchestrator.engine.live import LiveRun, load_run
from orchestrator.engine.pulse import Pulse
from orchestrator.engine.reuse import take_over
from orchestrator.engine.silences import Silences
from orchestrator.engine.stagings import Stagings
from orchestrator.engine.submissions import Submissions
from orchestrator.engine.webhooks import Webhooks, write_down
from orchestrator.jobs import JobState
from orchestrator.ports import SupportsNotification

_SPACING_S = (0.02, 0.1)
"""Least and most between two turns: changes that come together are written together."""
_LONGEST_WAIT_S = 1.0
_WISHES_EVERY_S = 0.5

Observer = Callable[[], None]
"""Called after every turn."""


class Engine:
    """Carries out one run. It may be killed at any instant: another engine goes on where the journal ends."""

    def __init__(self, context: Context, run_id: str, *, lease: EngineLease, observe: Observer = lambda: None) -> None:
        self._context = context
        # Every page is kept only while the lease is ours, so that two engines never both act.
        self._journal = context.journal.guarded_by(lease.holder)
        self._lease = lease
        self._observe = observe
        self._run = load_run(self._journal, run_id)
        self._wake = threading.Event()
        self._idle = threading.Event()
        self._due: set[str] = set()
        self._lost = threading.Event()
        self._silences = Silences(run_id)
        self._stagings = Stagings(context, self._run, self._wake.set, self._silences)
        self._submissions = Submissions(context, self._run, self._stagings.path, self._silences)
        self._completions = Completions(context, self._run, self._silences)
        # Such a check looks at every method, and each change asks for it.
        executors = ((name, site.executor) for name, site in context.sites.items())
        self._telling = {name: executor for name, executor in executors if isinstance(executor, SupportsNotification)}
        self._pulse = Pulse()
        self._webhooks = Webhooks(context.webhook, context.outbox) if context.webhook else None
        self._untold: set[str] = set()
        """Sites that have not been told yet that the run is canceled."""
        self._wishes_read_at = 0.0

    def carry_out(self) -> JobState:
        """The state in which the run ended. On KeyboardInterrupt the jobs go on and the run can be resumed."""
        try:
            self._begin()
            clock_needed_at = self._clock_needed_at()
            while not self._run.state.final and not self._lost.is_set():
                begin = time.monotonic()
                self._idle.clear()
                self._turn()
                self._observe()
                took = time.monotonic() - begin
                if not self._run.state.final:
                    if time.monotonic() >= clock_needed_at:
                        self._pulse.start()
                    self._wake.wait(timeout=self._patience())
                    self._wake.clear()
                    self._idle.wait(timeout=_spacing(took))
        finally:
            self._pulse.stop()
            self._stagings.close()
            for site in self._context.sites.values():
                site.executor.close()
            if self._webhooks:
                self._webhooks.close()
        return self._run.state

    def _begin(self) -> None:
        self._due.update(self._context.sites)
        for name, executor in self._telling.items():
            executor.subscribe(partial(self._look_at, name))
        self._pulse.every("heartbeat", HEARTBEAT_S, self._beat)
        page = Page()
        if self._run.state is not JobState.ACTIVE:
            self._run.state = JobState.ACTIVE
            page.update(RUNS, self._run.id, state="ACTIVE", started_at=time.time())
            page.event(self._run.id, "run.started", self._run.id)
        else:
            page.update(RUNS, self._run.id, message="")
            page.event(self._run.id, "run.resumed", self._run.id)
        self._commit(page)

    def _commit(self, page: Page) -> None:
        """The page is kept with what others shall hear of it; only then they are told."""
        if self._webhooks:
            write_down(page, run_id=self._run.id)
        self._journal.commit(page)
        if self._webhooks:
            self._webhooks.wake()

    def _clock_needed_at(self) -> float:
        """Sites that tell of changes by themselves wake the engine; whether one forgot is asked after a second only."""
        return time.monotonic() + (_LONGEST_WAIT_S if len(self._telling) == len(self._context.sites) else 0.0)

    def _beat(self) -> None:
        if not self._lease.renew():
            self._lost.set()
            self._wake.set()

    def _look_at(self, site: str) -> None:
        self._due.add(site)
        if site in self._telling and self._telling[site].idle:
            self._idle.set()
        self._wake.set()

    def _patience(self) -> float:
        """Seconds to wait for news; less when a retry falls due."""
        moments = [task.not_before for _, task in self._run.tasks() if not task.state.final and task.not_before]
        moments += self._stagings.due_at(time.time())
        waits = [moment - time.time() for moment in moments]
        return min([_LONGEST_WAIT_S, *(wait for wait in waits if wait > 0)])

    def _turn(self) -> None:
        """Observations are written first, then decisions; only then is anything done."""
        page = Page()
        self._heed_wishes(page)
        self._ask_sites(page)
        self._stagings.collect(page)
        admitted = [] if self._run.canceling else self._decide(page)
        self._end(page)
        self._commit(page)
        self._stagings.start(admitted)
        if not self._run.canceling:
            sent = Page()
            for site in self._submissions.send(sent):
                self._ask_later(site, changed=True)
            self._commit(sent)

    def _decide(self, page: Page) -> list[Batch]:
        open_steps(self._run, page, self._context.numbers[TASKS])
        reused = take_over(self._context, self._run, page, silences=self._silences)
        ready = self._stagings.request(page)
        rest = self._submissions.write_down(ready, page)
        if reused or rest:
            self._wake.set()  # the next turn has work already
        return self._stagings.admit(page)

    def _ask_sites(self, page: Page) -> None:
        due, self._due = self._due, set()
        for site in due:
            try:
                changed = self._completions.ask(site, page)
            except MiddlewareError as error:  # this site is in trouble; the others need not wait for it
                self._silences.note(site, error, page)
                changed = False
            self._ask_later(site, changed=changed)

    def _ask_later(self, site: str, *, changed: bool) -> None:
        # An executor that tells of changes by itself is only asked to be safe.
        quick = changed and site not in self._telling
        self._pulse.adapt(f"ask {site}", partial(self._look_at, site), changed=quick)

    # -- ends ----------------------------------------------------------------------------------------------------

    def _heed_wishes(self, page: Page) -> None:
        if self._run.canceling:
            self._untold = {site for site in self._untold if not self._submissions.cancel(site, page)}
            return
        if time.monotonic() - self._wishes_read_at < _WISHES_EVERY_S:
            return
        self._wishes_read_at = time.monotonic()
        if self._journal.wanted(self._run.id) == "cancel":
            self._cancel(page)
        else:
            self._stagings.heed(self._journal.wishes(), page)

    def _cancel(self, page: Page) -> None:
        """Nothing begins any more. What sites have, or may have, ends once each of them was told."""
        self._run.canceling = True
        page.event(self._run.id, "run.canceling", self._run.id)
        self._stagings.cancel(page)
        for _step, task in self._run.tasks():
            sent = task.attempt is not None and not task.attempt.state.final
            if not task.state.final and not sent:
                task.state = JobState.CANCELED
                page.update(TASKS, task.id, state="CANCELED")
        self._untold = {site for site in self._context.sites if not self._submissions.cancel(site, page)}

    def _end(self, page: Page) -> None:
        """Settles the run once nothing goes on and nothing more can begin."""
        if self._run.state.final or self._stagings.busy:
            return
        if any(not task.state.final for _, task in self._run.tasks()):
            return
        if not self._run.canceling and any(opens(self._run, step) for step in self._run.steps.values()):
            return
        steps = self._run.steps.values()
        if all(step.completed for step in steps):
            state, message = JobState.COMPLETED, ""
        elif self._run.canceling:
            state, message = JobState.CANCELED, "canceled on request"
        elif any(step.doomed for step in steps):
            state, message = JobState.FAILED, _what_failed(self._run)
        else:
            return
        self._run.state = state
        page.update(RUNS, self._run.id, state=str(state), message=message, ended_at=time.time())
        page.event(self._run.id, f"run.{state.lower()}", self._run.id, message)


def _spacing(turn_s: float) -> float:
    """A turn that took long is followed by a longer pause, so that tasks get most of the machine; idle sites end it."""
    least, most = _SPACING_S
    return min(most, max(least, 2 * turn_s))


def _what_failed(run: LiveRun) -> str:
    counts = {name: sum(task.state is JobState.FAILED for task in step.tasks) for name, step in run.steps.items()}
    broken = [step.broken for step in run.steps.values() if step.broken]
    told = ", ".join(f"{count} of {len(run.steps[name].tasks)} in {name}" for name, count in counts.items() if count)
    parts = [*broken, *([f"tasks failed: {told}"] if told else [])]
    return "; ".join(parts) or "tasks were canceled at their site"
