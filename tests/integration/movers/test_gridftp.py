"""GridFTP between real servers of the testbed, with every kind of security, from every seat."""

from __future__ import annotations

import os
import shutil

import pytest

from adapters.movers.gridftp import GridFtpMover
from metadata.errors import (
    MiddlewareError,
    NoSpaceError,
    NotFoundError,
    SiteUnavailableError,
    StagingError,
    TransferInterruptedError,
)
from staging.ports import Direction
from tests.integration.movers.conftest import End, Ends, Way
from tests.testbed.fixtures import wait_until

PORTS = {"anonymous": "2810", "gsi": "2811", "sshftp": ""}
BIG = os.urandom(1 << 20) * 5
ODD_NAMES = ["a b", "-n", "it's", '"', "$(id)", "*", "a\nb", "a\\b", "é ü 漢", " end ", "%41", "[x]?", "\x01", "\udcff"]


def door(site: str, security: str, **more: str) -> dict[str, dict[str, str]]:
    """The door of one of the testbed's servers."""
    named = {"host": site, "security": security, "port": PORTS[security], **more}
    return {"gridftp": {name: value for name, value in named.items() if value}}


HERE = ("push", "pull", "from here")


@pytest.fixture(params=[*PORTS, *HERE])
def way(request: pytest.FixtureRequest, ends: Ends, monkeypatch: pytest.MonkeyPatch) -> Way:
    """Each kind of security, started at the source; and from this machine, where it has the program."""
    if request.param in HERE:
        return way_from_here(ends, request.param)
    return way_from_source(ends, request.param, monkeypatch)


def way_from_source(ends: Ends, security: str, monkeypatch: pytest.MonkeyPatch, **more: str) -> Way:
    """Two sites; the source starts the program."""
    monkeypatch.setattr(shutil, "which", lambda _: None)
    source, destination = ends.at("gra", door("gra", security)), ends.at("grb", door("grb", security, **more))
    return Way(mover=GridFtpMover(), source=source, destination=destination)


def way_from_here(ends: Ends, kind: str) -> Way:
    """This machine starts the program, to servers that it knows by their addresses."""
    if not shutil.which("globus-url-copy"):
        pytest.skip("globus-url-copy is not on this machine (Debian: globus-gass-copy-progs)")
    sites = [ends.testbed.site(name, DBD=0, NODES=1, GPUS=0) for name in ("gra", "grb")]
    doors = {site.name: door(site.address, "anonymous") for site in sites}
    source = ends.here() if kind == "push" else ends.at("gra", doors["gra"])
    destination = ends.here() if kind == "pull" else ends.at("grb", doors["grb"])
    return Way(mover=GridFtpMover(), source=source, destination=destination)


@pytest.fixture
def plain(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> Way:
    """One way, for what does not depend on it."""
    return way_from_source(ends, "anonymous", monkeypatch)


def test_all_bytes_arrive_at_the_partial_paths_and_nowhere_else(way: Way) -> None:
    """Empty files too, and folders that were not there."""
    contents = {"empty": b"", "new/odd": b"\0\r\n\xff", "big": BIG}
    way.check(contents, streams=4)
    assert sorted(os.listdir(way.destination.path(""))) == ["big.part", "empty.part", "new"]


def test_names_of_any_kind_arrive_each_with_its_own_bytes(way: Way) -> None:
    """What the program would drop from a name is linked to a plain name, and the links are gone afterwards."""
    home = (way.source if way.source.site else way.destination).root / "home/alice"
    before = set(os.listdir(home))
    names = [*ODD_NAMES, "/".join(ODD_NAMES), "/".join(["x" * 200] * 3)]
    for index, name in enumerate(names):
        way.source.write(f"{index}/{name}", f"content {index}".encode())
    way.move(*(f"{index}/{name}" for index, name in enumerate(names)))
    for index, name in enumerate(names):
        assert way.destination.path(f"{index}/{name}.part").read_bytes() == f"content {index}".encode()
    assert set(os.listdir(home)) == before


@pytest.mark.parametrize(("present", "streams"), [(1, 1), (4 << 20, 4), (len(BIG), 1)])
def test_a_partial_file_is_gone_on_with(way: Way, present: int, streams: int) -> None:
    """Only what was missing travels, of one file as of many."""
    for name in ("one", "two"):
        way.source.write(name, BIG)
    way.destination.write("one.part", BIG[:present])
    told: list[int] = []
    result = way.move("one", "two", told=told, streams=streams)
    assert result.bytes_moved == 2 * len(BIG) - present
    assert told[0] == present
    assert way.destination.path("one.part").read_bytes() == BIG
    assert way.destination.path("two.part").read_bytes() == BIG


def test_a_partial_file_with_holes_keeps_only_its_beginning(plain: Way) -> None:
    """Parallel streams leave such files when they are cut."""
    way = plain
    way.source.write("one", BIG)
    way.destination.write("one.part", BIG[: 2 << 20])
    with way.destination.path("one.part").open("r+b") as file:
        file.seek(4 << 20)
        file.write(BIG[4 << 20 :])
    result = way.move("one")
    assert way.destination.path("one.part").read_bytes() == BIG
    assert len(BIG) - (2 << 20) <= result.bytes_moved <= len(BIG) - (1 << 20)


def test_a_first_block_that_a_cut_server_overwrote_is_mended(plain: Way) -> None:
    """It writes a later block over the first of the session; only that is sent again."""
    plain.source.write("one", BIG)
    block = 256 << 10
    present = BIG[block : 2 * block] + BIG[block : 5 << 19]
    plain.destination.write("one.part", present)
    result = plain.move("one")
    assert plain.destination.path("one.part").read_bytes() == BIG
    assert result.bytes_moved == len(BIG)


@pytest.mark.parametrize("wrong", [BIG + b"too long", b"z" * (len(BIG) + 1)], ids=["too long", "other"])
def test_a_partial_file_that_is_too_long_is_written_anew(plain: Way, wrong: bytes) -> None:
    """It is no beginning of this file."""
    way = plain
    way.source.write("one", BIG)
    way.destination.write("one.part", wrong)
    way.move("one")
    assert way.destination.path("one.part").read_bytes() == BIG


@pytest.mark.parametrize("streams", [1, 4])
def test_a_transfer_that_is_broken_off_ends_everywhere_and_leaves_a_true_beginning(way: Way, streams: int) -> None:
    """`progress` breaks it off; the next try needs less than all of it."""
    content = os.urandom(1 << 20) * 96
    way.source.write("one", content)
    slow = way.destination.site or way.source.site
    assert slow
    slow.fault("link", "rate=200mbit")
    try:
        with pytest.raises(TransferInterruptedError, match="enough"):
            way.mover.move(way.request({"one": "one.part"}, streams=streams), progress=stop_when_bytes_came(way))
        for end in (way.source, way.destination):
            if end.site:
                wait_until(lambda end=end: nothing_runs(end), within_s=20, what=f"peace at {end.endpoint.site}")
        present = way.destination.path("one.part").read_bytes()
        assert len(present) < len(content)
        assert content.startswith(present)
    finally:
        slow.fault("link", "rate=none")
    result = way.move("one", streams=streams)
    assert way.destination.path("one.part").read_bytes() == content
    assert result.bytes_moved == len(content) - len(present) < len(content)


def stop_when_bytes_came(way: Way):
    """A `progress` that breaks off once four mebibytes lie at the destination."""

    def stop(done: int) -> None:
        path = way.destination.path("one.part")
        if path.exists() and path.stat().st_blocks * 512 > 4 << 20:
            raise TransferInterruptedError("enough")

    return stop


def nothing_runs(end: End) -> bool:
    """No client, and no server for it."""
    assert end.site
    listed = end.site.execute("ps", "-eo", "user,args")
    return not any("globus" in line and line.startswith("alice") for line in listed.splitlines())


def test_a_source_that_is_gone_is_told_with_its_path_and_its_site(way: Way) -> None:
    """Also among others that are there."""
    way.source.write("there", b"x")
    with pytest.raises(NotFoundError) as caught:
        way.move("there", "absent")
    assert "absent" in str(caught.value)
    assert caught.value.site == way.source.endpoint.site


def test_a_full_disk_is_told_with_its_site(plain: Way) -> None:
    """Trying again would not help."""
    way = plain
    way.source.write("one", BIG)
    assert way.destination.site
    disk = f"{way.destination.folder}/disk"
    way.destination.site.execute("mkdir", disk)
    way.destination.site.execute("mount", "-t", "tmpfs", "-o", "size=2m,mode=777", "tmpfs", disk)
    try:
        with pytest.raises(NoSpaceError) as caught:
            way.mover.move(way.request({"one": "disk/one.part"}), progress=lambda _: None)
        assert caught.value.site == "grb"
        assert "convoy retry" in str(caught.value)
    finally:
        way.destination.site.execute("umount", "-l", disk)


def test_folders_are_neither_moved_nor_overwritten(plain: Way) -> None:
    """Both are told in our words."""
    way = plain
    way.source.write("folder/x", b"x")
    way.destination.write("folder.part/x", b"x")
    way.destination.write("x.part/x", b"x")
    way.source.write("x", b"x")
    with pytest.raises(MiddlewareError):
        way.move("folder")
    with pytest.raises(MiddlewareError):
        way.move("x")
    assert os.listdir(way.destination.path("x.part")) == ["x"]


def test_a_server_that_does_not_answer_may_be_tried_again(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody listens there."""
    way = way_from_source(ends, "anonymous", monkeypatch, port="2899")
    way.source.write("one", b"x")
    with pytest.raises(SiteUnavailableError, match="Connection refused"):
        way.move("one")


def test_a_missing_certificate_is_told_with_what_to_do(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another mover may do it."""
    way = way_from_source(ends, "gsi", monkeypatch)
    way.source.write("one", b"x")
    key = way.source.root / "home/alice/.globus/userkey.pem"
    key.rename(key.with_suffix(".away"))
    try:
        with pytest.raises(StagingError, match="grid-proxy-init"):
            way.move("one")
    finally:
        key.with_suffix(".away").rename(key)


def test_ssh_that_does_not_get_in_is_told(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    """The site's own key is not bob's."""
    way = way_from_source(ends, "sshftp", monkeypatch, user="bob")
    way.source.write("one", b"x")
    with pytest.raises(StagingError, match="ssh does not get in"):
        way.move("one")


@pytest.mark.parametrize("security", ["gsi", "sshftp"])
@pytest.mark.parametrize("channel", ["open", "safe", "private"])
def test_the_data_channel_is_guarded_as_the_door_says(
    ends: Ends, monkeypatch: pytest.MonkeyPatch, security: str, channel: str
) -> None:
    """Every guard that the servers know carries the bytes."""
    way = way_from_source(ends, security, monkeypatch, data_channel=channel)
    way.source.write("one", BIG)
    way.move("one", streams=2)
    assert way.destination.path("one.part").read_bytes() == BIG


def test_without_a_shell_at_the_destination_files_arrive_but_nothing_is_resumed(
    ends: Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As at a data transfer node that offers nothing but GridFTP."""
    monkeypatch.setattr(shutil, "which", lambda _: None)
    source = ends.at("gra", door("gra", "anonymous"))
    destination = ends.at("grb", door("grb", "anonymous"), shell=False)
    source.write("new/one", BIG)
    destination.write("new/one.part", BIG[: 1 << 20])
    result = Way(mover=GridFtpMover(), source=source, destination=destination).move("new/one")
    assert destination.path("new/one.part").read_bytes() == BIG
    assert result.bytes_moved == len(BIG)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [({}, "no host"), ({"host": "x", "hots": "y"}, "hots"), ({"host": "x", "security": "none"}, "sshftp, gsi")],
    ids=["no host", "unknown option", "unknown security"],
)
def test_a_wrong_door_is_told(ends: Ends, wrong: dict[str, str], words: str) -> None:
    """With its site and what it may say."""
    source, destination = ends.at("gra", door("gra", "anonymous")), ends.at("grb", {"gridftp": wrong})
    source.write("one", b"x")
    with pytest.raises(StagingError, match=words) as caught:
        Way(mover=GridFtpMover(), source=source, destination=destination).move("one")
    assert caught.value.site == "grb"


def test_without_the_program_here_only_third_party_transfers_are_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    """A site's own program can still do those."""
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert GridFtpMover().capabilities.directions == {Direction.THIRD_PARTY}
