"""A run in memory, as its journal tells it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from metadata.journal import ATTEMPTS, STEPS, TASKS, TRANSFERS, Journal
from orchestrator.jobs import JobState, NativeId, Token
from orchestrator.plans import Plan, PlannedStep
from orchestrator.workflows import Resources

INTERRUPTED = "task.interrupted"
"""The kind of event that tells of such an attempt."""


@dataclass(kw_only=True)
class LiveAttempt:
    """One submission of a task."""

    id: int
    number: int
    token: Token
    directory: str
    state: JobState
    resources: Resources
    native_id: NativeId | None = None
    native_state: str = ""
    started_at: float | None = None
    doubtful: bool = True
    """Whether its site may have it although no id is known: an earlier engine, or a failed call, may have sent it."""


@dataclass(kw_only=True)
class LiveTask:
    """One element of a step's scatter."""

    id: int
    position: int
    label: str
    state: JobState
    inputs: dict[str, Any]
    parameters: dict[str, Any]
    outputs: dict[str, Any] | None = None
    content_key: str = ""
    attempts: int = 0
    interruptions: int = 0
    """Attempts that its site ended for reasons of its own; they are not counted against the author's retries."""
    not_before: float = 0.0
    attempt: LiveAttempt | None = None
    """The newest."""
    checked_for_reuse: bool = False
    missing: set[str] | None = None
    """Hashes of files that are on their way to the task's site; None until that was looked up."""

    def files(self) -> Iterator[dict[str, Any]]:
        """Every input file, as `{name, sha256, size_bytes}`."""
        for value in self.inputs.values():
            yield from value if isinstance(value, list) else [value]


@dataclass(kw_only=True)
class LiveStep:
    """A step with its tasks."""

    id: int
    plan: PlannedStep
    expanded: bool
    skipped: str
    tasks: list[LiveTask] = field(default_factory=list)
    broken: str = ""
    """Why its tasks could not be made; empty when they could."""

    def needs(self, task: LiveTask) -> Iterator[dict[str, Any]]:
        """Every file that a task of it must have at its site: its inputs, and the image that it runs in."""
        yield from task.files()
        if self.plan.image_file:
            yield self.plan.image_file.model_dump()

    @property
    def completed(self) -> bool:
        """True when nothing of it is left to do, and all went well."""
        return bool(self.skipped) or (self.expanded and all(t.state is JobState.COMPLETED for t in self.tasks))

    @property
    def doomed(self) -> bool:
        """True when a task of it failed for good or was canceled, or it could not be opened."""
        return bool(self.broken) or any(t.state in (JobState.FAILED, JobState.CANCELED) for t in self.tasks)


@dataclass(kw_only=True)
class LiveTransfer:
    """Some content on its way to a site."""

    id: int
    step_id: int | None
    name: str
    sha256: str
    size_bytes: int
    source_site: str
    source_path: str
    destination_site: str
    destination_path: str
    mover: str
    state: JobState
    attempts: int = 0
    started: bool = False
    """Whether a part of it may lie at its destination."""
    not_before: float = 0.0
    bytes_done: int = 0
    bytes_moved: int = 0
    message: str = ""
    direction: str = ""
    streams: int = 1
    credential: str = ""


@dataclass(kw_only=True)
class LiveRun:
    """A run with everything in it."""

    id: str
    plan: Plan
    fresh: bool
    state: JobState
    steps: dict[str, LiveStep] = field(default_factory=dict)
    transfers: dict[tuple[str, str], LiveTransfer] = field(default_factory=dict)
    """By (sha256, destination site)."""
    canceling: bool = False
    """Whether somebody wants it to end: nothing of it begins any more."""

    def tasks(self) -> Iterator[tuple[LiveStep, LiveTask]]:
        """All tasks with their steps."""
        for step in self.steps.values():
            for task in step.tasks:
                yield step, task

    def under_way(self) -> list[tuple[LiveStep, LiveTask, LiveAttempt]]:
        """Tasks whose newest attempt has not ended."""
        return [
            (step, task, task.attempt)
            for step, task in self.tasks()
            if task.attempt is not None and not task.state.final and not task.attempt.state.final
        ]


def load_run(journal: Journal, run_id: str) -> LiveRun:
    """The run as its journal tells it. Raises NotFoundError."""
    row = journal.run(run_id)
    run = LiveRun(id=run_id, plan=Plan.model_validate(row["plan"]), fresh=row["fresh"], state=JobState(row["state"]))
    by_id: dict[int, LiveStep] = {}
    for found in journal.rows(STEPS, run_id):
        step = LiveStep(
            id=found["id"], plan=run.plan.step(found["name"]), expanded=found["expanded"], skipped=found["skipped"]
        )
        run.steps[found["name"]] = by_id[step.id] = step
    if not any(step.expanded for step in by_id.values()):
        return run  # nothing of it has begun
    tasks = {found["id"]: _task(found, by_id) for found in journal.rows(TASKS, run_id)}
    interrupted = journal.subjects(run_id, INTERRUPTED)
    for found in journal.rows(ATTEMPTS, run_id):
        tasks[found["task_id"]].attempt = attempt = _attempt(found)
        tasks[found["task_id"]].interruptions += attempt.token in interrupted
    for found in journal.rows(TRANSFERS, run_id):
        transfer = _transfer(found)
        run.transfers[transfer.sha256, transfer.destination_site] = transfer
    return run


def _task(row: dict[str, Any], steps: dict[int, LiveStep]) -> LiveTask:
    names = ("id", "position", "label", "inputs", "parameters", "outputs", "content_key", "attempts", "not_before")
    task = LiveTask(state=JobState(row["state"]), **{name: row[name] for name in names})
    steps[row["step_id"]].tasks.append(task)
    return task


def _attempt(row: dict[str, Any]) -> LiveAttempt:
    return LiveAttempt(
        id=row["id"],
        number=row["number"],
        token=Token(row["token"]),
        directory=row["directory"],
        state=JobState(row["state"]),
        resources=Resources.model_validate(row["resources"]),
        native_id=NativeId(row["native_id"]) if row["native_id"] else None,
        native_state=row["native_state"],
        started_at=row["started_at"],
    )


def _transfer(row: dict[str, Any]) -> LiveTransfer:
    names = (
        "id", "step_id", "name", "sha256", "size_bytes", "source_site", "source_path", "destination_site",
        "destination_path", "mover", "attempts", "not_before", "bytes_done", "bytes_moved", "message",
        "direction", "streams", "credential",
    )  # fmt: skip
    transfer = LiveTransfer(state=JobState(row["state"]), **{name: row[name] for name in names})
    transfer.started = row["started_at"] is not None
    # A try that ended with its engine says nothing of the way.
    transfer.attempts -= transfer.state is JobState.ACTIVE
    return transfer
