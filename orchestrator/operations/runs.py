"""Runs: starting, watching, stopping, taking up again."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from metadata.errors import ConflictError, EngineBusyError, NotFoundError
from metadata.journal import RUNS, STEPS, TASKS, TRANSFERS, Page
from metadata.lease import EngineLease, holder_of
from metadata.progress import RunProgress, progress_of
from orchestrator.engine.context import Context
from orchestrator.engine.loop import Engine
from orchestrator.jobs import JobState
from orchestrator.operations.workspace import Workspace
from orchestrator.plans import Plan
from orchestrator.registry import open_site

if TYPE_CHECKING:
    from metadata.history import RunRecord, RunSummary

Watch = Callable[[RunProgress], None]
_WATCH_EVERY_S = 0.25
_CANCEL_PATIENCE_S = 20.0


def create_run(workspace: Workspace, plan: Plan, *, fresh: bool = False) -> str:
    """A run of the plan is in the journal, and nothing of it is done yet. Returns its id."""
    run_id = f"{plan.name}-{time.strftime('%m%d')}-{secrets.token_hex(3)}"
    first = workspace.journal.last_ids()[STEPS] + 1
    page = Page()
    page.insert(
        RUNS, id=run_id, name=plan.name, state="NEW", plan=plan.model_dump(mode="json", by_alias=True), fresh=fresh,
        wanted="run", message="", created_at=time.time(),
    )  # fmt: skip
    for position, step in enumerate(plan.steps):
        page.insert(
            STEPS, id=first + position, run_id=run_id, position=position, name=step.name, site=step.site,
            expanded=False, skipped=step.skipped,
        )  # fmt: skip
    page.event(run_id, "run.created", run_id, f"plan {plan.digest}")
    workspace.journal.commit(page)
    return run_id


def start(
    workspace: Workspace, plan: Plan, *, fresh: bool = False, wait_s: float = 0.0, watch: Watch | None = None
) -> RunProgress:
    """Carries out the plan until its run has ended; `show` tells everything of it.

    Args:
        workspace: The home with its sites and catalogue.
        plan: What to do, as `plan` or `saved_plan` gives it.
        fresh: Do everything anew, even where earlier results could be reused.
        wait_s: How long to wait for another engine that works on this database.
        watch: Called with the progress a few times a second.

    Raises:
        EngineBusyError: Another engine works on this database; the run was not begun.
    """
    with EngineLease(workspace.sessions, wait_s=wait_s) as lease:
        return _carry_out(workspace, create_run(workspace, plan, fresh=fresh), lease, watch)


def resume(
    workspace: Workspace, run_id: str | None = None, *, wait_s: float = 0.0, watch: Watch | None = None
) -> RunProgress:
    """Goes on with a run whose engine stopped; nothing that was done is done again. Without an id, the newest such.

    Raises NotFoundError, ConflictError (the run has ended) or EngineBusyError.
    """
    found = to_resume(workspace, run_id)
    with EngineLease(workspace.sessions, wait_s=wait_s) as lease:
        return _carry_out(workspace, found, lease, watch)


def retry(workspace: Workspace, run_id: str, *, wait_s: float = 0.0, watch: Watch | None = None) -> RunProgress:
    """Goes on with a run that failed or was canceled: what failed is tried again, what succeeded stays.

    Raises NotFoundError, ConflictError (nothing failed) or EngineBusyError.
    """
    record = progress(workspace, run_id)
    if record.state not in (JobState.FAILED, JobState.CANCELED):
        raise ConflictError(f"the run {record.id} is {record.state}; only failed and canceled runs can be retried")
    with EngineLease(workspace.sessions, wait_s=wait_s) as lease:
        _reopen(workspace, record.id)
        return _carry_out(workspace, record.id, lease, watch)


def cancel(workspace: Workspace, run_id: str, *, watch: Watch | None = None) -> RunProgress:
    """The run ends soon, and so do its jobs. The engine that carries it out does it; without one, this does.

    Raises NotFoundError, ConflictError (the run has ended) or EngineBusyError (an engine with another run is at work).
    """
    record = progress(workspace, run_id)
    if JobState(record.state).final:
        raise ConflictError(f"the run {record.id} has ended already: {record.state}")
    page = Page()
    page.update(RUNS, record.id, wanted="cancel")
    page.event(record.id, "run.cancel-wanted", record.id)
    workspace.journal.commit(page)
    deadline = time.monotonic() + _CANCEL_PATIENCE_S
    while time.monotonic() < deadline:
        now = progress_of(workspace.sessions, record.id)
        if JobState(now.state).final:
            return now
        if holder_of(workspace.sessions) is None:
            with EngineLease(workspace.sessions, wait_s=_CANCEL_PATIENCE_S) as lease:
                return _carry_out(workspace, record.id, lease, watch)
        time.sleep(_WATCH_EVERY_S)
    raise EngineBusyError(
        f"{record.id} is marked to end, but the engine at work has another run; cancel it again later"
    )


def list_runs(
    workspace: Workspace, *, limit: int = 50, state: str | None = None, name: str | None = None
) -> tuple[RunSummary, ...]:
    """The newest runs first."""
    return workspace.history.runs(limit=limit, state=state, name=name)


def show(workspace: Workspace, run_id: str | None = None) -> RunRecord:
    """Everything that is known of a run; the newest without an id. Raises NotFoundError."""
    return workspace.history.run(run_id or newest(workspace))


def progress(workspace: Workspace, run_id: str) -> RunProgress:
    """How far a run has come; cheap. Raises NotFoundError."""
    try:
        return progress_of(workspace.sessions, run_id)
    except NotFoundError:  # it may be the beginning of an id
        return progress_of(workspace.sessions, workspace.history.full_id(run_id))


def newest(workspace: Workspace, *states: str) -> str:
    """The id of the newest run, or of the newest in one of these states. Raises NotFoundError."""
    for run in workspace.history.runs(limit=1000):
        if not states or run.state in states:
            return run.id
    if states and workspace.history.runs(limit=1):
        raise NotFoundError("no run waits to be gone on with; see how they ended with: convoy ls")
    raise NotFoundError("there is no run yet; start one with: convoy run WORKFLOW")


def to_resume(workspace: Workspace, run_id: str | None = None) -> str:
    """The id of the run that `resume` goes on with. Raises NotFoundError, or ConflictError when it has ended."""
    if run_id is None:
        return newest(workspace, *(str(state) for state in JobState if not state.final))
    record = progress(workspace, run_id)
    if JobState(record.state).final:
        hint = f"; try what failed again with: convoy retry {record.id}" if record.state != "COMPLETED" else ""
        raise ConflictError(f"the run {record.id} has ended already: {record.state}{hint}")
    return record.id


def _reopen(workspace: Workspace, run_id: str) -> None:
    """Failed and canceled tasks and transfers may begin again."""
    page = Page()
    again = (JobState.FAILED, JobState.CANCELED)
    for row in workspace.journal.rows(TASKS, run_id):
        if row["state"] in again:
            page.update(TASKS, row["id"], state="NEW", not_before=0.0)
    transfers = workspace.journal.rows(TRANSFERS, run_id)
    # Whoever wants a run again takes back that parts of it were not wanted.
    workspace.holds.release([str(row["id"]) for row in transfers if row["state"] == JobState.CANCELED])
    for row in transfers:
        if row["state"] in again:
            page.update(TRANSFERS, row["id"], state="NEW", attempts=0, not_before=0.0)
    page.update(RUNS, run_id, state="NEW", wanted="run", message="", ended_at=None)
    page.event(run_id, "run.retried", run_id)
    workspace.journal.commit(page)


def _carry_out(workspace: Workspace, run_id: str, lease: EngineLease, watch: Watch | None) -> RunProgress:
    plan = Plan.model_validate(workspace.journal.run(run_id)["plan"])
    engine = Engine(_context(workspace, plan), run_id, lease=lease, observe=_observer(workspace, run_id, watch))
    engine.carry_out()
    ended = progress_of(workspace.sessions, run_id)
    if watch:
        watch(ended)
    return ended


def _observer(workspace: Workspace, run_id: str, watch: Watch | None) -> Callable[[], None]:
    told_at = 0.0

    def observe() -> None:
        nonlocal told_at
        if watch and time.monotonic() - told_at >= _WATCH_EVERY_S:
            told_at = time.monotonic()
            watch(progress_of(workspace.sessions, run_id))

    return observe


def _context(workspace: Workspace, plan: Plan) -> Context:
    names = sorted({step.site for step in plan.steps if step.site})
    return Context(
        journal=workspace.journal,
        stock=workspace,
        sites={name: open_site(name, workspace.site(name)) for name in names},
        storages=workspace.storages,
        outbox=workspace.outbox,
        webhook=workspace.settings.webhook,
    )
