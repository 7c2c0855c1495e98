"""Who says whether tasks share jobs, and how it gets to where jobs are made."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from orchestrator.workflows import Step
from tests.unit.orchestrator.builders import knowledge, plan_of, site

ONE = """
steps:
  a:
    scatter: {n: {range: 3}}
    command: ["true"]
"""


@pytest.mark.parametrize(("said", "seconds"), [("false", 0.0), ("2m", 120.0), ("5", 5.0)])
def test_the_step_goes_before_the_site(said: str, seconds: float) -> None:
    """And the site before the default."""
    assert plan_of(ONE, knowledge({"agh": site()})).step("a").bundle_s == 60.0
    known = knowledge({"agh": site(bundle="7s")})
    assert plan_of(ONE, known).step("a").bundle_s == 7.0
    assert plan_of(f"{ONE}    bundle: {said}\n", known).step("a").bundle_s == seconds


def test_what_one_task_took_in_earlier_runs_goes_with_the_plan() -> None:
    """One task of this step at this site; not all together."""
    assert plan_of(ONE, knowledge({"agh": site()})).step("a").expected_s is None
    learned = knowledge({"agh": site()}, task_seconds={("a", "agh"): 0.25})
    assert plan_of(ONE, learned).step("a").expected_s == 0.25


@pytest.mark.parametrize("value", [True, -1, "soon"])
def test_what_is_no_duration_is_refused(value: object) -> None:
    """With what to write."""
    with pytest.raises(ValidationError):
        Step.model_validate({"command": "true", "bundle": value})
