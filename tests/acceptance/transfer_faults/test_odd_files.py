"""Files whose names, shapes or numbers are out of the ordinary."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.acceptance.transfer_faults.conftest import MIB, MOVERS, Home, Place, World, together

GIB = 1 << 30
INVALID = 2
"""The exit code of what cannot be understood."""
_LONG_S = 500
ODD_NAMES = [
    "a b", " begins and ends ", "it's", 'say "x"', "$(touch oops)", "`id`", "-n", "--help", "a\\b", "*",
    "é ü 漢", ";reboot", "%41", "#", "~", "&", "n" * 250,
]  # fmt: skip
UNSAYABLE = [b"line\nline", b"tab\there", b"fran\xe7ais", b"\xff\xfe", b"a\xe9/b"]


def test_names_of_any_kind_arrive_each_with_its_own_bytes(world: World) -> None:
    """From a folder of one's own at one site to one at the other, under the same names, by each mover."""
    together([world.home(mover) for mover in (*MOVERS, "scp")], bring_odd_names)


def bring_odd_names(home: Home) -> None:
    """All of them arrive, and none of them is understood as anything else."""
    east, west = home.places["east"], home.places["west"]
    names = [os.fsencode(name) for name in ODD_NAMES]
    write_tree(east, {name: b"content of " + name for name in names})
    home.done("data", "add", "odd", "--site", "east", east.data)
    home.done("data", "cp", "odd", f"site://west{west.data}/copy/")
    copies = {name: content_of(west, b"copy/" + name) for name in names}
    assert copies == {name: b"content of " + name for name in names}
    assert home.check_registered(at="west") == len(names)
    assert west.partials == []
    assert not list(west.path("/home/alice").glob("oops"))


def test_names_that_no_catalogue_can_hold_are_told_and_their_bytes_brought_all_the_same(world: World) -> None:
    """Nobody could say such a name, or read it in a list; as paths of a site they are as good as others."""
    home = world.home()
    east = home.places["east"]
    write_tree(east, {name: b"content of " + name for name in UNSAYABLE})
    refused = home.run("data", "add", "odd", "--site", "east", east.data)
    assert refused.returncode == INVALID
    assert any(repr(os.fsdecode(name)) in refused.stderr for name in UNSAYABLE)
    assert "rename the file" in refused.stderr
    assert home.replicas() == []
    home.done("data", "cp", f"site://east{east.data}", "west:")
    assert home.check_registered(at="west") == len(UNSAYABLE)
    hashes = {row[2] for row in home.replicas() if row[0] == "west"}
    assert hashes == {hashlib.sha256(b"content of " + name).hexdigest() for name in UNSAYABLE}


def write_tree(place: Place, contents: dict[bytes, bytes]) -> None:
    """Files of alice's below her folder, by their names as bytes."""
    for name, content in contents.items():
        path = os.fsencode(place.path(place.data)) + b"/" + name
        os.makedirs(os.path.dirname(path), exist_ok=True)
        Path(os.fsdecode(path)).write_bytes(content)
    place.site.execute("chown", "-R", "alice", place.data)


def content_of(place: Place, name: bytes) -> bytes:
    """Of a file below alice's folder."""
    return Path(os.fsdecode(os.fsencode(place.path(place.data)) + b"/" + name)).read_bytes()


def test_symlinks_that_go_in_circles_trap_nobody(world: World) -> None:
    """What they lead to is taken once; what leads nowhere is left out."""
    home = world.home()
    folder = home.folder / "scans"
    (folder / "deep").mkdir(parents=True)
    (folder / "real").write_bytes(b"real")
    links = {
        "self": "self",
        "a": "b",
        "b": "a",
        "deep/up": "..",
        "deep/root": str(folder),
        "file": "real",
        "gone": "no",
    }
    for name, target in links.items():
        (folder / name).symlink_to(target)
    home.done("data", "put", folder, "scans", "--site", "west", timeout_s=60)
    listed = home.done("data", "ls", "-l", "scans").stdout
    assert "real" in listed
    assert home.check_registered(at="west") == 1


def test_empty_files_and_files_with_holes_arrive(world: World) -> None:
    """One is nothing at all, the other mostly."""
    home = world.home()
    folder = home.folder / "scans"
    folder.mkdir()
    (folder / "empty").touch()
    (folder / "full").write_bytes(os.urandom(MIB))
    holes(folder / "sparse", 512 * MIB)
    before = world.west.received_bytes
    home.done("data", "put", folder, "scans", "--site", "west")
    assert world.west.received_bytes - before < 16 * MIB
    assert home.check_registered(at="west") == 3
    sizes = {path: home.places["west"].path(path) for site, path, *_ in home.replicas() if site == "west"}
    assert sum(path.stat().st_blocks * 512 for path in sizes.values()) < 16 * MIB


def holes(path: Path, size_bytes: int) -> None:
    """A file of holes with some bytes at its beginning, in its middle and at its end."""
    with path.open("wb") as file:
        for at in (0, size_bytes // 2 + 12345, size_bytes - 1000):
            file.seek(at)
            file.write(os.urandom(1000))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_fifty_thousand_tiny_files_beside_one_of_twenty_gib(world: World) -> None:
    """Two people's, at the same time: one waits for processes, the other for hashes."""
    with ThreadPoolExecutor(2) as threads:
        both = [threads.submit(bring, world.home()) for bring in (bring_tiny_files, bring_image)]
    for one in both:
        one.result()


def bring_tiny_files(home: Home) -> None:
    """Each with its own content, from this machine to a site."""
    count = 50_000
    folder = home.folder / "tiny"
    for number in range(count):
        path = folder / f"{number % 100:02}" / f"{number}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"content of {number}\n")
    home.done("data", "put", folder, "tiny", "--site", "west", timeout_s=_LONG_S)
    assert home.check_registered(at="west") == count
    assert home.places["west"].partials == []


def bring_image(home: Home) -> None:
    """From site to site. It stays as sparse as it was, and what is nothing does not travel."""
    east, west = home.places["east"], home.places["west"]
    holes(east.path(f"{east.data}/image"), 20 * GIB)
    east.site.execute("chown", "alice", f"{east.data}/image")
    before = east.sent_bytes
    home.done("data", "add", "image", "--site", "east", f"{east.data}/image", timeout_s=_LONG_S)
    home.done("data", "cp", "image", "west:", timeout_s=_LONG_S)
    assert east.sent_bytes - before < 16 * MIB
    [copy] = [west.path(path) for site, path, *_ in home.replicas() if site == "west"]
    assert copy.stat().st_size == 20 * GIB
    assert copy.stat().st_blocks * 512 < 16 * MIB
    assert parts_of(copy) == parts_of(east.path(f"{east.data}/image"))
    assert west.partials == []


def parts_of(path: Path) -> list[tuple[int, bytes]]:
    """What is no hole of a file, its zeros left out."""
    found, at = [], 0
    with path.open("rb") as file:
        while True:
            try:
                at = os.lseek(file.fileno(), at, os.SEEK_DATA)
            except OSError:
                return found
            end = os.lseek(file.fileno(), at, os.SEEK_HOLE)
            content = os.pread(file.fileno(), end - at, at)
            begin = len(content) - len(content.lstrip(b"\0"))
            if content.strip(b"\0"):
                found.append((at + begin, content.strip(b"\0")))
            at = end
