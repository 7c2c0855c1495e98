"""The clock that wakes the engine."""

import threading
import time

import pytest

from orchestrator.engine.pulse import QUICK_S, Pulse


@pytest.fixture
def pulse():
    pulse = Pulse()
    yield pulse
    pulse.stop()


def test_what_was_asked_for_before_the_clock_runs_is_not_forgotten(pulse):
    called, beaten = threading.Event(), threading.Event()
    pulse.adapt("ask", called.set, changed=True)
    pulse.every("beat", 0.1, beaten.set)
    assert not called.is_set()
    pulse.start()
    assert called.wait(20)
    assert beaten.wait(20)


def test_a_moment_that_passed_before_the_clock_runs_is_made_up_for(pulse):
    called = threading.Event()
    pulse.adapt("ask", called.set, changed=True)
    until = time.monotonic() + QUICK_S
    assert not called.wait(QUICK_S + 0.05)
    assert time.monotonic() >= until
    pulse.start()
    assert called.wait(20)


def test_the_newest_word_on_when_to_ask_counts(pulse):
    first, second = threading.Event(), threading.Event()
    pulse.adapt("ask", first.set, changed=True)
    pulse.adapt("ask", second.set, changed=True)
    pulse.start()
    assert second.wait(20)
    assert not first.is_set()


def test_a_call_that_falls_due_while_the_last_one_has_not_returned_is_made_all_the_same(pulse):
    """On a busy machine its thread may not run for a while, although it has said all that it had to say."""
    lingering, again = threading.Event(), threading.Event()

    def first() -> None:
        pulse.adapt("ask", again.set, changed=True)
        lingering.wait(20)

    pulse.adapt("ask", first, changed=True)
    pulse.start()
    try:
        assert again.wait(5)
    finally:
        lingering.set()
