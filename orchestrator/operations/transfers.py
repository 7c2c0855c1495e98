"""What moves now, of runs and of verbs on data, and what people want of it: later, or never."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from metadata.errors import ConflictError, InvalidInputError, NotFoundError
from metadata.history import RunTransfer
from metadata.holds import ALL, CANCEL, PAUSE, Wishes, wish_of
from metadata.lease import holder_of
from metadata.shipments import is_carried
from orchestrator.jobs import JobState
from orchestrator.operations.workspace import Workspace

_ENDED = 50
"""So many that have ended are shown with the others."""
_RATE_OVER_S = 1.0
_PATIENCE_S = 5.0
_ASK_AGAIN_S = 0.1

PAUSED, LEFT = "PAUSED", "LEFT"
"""States that no job has: people hold it; or its process ended before it did, and nobody moves it now."""


@dataclass(frozen=True, kw_only=True)
class TransferView:
    """Bytes that are to come to a site, as they stand."""

    id: str
    """The number of a run's transfer, or the id of a call of a verb on data."""
    run: str
    """Empty for what a verb on data moves."""
    name: str
    state: str
    """`NEW` (it waits), `ACTIVE`, `PAUSED`, `LEFT` (nobody is there to move it), or one of those of an end."""
    source_site: str
    destination_site: str
    mover: str
    files: int
    size_bytes: int
    bytes_done: int
    message: str
    rate_bytes_per_s: float | None = None
    """What it reached between two looks; None where nothing moved between them."""
    left_s: float | None = None
    """How long it will take at that rate."""


def list_transfers(workspace: Workspace, *, ended: bool = False, over_s: float = _RATE_OVER_S) -> list[TransferView]:
    """What waits, moves or is paused, of runs that go on and of verbs on data; those that have `ended` too, if wanted.

    While something moves, this takes `over_s` longer: rates are what arrives between two looks.
    """
    before, begin = _look(workspace, ended=ended), time.monotonic()
    if not over_s or not any(row.state == JobState.ACTIVE for row in before):
        return before
    time.sleep(over_s)
    took_s = time.monotonic() - begin
    done = {row.id: row.bytes_done for row in before}
    return [
        _with_rate(row, row.bytes_done - done.get(row.id, row.bytes_done), took_s)
        for row in _look(workspace, ended=ended)
    ]


def pause_transfers(workspace: Workspace, names: Sequence[str] = (), *, everything: bool = False) -> list[TransferView]:
    """These stop soon and wait, and keep what arrived of them. Returns what is known of them.

    Args:
        workspace: The home.
        names: Transfers by number or id, or runs: all that they move, now and later.
        everything: Whatever moves in this home, now and later.

    Raises:
        NotFoundError: There is no such transfer or run.
        ConflictError: It has ended.
        InvalidInputError: Nothing is named, or names stand beside `everything`.
    """
    held = [ALL] if _meant(names, everything=everything) else _held_names(workspace, names)
    workspace.holds.hold(held, PAUSE)
    return _settled(workspace, held, lambda row: row.state != JobState.ACTIVE)


def resume_transfers(
    workspace: Workspace, names: Sequence[str] = (), *, everything: bool = False
) -> list[TransferView]:
    """These go on where they stopped; whoever moved them does that. Returns what is known of them.

    Raises NotFoundError, InvalidInputError, or ConflictError: all transfers, or those of its run, are paused.
    """
    if _meant(names, everything=everything):
        workspace.holds.release_all()
        return _settled(workspace, [ALL], lambda row: row.state != PAUSED)
    held = _held_names(workspace, names)
    workspace.holds.release(held)
    views = _settled(workspace, held, lambda row: row.state != PAUSED)
    for row in views:
        if row.state == PAUSED:
            wider = f"those of its run are paused: convoy transfer resume {row.run}"
            whole = "all transfers are paused: convoy transfer resume --all"
            raise ConflictError(f"{row.id} still waits, for {whole if ALL in workspace.holds.wishes() else wider}")
    return views


def cancel_transfers(
    workspace: Workspace, names: Sequence[str] = (), *, everything: bool = False
) -> list[TransferView]:
    """These never arrive, and what arrived of them goes; tasks of runs that wait for them fail.

    Raises NotFoundError, ConflictError (it has ended), or InvalidInputError (nothing is named; a run is).
    """
    rows = _look(workspace)
    held = [row.id for row in rows] if _meant(names, everything=everything) else _held_names(workspace, names)
    runs = {row.run for row in rows} & set(held)
    if runs:
        raise InvalidInputError(f"to end the run with all that it moves: convoy cancel {runs.pop()}")
    workspace.holds.hold(held, CANCEL)
    _end_deserted(workspace, held)
    return _settled(workspace, held, lambda row: row.state not in (JobState.ACTIVE, JobState.NEW, PAUSED))


def _meant(names: Sequence[str], *, everything: bool) -> bool:
    if bool(names) == everything:
        raise InvalidInputError("name transfers, as `convoy transfer ls` shows them, or say --all")
    return everything


def _held_names(workspace: Workspace, names: Sequence[str]) -> list[str]:
    """Under what the named things are held. Raises NotFoundError or ConflictError."""
    known = {row.id: row for row in _look(workspace, ended=True)}
    return [_held_name(workspace, known, name) for name in names]


def _held_name(workspace: Workspace, known: Mapping[str, TransferView], name: str) -> str:
    found = known.get(name)
    if found is not None and _is_final(found.state):
        raise ConflictError(f"{name} ({found.name}) has ended already: {found.state.lower()}")
    if found is not None:
        return name
    try:
        run = workspace.journal.run(workspace.history.full_id(name))
    except NotFoundError as error:
        raise NotFoundError(f"there is no transfer, nor a run, named {name!r}; see: convoy transfer ls") from error
    if _is_final(run["state"]):
        raise ConflictError(f"the run {run['id']} has ended already: {run['state'].lower()}")
    return str(run["id"])


def _settled(workspace: Workspace, held: Sequence[str], settled: Callable[[TransferView], bool]) -> list[TransferView]:
    """What is held, once whoever moves it has heeded that; or as it is after a while."""
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        rows = [row for row in _look(workspace, ended=True) if {row.id, row.run, ALL} & set(held)]
        ends = [row for row in rows if row.id in held or not _is_final(row.state)]
        if all(map(settled, ends)) or time.monotonic() > deadline:
            return ends
        time.sleep(_ASK_AGAIN_S)


def _end_deserted(workspace: Workspace, held: Sequence[str]) -> None:
    """A shipment whose process is gone has nobody who could end it."""
    for row in workspace.shipments.rows():
        if row["id"] in held and not is_carried(row):
            workspace.shipments.note(row["id"], state=str(JobState.CANCELED), ended_at=time.time())
            workspace.holds.release([row["id"]])


# -- looking -------------------------------------------------------------------------------------------------------


def _look(workspace: Workspace, *, ended: bool = False) -> list[TransferView]:
    wishes, engine = workspace.holds.wishes(), holder_of(workspace.sessions) is not None
    more = _ENDED if ended else 0
    runs = [_of_run(row, wishes, carried=engine) for row in workspace.history.transfers(ended=more)]
    return [*runs, *(_of_verb(row, wishes) for row in workspace.shipments.rows(ended=more))]


def _of_run(row: RunTransfer, wishes: Wishes, *, carried: bool) -> TransferView:
    wish = wish_of(wishes, str(row.id), row.run_id)
    return TransferView(
        id=str(row.id), run=row.run_id, name=row.name, state=_state(row.state, wish, carried=carried),
        source_site=row.source_site, destination_site=row.destination_site, mover=row.mover, files=1,
        size_bytes=row.size_bytes, bytes_done=row.bytes_done, message=row.message,
    )  # fmt: skip


def _of_verb(row: Mapping[str, Any], wishes: Wishes) -> TransferView:
    state = _state(row["state"], wish_of(wishes, row["id"]), carried=row["ended_at"] is None and is_carried(row))
    return TransferView(
        run="", mover="", state=state,
        **{key: row[key] for key in (
            "id", "name", "source_site", "destination_site", "files", "size_bytes", "bytes_done", "message",
        )},
    )  # fmt: skip


def _state(state: str, wish: str, *, carried: bool) -> str:
    """A transfer that moves is not paused before it has stopped."""
    if _is_final(state) or (carried and state == JobState.ACTIVE):
        return state
    if wish == PAUSE:
        return PAUSED
    return state if carried else LEFT


def _is_final(state: str) -> bool:
    return state in (JobState.COMPLETED, JobState.FAILED, JobState.CANCELED)


def _with_rate(row: TransferView, arrived: int, took_s: float) -> TransferView:
    if arrived <= 0 or row.state != JobState.ACTIVE:
        return row
    rate = arrived / took_s
    return replace(row, rate_bytes_per_s=rate, left_s=(row.size_bytes - row.bytes_done) / rate)
