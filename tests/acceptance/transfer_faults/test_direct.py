"""Data go from site to site, and this machine only gives the word."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator

import pytest

from tests.acceptance.transfer_faults.conftest import COPY, MIB, World
from tests.testbed.fixtures import refuse

GIB = 1 << 30


@pytest.fixture
def through_this_machine(world: World) -> Iterator[Callable[[], int]]:
    """Bytes that came to this machine from the two sites or went to them; what they say to each other is not in it.

    The kernel counts them, by rules that do nothing else.
    """
    if shutil.which("iptables") is None:
        refuse("it lacks iptables, by which the kernel counts")
    addresses = [place.site.address for place in world.places.values()]
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
@pytest.mark.parametrize(("mover", "size"), [("tar", 2 * GIB), ("gridftp", GIB // 4)], ids=["tar", "gridftp"])
def test_two_gigabytes_do_not_come_by_this_machine(
    world: World, mover: str, size: int, through_this_machine: Callable[[], int]
) -> None:
    """By the counters of cables and kernel, not by what anybody says."""
    home = world.home(mover)
    home.add_scan(size)
    sent, received, here = world.east.sent_bytes, world.west.received_bytes, through_this_machine()
    home.done(*COPY)
    assert world.east.sent_bytes - sent > size
    assert world.west.received_bytes - received > size
    assert 0 < through_this_machine() - here < 16 * MIB
    assert home.check_registered(at="west") == 1
