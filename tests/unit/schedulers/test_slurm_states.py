"""Every word of Slurm's has one meaning here, and a new word is no guess."""

from __future__ import annotations

import pytest

from adapters.schedulers.slurm.rows import Row, parse_exit, statuses
from adapters.schedulers.slurm.states import STATES, parse_state
from orchestrator.jobs import JobState

MEANINGS = {
    JobState.QUEUED: "PENDING CONFIGURING EXPEDITING POWER_UP_NODE REQUEUED REQUEUE_FED REQUEUE_HOLD RESV_DEL_HOLD SPECIAL_EXIT",
    JobState.ACTIVE: "RUNNING COMPLETING RESIZING SIGNALING STOPPED SUSPENDED",
    JobState.STAGE_OUT: "STAGE_OUT",
    JobState.COMPLETED: "COMPLETED",
    JobState.CANCELED: "CANCELLED",
    JobState.FAILED: "BOOT_FAIL DEADLINE FAILED LAUNCH_FAILED NODE_FAIL OUT_OF_MEMORY PREEMPTED RECONFIG_FAIL TIMEOUT",
    JobState.UNKNOWN: "REVOKED",
}
WORDS = [(word, state) for state, words in MEANINGS.items() for word in words.split()]


def status(*words: str, **fields: object):
    return statuses([Row(job="1", words=words, **fields)])["1"]  # type: ignore[arg-type]


@pytest.mark.parametrize(("word", "state"), WORDS)
def test_a_word_means(word, state):
    assert parse_state([word]) is state


def test_the_list_above_is_whole():
    assert {word for word, _ in WORDS} == {word for word in STATES if len(word) > 3}


@pytest.mark.parametrize(
    ("short", "state"),
    [("PD", "QUEUED"), ("CG", "ACTIVE"), ("CD", "COMPLETED"), ("OOM", "FAILED"), ("S", "ACTIVE"), ("CA", "CANCELED")],
)
def test_a_short_word_means_the_same(short, state):
    assert parse_state([short]) == state


@pytest.mark.parametrize("word", ["CANCELLED by 0", "CANCELLED by 1001", "CANCELLED+", "CANCELLED"])
def test_who_cancelled_does_not_matter_but_is_kept(word):
    assert (status(word).state, status(word).native_state) == (JobState.CANCELED, word)


@pytest.mark.parametrize(
    ("words", "state"),
    [
        (("COMPLETED", "COMPLETING"), JobState.ACTIVE),
        (("PENDING", "REQUEUED"), JobState.QUEUED),
        (("RUNNING", "CONFIGURING"), JobState.QUEUED),
        (("RUNNING", "A_FLAG_OF_2030"), JobState.ACTIVE),
        (("HIBERNATING",), JobState.UNKNOWN),
        (("HIBERNATING", "COMPLETING"), JobState.UNKNOWN),
        (("",), JobState.UNKNOWN),
        ((), JobState.UNKNOWN),
    ],
)
def test_flags_refine_a_state(words, state):
    assert parse_state(words) is state


def test_an_unknown_word_is_kept():
    assert status("HIBERNATING").native_state == "HIBERNATING"


def test_a_job_stopped_from_outside_has_no_exit_code():
    assert status("TIMEOUT").exit_code is None
    assert status("COMPLETED").exit_code == 0
    assert status("FAILED", code=3).exit_code == 3
    assert status("FAILED", signal=9).exit_code == 137


def test_a_running_job_has_no_end_although_slurm_names_one():
    assert status("RUNNING", started_at=1.0, ended_at=9.0).ended_at is None
    assert status("PENDING", started_at=5.0).started_at is None


def test_the_reason_is_told_for_people():
    assert status("TIMEOUT", reason="TimeLimit").message == "it ran longer than it asked for (TimeLimit)"
    assert status("PENDING", waited_for="Priority").message == "Priority"
    assert status("COMPLETED", waited_for="Priority").message == ""


@pytest.mark.parametrize(
    ("text", "pair"),
    [
        ("0:0", (0, 0)),
        ("1:0", (1, 0)),
        ("0:15", (0, 15)),
        ("512", (2, 0)),
        ("9", (0, 9)),
        ("", (0, 0)),
        ("x:y", (0, 0)),
    ],
)
def test_exit_codes_of_old_and_new_squeue(text, pair):
    assert parse_exit(text) == pair
