"""Cables that are cut and servers that are killed while bytes travel between two sites."""

from __future__ import annotations

import random
import time
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tests.acceptance.transfer_faults.conftest import (
    AGAIN_BYTES,
    COPY,
    FAST,
    MIB,
    OVERHEAD,
    SLOW,
    Home,
    World,
    ended,
    on_their_way,
    together,
)
from tests.testbed.fixtures import wait_until

SIZE = 96 * MIB
CUTS, CUT_S = 5, 10


@pytest.fixture
def homes(world: World) -> list[Home]:
    """One for each mover, with a file at east."""
    return world.scans(SIZE)


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_five_cuts_of_ten_seconds(world: World, homes: list[Home]) -> None:
    """Transfers by all movers go on at once, and each cut comes at a random instant at which bytes travel."""
    world.link("120mbit")
    chance = random.Random(4)
    before = world.west.received_bytes
    with ThreadPoolExecutor(len(homes)) as threads:
        running = [threads.submit(home.done_in_the_end, *COPY) for home in homes]
        for _ in range(CUTS):
            wait_until(Travelled(world), what="bytes travel")
            time.sleep(chance.uniform(0.2, 2.0))
            assert any(not transfer.done() for transfer in running), "no cut hits what is over"
            world.west.site.fault("cut", CUT_S)
        world.link(FAST)
        check_ended(running)
    check_arrived(world, homes, before)


@pytest.mark.slow
def test_the_ssh_server_is_killed(world: World, homes: list[Home]) -> None:
    """All sessions end at once, and nobody answers for three seconds."""
    world.link(SLOW)
    before = world.west.received_bytes
    running = {home: home.start(*COPY) for home in homes}
    for _ in on_their_way(running, 4 * MIB):
        pass
    world.west.site.fault("kill-sshd", 3)
    world.link(FAST)
    together(homes, lambda home: home.done_in_the_end(*COPY, first=ended(running[home])))
    check_arrived(world, homes, before)


class Travelled:
    """True once a MiB has come to west since this was made."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._before = world.west.received_bytes

    def __call__(self) -> bool:
        """Whether it has come."""
        return self._world.west.received_bytes - self._before > MIB


def check_ended(running: list[Future[None]]) -> None:
    """All of them well."""
    for transfer in running:
        transfer.result()


def check_arrived(world: World, homes: list[Home], before: int) -> None:
    """Every byte is right, and few of them travelled twice."""
    assert world.west.received_bytes - before <= len(homes) * SIZE * OVERHEAD + AGAIN_BYTES
    for home in homes:
        assert home.check_registered() == 2
        assert home.places["west"].partials == []
