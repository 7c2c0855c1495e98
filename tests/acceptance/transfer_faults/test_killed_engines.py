"""The engine of a run is killed with SIGKILL when half of the data are there, and another one goes on."""

from __future__ import annotations

import json

import pytest

from tests.acceptance.transfer_faults.conftest import (
    AGAIN_BYTES,
    FAST,
    MIB,
    MOVERS,
    OVERHEAD,
    Home,
    World,
    kill,
    on_their_way,
    together,
)

WORKFLOW = """\
name: killed
inputs: {scans: {default: 'dataset://scans'}}
steps:
  look:
    command: 'cat {{inputs.scans}} | sha256sum > sum'
    in: {scans: inputs.scans}
    outputs: {sum: sum}
    at: west
"""


def run_with(home: Home, sizes: list[int]) -> tuple[object, ...]:
    """A run needs files of these sizes, which lie at east; the words that begin it."""
    (home.folder / "workflow.yaml").write_text(WORKFLOW)
    for number, size in enumerate(sizes):
        home.places["east"].make(f"{number:03}", size)
    home.done("data", "add", "scans", "--site", "east", home.places["east"].data)
    return ("run", "--no-report", home.folder / "workflow.yaml")


def kill_at_half(world: World, homes: list[Home], sizes: list[int]) -> int:
    """Each home's engine is killed at half of its bytes, and another one finishes; the bytes that travelled."""
    words = together(homes, lambda home: run_with(home, sizes))
    world.link("160mbit")
    before = world.west.received_bytes
    engines = {home: home.start(*said) for home, said in zip(homes, words, strict=True)}
    for home in on_their_way(engines, sum(sizes) // 2):
        kill(engines[home])
    world.link(FAST)
    together(homes, lambda home: home.done("resume", "--no-report"))
    for home in homes:
        [run] = json.loads(home.done("ls", "--json").stdout)
        assert run["state"] == "COMPLETED"
        assert home.check_registered(at="west") >= len(sizes)
        assert home.places["west"].partials == []
    return world.west.received_bytes - before


@pytest.mark.slow
def test_a_large_file_is_gone_on_with(world: World) -> None:
    """By each mover, all at once."""
    homes, size = [world.home(mover) for mover in MOVERS], 96 * MIB
    travelled = kill_at_half(world, homes, [size])
    assert travelled <= len(homes) * size * OVERHEAD + AGAIN_BYTES


@pytest.mark.slow
def test_of_many_files_those_that_are_there_stay(world: World) -> None:
    """They travel together, and none is whole for the journal yet."""
    homes, sizes = [world.home(mover) for mover in ("tar", "rsync")], [2 * MIB] * 60
    travelled = kill_at_half(world, homes, sizes)
    assert travelled <= len(homes) * (sum(sizes) * OVERHEAD + AGAIN_BYTES // 4)
