"""What the journal tells of runs, as frozen values for every face: command line, REST, portal, reports, crates.

States stay the words that the journal holds. What many task states amount to is the orchestrator's knowledge, so a
step carries `counts` and `orchestrator.lifecycle.combined` reads them.
"""

from __future__ import annotations

import difflib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, RowMapping, Select, Table, func, select

from metadata.errors import NotFoundError
from metadata.progress import Counts
from metadata.tables import ATTEMPTS, EVENTS, RUNS, STEPS, TASKS, TRANSFERS

# A plan of a thousand slides is long, and only whole records need it.
_BRIEF = select(*(column for column in RUNS.c if column is not RUNS.c.plan))
_ENDED = ("COMPLETED", "FAILED", "CANCELED")


@dataclass(frozen=True, kw_only=True)
class RunSummary:
    """One line of the list of runs."""

    id: str
    name: str
    state: str
    wanted: str
    """`run` or `cancel`: what people want of it."""
    message: str
    created_at: float
    started_at: float | None
    ended_at: float | None
    counts: Counts
    """Its tasks, by state."""
    bytes_moved: int
    """What really travelled between sites."""


@dataclass(frozen=True, kw_only=True)
class TaskFile:
    """A file that a task read or wrote."""

    name: str
    sha256: str
    size_bytes: int
    path: str = ""
    """Where a task left it at its site; empty for an input."""


@dataclass(frozen=True, kw_only=True)
class AttemptRecord:
    """One submission of a task."""

    number: int
    token: str
    site: str
    directory: str
    state: str
    native_id: str
    native_state: str
    node: str
    exit_code: int | None
    message: str
    resources: Mapping[str, Any]
    created_at: float
    submitted_at: float | None
    started_at: float | None
    ended_at: float | None


@dataclass(frozen=True, kw_only=True)
class TaskRecord:
    """One element of a step's scatter."""

    position: int
    label: str
    state: str
    message: str
    inputs: Mapping[str, tuple[TaskFile, ...]]
    parameters: Mapping[str, Any]
    outputs: Mapping[str, tuple[TaskFile, ...]]
    content_key: str
    reused_from: str
    """The attempt whose results were taken over; empty when it ran itself."""
    attempts: tuple[AttemptRecord, ...]

    @property
    def last(self) -> AttemptRecord | None:
        """The newest attempt; None when nothing was submitted."""
        return self.attempts[-1] if self.attempts else None


@dataclass(frozen=True, kw_only=True)
class StepRecord:
    """A step of a run."""

    name: str
    position: int
    site: str
    skipped: str
    """Why it does not run; empty when it does."""
    expanded: bool
    """True once its tasks are known."""
    counts: Counts
    """Its tasks, by state."""
    tasks: tuple[TaskRecord, ...]


@dataclass(frozen=True, kw_only=True)
class TransferRecord:
    """Some content that a run brought to a site."""

    step: str
    """The step that first asked for it; empty for the run as a whole."""
    name: str
    sha256: str
    size_bytes: int
    source_site: str
    source_path: str
    destination_site: str
    destination_path: str
    mover: str
    state: str
    bytes_done: int
    bytes_moved: int
    attempts: int
    message: str
    created_at: float
    started_at: float | None
    ended_at: float | None


@dataclass(frozen=True, kw_only=True)
class EventRecord:
    """One line of a run's journal."""

    id: int
    at: float
    kind: str
    subject: str
    message: str


@dataclass(frozen=True, kw_only=True)
class RunRecord(RunSummary):
    """Everything that is known of a run."""

    plan: Mapping[str, Any] = field(repr=False)
    """The plan as JSON; `orchestrator.plans.Plan.model_validate` reads it."""
    steps: tuple[StepRecord, ...]
    transfers: tuple[TransferRecord, ...]
    events: tuple[EventRecord, ...] = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class RunTransfer:
    """A transfer of some run."""

    id: int
    run_id: str
    name: str
    size_bytes: int
    bytes_done: int
    source_site: str
    destination_site: str
    mover: str
    state: str
    message: str
    created_at: float
    ended_at: float | None


class History:
    """Reads runs. Every answer is one consistent moment, and nothing is ever written."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def runs(self, *, limit: int = 50, state: str | None = None, name: str | None = None) -> tuple[RunSummary, ...]:
        """The newest runs first, at most `limit` of them."""
        query = _BRIEF.order_by(RUNS.c.created_at.desc(), RUNS.c.id.desc()).limit(limit)
        for column, value in ((RUNS.c.state, state), (RUNS.c.name, name)):
            query = query if value is None else query.where(column == value)
        with self._engine.connect() as connection:
            rows = _rows(connection, query)
            counts, moved = _sums(connection, [row["id"] for row in rows])
        return tuple(_made(RunSummary, row, counts=counts[row["id"]], bytes_moved=moved[row["id"]]) for row in rows)

    def run(self, id_or_prefix: str) -> RunRecord:
        """The whole run whose id begins so. Raises NotFoundError when none does, or more than one."""
        with self._engine.connect() as connection:
            row = _run_row(connection, id_or_prefix)
            counts, moved = _sums(connection, [row["id"]])
            return _made(
                RunRecord, row, counts=counts[row["id"]], bytes_moved=moved[row["id"]],
                plan=connection.execute(select(RUNS.c.plan).where(RUNS.c.id == row["id"])).scalar_one(),
                steps=_steps(connection, row["id"]),
                transfers=_transfers(connection, row["id"]),
                events=_events(connection, row["id"]),
            )  # fmt: skip

    def full_id(self, id_or_prefix: str) -> str:
        """The id of the run that begins so. Raises NotFoundError when none does, or more than one."""
        with self._engine.connect() as connection:
            return str(_run_row(connection, id_or_prefix)["id"])

    def transfers(self, *, ended: int = 0) -> tuple[RunTransfer, ...]:
        """Of runs that have not ended, the transfers that have not either; before them the newest `ended` of all."""
        found = select(TRANSFERS).join(RUNS, RUNS.c.id == TRANSFERS.c.run_id)
        going = found.where(TRANSFERS.c.state.not_in(_ENDED), RUNS.c.state.not_in(_ENDED)).order_by(TRANSFERS.c.id)
        over = found.where(TRANSFERS.c.state.in_(_ENDED)).order_by(TRANSFERS.c.ended_at.desc()).limit(ended)
        with self._engine.connect() as connection:
            rows = [*(_rows(connection, over)[::-1] if ended else ()), *_rows(connection, going)]
        return tuple(_made(RunTransfer, row) for row in rows)

    def events(self, id_or_prefix: str, *, after_id: int = 0) -> tuple[EventRecord, ...]:
        """The run's journal behind the event `after_id`, oldest first. Raises NotFoundError."""
        with self._engine.connect() as connection:
            return _events(connection, _run_row(connection, id_or_prefix)["id"], after_id=after_id)

    def attempts_of(self, id_or_prefix: str, *, step: str, position: int = 0) -> tuple[AttemptRecord, ...]:
        """What was submitted for one task, oldest first. Raises NotFoundError for an unknown run, step or task."""
        with self._engine.connect() as connection:
            run_id = _run_row(connection, id_or_prefix)["id"]
            steps = {row["name"]: row["id"] for row in _rows(connection, _of_run(STEPS, run_id))}
            if step not in steps:
                raise NotFoundError(f"the run {run_id} has no step {step!r}{_near(step, steps)}")
            query = select(TASKS.c.id).where(TASKS.c.step_id == steps[step], TASKS.c.position == position)
            task_id = connection.execute(query).scalar_one_or_none()
            if task_id is None:
                raise NotFoundError(f"the step {step} of the run {run_id} has no task {position}; tasks count from 0")
            chosen = select(ATTEMPTS).where(ATTEMPTS.c.task_id == task_id).order_by(ATTEMPTS.c.number)
            return tuple(_made(AttemptRecord, row) for row in _rows(connection, chosen))


Value = TypeVar("Value")


def _made(kind: type[Value], row: RowMapping, **others: Any) -> Value:
    """A value whose fields are the row's columns of the same name, and `others`."""
    wanted = [each.name for each in fields(kind) if each.name not in others]  # type: ignore[arg-type]
    return kind(**{name: row[name] for name in wanted}, **others)


def _rows(connection: Connection, query: Select[Any]) -> Sequence[RowMapping]:
    return connection.execute(query).mappings().all()


def _of_run(rows: Table, run_id: str) -> Select[Any]:
    return select(rows).where(rows.c.run_id == run_id).order_by(rows.c.id)


def _near(word: str, known: Iterable[str]) -> str:
    names = sorted(known)
    found = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    if found:
        return f"; did you mean {found[0]}?"
    return f"; known are: {', '.join(names)}" if names else ""


def _run_row(connection: Connection, id_or_prefix: str) -> RowMapping:
    exact = _rows(connection, _BRIEF.where(RUNS.c.id == id_or_prefix))
    if exact:
        return exact[0]
    begins_so = _BRIEF.where(RUNS.c.id.startswith(id_or_prefix, autoescape=True)).limit(6)
    found = _rows(connection, begins_so) if id_or_prefix else []
    if len(found) > 1:
        shown = ", ".join(sorted(row["id"] for row in found))
        raise NotFoundError(f"more than one run begins with {id_or_prefix!r}: {shown}; write more of the one you mean")
    if not found:
        raise NotFoundError(f"there is no run {id_or_prefix!r}{_meant(connection, id_or_prefix)}")
    return found[0]


def _meant(connection: Connection, word: str) -> str:
    """The end of the refusal of a run's id: the newest run of this name, or the id that looks most like it."""
    recent = _rows(connection, select(RUNS.c.id, RUNS.c.name).order_by(RUNS.c.created_at.desc()).limit(200))
    if not recent:
        return "; nothing has been run yet"
    named = next((row["id"] for row in recent if row["name"] == word), None)
    if named:
        return f"; did you mean {named}, the newest run of the workflow {word}?"
    found = difflib.get_close_matches(word, [row["id"] for row in recent], n=1, cutoff=0.6)
    return f"; did you mean {found[0]}?" if found else f"; the newest run is {recent[0]['id']}"


def _sums(connection: Connection, run_ids: Sequence[str]) -> tuple[dict[str, dict[str, int]], dict[str, int]]:
    """Tasks by state, and bytes moved, for each of the runs."""
    counts: dict[str, dict[str, int]] = defaultdict(dict)
    moved: dict[str, int] = defaultdict(int)
    tasks = select(TASKS.c.run_id, TASKS.c.state, func.count().label("tasks"))
    for row in _rows(connection, tasks.where(TASKS.c.run_id.in_(run_ids)).group_by(TASKS.c.run_id, TASKS.c.state)):
        counts[row["run_id"]][row["state"]] = row["tasks"]
    sizes = select(TRANSFERS.c.run_id, func.sum(TRANSFERS.c.bytes_moved).label("moved"))
    for row in _rows(connection, sizes.where(TRANSFERS.c.run_id.in_(run_ids)).group_by(TRANSFERS.c.run_id)):
        moved[row["run_id"]] = int(row["moved"])
    return counts, moved


def _steps(connection: Connection, run_id: str) -> tuple[StepRecord, ...]:
    attempts: dict[int, list[AttemptRecord]] = defaultdict(list)
    for row in _rows(connection, _of_run(ATTEMPTS, run_id).order_by(None).order_by(ATTEMPTS.c.number)):
        attempts[row["task_id"]].append(_made(AttemptRecord, row))
    tasks: dict[int, list[TaskRecord]] = defaultdict(list)
    for row in _rows(connection, _of_run(TASKS, run_id).order_by(None).order_by(TASKS.c.position)):
        tasks[row["step_id"]].append(_task(row, attempts[row["id"]]))
    rows = _rows(connection, _of_run(STEPS, run_id).order_by(None).order_by(STEPS.c.position))
    return tuple(
        _made(StepRecord, row, counts=_by_state(tasks[row["id"]]), tasks=tuple(tasks[row["id"]])) for row in rows
    )


def _by_state(tasks: Iterable[TaskRecord]) -> Counts:
    return dict(Counter(task.state for task in tasks))


def _task(row: RowMapping, attempts: Sequence[AttemptRecord]) -> TaskRecord:
    inputs, outputs = _files(row["inputs"]), _files(row["outputs"])
    return _made(TaskRecord, row, inputs=inputs, outputs=outputs, attempts=tuple(attempts))


def _files(stored: Mapping[str, Any] | None) -> dict[str, tuple[TaskFile, ...]]:
    """The journal writes one file or a list of them; records always hold a tuple. An absent optional input is empty."""
    listed = {name: [files] if isinstance(files, dict) else files or [] for name, files in (stored or {}).items()}
    return {name: tuple(map(_file, files)) for name, files in listed.items()}


def _file(stored: Mapping[str, Any]) -> TaskFile:
    sha256, size, path = stored["sha256"], stored["size_bytes"], stored.get("path", "")
    return TaskFile(name=stored["name"], sha256=sha256, size_bytes=size, path=path)


def _transfers(connection: Connection, run_id: str) -> tuple[TransferRecord, ...]:
    named = TRANSFERS.outerjoin(STEPS, STEPS.c.id == TRANSFERS.c.step_id)
    query = select(TRANSFERS, func.coalesce(STEPS.c.name, "").label("step")).select_from(named)
    rows = _rows(connection, query.where(TRANSFERS.c.run_id == run_id).order_by(TRANSFERS.c.id))
    return tuple(_made(TransferRecord, row) for row in rows)


def _events(connection: Connection, run_id: str, *, after_id: int = 0) -> tuple[EventRecord, ...]:
    rows = _rows(connection, _of_run(EVENTS, run_id).where(EVENTS.c.id > after_id))
    return tuple(_made(EventRecord, row) for row in rows)
