"""What the tasks of a run wrote."""

from __future__ import annotations

from dataclasses import dataclass

from metadata.errors import NotFoundError
from metadata.history import AttemptRecord, RunRecord, StepRecord, TaskRecord
from orchestrator.operations.workspace import Workspace
from staging.ports import Storage


@dataclass(frozen=True, kw_only=True)
class Log:
    """What one attempt wrote."""

    step: str
    position: int
    label: str
    attempt: int
    state: str
    stdout: str
    stderr: str
    reused_from: str = ""
    """The run in which it was written, where its results were taken over."""


def logs(
    workspace: Workspace,
    run_id: str,
    step: str | None = None,
    *,
    task: int | None = None,
    limit_bytes: int | None = None,
) -> list[Log]:
    """The output of a run's newest attempts; of one step or one task when named. Raises NotFoundError.

    A task whose results were taken over shows what the earlier task wrote that made them.
    """
    record = workspace.history.run(run_id)
    names = [row.name for row in record.steps]
    if step is not None and step not in names:
        raise NotFoundError(f"the run {record.id} has no step {step!r}; it has {', '.join(names)}")
    earlier: dict[str, RunRecord] = {}
    rows = [
        (row, item)
        for row in record.steps
        for item in row.tasks
        if step in (None, row.name) and task in (None, item.position)
    ]
    return [
        _log(row, item, attempt, workspace.storages[attempt.site], limit_bytes)
        for row, item in rows
        if (attempt := item.last or _original(workspace, item, earlier)) and attempt.site in workspace.storages
    ]


def _original(workspace: Workspace, item: TaskRecord, earlier: dict[str, RunRecord]) -> AttemptRecord | None:
    """The attempt that made the results that a task took over; None when it took none, or its run is gone."""
    run_id = item.reused_from.partition("#")[0]
    if not run_id:
        return None
    try:
        earlier[run_id] = earlier.get(run_id) or workspace.history.run(run_id)
    except NotFoundError:
        return None
    same = (other for row in earlier[run_id].steps for other in row.tasks if other.content_key == item.content_key)
    return next((other.last for other in same if other.last), None)


def _log(row: StepRecord, item: TaskRecord, attempt: AttemptRecord, storage: Storage, limit_bytes: int | None) -> Log:
    return Log(
        step=row.name,
        position=item.position,
        label=item.label,
        attempt=attempt.number,
        state=item.state,
        stdout=_text(storage, f"{attempt.directory}/stdout.txt", limit_bytes),
        stderr=_text(storage, f"{attempt.directory}/stderr.txt", limit_bytes),
        reused_from=item.reused_from.partition("#")[0],
    )


def _text(storage: Storage, path: str, limit_bytes: int | None) -> str:
    """Empty while there is no such file."""
    try:
        return storage.read(path, limit_bytes=limit_bytes).decode(errors="replace")
    except NotFoundError:
        return ""
