"""Two processes of one home bring the same to the same place at the same time."""

from __future__ import annotations

import pytest

from tests.acceptance.transfer_faults.conftest import AGAIN_BYTES, MIB, OVERHEAD, World, ended, wait_for_bytes

SIZE = 96 * MIB
COPY = ("data", "cp", "scan", "west:")


@pytest.mark.slow
@pytest.mark.parametrize("first_dies", [False, True], ids=["both live", "the first is killed"])
def test_one_waits_for_the_other_and_takes_over_what_it_left(world: World, *, first_dies: bool) -> None:
    """The bytes travel once; of a killed one's at most 64 MiB travel again."""
    world.link(rate="300mbit")
    home = world.home("tar")
    home.done("data", "add", "scan", "--site", "east", home.places["east"].make("one", SIZE))
    before = world.west.received_bytes
    first = home.start(*COPY)
    wait_for_bytes(home.places["west"], MIB, first)
    second = home.start(*COPY)
    if first_dies:
        wait_for_bytes(home.places["west"], SIZE // 2, first)
        first.kill()
        first.communicate()
    else:
        assert ended(first).returncode == 0
    home.done_in_the_end(*COPY, first=ended(second))
    travelled = world.west.received_bytes - before
    assert travelled <= SIZE * OVERHEAD + (AGAIN_BYTES if first_dies else 8 * MIB)
    assert home.check_registered(at="west") == 1
    assert home.places["west"].partials == []
