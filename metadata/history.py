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

from metadata.errors import NotFoundError
from metadata.progress import Counts
from metadata.sessions import Row, Session, Sessions, document
from metadata.statements import among

# A plan of a thousand slides is long, and only whole records need it.
_BRIEF = "SELECT id, name, state, wanted, message, created_at, started_at, ended_at FROM runs WHERE "
_ENDED = "('COMPLETED', 'FAILED', 'CANCELED')"
_STATES = "SELECT run_id, state, count(*) FROM tasks WHERE run_id IN :each GROUP BY run_id, state"
_MOVED = "SELECT run_id, sum(bytes_moved) FROM transfers WHERE run_id IN :each GROUP BY run_id"
_OVER = f"SELECT * FROM transfers WHERE state IN {_ENDED} ORDER BY ended_at DESC LIMIT :most"
_GOING = f"""
    SELECT transfers.* FROM transfers JOIN runs ON runs.id = transfers.run_id
    WHERE transfers.state NOT IN {_ENDED} AND runs.state NOT IN {_ENDED} ORDER BY transfers.id
"""
_TRANSFERS = """
    SELECT transfers.*, coalesce(steps.name, '') AS step FROM transfers LEFT JOIN steps ON steps.id = transfers.step_id
    WHERE transfers.run_id = :run_id ORDER BY transfers.id
"""
_EVENTS = "SELECT * FROM events WHERE run_id = :run_id AND id > :after_id ORDER BY id"
_DOCUMENTS = ("resources", "parameters")


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

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def runs(self, *, limit: int = 50, state: str | None = None, name: str | None = None) -> tuple[RunSummary, ...]:
        """The newest runs first, at most `limit` of them."""
        chosen = {key: value for key, value in (("state", state), ("name", name)) if value is not None}
        conditions = " AND ".join(f"{key} = :{key}" for key in chosen) or "TRUE"
        question = f"{_BRIEF}{conditions} ORDER BY created_at DESC, id DESC LIMIT :most"
        with self._sessions.reading() as session:
            rows = session.rows(question, most=limit, **chosen)
            counts, moved = _sums(session, [row["id"] for row in rows])
        return tuple(_made(RunSummary, row, counts=counts[row["id"]], bytes_moved=moved[row["id"]]) for row in rows)

    def run(self, id_or_prefix: str) -> RunRecord:
        """The whole run whose id begins so. Raises NotFoundError when none does, or more than one."""
        with self._sessions.reading() as session:
            row = _run_row(session, id_or_prefix)
            counts, moved = _sums(session, [row["id"]])
            [(plan,)] = session.tuples("SELECT plan FROM runs WHERE id = :run_id", run_id=row["id"])
            return _made(
                RunRecord, row, counts=counts[row["id"]], bytes_moved=moved[row["id"]],
                plan=document(plan),
                steps=_steps(session, row["id"]),
                transfers=_transfers(session, row["id"]),
                events=_events(session, row["id"]),
            )  # fmt: skip

    def full_id(self, id_or_prefix: str) -> str:
        """The id of the run that begins so. Raises NotFoundError when none does, or more than one."""
        with self._sessions.reading() as session:
            return str(_run_row(session, id_or_prefix)["id"])

    def transfers(self, *, ended: int = 0) -> tuple[RunTransfer, ...]:
        """Of runs that have not ended, the transfers that have not either; before them the newest `ended` of all."""
        with self._sessions.reading() as session:
            over = session.rows(_OVER, most=ended) if ended else []
            return tuple(_made(RunTransfer, row) for row in [*over[::-1], *session.rows(_GOING)])

    def events(self, id_or_prefix: str, *, after_id: int = 0) -> tuple[EventRecord, ...]:
        """The run's journal behind the event `after_id`, oldest first. Raises NotFoundError."""
        with self._sessions.reading() as session:
            return _events(session, _run_row(session, id_or_prefix)["id"], after_id=after_id)

    def attempts_of(self, id_or_prefix: str, *, step: str, position: int = 0) -> tuple[AttemptRecord, ...]:
        """What was submitted for one task, oldest first. Raises NotFoundError for an unknown run, step or task."""
        with self._sessions.reading() as session:
            run_id = _run_row(session, id_or_prefix)["id"]
            steps = {row["name"]: row["id"] for row in _of_run(session, "steps", run_id, order="id")}
            if step not in steps:
                raise NotFoundError(f"the run {run_id} has no step {step!r}{_near(step, steps)}")
            question = "SELECT id FROM tasks WHERE step_id = :step_id AND position = :position"
            for (task_id,) in session.tuples(question, step_id=steps[step], position=position):
                chosen = "SELECT * FROM attempts WHERE task_id = :task_id ORDER BY number"
                return tuple(_made(AttemptRecord, row) for row in session.rows(chosen, task_id=task_id))
            raise NotFoundError(f"the step {step} of the run {run_id} has no task {position}; tasks count from 0")


Value = TypeVar("Value")


def _made(kind: type[Value], row: Row, **others: Any) -> Value:
    """A value whose fields are the row's columns of the same name, and `others`."""
    wanted = [each.name for each in fields(kind) if each.name not in others]  # type: ignore[arg-type]
    told = {name: document(row[name]) if name in _DOCUMENTS else row[name] for name in wanted}
    return kind(**told, **others)


def _of_run(session: Session, table: str, run_id: str, *, order: str) -> list[Row]:
    return session.rows(f"SELECT * FROM {table} WHERE run_id = :run_id ORDER BY {order}", run_id=run_id)


def _near(word: str, known: Iterable[str]) -> str:
    names = sorted(known)
    found = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    if found:
        return f"; did you mean {found[0]}?"
    return f"; known are: {', '.join(names)}" if names else ""


def _run_row(session: Session, id_or_prefix: str) -> Row:
    exact = session.rows(f"{_BRIEF}id = :run_id", run_id=id_or_prefix)
    if exact:
        return exact[0]
    begins_so = f"{_BRIEF}substr(id, 1, :length) = :begin LIMIT 6"
    found = session.rows(begins_so, begin=id_or_prefix, length=len(id_or_prefix)) if id_or_prefix else []
    if len(found) > 1:
        shown = ", ".join(sorted(row["id"] for row in found))
        raise NotFoundError(f"more than one run begins with {id_or_prefix!r}: {shown}; write more of the one you mean")
    if not found:
        raise NotFoundError(f"there is no run {id_or_prefix!r}{_meant(session, id_or_prefix)}")
    return found[0]


def _meant(session: Session, word: str) -> str:
    """The end of the refusal of a run's id: the newest run of this name, or the id that looks most like it."""
    recent = session.rows("SELECT id, name FROM runs ORDER BY created_at DESC LIMIT 200")
    if not recent:
        return "; nothing has been run yet"
    named = next((row["id"] for row in recent if row["name"] == word), None)
    if named:
        return f"; did you mean {named}, the newest run of the workflow {word}?"
    found = difflib.get_close_matches(word, [row["id"] for row in recent], n=1, cutoff=0.6)
    return f"; did you mean {found[0]}?" if found else f"; the newest run is {recent[0]['id']}"


def _sums(session: Session, run_ids: Sequence[str]) -> tuple[dict[str, dict[str, int]], dict[str, int]]:
    """Tasks by state, and bytes moved, for each of the runs."""
    counts: dict[str, dict[str, int]] = defaultdict(dict)
    moved: dict[str, int] = defaultdict(int)
    for run_id, state, tasks in among(session, _STATES, run_ids):
        counts[run_id][state] = tasks
    for run_id, size_bytes in among(session, _MOVED, run_ids):
        moved[run_id] = int(size_bytes)
    return counts, moved


def _steps(session: Session, run_id: str) -> tuple[StepRecord, ...]:
    attempts: dict[int, list[AttemptRecord]] = defaultdict(list)
    for row in _of_run(session, "attempts", run_id, order="number"):
        attempts[row["task_id"]].append(_made(AttemptRecord, row))
    tasks: dict[int, list[TaskRecord]] = defaultdict(list)
    for row in _of_run(session, "tasks", run_id, order="position"):
        tasks[row["step_id"]].append(_task(row, attempts[row["id"]]))
    return tuple(
        _made(
            StepRecord, row, expanded=bool(row["expanded"]),
            counts=_by_state(tasks[row["id"]]), tasks=tuple(tasks[row["id"]]),
        )
        for row in _of_run(session, "steps", run_id, order="position")
    )  # fmt: skip


def _by_state(tasks: Iterable[TaskRecord]) -> Counts:
    return dict(Counter(task.state for task in tasks))


def _task(row: Row, attempts: Sequence[AttemptRecord]) -> TaskRecord:
    inputs, outputs = _files(document(row["inputs"])), _files(document(row["outputs"]))
    return _made(TaskRecord, row, inputs=inputs, outputs=outputs, attempts=tuple(attempts))


def _files(stored: Mapping[str, Any] | None) -> dict[str, tuple[TaskFile, ...]]:
    """The journal writes one file or a list of them; records always hold a tuple. An absent optional input is empty."""
    listed = {name: [files] if isinstance(files, dict) else files or [] for name, files in (stored or {}).items()}
    return {name: tuple(map(_file, files)) for name, files in listed.items()}


def _file(stored: Mapping[str, Any]) -> TaskFile:
    sha256, size, path = stored["sha256"], stored["size_bytes"], stored.get("path", "")
    return TaskFile(name=stored["name"], sha256=sha256, size_bytes=size, path=path)


def _transfers(session: Session, run_id: str) -> tuple[TransferRecord, ...]:
    return tuple(_made(TransferRecord, row) for row in session.rows(_TRANSFERS, run_id=run_id))


def _events(session: Session, run_id: str, *, after_id: int = 0) -> tuple[EventRecord, ...]:
    return tuple(_made(EventRecord, row) for row in session.rows(_EVENTS, run_id=run_id, after_id=after_id))
