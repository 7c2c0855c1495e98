"""The carrier with many orders at once: one bad file does not fail its fellows."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

import pytest

from metadata.errors import (
    AdapterUnavailableError,
    IntegrityError,
    MiddlewareError,
    NoSpaceError,
    NotFoundError,
    PolicyError,
    SiteUnavailableError,
    StagingError,
    TransferInterruptedError,
)
from metadata.policy import ANYWHERE, Policy
from orchestrator.ports import SiteSettings
from orchestrator.registry import load
from staging.locations import Location, partial_path, store_path
from staging.orders import Arrival, Delivery, Order
from staging.ports import Capabilities, FileDigest, FileStat, Mover, MoveRequest, MoveResult, Progress, Storage
from staging.routes import Routes, capabilities_of
from staging.transfers import Carrier
from tests.contract.storages.small_disk import small_disk
from tests.unit.staging.claiming import claiming

PosixMover = load("movers", "posix")
PosixStorage = load("storages", "posix")


@dataclass(kw_only=True)
class TroubledMover:
    """The posix mover, with something that happens first."""

    trouble: Callable[[MoveRequest], None]
    capabilities: Capabilities = PosixMover.capabilities
    requests: list[MoveRequest] = field(default_factory=list)

    def move(self, request: MoveRequest, *, progress: Progress) -> MoveResult:
        """Copies, unless the trouble is one."""
        self.requests.append(request)
        self.trouble(request)
        result: MoveResult = PosixMover().move(request, progress=progress)
        return result


@dataclass(kw_only=True)
class Scene:
    """Files at agh, on their way to lrz's store."""

    folder: Path
    movers: dict[str, Mover] = field(default_factory=lambda: {"posix": PosixMover()})
    told: list[int] = field(default_factory=list)
    destination: str = "lrz"

    def file(self, name: str, content: bytes) -> Order:
        """An order for a file that lies there."""
        path = self.folder / "agh" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        sha256 = hashlib.sha256(content).hexdigest()
        workdir = PurePosixPath(self.folder / self.destination)
        return Order(
            name=name,
            content=FileDigest(size_bytes=len(content), sha256=sha256),
            source=Location(site="agh", path=str(path)),
            destination=Location(site=self.destination, path=store_path(workdir, sha256)),
            policy=ANYWHERE,
        )

    def files(self, count: int) -> list[Order]:
        """Small files of their own content."""
        return [self.file(f"f{number}", f"content {number}".encode() * number) for number in range(count)]

    def carry(self, orders: list[Order], *, progress: Progress | None = None) -> Delivery:
        """What becomes of them."""
        storages = {
            site: PosixStorage(SiteSettings(name=site, workdir=PurePosixPath(self.folder / site)))
            for site in ("agh", "lrz")
        }
        routes = Routes(
            endpoints={name: storage.endpoint for name, storage in storages.items()},
            movers=capabilities_of(self.movers),
        )
        with claiming(self.folder) as claims:
            return Carrier(storages=storages, movers=self.movers, routes=routes, claims=claims).carry(
                orders, progress=progress or self.told.append
            )

    def left(self) -> list[str]:
        """Names of partial files."""
        folder = self.folder / "lrz/data/partial"
        return os.listdir(folder) if folder.exists() else []


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """Two empty sites."""
    return Scene(folder=tmp_path)


def check_arrived(orders: list[Order], delivery: Delivery) -> None:
    """Every byte is there, under its name."""
    for order, outcome in zip(orders, delivery.outcomes, strict=True):
        assert isinstance(outcome, Arrival), outcome
        content = Path(order.destination.path).read_bytes()
        assert hashlib.sha256(content).hexdigest() == order.content.sha256


def test_many_files_travel_by_one_request(scene: Scene) -> None:
    """With one measurement, and progress over all of them."""
    mover = TroubledMover(trouble=lambda _: None)
    scene.movers = {"posix": mover}
    orders = scene.files(100)
    delivery = scene.carry(orders)
    check_arrived(orders, delivery)
    size = sum(order.content.size_bytes for order in orders)
    [trip] = delivery.trips
    assert (len(mover.requests), trip.files, trip.bytes_moved, str(trip.way)) == (1, 100, size, "posix")
    assert sum(o.bytes_moved for o in delivery.outcomes if isinstance(o, Arrival)) == size
    assert scene.told[-1] == size
    assert scene.left() == []


def test_the_same_content_twice_is_moved_once(scene: Scene) -> None:
    """Equal content lies once in a store."""
    orders = [scene.file("a", b"same"), scene.file("b", b"same")]
    check_arrived(orders, scene.carry(orders))


def test_what_is_gone_or_changed_or_forbidden_fails_alone(scene: Scene) -> None:
    """Its fellows arrive by the same request."""
    mover = TroubledMover(trouble=lambda _: None)
    scene.movers = {"posix": mover}
    orders = scene.files(8)
    Path(orders[1].source.path).unlink()
    Path(orders[3].source.path).write_bytes(b"longer than it was" * 100)
    content = Path(orders[5].source.path).read_bytes()
    Path(orders[5].source.path).write_bytes(bytes([content[0] ^ 1]) + content[1:])
    kept = Policy(sites=frozenset({"agh"}))
    orders[7] = Order(**{**vars(orders[7]), "policy": kept})
    delivery = scene.carry(orders)
    kinds = [type(outcome) for outcome in delivery.outcomes]
    assert kinds[1::2] == [NotFoundError, IntegrityError, IntegrityError, PolicyError]
    assert set(delivery.lost) == {orders[1], orders[3], orders[5]}
    check_arrived(orders[::2], Delivery(outcomes=delivery.outcomes[::2]))
    assert len(mover.requests) == 1
    assert scene.left() == []
    assert not Path(orders[7].destination.path).exists()


def test_a_file_that_a_mover_cannot_take_fails_alone(scene: Scene) -> None:
    """Although the mover fails the whole request: the batch is divided until it stands alone."""
    orders = scene.files(64)
    bad = orders[41].source.path

    def refuse(request: MoveRequest) -> None:
        if any(file.source_path == bad for file in request.files):
            raise StagingError("a name that this tool cannot say")

    scene.movers = {"posix": TroubledMover(trouble=refuse)}
    delivery = scene.carry(orders)
    assert [number for number, o in enumerate(delivery.outcomes) if isinstance(o, MiddlewareError)] == [41]
    assert "cannot say" in str(delivery.outcomes[41])
    assert delivery.broken == ()


def test_a_way_on_which_people_stopped_a_transfer_is_not_broken(scene: Scene) -> None:
    """Nor is the disk looked at for that."""

    def hold(_: int) -> None:
        raise TransferInterruptedError("held")

    delivery = scene.carry([scene.file("a", b"a" * 1000)], progress=hold)
    assert "held" in str(delivery.outcomes[0])
    assert delivery.broken == ()


def test_a_broken_mover_is_not_asked_a_thousand_times(scene: Scene) -> None:
    """Where all fail, dividing ends soon."""

    def refuse(request: MoveRequest) -> None:
        raise StagingError("the tool is broken")

    mover = TroubledMover(trouble=refuse)
    scene.movers = {"posix": mover}
    delivery = scene.carry(scene.files(300))
    assert all("the tool is broken" in str(outcome) for outcome in delivery.outcomes)
    assert len(mover.requests) <= 60


@pytest.mark.parametrize("error", [StagingError("no"), AdapterUnavailableError("no such program")])
def test_where_one_mover_cannot_the_next_one_does(scene: Scene, error: MiddlewareError) -> None:
    """What the first one brought is not sent again."""

    def half(request: MoveRequest) -> None:
        first = request.files[0]
        Path(first.partial_path).parent.mkdir(parents=True, exist_ok=True)
        Path(first.partial_path).write_bytes(Path(first.source_path).read_bytes())
        raise error

    second = TroubledMover(trouble=lambda _: None, capabilities=Capabilities(
        schemes=PosixMover.capabilities.schemes, directions=PosixMover.capabilities.directions))  # fmt: skip
    scene.movers = {"first": TroubledMover(trouble=half), "second": second}
    orders = scene.files(3)
    delivery = scene.carry(orders)
    check_arrived(orders, delivery)
    assert [file.source_path for file in second.requests[0].files] == [order.source.path for order in orders[1:]]
    assert [trip.way.mover for trip in delivery.trips] == ["second"]
    assert [way.mover for way in delivery.broken] == ["first"]


@pytest.mark.parametrize("error", [TransferInterruptedError("cut"), SiteUnavailableError("silent")])
def test_what_may_be_tried_again_is_no_reason_for_another_mover(scene: Scene, error: MiddlewareError) -> None:
    """What arrived is kept, and used by the next try even by a mover that cannot resume."""
    orders = scene.files(4)
    calls = []

    def cut(request: MoveRequest) -> None:
        calls.append(len(request.files))
        if len(calls) == 1:
            for file in request.files[:3]:
                Path(file.partial_path).parent.mkdir(parents=True, exist_ok=True)
                Path(file.partial_path).write_bytes(Path(file.source_path).read_bytes())
            raise error

    scene.movers = {"posix": TroubledMover(trouble=cut)}
    assert list(scene.carry(orders).outcomes) == [error] * 4
    assert len(scene.left()) == 3
    check_arrived(orders, scene.carry(orders))
    assert calls == [4, 1]
    assert scene.left() == []


def test_content_of_the_same_site_is_copied_there(scene: Scene) -> None:
    """No mover is asked, and no byte travels."""
    scene.movers = {}
    scene.destination = "agh"
    orders = scene.files(5)
    delivery = scene.carry(orders)
    check_arrived(orders, delivery)
    assert [o.bytes_moved for o in delivery.outcomes if isinstance(o, Arrival)] == [0] * 5
    with Path(orders[2].destination.path).open("r+b") as file:
        file.write(b"X")
    assert hashlib.sha256(Path(orders[2].source.path).read_bytes()).hexdigest() == orders[2].content.sha256


def test_a_source_that_changes_during_the_copy_is_told_and_leaves_nothing(scene: Scene) -> None:
    """Nothing is registered by anybody then: there is no arrival."""
    orders = [scene.file("slide", os.urandom(9 << 20))]
    source = Path(orders[0].source.path)
    changed = []

    def change(done: int) -> None:
        if not changed:
            changed.append(done)
            with source.open("r+b") as file:
                file.seek(8 << 20)
                file.write(b"other bytes")

    [outcome] = scene.carry(orders, progress=change).outcomes
    assert isinstance(outcome, IntegrityError)
    assert "changed" in str(outcome)
    assert scene.left() == []
    assert not Path(orders[0].destination.path).exists()


def test_where_there_is_no_room_for_all_nothing_is_begun(tmp_path: Path) -> None:
    """The error says how many files that are."""
    with small_disk(tmp_path / "lrz", size_bytes=4 << 20):
        scene = Scene(folder=tmp_path)
        orders = [scene.file(f"f{number}", os.urandom(1 << 20)) for number in range(5)]
        outcomes = scene.carry(orders).outcomes
        assert {type(outcome) for outcome in outcomes} == {NoSpaceError}
        assert "f0 with 4 more needs 5242880 bytes" in str(outcomes[0])
        assert scene.left() == []


def test_room_of_what_was_wrong_is_room_again(tmp_path: Path) -> None:
    """What an earlier try left is removed first."""
    (tmp_path / "lrz").mkdir()
    with small_disk(tmp_path / "lrz", size_bytes=10 << 20):
        scene = Scene(folder=tmp_path)
        order = scene.file("f", os.urandom(6 << 20))
        partial = Path(order.partial_path)
        partial.parent.mkdir(parents=True)
        partial.write_bytes(os.urandom(6 << 20))
        check_arrived([order], scene.carry([order]))


def test_partial_files_lie_in_one_place_of_a_store_and_beside_other_files(scene: Scene) -> None:
    """On the same file system in either case; a long name stays short enough."""
    order = scene.file("x", b"x")
    sha256 = order.content.sha256
    assert partial_path(order.destination.path, sha256) == str(scene.folder / "lrz/data/partial" / sha256)
    long = f"/home/me/{'n' * 255}"
    beside = Path(partial_path(long, sha256))
    assert beside.parent == Path("/home/me")
    assert len(beside.name) < 40
    assert partial_path(long, sha256) != partial_path(long, "0" * 64) != partial_path("/home/me/b", "0" * 64)


@dataclass(kw_only=True)
class TellingMover:
    """The posix mover, which says what the destination's file system knows of the files, or some other size."""

    size_bytes: int | None = None
    requests: list[MoveRequest] = field(default_factory=list)
    capabilities: Capabilities = PosixMover.capabilities

    def move(self, request: MoveRequest, *, progress: Progress) -> MoveResult:
        """Copies, looks and tells."""
        self.requests.append(request)
        result = PosixMover().move(request, progress=progress)
        storage = PosixStorage(SiteSettings(name="lrz", workdir=PurePosixPath("/")))
        facts = storage.stats([file.partial_path for file in request.files])
        if self.size_bytes is not None:
            facts = {path: replace(row, size_bytes=self.size_bytes) for path, row in facts.items()}
        return replace(result, facts=facts)


def test_what_a_mover_saw_of_its_files_is_not_asked_for_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One look at the destination before, and none after: each is a journey."""
    scene = Scene(folder=tmp_path, movers={"posix": TellingMover()})
    orders = scene.files(5)
    asked: list[int] = []
    looked = PosixStorage.stats

    def stats(storage: Storage, paths: Sequence[str]) -> Mapping[str, FileStat]:
        if storage.endpoint.site == "lrz":
            asked.append(len(paths))
        return looked(storage, paths)

    monkeypatch.setattr(PosixStorage, "stats", stats)
    delivery = scene.carry(orders)
    assert asked[0] == 2 * len(orders)
    assert len([number for number in asked if number > 1]) == 2  # the other is TellingMover's own
    for order, outcome in zip(orders, delivery.outcomes, strict=True):
        assert isinstance(outcome, Arrival)
        found = Path(order.destination.path).stat()
        assert (outcome.facts.modified_ns, outcome.facts.inode) == (found.st_mtime_ns, found.st_ino)


def test_a_mover_that_saw_another_size_is_not_believed(tmp_path: Path) -> None:
    """Its facts are of some other file, or of another moment."""
    scene = Scene(folder=tmp_path, movers={"posix": TellingMover(size_bytes=1 << 40)})
    for outcome in scene.carry(scene.files(3)).outcomes:
        assert isinstance(outcome, Arrival)
        assert outcome.facts.size_bytes < 1 << 40


def test_a_mover_hears_whether_anything_lies_there_to_go_on_with(tmp_path: Path) -> None:
    """It need not look for itself where nothing does."""
    mover = TellingMover()
    scene = Scene(folder=tmp_path, movers={"posix": mover})
    orders = [scene.file("one", b"one" * 1000), scene.file("two", b"two" * 1000)]
    scene.carry(orders[:1])
    partial = Path(orders[1].partial_path)
    partial.parent.mkdir(parents=True, exist_ok=True)
    partial.write_bytes(b"two")
    scene.carry(orders[1:])
    assert [request.fresh for request in mover.requests] == [True, False]


@dataclass(kw_only=True)
class NamingMover:
    """The posix mover, which gives names itself, and breaks off after so many files."""

    breaks_after: int
    capabilities: Capabilities = PosixMover.capabilities

    def move(self, request: MoveRequest, *, progress: Progress) -> MoveResult:
        """Some files have their names."""
        files, rest = request.files[: self.breaks_after], request.files[self.breaks_after :]
        result: MoveResult = PosixMover().move(replace(request, files=files), progress=progress)
        for file in files:
            final = Path(file.final_path)
            final.parent.mkdir(parents=True, exist_ok=True)
            Path(file.partial_path).rename(final)
            assert request.settled is not None
            facts = final.stat()
            stat = FileStat(size_bytes=facts.st_size, modified_ns=facts.st_mtime_ns, inode=facts.st_ino)
            request.settled(file.partial_path, stat)
        if rest:
            raise TransferInterruptedError("the cable was cut", site="lrz")
        return replace(result, digests={})


def test_what_got_its_name_before_a_mover_broke_off_has_arrived(scene: Scene) -> None:
    """It is registered at once, and only the rest is tried again."""
    scene.movers = {"naming": NamingMover(breaks_after=2)}
    orders = scene.files(5)
    delivery = scene.carry(orders)
    assert [type(outcome) for outcome in delivery.outcomes] == [Arrival] * 2 + [TransferInterruptedError] * 3
    for order, outcome in zip(orders[:2], delivery.outcomes, strict=False):
        assert isinstance(outcome, Arrival)
        assert outcome.facts.inode == Path(order.destination.path).stat().st_ino
        assert outcome.bytes_moved == order.content.size_bytes
    scene.movers = {"naming": NamingMover(breaks_after=3)}
    delivery = scene.carry(orders)
    check_arrived(orders, delivery)
    assert [outcome.bytes_moved for outcome in delivery.outcomes if isinstance(outcome, Arrival)] == [
        0, 0, *(order.content.size_bytes for order in orders[2:]),
    ]  # fmt: skip
    assert scene.left() == []
