"""The carrier: content arrives whole and proven, or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import pytest

from metadata.claims import Claim, Claims, place_of
from metadata.errors import (
    IntegrityError,
    NoSpaceError,
    NotFoundError,
    PolicyError,
    StagingError,
    TransferInterruptedError,
)
from metadata.policy import ANYWHERE, Policy
from orchestrator.ports import SiteSettings
from orchestrator.registry import load
from staging.locations import Location, partial_path
from staging.orders import Arrival, Order
from staging.ports import Capabilities, FileDigest, FileStat, Mover, MoveRequest, MoveResult, Progress
from staging.routes import Routes, capabilities_of
from staging.transfers import Carrier
from tests.contract.storages.small_disk import small_disk
from tests.testbed.fixtures import wait_until
from tests.unit.staging.claiming import claiming

CONTENT = os.urandom(1 << 20) * 5
PosixMover = load("movers", "posix")
PosixStorage = load("storages", "posix")


def digest_of(content: bytes) -> FileDigest:
    """What it holds."""
    return FileDigest(size_bytes=len(content), sha256=hashlib.sha256(content).hexdigest())


@dataclass(kw_only=True)
class FaultyMover:
    """The posix mover, with something done to what arrived before it is said to have arrived."""

    harm: Callable[[Path], None]
    times: int = 1
    hashes: bool = False
    calls: list[MoveRequest] = field(default_factory=list)
    capabilities: Capabilities = PosixMover.capabilities

    def move(self, request: MoveRequest, *, progress: Progress) -> MoveResult:
        """Harms the first `times` copies."""
        self.calls.append(request)
        result = PosixMover().move(request, progress=progress)
        if len(self.calls) <= self.times:
            self.harm(Path(request.files[0].partial_path))
        found = {file.partial_path: Path(file.partial_path).read_bytes() for file in request.files}
        digests = {path: digest_of(content) for path, content in found.items()}
        return MoveResult(bytes_moved=result.bytes_moved, digests=digests if self.hashes else {})


@dataclass(kw_only=True)
class Ways:
    """Two sites, and a file that lies at the first."""

    folder: Path
    mover: Mover = field(default_factory=PosixMover)
    told: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.source.parent.mkdir(exist_ok=True)
        self.source.write_bytes(CONTENT)

    @property
    def source(self) -> Path:
        """Where the file lies."""
        return self.folder / "agh/file"

    @property
    def target(self) -> Path:
        """Where it shall lie."""
        return self.folder / "lrz/data/file"

    @property
    def partial(self) -> Path:
        """Where it is gathered."""
        return Path(partial_path(str(self.target), digest_of(CONTENT).sha256))

    def left(self) -> list[str]:
        """What lies at the destination."""
        return os.listdir(self.target.parent) if self.target.parent.exists() else []

    def carry(self, *, policy: Policy = ANYWHERE, progress: Progress | None = None) -> Arrival:
        """Brings the file."""
        sites = {
            site: PosixStorage(SiteSettings(name=site, workdir=PurePosixPath(self.folder / site)), None)
            for site in ("agh", "lrz")
        }
        order = Order(
            name="dataset://toy/file",
            content=digest_of(CONTENT),
            source=Location(site="agh", path=str(self.source)),
            destination=Location(site="lrz", path=str(self.target)),
            policy=policy,
        )
        movers = {"toy": self.mover}
        routes = Routes(endpoints={name: site.endpoint for name, site in sites.items()}, movers=capabilities_of(movers))
        with claiming(self.folder) as claims:
            carrier = Carrier(storages=sites, movers=movers, routes=routes, claims=claims)
            return carrier.carry_one(order, progress=progress or self.told.append)


@pytest.fixture
def ways(tmp_path: Path) -> Ways:
    """A fresh pair of sites."""
    return Ways(folder=tmp_path)


def flipped(path: Path) -> None:
    """One bit of a file is another."""
    with path.open("r+b") as file:
        byte = file.read(1)
        file.seek(0)
        file.write(bytes([byte[0] ^ 1]))


def cut(path: Path) -> None:
    """A file lacks its end."""
    os.truncate(path, path.stat().st_size // 2)


def check_arrived(ways: Ways) -> None:
    """The file lies there under its name, and nothing beside it."""
    assert ways.target.read_bytes() == CONTENT
    assert ways.left() == ["file"]


def test_content_arrives_under_its_name_and_nothing_beside_it(ways: Ways) -> None:
    """With its bytes counted and the time of its file."""
    arrival = ways.carry()
    check_arrived(ways)
    assert arrival.bytes_moved == len(CONTENT)
    facts = ways.target.stat()
    assert arrival.facts == FileStat(size_bytes=len(CONTENT), modified_ns=facts.st_mtime_ns, inode=facts.st_ino)


def test_content_that_is_there_already_is_not_moved_again(ways: Ways) -> None:
    """Its bytes are compared, not its name."""
    ways.carry()
    assert ways.carry().bytes_moved == 0
    flipped(ways.target)
    assert ways.carry().bytes_moved == len(CONTENT)
    check_arrived(ways)


@pytest.mark.parametrize("present", [0, 1, 4 << 20, len(CONTENT)])
def test_a_transfer_that_is_resumed_equals_one_that_never_broke_off(ways: Ways, present: int) -> None:
    """Only what was missing travels."""
    ways.partial.parent.mkdir(parents=True)
    ways.partial.write_bytes(CONTENT[:present])
    assert ways.carry().bytes_moved == len(CONTENT) - present
    check_arrived(ways)


def test_a_transfer_that_breaks_off_keeps_what_arrived(ways: Ways) -> None:
    """And the next try goes on from there."""

    def stop(done: int) -> None:
        raise TransferInterruptedError("the engine stops")

    with pytest.raises(TransferInterruptedError):
        ways.carry(progress=stop)
    assert ways.left() == [ways.partial.name]
    assert ways.carry().bytes_moved < len(CONTENT)
    check_arrived(ways)


@pytest.mark.parametrize(
    "wrong", [b"other", CONTENT + b"longer", CONTENT[:-1] + b"?"], ids=["other", "longer", "last byte"]
)
def test_what_another_try_left_may_be_wrong(ways: Ways, wrong: bytes) -> None:
    """All of it is brought anew then."""
    ways.partial.parent.mkdir(parents=True)
    ways.partial.write_bytes(wrong)
    ways.carry()
    check_arrived(ways)


@pytest.mark.parametrize("hashes", [True, False], ids=["it says so", "it does not"])
@pytest.mark.parametrize("harm", [flipped, cut])
def test_bytes_that_arrive_wrong_are_sent_again_and_never_get_the_name(
    tmp_path: Path, harm: Callable[[Path], None], hashes: bool
) -> None:
    """Whether the mover hashes or not."""
    ways = Ways(folder=tmp_path, mover=FaultyMover(harm=harm, hashes=hashes))
    with pytest.raises(TransferInterruptedError, match="arrived wrong at lrz"):
        ways.carry()
    assert ways.left() == []
    ways.carry()
    check_arrived(ways)


def test_a_source_that_changed_is_told_with_what_to_do_and_leaves_nothing(ways: Ways) -> None:
    """Its old hash is in the catalogue, so the new bytes are not what was asked for."""
    flipped(ways.source)
    with pytest.raises(IntegrityError, match=r"changed: site://agh.* no longer holds") as caught:
        ways.carry()
    assert "convoy data add" in str(caught.value)
    assert ways.left() == []


def test_a_source_that_shrank_is_told_too(ways: Ways) -> None:
    """It is no copy that broke off."""
    cut(ways.source)
    with pytest.raises(IntegrityError):
        ways.carry()
    assert ways.left() == []


def test_a_source_that_is_gone_is_told_and_leaves_nothing(ways: Ways) -> None:
    """With its site."""
    ways.source.unlink()
    with pytest.raises(NotFoundError, match="agh"):
        ways.carry()
    assert ways.left() == []


def test_restricted_content_is_refused_before_a_byte_moves(tmp_path: Path) -> None:
    """Whatever the planner thought."""
    mover = FaultyMover(harm=flipped)
    ways = Ways(folder=tmp_path, mover=mover)
    with pytest.raises(PolicyError, match="may lie only at: agh"):
        ways.carry(policy=Policy(sites=frozenset({"agh"})))
    assert mover.calls == []
    assert not (tmp_path / "lrz").exists()


def test_a_destination_without_room_is_told_before_a_byte_moves(tmp_path: Path) -> None:
    """With how much is wanted and how much is there."""
    with small_disk(tmp_path / "lrz", size_bytes=4 << 20) as disk:
        mover = FaultyMover(harm=flipped)
        with pytest.raises(
            NoSpaceError, match=f"lrz: dataset://toy/file needs {len(CONTENT)} bytes and .* convoy retry"
        ):
            Ways(folder=tmp_path, mover=mover).carry()
        assert mover.calls == []
        assert os.listdir(disk) == []


def test_a_destination_that_fills_up_on_the_way_is_left_empty(tmp_path: Path) -> None:
    """Half a file would keep its room from others."""
    with small_disk(tmp_path / "lrz", size_bytes=8 << 20) as disk:

        def fill(done: int) -> None:
            if not (disk / "ballast").exists():
                with contextlib.suppress(OSError), (disk / "ballast").open("wb", buffering=0) as file:
                    while True:
                        file.write(bytes(1 << 16))

        ways = Ways(folder=tmp_path)
        with pytest.raises(NoSpaceError, match="lrz"):
            ways.carry(progress=fill)
        assert ways.left() == []


def test_room_for_what_is_missing_is_room_enough(tmp_path: Path) -> None:
    """A resume needs only the rest."""
    with small_disk(tmp_path / "lrz", size_bytes=8 << 20):
        ways = Ways(folder=tmp_path)
        ways.partial.parent.mkdir(parents=True)
        ways.partial.write_bytes(CONTENT[: 4 << 20])
        assert ways.carry().bytes_moved == len(CONTENT) - (4 << 20)
        check_arrived(ways)


def test_a_mover_that_fails_for_good_leaves_nothing(tmp_path: Path) -> None:
    """Only what may be resumed is kept."""

    def broken(path: Path) -> None:
        cut(path)
        raise StagingError("the tool is broken")

    ways = Ways(folder=tmp_path, mover=FaultyMover(harm=broken))
    with pytest.raises(StagingError, match="the tool is broken"):
        ways.carry()
    assert ways.left() == []


def test_what_another_process_brings_is_waited_for_and_not_brought_again(ways: Ways) -> None:
    """Two that write one file at once would leave what neither of them has hashed."""
    place = place_of("lrz", str(ways.partial))
    with claiming(ways.folder) as claims, ThreadPoolExecutor() as threads:
        with claims.held({place}):
            second = threads.submit(ways.carry)
            wait_until(lambda: ways.told, what="the first look")
            assert ways.left() == []
            ways.target.parent.mkdir(parents=True)
            ways.target.write_bytes(CONTENT)
        assert second.result(timeout=60).bytes_moved == 0


def test_who_waits_for_another_process_can_be_stopped(ways: Ways) -> None:
    """An engine that ends waits for nobody."""

    def stop(_done: int) -> None:
        raise TransferInterruptedError("the engine stops")

    place = place_of("lrz", str(ways.partial))
    with (
        claiming(ways.folder) as claims,
        claims.held({place}),
        pytest.raises(TransferInterruptedError, match="engine stops"),
    ):
        ways.carry(progress=stop)


def test_a_transfer_whose_claim_was_taken_away_names_no_file(ways: Ways, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process writes there now."""
    held, claims = Claims.held, []

    @contextlib.contextmanager
    def noted(self: Claims, places: Collection[str]) -> Iterator[Claim]:
        with held(self, places) as claim:
            claims.append(claim)
            yield claim

    monkeypatch.setattr(Claims, "held", noted)
    ways.mover = FaultyMover(harm=lambda _: setattr(claims[0], "lost", True))
    with pytest.raises(TransferInterruptedError, match="another one took over"):
        ways.carry()
    assert not ways.target.exists()
