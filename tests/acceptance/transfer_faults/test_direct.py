"""Data go from site to site, and this machine only gives the word."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator

import pytest

from tests.acceptance.transfer_faults.conftest import MIB, World

SIZE = 2 << 30


@pytest.fixture
def through_this_machine(world: World) -> Iterator[Callable[[], int]]:
    """Bytes that came to this machine from the two sites or went to them; what they say to each other is not in it.

    The kernel counts them, by rules that do nothing else.
    """
    addresses = [place.address for place in world.places.values()]
    rules = [[chain, option, address] for address in addresses for chain, option in (("INPUT", "-s"), ("OUTPUT", "-d"))]
    for rule in rules:
        iptables("-I", *rule)

    def counted() -> int:
        lines = [line.split() for chain in ("INPUT", "OUTPUT") for line in iptables("-nvxL", chain).splitlines()[2:]]
        return sum(int(line[1]) for line in lines if set(line) & set(addresses))

    yield counted
    for rule in rules:
        iptables("-D", *rule)


def iptables(*words: str) -> str:
    """What it said."""
    return subprocess.run(["iptables", "-w", *words], check=True, capture_output=True, text=True).stdout


@pytest.mark.slow
@pytest.mark.parametrize("mover", ["tar", "gridftp"])
def test_two_gigabytes_do_not_come_by_this_machine(
    world: World, mover: str, through_this_machine: Callable[[], int]
) -> None:
    """By the counters of cables and kernel, not by what anybody says."""
    home = world.home(mover)
    home.done("data", "add", "scan", "--site", "east", home.places["east"].make("one", SIZE))
    sent, received, here = world.east.sent_bytes, world.west.received_bytes, through_this_machine()
    home.done("data", "cp", "scan", "west:")
    assert world.east.sent_bytes - sent > SIZE
    assert world.west.received_bytes - received > SIZE
    assert 0 < through_this_machine() - here < 16 * MIB
    assert home.check_registered(at="west") == 1
