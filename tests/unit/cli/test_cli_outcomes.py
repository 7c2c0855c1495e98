"""Each error has one exit code and one HTTP status."""

from __future__ import annotations

import pytest

from metadata import errors
from orchestrator.faces.exit_codes import ALL, BY_ERROR, BY_STATE, FAULT, outcome_of
from orchestrator.faces.json_values import plain, render_json
from orchestrator.jobs import JobState


@pytest.mark.parametrize(
    ("error", "code", "status"),
    [
        (errors.InvalidWorkflowError("x"), 2, 422),
        (errors.NotFoundError("x"), 3, 404),
        (errors.ConflictError("x"), 4, 409),
        (errors.PolicyError("x"), 5, 403),
        (errors.PlanningError("x"), 6, 422),
        (errors.SiteError("x"), 7, 502),
        (errors.NoSpaceError("x"), 8, 502),
        (errors.AdapterUnavailableError("x"), 9, 501),
        (errors.EngineBusyError("x"), 75, 503),
        (errors.PermanentError("x"), 1, 200),
        (KeyboardInterrupt(), 130, 499),
        (KeyError("x"), 70, 500),
    ],
)
def test_an_error_counts_as_its_nearest_parent_in_the_table(error: BaseException, code: int, status: int) -> None:
    outcome = outcome_of(error)
    assert (outcome.exit_code, outcome.http_status) == (code, status)


def test_exit_codes_are_told_apart_and_all_listed() -> None:
    codes = [row.exit_code for row in ALL]
    assert len(set(codes)) == len(codes)
    assert {*BY_ERROR.values(), *BY_STATE.values(), FAULT} <= set(ALL)


def test_every_last_state_of_a_run_has_an_exit_code() -> None:
    assert set(BY_STATE) == {state for state in JobState if state.final}


def test_values_become_json_whatever_they_are_made_of() -> None:
    assert plain({"state": JobState.ACTIVE, "sites": frozenset({"b", "a"}), "pair": (1, None)}) == {
        "state": "ACTIVE",
        "sites": ["a", "b"],
        "pair": [1, None],
    }
    assert render_json({"ü": 1}, indent=None) == '{"ü": 1}'
