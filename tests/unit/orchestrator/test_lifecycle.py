"""Which state may follow which."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from orchestrator.jobs import JobState
from orchestrator.lifecycle import FOLLOWERS, combined, may_follow

STATES = st.sampled_from(list(JobState))
FORWARD = [
    JobState.NEW,
    JobState.STAGE_IN,
    JobState.QUEUED,
    JobState.ACTIVE,
    JobState.STAGE_OUT,
    JobState.CLEANUP,
    JobState.COMPLETED,
]


class JobModel(RuleBasedStateMachine):
    """A job at a site that may do anything, seen by somebody who believes only what may follow."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = JobState.NEW
        self.ends = 0

    @rule(state=STATES)
    def the_site_says(self, state: JobState) -> None:
        """A word from the site is taken or passed over."""
        if may_follow(self.seen, state) and not self.seen.final:
            self.ends += state.final
            self.seen = state

    @invariant()
    def a_job_ends_once(self) -> None:
        """No word from a site makes an ended job live again."""
        assert self.ends <= 1


TestJobs = JobModel.TestCase


@pytest.mark.parametrize("state", JobState)
def test_every_state_is_told_and_may_stay(state: JobState) -> None:
    """Nothing changes most of the time."""
    assert state in FOLLOWERS
    assert may_follow(state, state)


@pytest.mark.parametrize(("before", "after"), list(itertools.pairwise(FORWARD)))
def test_a_job_goes_its_usual_way(before: JobState, after: JobState) -> None:
    """Each state is followed by the next."""
    assert may_follow(before, after)


@pytest.mark.parametrize("state", [state for state in JobState if not state.final])
def test_a_job_may_fail_vanish_or_be_canceled_at_any_time(state: JobState) -> None:
    """So may its site."""
    assert all(may_follow(state, after) for after in (JobState.FAILED, JobState.CANCELED, JobState.UNKNOWN))


@pytest.mark.parametrize("before", [JobState.ACTIVE, JobState.STAGE_OUT])
def test_a_scheduler_may_put_a_job_back_into_its_queue(before: JobState) -> None:
    """After a node failure, also when the job was completing."""
    assert may_follow(before, JobState.QUEUED)


@pytest.mark.parametrize("after", [state for state in JobState if state is not JobState.COMPLETED])
def test_what_is_completed_stays_so(after: JobState) -> None:
    """Its results may be in use."""
    assert not may_follow(JobState.COMPLETED, after)


@given(st.lists(STATES, min_size=1))
def test_many_states_are_summed_up_by_one(states: list[JobState]) -> None:
    """It is final exactly when all are, and bad exactly when one is."""
    whole = combined(states)
    assert whole.final == all(state.final for state in states)
    assert (whole is JobState.COMPLETED) == all(state is JobState.COMPLETED for state in states)
    if whole.final and JobState.FAILED in states:
        assert whole is JobState.FAILED
    assert combined(reversed(states)) is whole


def test_nothing_at_all_has_not_begun() -> None:
    """A step without tasks yet."""
    assert combined([]) is JobState.NEW
