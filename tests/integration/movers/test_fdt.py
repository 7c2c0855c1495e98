"""The real FDT, whose jar CONVOY_FDT_JAR names; without one these tests are skipped, and no stand-in takes its place."""

from __future__ import annotations

import os
import shutil
import socket
import time
from pathlib import Path

import pytest

from adapters.movers.fdt import FdtMover
from metadata.errors import NoSpaceError, NotFoundError, SiteUnavailableError, StagingError, TransferInterruptedError
from staging.ports import MoveRequest
from tests.integration.movers.conftest import ALICE, End, Ends, Way
from tests.testbed.fixtures import wait_until

BIG = os.urandom(1 << 20) * 5
ODD_NAMES = ["a b", "-n", "it's", '"', "$(id)", "*", "a\nb", "a / b", "é ü 漢", " end ", "\udcff"]
PORT = "54321"


@pytest.fixture
def jar() -> Path:
    """FDT, which is in no package registry."""
    path = Path(os.environ.get("CONVOY_FDT_JAR", "/nonexistent"))
    if not path.is_file():
        pytest.skip("no FDT here; set CONVOY_FDT_JAR to the path of fdt.jar")
    return path


class Places:
    """Ends at which there is FDT."""

    def __init__(self, ends: Ends, jar: Path) -> None:
        self._ends = ends
        self._jar = jar

    def at(self, site: str, **more: str) -> End:
        """A site with the jar; it can be reached when it says a port."""
        end = self._ends.at(site, {"fdt": {"host": site, "jar": "/home/alice/fdt.jar", **more}})
        copy = end.root / "home/alice/fdt.jar"
        if not copy.exists():
            shutil.copy(self._jar, copy)
            os.chown(copy, ALICE, ALICE)
        return end

    def here(self, name: str = "here", **more: str) -> End:
        """This machine."""
        if not shutil.which("java"):
            pytest.skip("no Java on this machine")
        return self._ends.here({"fdt": {"jar": str(self._jar), **more}}, name=name)


@pytest.fixture
def places(ends: Ends, jar: Path) -> Places:
    """Where FDT can run."""
    return Places(ends, jar)


@pytest.fixture(params=["destination listens", "source listens", "push"])
def way(request: pytest.FixtureRequest, places: Places) -> Way:
    """The server at either end, and this machine as a client."""
    if request.param == "push":
        site = places.at("grb", port=PORT)
        assert site.site
        site.endpoint.doors["fdt"]["host"] = site.site.address  # type: ignore[index]
        return Way(mover=FdtMover(), source=places.here(), destination=site)
    listening = {"port": PORT, "data_port": "54322"}
    if request.param == "source listens":
        return Way(mover=FdtMover(), source=places.at("gra", **listening), destination=places.at("grb"))
    return Way(mover=FdtMover(), source=places.at("gra"), destination=places.at("grb", **listening))


def nothing_runs(end: End) -> bool:
    """No Java of alice's."""
    assert end.site
    return "java" not in end.site.execute("ps", "-u", "alice", "-o", "args")


def test_all_bytes_arrive_under_any_name_and_nothing_is_left_running(way: Way) -> None:
    """Files of the same name in several folders too, which FDT alone would write over each other."""
    contents = {"empty": b"", "new/big": BIG, "other/big": BIG[::-1]}
    contents |= {f"{index}/{name}": f"content {index}".encode() for index, name in enumerate(ODD_NAMES)}
    way.check(contents, streams=3)
    for end in (way.source, way.destination):
        if end.site:
            assert nothing_runs(end)
            assert not [name for name in os.listdir(end.root / "home/alice") if name.startswith(".convoy")]
            assert not [name for name in os.listdir(end.root / "tmp") if name.startswith("convoy")]


def test_whole_files_are_not_sent_again(places: Places) -> None:
    """A partial one is sent from its beginning: FDT goes on with none."""
    way = Way(mover=FdtMover(), source=places.at("gra"), destination=places.at("grb", port=PORT))
    for name in ("one", "two"):
        way.source.write(name, BIG)
    way.destination.write("one.part", BIG)
    way.destination.write("two.part", BIG + b"too long")
    result = way.move("one", "two")
    assert result.bytes_moved == len(BIG)
    assert way.destination.path("two.part").read_bytes() == BIG


def test_a_transfer_that_is_broken_off_ends_at_both_ends(places: Places) -> None:
    """And leaves a true beginning, or nothing."""
    way = Way(mover=FdtMover(), source=places.at("gra"), destination=places.at("grb", port=PORT))
    content = os.urandom(1 << 20) * 96
    way.source.write("one", content)
    request = way.request({"one": "one.part"})

    def stop(done: int) -> None:
        if done > 4 << 20:
            raise TransferInterruptedError("enough")

    with pytest.raises(TransferInterruptedError, match="enough"):
        way.mover.move(limited(request, 20e6), progress=stop)
    for end in (way.source, way.destination):
        wait_until(lambda end=end: nothing_runs(end), within_s=20, what=f"peace at {end.endpoint.site}")
    present = way.destination.path("one.part").read_bytes()
    assert len(present) < len(content)
    assert content.startswith(present)


def limited(request: MoveRequest, rate: float) -> MoveRequest:
    """The same request with a limit."""
    fields = {name: getattr(request, name) for name in request.__dataclass_fields__}
    return MoveRequest(**{**fields, "limit_bytes_per_s": rate})


def test_the_rate_is_kept_to(places: Places) -> None:
    """Twenty megabytes at 2 MB/s take ten seconds from the first byte on; without a limit they take less than one."""
    way = Way(mover=FdtMover(), source=places.at("gra"), destination=places.at("grb", port=PORT))
    way.source.write("one", BIG * 4)
    moments: list[float] = []

    def note(done: int) -> None:
        if done:
            moments.append(time.monotonic())

    way.mover.move(limited(way.request({"one": "one.part"}), 2e6), progress=note)
    assert moments[-1] - moments[0] > 7


def test_a_source_that_is_gone_is_told(places: Places) -> None:
    """With its path and its site."""
    way = Way(mover=FdtMover(), source=places.at("gra"), destination=places.at("grb", port=PORT))
    way.source.write("there", b"x")
    with pytest.raises(NotFoundError, match="absent") as caught:
        way.move("there", "absent")
    assert caught.value.site == "gra"


def test_a_full_disk_is_told(places: Places) -> None:
    """With the site that is full."""
    way = Way(mover=FdtMover(), source=places.at("gra"), destination=places.at("grb", port=PORT))
    way.source.write("one", BIG)
    assert way.destination.site
    disk = f"{way.destination.folder}/disk"
    way.destination.site.execute("mkdir", disk)
    way.destination.site.execute("mount", "-t", "tmpfs", "-o", "size=2m,mode=777", "tmpfs", disk)
    try:
        with pytest.raises(NoSpaceError) as caught:
            way.mover.move(way.request({"one": "disk/one.part"}), progress=lambda _: None)
        assert caught.value.site == "grb"
    finally:
        way.destination.site.execute("umount", "-l", disk)


def test_a_port_that_is_taken_may_be_tried_again(places: Places) -> None:
    """This machine listens, and its port is in use."""
    with socket.create_server(("0.0.0.0", 0)) as taken:
        port = str(taken.getsockname()[1])
        destination = places.here(host="127.0.0.1", port=port)
        way = Way(mover=FdtMover(), source=places.here("there", host="127.0.0.1"), destination=destination)
        way.source.write("one", b"x")
        with pytest.raises(SiteUnavailableError, match=port):
            way.move("one")


def test_only_the_peer_is_let_in(places: Places) -> None:
    """A client from elsewhere gets nothing through."""
    source, destination = places.at("gra"), places.at("grb", port=PORT)
    source.endpoint.doors["fdt"]["host"] = "127.0.0.9"  # type: ignore[index]
    source.write("one", BIG)
    with pytest.raises(TransferInterruptedError):
        Way(mover=FdtMover(), source=source, destination=destination).move("one")
    assert destination.path("one.part").read_bytes() == b""


@pytest.mark.parametrize(
    ("door", "words"), [({}, "jar"), ({"jar": "/x", "prot": "1"}, "prot"), ({"jar": "/x", "port": PORT}, "start")]
)
def test_a_wrong_door_is_told(places: Places, door: dict[str, str], words: str) -> None:
    """With its site and what is wrong."""
    source, destination = places.at("gra"), places.at("grb", port=PORT)
    source.write("one", b"x")
    destination.endpoint.doors["fdt"].clear()  # type: ignore[attr-defined]
    destination.endpoint.doors["fdt"].update({"host": "grb", **door} if door else {})  # type: ignore[attr-defined]
    with pytest.raises(StagingError, match=words) as caught:
        Way(mover=FdtMover(), source=source, destination=destination).move("one")
    assert caught.value.site == "grb"


def test_fdt_runs_in_a_container(places: Places) -> None:
    """As a site without Java has it. The image borrows the site's own Java and holds nothing else but the jar."""
    source = places.at("gra")
    java = "/usr/lib/jvm/java-21-openjdk-amd64/bin/java"
    destination = places.at("grb", port=PORT, image="/home/alice/fdt-image", jar="/opt/fdt.jar", java=java)
    assert destination.site
    destination.site.execute("/bin/sh", "-c", MAKE_IMAGE)
    try:
        source.write("some/one", BIG)
        Way(mover=FdtMover(), source=source, destination=destination).move("some/one")
        assert destination.path("some/one.part").read_bytes() == BIG
        assert nothing_runs(destination)
    finally:
        destination.site.execute("/bin/sh", "-c", DROP_IMAGE)


MAKE_IMAGE = """
set -e
conf=/etc/apptainer/apptainer.conf image=/home/alice/fdt-image
cp $conf $conf.before
printf 'bind path = /usr\\nbind path = /etc/java-21-openjdk\\n' >>$conf
mkdir -p $image/usr $image/etc/java-21-openjdk $image/opt $image/dev $image/proc $image/sys $image/tmp $image/home
for name in bin lib lib64; do ln -sfn usr/$name $image/$name; done
cp /home/alice/fdt.jar $image/opt/
"""
DROP_IMAGE = "mv /etc/apptainer/apptainer.conf.before /etc/apptainer/apptainer.conf; rm -rf /home/alice/fdt-image"
