"""Hands tasks to their sites, each exactly once."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from functools import cache
from pathlib import PurePosixPath
from typing import Any

from metadata.errors import MiddlewareError, TransientError
from metadata.journal import ATTEMPTS, TASKS, Page
from orchestrator.commands import TaskValues, link_targets, task_argv, task_environment
from orchestrator.engine.context import Context
from orchestrator.engine.live import LiveAttempt, LiveRun, LiveStep, LiveTask
from orchestrator.engine.needs import fail
from orchestrator.engine.silences import Silences
from orchestrator.jobs import (
    ExpectedOutput,
    JobAttributes,
    JobSpec,
    JobState,
    NativeId,
    StagedLink,
    Token,
)
from orchestrator.ports import JobExecutor, SupportsThrottle
from orchestrator.workflows import Resources

_Row = tuple[LiveStep, LiveTask, LiveAttempt]
_AT_ONCE = 250
"""Tasks a page: a killed engine has at most so many to look for at a site."""


@cache
def _document(resources: Resources) -> dict[str, Any]:
    """The resources as JSON; most tasks of a step ask for the same."""
    return resources.model_dump(mode="json")


class Submissions:
    """The run's tasks on their way into queues."""

    def __init__(self, context: Context, run: LiveRun, path: Callable[[str, str], str], silences: Silences) -> None:
        self._context = context
        self._run = run
        self._path = path
        """(sha256, site) -> where the content lies."""
        self._silences = silences

    def write_down(self, ready: Sequence[tuple[LiveStep, LiveTask]], page: Page) -> int:
        """Notes an attempt for each task: the token comes first, the site later. Returns how many must wait a turn.

        Those that their step's throttle holds back wait for others to end.
        """
        ready = list(self._let_through(ready))
        for step, task in ready[:_AT_ONCE]:
            task.attempts += 1
            attempt = self._attempt(step, task)
            task.attempt, task.state = attempt, JobState.QUEUED
            page.insert(
                ATTEMPTS, id=attempt.id, run_id=self._run.id, task_id=task.id, number=attempt.number,
                token=attempt.token, site=step.plan.site, directory=attempt.directory, state=str(attempt.state),
                resources=_document(attempt.resources), created_at=time.time(), native_id="", native_state="",
                node="", message="",
            )  # fmt: skip
            page.update(TASKS, task.id, state=str(task.state), attempts=task.attempts)
            page.event(self._run.id, "task.submitting", attempt.token, f"to {step.plan.site}")
        return max(0, len(ready) - _AT_ONCE)

    def _let_through(self, ready: Sequence[tuple[LiveStep, LiveTask]]) -> Iterator[tuple[LiveStep, LiveTask]]:
        """A step of which nothing is under way goes as a whole to where an array looks after its throttle."""
        under_way = Counter(step.plan.name for step, _, _ in self._run.under_way() if step.plan.throttle)
        whole = {step.plan.name for step, _ in ready if not under_way[step.plan.name] and self._throttles(step)}
        for step, task in ready:
            name, throttle = step.plan.name, step.plan.throttle
            if throttle is None or name in whole or under_way[name] < throttle:
                under_way[name] += 1
                yield step, task

    def _throttles(self, step: LiveStep) -> bool:
        executor = self._context.sites[step.plan.site].executor
        return isinstance(executor, SupportsThrottle) and executor.throttles

    def _attempt(self, step: LiveStep, task: LiveTask) -> LiveAttempt:
        token = Token(f"{self._run.id}.{step.plan.name}.{task.position}.{task.attempts}")
        folder = self._context.sites[step.plan.site].settings.workdir / "runs" / self._run.id / step.plan.name
        wanted = step.plan.resources.grown(dict(step.plan.retries.grow), task.attempts - 1 - task.interruptions)  # type: ignore[arg-type]
        return LiveAttempt(
            id=next(self._context.numbers[ATTEMPTS]),
            number=task.attempts,
            token=token,
            directory=str(folder / str(task.position) / str(task.attempts)),
            state=JobState.NEW,
            resources=wanted,
            doubtful=False,
        )

    def send(self, page: Page) -> set[str]:
        """Submits whatever is written down and not known to be at its site; returns the sites that were asked.

        Asks the site first when in doubt.
        """
        by_site: dict[str, list[_Row]] = defaultdict(list)
        for step, task, attempt in self._run.under_way():
            if attempt.native_id is None:
                by_site[step.plan.site].append((step, task, attempt))
        due = {site for site in by_site if not self._silences.rests(site)}
        for site in due:
            self._send_to(site, by_site[site], page)
        return due

    def _send_to(self, site: str, rows: list[_Row], page: Page) -> None:
        executor = self._context.sites[site].executor
        try:
            self._look_for(executor, site, [row for row in rows if row[2].doubtful], page)
            self._submit(executor, [row for row in rows if row[2].native_id is None], page)
            self._silences.end(site, page)
        except MiddlewareError as error:
            self._silences.note(site, error, page)

    def _look_for(self, executor: JobExecutor, site: str, unsure: Sequence[_Row], page: Page) -> None:
        if unsure:
            self._note_found(site, unsure, executor.find([attempt.token for _, _, attempt in unsure]), page)

    def _note_found(self, site: str, rows: Iterable[_Row], known: Mapping[Token, NativeId], page: Page) -> None:
        for _, _, attempt in rows:
            if attempt.token in known:
                self._accepted(attempt, known[attempt.token], page)
                page.event(self._run.id, "task.found", attempt.token, f"{site} has it already as {attempt.native_id}")

    def _submit(self, executor: JobExecutor, rows: Sequence[_Row], page: Page) -> None:
        """All in one go; when the site refuses, one by one, so that only the refused one fails."""
        by_token = {row[2].token: row for row in rows}
        specs = self._specs(rows, page)
        if not specs:
            return
        for spec in specs:
            by_token[spec.token][2].doubtful = True  # until the site's answer is here
        try:
            sent = executor.submit(specs)
        except TransientError:
            raise
        except MiddlewareError as error:
            if len(specs) == 1:
                self._refused(by_token[specs[0].token], error.message, page)
                return
            known = executor.find([spec.token for spec in specs])
            self._note_found("the site", [by_token[token] for token in known], known, page)
            for spec in specs:
                if spec.token not in known:
                    self._submit(executor, [by_token[spec.token]], page)
            return
        for spec in specs:
            if spec.token in sent:
                self._accepted(by_token[spec.token][2], sent[spec.token], page)
            else:
                self._refused(by_token[spec.token], "the site refused it and gave no reason", page)

    def cancel(self, site: str, page: Page) -> bool:
        """Ends every job of the run at a site, those included that the journal does not know to be there yet.

        False when the site could not be told: it may have any of them, and has to be told later.
        """
        if self._silences.rests(site):
            return False
        rows = [row for row in self._run.under_way() if row[0].plan.site == site]
        executor = self._context.sites[site].executor
        try:
            self._look_for(executor, site, [row for row in rows if row[2].native_id is None and row[2].doubtful], page)
            executor.cancel([attempt.native_id for _, _, attempt in rows if attempt.native_id])
        except MiddlewareError as error:
            self._silences.note(site, error, page)
            return False
        if rows:
            self._silences.end(site, page)
        for _, task, attempt in rows:
            if attempt.native_id is None:
                self._withdraw(task, attempt, page)
        return True

    def _withdraw(self, task: LiveTask, attempt: LiveAttempt, page: Page) -> None:
        """The attempt never came to its site, and never will."""
        attempt.state = task.state = JobState.CANCELED
        page.update(ATTEMPTS, attempt.id, state="CANCELED", ended_at=time.time())
        page.update(TASKS, task.id, state="CANCELED")

    def _accepted(self, attempt: LiveAttempt, native_id: NativeId, page: Page) -> None:
        attempt.native_id, attempt.state = native_id, JobState.QUEUED
        page.update(ATTEMPTS, attempt.id, native_id=native_id, state="QUEUED", submitted_at=time.time())

    def _refused(self, row: _Row, message: str, page: Page) -> None:
        step, task, attempt = row
        attempt.state = JobState.FAILED
        page.update(ATTEMPTS, attempt.id, state="FAILED", message=message, ended_at=time.time())
        fail(self._run, step, task, message, page)

    def _specs(self, rows: Iterable[_Row], page: Page) -> list[JobSpec]:
        specs = []
        for step, task, attempt in rows:
            try:
                specs.append(self._spec(step, task, attempt))
            except TransientError:
                raise  # its site is silent, which is no fault of the task
            except MiddlewareError as error:
                self._refused((step, task, attempt), error.message, page)
        return specs

    def _spec(self, step: LiveStep, task: LiveTask, attempt: LiveAttempt) -> JobSpec:
        plan, site = step.plan, self._context.sites[step.plan.site]
        if attempt.resources is not plan.resources:  # a retry may have asked for more, and its command hears of it
            plan = plan.model_copy(update={"resources": attempt.resources})
        given = TaskValues(
            inputs=task.inputs, parameters=task.parameters, workflow=self._run.plan.parameters, position=task.position
        )
        links = [
            StagedLink(source=PurePosixPath(self._path(file["sha256"], plan.site)), target=PurePosixPath(target))
            for rows in link_targets(task.inputs).values()
            for target, file in rows
        ]
        directory = PurePosixPath(attempt.directory)
        image = self._path(plan.image_file.sha256, plan.site) if plan.image_file else None
        wrapped = site.container.command(
            task_argv(plan, given),
            image=image,
            directory=directory,
            binds=sorted({link.source.parent for link in links}),
            gpus=attempt.resources.gpus,
        )
        told = {"CONVOY_RUN": self._run.id, "CONVOY_STEP": plan.name, "CONVOY_TASK": str(task.position)}
        limit = attempt.resources.time
        return JobSpec(
            token=attempt.token,
            executable=wrapped[0],
            arguments=wrapped[1:],
            directory=directory,
            environment=site.container.environment({**task_environment(plan, given), **told}, image=image),
            stdout_path=directory / "stdout.txt",
            stderr_path=directory / "stderr.txt",
            resources=attempt.resources.to_spec(),
            attributes=JobAttributes(
                duration=_span(limit or None),
                custom_attributes=plan.attributes,
                throttle=plan.throttle,
                expected=_span(plan.expected_s),
                bundle=_span(plan.bundle_s or None),
            ),
            stage_in=tuple(links),
            stage_out=tuple(
                ExpectedOutput(name=name, path=row.path, many=row.is_pattern, optional=row.optional)
                for name, row in plan.outputs.items()
            ),
        )


def _span(seconds: float | None) -> timedelta | None:
    return timedelta(seconds=seconds) if seconds is not None else None
