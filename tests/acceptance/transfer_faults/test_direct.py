"""Data go from site to site, and this machine only gives the word."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.transfer_faults.conftest import World

SIZE = 2 << 30
BRIDGE = Path("/sys/class/net/cv-bridge/statistics")


def through_this_machine() -> int:
    """Bytes that came to this machine from sites, or went from it to them; what they say to each other is not in it."""
    return sum(int((BRIDGE / name).read_text()) for name in ("rx_bytes", "tx_bytes"))


@pytest.mark.slow
@pytest.mark.parametrize("mover", ["tar", "gridftp"])
def test_two_gigabytes_do_not_come_by_this_machine(world: World, mover: str) -> None:
    """By the counters of the cables, not by what anybody says."""
    home = world.home(mover)
    home.done("data", "add", "scan", "--site", "east", home.places["east"].make("one", SIZE))
    sent, received, here = world.east.sent_bytes, world.west.received_bytes, through_this_machine()
    home.done("data", "cp", "scan", "west:")
    assert world.east.sent_bytes - sent > SIZE
    assert world.west.received_bytes - received > SIZE
    assert through_this_machine() - here < SIZE / 20
    assert home.check_registered(at="west") == 1
