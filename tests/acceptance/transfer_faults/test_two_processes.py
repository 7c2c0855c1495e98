"""Two processes of one home bring the same to the same place at the same time."""

from __future__ import annotations

import pytest

from tests.acceptance.transfer_faults.conftest import (
    AGAIN_BYTES,
    COPY,
    FAST,
    MIB,
    OVERHEAD,
    World,
    ended,
    kill,
    on_their_way,
)

SIZE = 96 * MIB


@pytest.mark.slow
@pytest.mark.parametrize("first_dies", [False, True], ids=["both live", "the first is killed"])
def test_one_waits_for_the_other_and_takes_over_what_it_left(world: World, *, first_dies: bool) -> None:
    """The bytes travel once; of a killed one's at most 64 MiB travel again."""
    world.link("200mbit")
    home = world.home("tar")
    home.add_scan(SIZE)
    before = world.west.received_bytes
    first = home.start(*COPY)
    next(on_their_way({home: first}, MIB))
    second = home.start(*COPY)
    if first_dies:
        next(on_their_way({home: first}, SIZE // 2))
        kill(first)
        world.link(FAST)
    else:
        assert ended(first).returncode == 0
    home.done_in_the_end(*COPY, first=ended(second))
    travelled = world.west.received_bytes - before
    assert travelled <= SIZE * OVERHEAD + (AGAIN_BYTES if first_dies else 8 * MIB)
    assert home.check_registered(at="west") == 1
    assert home.places["west"].partials == []
