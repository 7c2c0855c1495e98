"""Takes what sites say of jobs, and decides what becomes of their tasks."""

from __future__ import annotations

import time
import unicodedata
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

from metadata.errors import MiddlewareError, TransientError
from metadata.journal import ATTEMPTS, TASKS, Page
from orchestrator.engine.context import Context
from orchestrator.engine.live import INTERRUPTED, LiveAttempt, LiveRun, LiveStep, LiveTask
from orchestrator.engine.needs import fail
from orchestrator.engine.results import register
from orchestrator.engine.silences import Silences
from orchestrator.jobs import JobState, JobStatus, NativeId, ProducedFile
from orchestrator.lifecycle import may_follow
from orchestrator.workflows import FileType

_MISSED_LIMIT = 3
"""Answers without a job before it is taken for lost."""

_LATE_S = 60.0
"""What a job left may be told so long after its end: file systems show other machines' files when they please."""

_FORGOTTEN = "the site no longer knows the job"
_INTERRUPTIONS = 5
"""How often a task is begun anew because of its site, before its site is taken to be at fault for good."""

_CONTROL = ("Cc", "Cs", "Zl", "Zp")
"""Unicode's control characters, lone surrogates and line ends: no catalogue, list or screen can carry them."""

_Row = tuple[LiveStep, LiveTask, LiveAttempt]


@dataclass(frozen=True, kw_only=True)
class _News:
    """What a site's answer changed for one task."""

    step: LiveStep
    task: LiveTask
    attempt: LiveAttempt
    status: JobStatus
    made: dict[str, list[dict[str, Any]]]
    trouble: str
    """What is wrong with what it left, although the program ended well."""


class Completions:
    """The run's tasks as their sites see them."""

    def __init__(self, context: Context, run: LiveRun, silences: Silences) -> None:
        self._context = context
        self._run = run
        self._silences = silences
        self._missed: dict[str, int] = defaultdict(int)
        self._untold_since: dict[str, float] = {}
        """Attempts that ended well and of which nobody knows yet what they left, by when that was seen first."""

    def ask(self, site: str, page: Page) -> bool:
        """One question to a site about all its jobs. True when anything changed."""
        rows = [row for row in self._run.under_way() if row[0].plan.site == site and row[2].native_id is not None]
        if not rows:
            return False
        try:
            answer = self._context.sites[site].executor.status([a.native_id for _, _, a in rows if a.native_id])
        except TransientError as error:
            self._silences.note(site, error, page)
            return False
        self._silences.end(site, page)
        return self._take(rows, answer, page)

    def _take(self, rows: list[_Row], answer: Mapping[NativeId, JobStatus], page: Page) -> bool:
        """What was made is registered first: when that breaks off nothing is noted, and the site is asked again."""
        superseded = _superseded(rows)
        news = [news for row in rows if (news := self._news(row, answer, superseded, page))]
        done = [one for one in news if one.status.state is JobState.COMPLETED and not one.trouble]
        for one in done:
            one.task.outputs = one.made
        refused = register(self._context, self._run, [(one.step, one.task) for one in done])
        for one in news:
            self._note(replace(one, trouble=one.trouble or refused.get(one.task.id, "")), page)
        return bool(news)

    def _news(self, row: _Row, answer: Mapping[NativeId, JobStatus], superseded: set[int], page: Page) -> _News | None:
        """What changed for a task; None when nothing did."""
        step, task, attempt = row
        status = answer.get(NativeId(attempt.native_id or ""))
        if status is None or status.token not in (None, attempt.token) or attempt.id in superseded:
            status = self._absent(attempt)
        elif status.state is not JobState.UNKNOWN:
            self._missed.pop(attempt.token, None)
        if (status.state, status.native_state) == (attempt.state, attempt.native_state):
            return None
        if not may_follow(attempt.state, status.state):
            page.event(self._run.id, "task.strange", attempt.token, f"{attempt.state} cannot become {status.state}")
            return None
        trouble, made = "", _by_output(step, attempt, status.outputs or ())
        if status.state is JobState.COMPLETED and status.outputs is None and step.plan.outputs:
            if not self._too_late(attempt):
                return None
            trouble = "its site does not tell what it left"
        elif status.state is JobState.COMPLETED:
            trouble = _trouble(step, made)
        return _News(step=step, task=task, attempt=attempt, status=status, made=made, trouble=trouble)

    def _too_late(self, attempt: LiveAttempt) -> bool:
        since = self._untold_since.setdefault(attempt.token, time.monotonic())
        return time.monotonic() - since >= _LATE_S

    def _absent(self, attempt: LiveAttempt) -> JobStatus:
        """A job that its site does not mention is unknown, and lost after some answers without it; never completed."""
        self._missed[attempt.token] += 1
        if self._missed[attempt.token] < _MISSED_LIMIT:
            return JobStatus(state=JobState.UNKNOWN, native_state=attempt.native_state)
        return JobStatus(state=JobState.FAILED, native_state="LOST", interrupted=True, message=_FORGOTTEN)

    def _note(self, news: _News, page: Page) -> None:
        task, attempt, status = news.task, news.attempt, news.status
        attempt.state, attempt.native_state = status.state, status.native_state
        page.update(
            ATTEMPTS, attempt.id, state=str(status.state), native_state=status.native_state, node=status.node,
            exit_code=status.exit_code, message=status.message, started_at=status.started_at,
            ended_at=status.ended_at if status.state.final else None,
        )  # fmt: skip
        if news.trouble:
            fail(self._run, news.step, task, f"{news.step.plan.site}: the program ended well but {news.trouble}", page)
        elif status.state is JobState.COMPLETED:
            task.state = status.state
            page.update(TASKS, task.id, state=str(task.state), outputs=task.outputs, message="")
            page.event(self._run.id, "task.completed", attempt.token)
        elif status.state in (JobState.ACTIVE, JobState.QUEUED):
            task.state = status.state
            page.update(TASKS, task.id, state=str(status.state))
        elif status.state is JobState.FAILED:
            self._failed(news.step, task, attempt, status, page)
        elif status.state is JobState.CANCELED:
            task.state = JobState.CANCELED
            page.update(TASKS, task.id, state="CANCELED", message=status.message)
            page.event(self._run.id, "task.canceled", attempt.token, status.native_state)

    def _failed(self, step: LiveStep, task: LiveTask, attempt: LiveAttempt, status: JobStatus, page: Page) -> None:
        reason = self._reason(step, attempt, status)
        retries = step.plan.retries
        if status.interrupted:
            task.interruptions += 1
            page.event(self._run.id, INTERRUPTED, attempt.token, reason)
        allowed = _INTERRUPTIONS if status.interrupted else retries.attempts
        used = task.interruptions - 1 if status.interrupted else attempt.number - 1 - task.interruptions
        if used >= allowed or self._run.canceling:
            fail(self._run, step, task, reason, page)
            return
        task.state, task.not_before = JobState.NEW, time.time() + retries.delay
        page.update(TASKS, task.id, state="NEW", not_before=task.not_before, message=reason)
        grown = f", with more {', '.join(retries.grow)}" if retries.grow and not status.interrupted else ""
        page.event(
            self._run.id,
            "task.retrying",
            attempt.token,
            f"{reason}; try {used + 2} of {allowed + 1}{grown}",
        )

    def _reason(self, step: LiveStep, attempt: LiveAttempt, status: JobStatus) -> str:
        """Why it failed, with the last words of its error output: the first thing that a person wants to know."""
        what = f"exit code {status.exit_code}" if status.exit_code is not None else status.native_state
        detail = status.message or self._last_words(step, attempt)
        return f"{step.plan.site}: {what}" + (f": {detail}" if detail else "")

    def _last_words(self, step: LiveStep, attempt: LiveAttempt) -> str:
        storage = self._context.storages[step.plan.site]
        path = str(PurePosixPath(attempt.directory) / "stderr.txt")
        try:
            text = storage.read(path, limit_bytes=2000) if storage.stat(path) else b""
        except MiddlewareError:
            return ""  # the failure itself is told all the same
        lines = text.decode(errors="replace").strip().splitlines()
        return lines[-1].strip() if lines else ""


def _superseded(rows: Sequence[_Row]) -> set[int]:
    """Attempts whose number was given a second time: their site had forgotten them."""
    newest: dict[NativeId | None, int] = {}
    for _, _, attempt in rows:
        newest[attempt.native_id] = max(attempt.id, newest.get(attempt.native_id, 0))
    return {attempt.id for _, _, attempt in rows if newest[attempt.native_id] != attempt.id}


def _trouble(step: LiveStep, made: Mapping[str, list[dict[str, Any]]]) -> str:
    """What is wrong with what a task left; empty when every declared output is there."""
    outputs = step.plan.outputs
    names = [file["relative"] for files in made.values() for file in files]
    odd = [repr(name) for name in names if any(unicodedata.category(letter) in _CONTROL for letter in name)]
    if odd:
        return f"it left files whose names hold control characters: {', '.join(odd)}"
    missing = [f"{name} ({row.path})" for name, row in outputs.items() if not made.get(name) and not row.optional]
    if missing:
        return f"it did not leave {', '.join(missing)}"
    several = [name for name, row in outputs.items() if row.type is FileType.FILE and len(made.get(name, [])) > 1]
    return f"it left several files for {', '.join(several)}" if several else ""


def _by_output(
    step: LiveStep, attempt: LiveAttempt, files: tuple[ProducedFile, ...]
) -> dict[str, list[dict[str, Any]]]:
    made: dict[str, list[dict[str, Any]]] = defaultdict(list)
    directory = PurePosixPath(attempt.directory)
    for file in files:
        made[file.output].append({
            "name": file.path.name, "sha256": file.sha256, "size_bytes": file.size_bytes, "path": str(file.path),
            "relative": str(file.path.relative_to(directory)), "site": step.plan.site,
        })  # fmt: skip
    return dict(made)
