"""Which state may follow which. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from orchestrator.jobs import JobState

_S = JobState

_ENDS = frozenset({_S.FAILED, _S.CANCELED, _S.UNKNOWN})

FOLLOWERS: dict[JobState, frozenset[JobState]] = {
    _S.NEW: _ENDS | {_S.STAGE_IN, _S.QUEUED, _S.COMPLETED},
    _S.STAGE_IN: _ENDS | {_S.NEW, _S.QUEUED},
    # A scheduler may put a running job back into its queue, and a short job may end between two questions.
    _S.QUEUED: _ENDS | {_S.NEW, _S.ACTIVE, _S.STAGE_OUT, _S.COMPLETED},
    _S.ACTIVE: _ENDS | {_S.NEW, _S.QUEUED, _S.STAGE_OUT, _S.CLEANUP, _S.COMPLETED},
    _S.STAGE_OUT: _ENDS | {_S.NEW, _S.QUEUED, _S.CLEANUP, _S.COMPLETED},
    _S.CLEANUP: _ENDS | {_S.COMPLETED},
    _S.UNKNOWN: frozenset(_S) - {_S.UNKNOWN},
    _S.COMPLETED: frozenset(),
    # Only a person's `retry` leaves these two; the engine itself never does.
    _S.FAILED: frozenset({_S.NEW}),
    _S.CANCELED: frozenset({_S.NEW}),
}


def may_follow(before: JobState, after: JobState) -> bool:
    """True when a job in `before` may be found in `after` next; staying put is always allowed."""
    return before == after or after in FOLLOWERS[before]


def combined(states: Iterable[JobState]) -> JobState:
    """The one state that sums up many: the worst that ended, or how far the work has come.

    >>> str(combined([JobState.COMPLETED, JobState.ACTIVE]))
    'ACTIVE'
    >>> str(combined([JobState.COMPLETED, JobState.FAILED]))
    'FAILED'
    """
    present = set(states)
    if not present:
        return _S.NEW
    if present == {_S.COMPLETED}:
        return _S.COMPLETED
    if all(state.final for state in present):
        return _S.FAILED if _S.FAILED in present else _S.CANCELED
    for state in (_S.ACTIVE, _S.STAGE_OUT, _S.CLEANUP, _S.QUEUED, _S.STAGE_IN, _S.UNKNOWN):
        if state in present:
            return state
    # Some tasks ended and others have not begun: the whole is under way.
    return _S.ACTIVE if present != {_S.NEW} else _S.NEW
