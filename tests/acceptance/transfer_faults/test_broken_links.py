"""Cables that are cut and servers that are killed while bytes travel between two sites."""

from __future__ import annotations

import random
import time

import pytest

from tests.acceptance.transfer_faults.conftest import AGAIN_BYTES, MIB, OVERHEAD, World, ended, wait_for_bytes

MOVERS = ("tar", "rsync", "gridftp")
"""A stream of ours, a program of others, and parallel servers: they break in different ways."""
CUT_S = 10


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_five_cuts_of_ten_seconds(world: World) -> None:
    """Three transfers of one file each, by different movers, are under way at once; each is hit by every cut."""
    size, chance = 100 * MIB, random.Random(4)
    world.link(rate="160mbit")
    homes = {mover: world.home(mover) for mover in MOVERS}
    for home in homes.values():
        home.done("data", "add", "scan", "--site", "east", home.places["east"].make("one", size))
    before = world.west.received_bytes
    words = ("data", "cp", "scan", "west:")
    running = {mover: home.start(*words) for mover, home in homes.items()}
    for _ in range(5):
        time.sleep(chance.uniform(0.5, 3.0))
        world.west.site.fault("cut", CUT_S)
    for mover, process in running.items():
        homes[mover].done_in_the_end(*words, first=ended(process))
    assert world.west.received_bytes - before <= len(MOVERS) * size * OVERHEAD + AGAIN_BYTES
    for home in homes.values():
        assert home.check_registered(at="west") == 1
        assert home.places["west"].partials == []


@pytest.mark.slow
def test_the_ssh_server_is_killed(world: World) -> None:
    """All sessions end at once, and nobody answers for three seconds."""
    size = 120 * MIB
    world.link(rate="200mbit")
    homes = {mover: world.home(mover) for mover in MOVERS}
    for home in homes.values():
        home.done("data", "add", "scan", "--site", "east", home.places["east"].make("one", size))
    before = world.west.received_bytes
    words = ("data", "cp", "scan", "west:")
    running = {mover: home.start(*words) for mover, home in homes.items()}
    for mover, process in running.items():
        wait_for_bytes(homes[mover].places["west"], size // 8, process)
    world.west.site.fault("kill-sshd", 3)
    for mover, process in running.items():
        homes[mover].done_in_the_end(*words, first=ended(process))
    assert world.west.received_bytes - before <= len(MOVERS) * size * OVERHEAD + AGAIN_BYTES
    for home in homes.values():
        assert home.check_registered(at="west") == 1
        assert home.places["west"].partials == []
