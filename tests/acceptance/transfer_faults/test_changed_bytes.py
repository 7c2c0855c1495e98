"""Sources that change while they are copied, bytes that flip at the destination, and disks that fill up."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tests.acceptance.transfer_faults.conftest import (
    COPY,
    FAST,
    MIB,
    OVERHEAD,
    SLOW,
    Answer,
    Home,
    Place,
    World,
    ended,
    kill,
    on_their_way,
    sha256_of,
    together,
)

SIZE = 40 * MIB
STAGING = 8
"""The exit code of data that did not arrive."""

REWRITTEN = "head -c {size} /dev/urandom | dd of={path} bs=1M conv=notrunc iflag=fullblock status=none"
LONGER = "head -c 1000 /dev/urandom >>{path}"
SHORTER = "truncate -s 1000 {path}"


@pytest.fixture
def homes(world: World) -> list[Home]:
    """One for each mover, with a file at east, and a cable that takes a while for it."""
    made = world.scans(SIZE)
    world.link(SLOW)
    return made


def check_refused(home: Home, answer: Answer, *words: str) -> None:
    """A clear error, and nothing at west: neither for the catalogue nor on the disk."""
    said = f"{answer.stdout}\n{answer.stderr}"
    assert answer.returncode == STAGING, said
    for word in words:
        assert word in said, said
    assert "Traceback" not in said
    west = home.places["west"]
    assert home.check_registered(at="west") == 0
    assert west.partials == []
    assert not [path for path in west.path(west.workdir).rglob("data/*") if path.is_file()]


@pytest.mark.slow
@pytest.mark.parametrize("change", [REWRITTEN, LONGER, SHORTER], ids=["rewritten in place", "longer", "shorter"])
def test_a_source_that_changes_while_it_is_copied_is_told(world: World, homes: list[Home], change: str) -> None:
    """What the catalogue promises is not what would arrive, and not what lies at the source any longer."""
    running = {home: home.start(*COPY) for home in homes}
    for home in on_their_way(running, MIB):
        east = home.places["east"]
        east.site.execute("/bin/sh", "-c", change.format(size=SIZE, path=f"{east.data}/one"))
    world.link(FAST)
    for home in homes:
        answer = ended(running[home])
        if change == LONGER and not answer.returncode:  # its beginning is what was registered, and all of that arrived
            assert home.check_registered(at="west") == 1
        else:
            check_refused(home, answer, "changed", "convoy data add")
            assert home.replicas() == []


@pytest.mark.slow
def test_a_byte_that_flips_in_what_a_cut_left_is_found_and_mended(world: World, homes: list[Home]) -> None:
    """The next try goes on with it, and finds that it is no beginning of the file: it is brought anew."""
    running = {home: home.start(*COPY) for home in homes}
    for home in on_their_way(running, 2 * MIB):
        kill(running[home])
    for home in homes:
        [partial] = home.places["west"].partials
        flip(partial)
    world.link(FAST)
    together(homes, lambda home: home.done_in_the_end(*COPY))
    for home in homes:
        assert home.check_registered() == 2
        assert home.places["west"].partials == []


def flip(path: object) -> None:
    """One bit of a file's first bytes is another."""
    with open(str(path), "r+b") as file:
        file.seek(1000)
        byte = file.read(1)
        file.seek(1000)
        file.write(bytes([byte[0] ^ 1]))


def test_a_byte_that_flips_in_a_copy_is_found_and_mended(world: World) -> None:
    """By reading it again, and by bringing it again; the file's time is as it was."""
    home = world.home()
    home.add_scan(SIZE)
    home.done(*COPY)
    [copy] = [home.places["west"].path(path) for site, path, *_ in home.replicas() if site == "west"]
    sha256 = sha256_of(copy)
    flip(copy)
    answer = home.run("data", "verify", "scan")
    assert answer.returncode == 1
    assert "is expected" in answer.stdout
    before = world.west.received_bytes
    home.done("data", "verify", "scan", "--repair")
    assert sha256_of(copy) == sha256
    assert home.check_registered() == 2
    assert world.west.received_bytes - before <= SIZE * OVERHEAD + MIB


@pytest.mark.slow
def test_a_disk_that_fills_up_is_told_and_filled_no_further(world: World, homes: list[Home]) -> None:
    """Somebody else writes there, too. When there is room again the same command does it."""
    with ExitStack() as disks:
        for home in homes:
            disks.enter_context(small_disk(home.places["west"], size_bytes=SIZE + 8 * MIB))
        running = {home: home.start(*COPY) for home in homes}
        for home in on_their_way(running, MIB):
            west = home.places["west"]
            west.site.execute("fallocate", "-l", str(SIZE // 2 + 8 * MIB), f"{west.workdir}/somebody")
        world.link(FAST)
        for home in homes:
            check_refused(home, ended(running[home]), " left", "convoy retry", "west")
            assert home.check_registered() == 1
            home.places["west"].path(f"{home.places['west'].workdir}/somebody").unlink()
        together(homes, lambda home: home.done(*COPY))
        for home in homes:
            assert home.check_registered() == 2


def test_a_disk_that_is_too_small_is_told_before_a_byte_travels(world: World) -> None:
    """With what is needed and what is free."""
    home = world.home()
    home.add_scan(SIZE)
    with small_disk(home.places["west"], size_bytes=SIZE // 2):
        before = world.west.received_bytes
        check_refused(home, home.run(*COPY), f"needs {SIZE} bytes", "are free", "convoy retry")
        assert world.west.received_bytes - before <= MIB


@contextmanager
def small_disk(place: Place, *, size_bytes: int) -> Iterator[None]:
    """Convoy's folder at a site is a file system of its own."""
    mount = f"mount -t tmpfs -o size={size_bytes},uid=2001 tmpfs {place.workdir}"
    place.site.execute("/bin/sh", "-c", mount)
    try:
        yield
    finally:
        place.site.execute("umount", "-l", place.workdir)
