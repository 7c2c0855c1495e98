"""The engine of a run is killed with SIGKILL when half of the data are there, and another one goes on."""

from __future__ import annotations

import json
import subprocess

import pytest

from tests.acceptance.transfer_faults.conftest import AGAIN_BYTES, MIB, OVERHEAD, Home, World, wait_for_bytes

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


def finish(home: Home, files: int) -> None:
    """The run goes on to its end, and all is right then."""
    home.done("resume", "--no-report")
    [run] = json.loads(home.done("ls", "--json").stdout)
    assert run["state"] == "COMPLETED"
    assert home.check_registered(at="west") >= files
    assert home.places["west"].partials == []


@pytest.mark.slow
def test_a_large_file_is_gone_on_with(world: World) -> None:
    """By each mover, all at once."""
    size = 120 * MIB
    world.link(rate="200mbit")
    homes = [world.home(mover) for mover in ("tar", "rsync", "gridftp")]
    words = [run_with(home, [size]) for home in homes]
    before = world.west.received_bytes
    engines = [home.start(*said) for home, said in zip(homes, words, strict=True)]
    for home, engine in zip(homes, engines, strict=True):
        wait_for_bytes(home.places["west"], size // 2, engine)
        kill(engine)
    for home in homes:
        finish(home, files=1)
    assert world.west.received_bytes - before <= len(homes) * size * OVERHEAD + AGAIN_BYTES


@pytest.mark.slow
@pytest.mark.parametrize("mover", ["tar", "rsync"])
def test_of_many_files_those_that_are_there_stay(world: World, mover: str) -> None:
    """They travel together, and none is whole for the journal yet."""
    count, size = 60, 2 * MIB
    world.link(rate="300mbit")
    home = world.home(mover)
    words = run_with(home, [size] * count)
    before = world.west.received_bytes
    engine = home.start(*words)
    wait_for_bytes(home.places["west"], count * size // 2, engine)
    kill(engine)
    finish(home, files=count)
    assert world.west.received_bytes - before <= count * size * OVERHEAD + AGAIN_BYTES // 4


def kill(engine: subprocess.Popen[str]) -> None:
    """And it alone: what it started at the sites learns of it as of any crash."""
    engine.kill()
    engine.communicate()
