"""The bound on commands under way."""

from __future__ import annotations

import time

import pytest

from adapters.runners.ssh.gate import Gate
from metadata.errors import SiteUnavailableError


def soon() -> float:
    return time.monotonic() + 0.05


def test_a_full_gate_is_told_at_the_deadline():
    gate = Gate(site="agh", places=1)
    with (
        gate.place(deadline=soon()),
        pytest.raises(SiteUnavailableError, match="1 commands"),
        gate.place(deadline=soon()),
    ):
        pass


def test_a_place_is_free_again_after_an_error():
    gate = Gate(site="agh", places=1)
    with pytest.raises(RuntimeError), gate.place(deadline=soon()):
        raise RuntimeError
    with gate.place(deadline=soon()):
        pass


def test_a_refused_channel_takes_a_place_away():
    gate = Gate(site="agh", places=2)
    with gate.place(deadline=soon()), gate.place(deadline=soon()):
        assert gate.shrink()
    with gate.place(deadline=soon()), pytest.raises(SiteUnavailableError), gate.place(deadline=soon()):
        pass


def test_the_last_place_is_never_taken_away():
    gate = Gate(site="agh", places=2)
    with gate.place(deadline=soon()):
        assert not gate.shrink()
