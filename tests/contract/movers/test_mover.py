"""What every mover promises."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from metadata.errors import MiddlewareError, NoSpaceError, NotFoundError, TransferInterruptedError
from staging.ports import Direction, FileDigest, FileStat, MoveFile, MoveRequest, MoveResult
from tests.contract.movers.conftest import Way
from tests.contract.storages.small_disk import small_disk
from tests.testbed.fixtures import wait_until

ODD_NAMES = ["a b", "-n", "it's", '"', "$(id)", "*", "a\nb", "a\\b", "é ü 漢", " end "]
BIG = os.urandom(1 << 20) * 5
"""More than two blocks of any mover."""


def request_of(way: Way, *pairs: tuple[Path, Path]) -> MoveRequest:
    """Files from here to there, as (source, partial)."""
    files = tuple(
        MoveFile(
            source_path=str(source),
            partial_path=str(partial),
            size_bytes=source.stat().st_size if source.is_file() else 0,
        )
        for source, partial in pairs
    )
    return MoveRequest(
        source=way.source,
        destination=way.destination,
        files=files,
        direction=way.direction,
        credential=way.credential,
    )


def moved(way: Way, source: Path, partial: Path, told: list[int] | None = None) -> MoveResult:
    """What the mover did."""
    told = told if told is not None else []
    return way.mover.move(request_of(way, (source, partial)), progress=told.append)


def check_digest(result: MoveResult, partial: Path, content: bytes) -> None:
    """A mover that hashes must be right; one that does not leaves it to others."""
    assert result.digests.keys() <= {str(partial)}
    for digest in result.digests.values():
        assert digest == FileDigest(size_bytes=len(content), sha256=hashlib.sha256(content).hexdigest())


@pytest.mark.parametrize("content", [b"", b"\0\r\n\xff", BIG], ids=len)
def test_all_bytes_of_the_source_lie_at_the_partial_path(way: Way, tmp_path: Path, content: bytes) -> None:
    """And nowhere else where nobody says how it shall be called."""
    source, partial = tmp_path / "source", tmp_path / "new/folder/file.part"
    source.write_bytes(content)
    result = moved(way, source, partial)
    assert partial.read_bytes() == content
    assert os.listdir(partial.parent) == ["file.part"]
    assert result.bytes_moved == len(content)
    check_digest(result, partial, content)


def test_who_gives_a_file_its_name_has_found_it_right(way: Way, tmp_path: Path) -> None:
    """Whatever has no name yet lies at its partial path; what others gave it stays as it is told."""
    content, odd = b"content", tmp_path / "new/it's $(id)\n"
    (tmp_path / "source").write_bytes(content)
    pairs = [(tmp_path / "source", tmp_path / f"parts/{name}") for name in ("right", "wrong")]
    request = request_of(way, *pairs)
    finals = (odd, hashlib.sha256(content).hexdigest()), (tmp_path / "wrong", "0" * 64)
    files = [
        replace(file, final_path=str(path), sha256=sha256)
        for file, (path, sha256) in zip(request.files, finals, strict=True)
    ]
    settled: dict[str, FileStat] = {}
    request = replace(request, files=tuple(files), settled=settled.__setitem__)
    way.mover.move(request, progress=lambda _: None)
    right, wrong = (str(partial) for _, partial in pairs)
    assert settled.keys() <= {right}
    place = odd if right in settled else Path(right)
    assert place.read_bytes() == Path(wrong).read_bytes() == content
    assert (Path(right).exists(), odd.exists()) == (place != odd, place == odd)
    assert not (tmp_path / "wrong").exists()
    if place == odd:
        assert settled[right].inode == odd.stat().st_ino


def test_progress_only_grows_and_ends_at_the_size(way: Way, tmp_path: Path) -> None:
    """It counts what lies at the destination, also after a resume."""
    (tmp_path / "source").write_bytes(BIG)
    (tmp_path / "part").write_bytes(BIG[:1000])
    told: list[int] = []
    moved(way, tmp_path / "source", tmp_path / "part", told)
    assert told == sorted(told)
    assert told[-1] == len(BIG)
    assert len(told) > 1


@pytest.mark.parametrize("present", [1, 4 << 20, len(BIG)])
def test_a_partial_file_is_gone_on_with(way: Way, tmp_path: Path, present: int) -> None:
    """Only what was missing travels."""
    if not way.mover.capabilities.resumes:
        pytest.skip("it does not resume")
    (tmp_path / "source").write_bytes(BIG)
    (tmp_path / "part").write_bytes(BIG[:present])
    result = moved(way, tmp_path / "source", tmp_path / "part")
    assert result.bytes_moved == len(BIG) - present
    assert (tmp_path / "part").read_bytes() == BIG
    check_digest(result, tmp_path / "part", BIG)


@pytest.mark.parametrize(
    "wrong",
    [b"z" * 1000, BIG + b"too long", b"z" * (len(BIG) + 1)],
    ids=["other bytes", "too long", "too long and other"],
)
def test_a_wrong_partial_file_is_never_said_to_be_right(way: Way, tmp_path: Path, wrong: bytes) -> None:
    """Either it is mended, or its true digest tells."""
    (tmp_path / "source").write_bytes(BIG)
    (tmp_path / "part").write_bytes(wrong)
    result = moved(way, tmp_path / "source", tmp_path / "part")
    check_digest(result, tmp_path / "part", (tmp_path / "part").read_bytes())
    assert (tmp_path / "part").stat().st_size == len(BIG)


def test_a_copy_that_breaks_off_leaves_its_beginning_for_the_next_try(way: Way, tmp_path: Path) -> None:
    """The transfer engine breaks off by raising out of `progress`."""
    (tmp_path / "source").write_bytes(BIG)

    request = request_of(way, (tmp_path / "source", tmp_path / "part"))
    slow = way.mover.capabilities.limits_rate
    with pytest.raises(TransferInterruptedError):
        way.mover.move(replace(request, limit_bytes_per_s=2e6 if slow else None), progress=broken_off)
    # What travels when it breaks off need not lie there yet.
    present = (tmp_path / "part").read_bytes() if (tmp_path / "part").exists() else b""
    assert len(present) < len(BIG)
    assert BIG.startswith(present)
    result = moved(way, tmp_path / "source", tmp_path / "part")
    assert result.bytes_moved <= len(BIG)
    assert (tmp_path / "part").read_bytes() == BIG


def test_a_file_of_any_name_is_moved(way: Way, tmp_path: Path) -> None:
    """No name means anything to a shell, neither that of a file nor that of a folder."""
    names = Path(*ODD_NAMES)
    source, partial = tmp_path / "from" / names, tmp_path / "to" / names
    source.parent.mkdir(parents=True)
    source.write_bytes(b"content")
    moved(way, source, partial)
    assert partial.read_bytes() == b"content"


def test_every_credential_that_is_named_lets_one_site_in_to_the_other(other_way: Way, tmp_path: Path) -> None:
    """What is left out here is the credential of all other tests."""
    (tmp_path / "source").write_bytes(BIG)
    moved(other_way, tmp_path / "source", tmp_path / "part")
    assert (tmp_path / "part").read_bytes() == BIG


def test_a_file_with_holes_arrives_with_its_zeros(way: Way, tmp_path: Path) -> None:
    """Whether the holes are kept is the file system's affair."""
    with (tmp_path / "source").open("wb") as file:
        file.truncate(5_000_000)
        file.seek(2_000_000)
        file.write(b"island")
    moved(way, tmp_path / "source", tmp_path / "part")
    assert (tmp_path / "part").read_bytes() == (tmp_path / "source").read_bytes()


@pytest.mark.slow
def test_a_file_of_more_than_two_gib_is_gone_on_with(way: Way, tmp_path: Path) -> None:
    """Its offsets need more than 31 bits; nearly all of it lies there already, as a hole."""
    if not way.mover.capabilities.resumes or way.direction is not Direction.PUSH:
        pytest.skip("it does not resume, or differs from a push in the ends of the pipe alone")
    for name, size in (("source", (2 << 30) + 5), ("part", 2 << 30)):
        with (tmp_path / name).open("wb") as file:
            file.truncate(size)
    with (tmp_path / "source").open("r+b") as file:
        file.seek(2 << 30)
        file.write(b"the e")
    result = moved(way, tmp_path / "source", tmp_path / "part")
    assert result.bytes_moved == 5
    with (tmp_path / "part").open("rb") as file:
        file.seek(2 << 30)
        assert file.read() == b"the e"


def test_many_files_are_moved_by_one_request(way: Way, tmp_path: Path) -> None:
    """Each to its own place, with progress over all of them."""
    contents = {f"{number}/{name}": name.encode() * number for number, name in enumerate(ODD_NAMES)} | {"big": BIG}
    pairs = []
    for name, content in contents.items():
        (tmp_path / "from" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "from" / name).write_bytes(content)
        pairs.append((tmp_path / "from" / name, tmp_path / "to" / name))
    told: list[int] = []
    result = way.mover.move(request_of(way, *pairs), progress=told.append)
    for name, content in contents.items():
        assert (tmp_path / "to" / name).read_bytes() == content
    assert result.bytes_moved == sum(map(len, contents.values()))
    assert told == sorted(told)
    assert told[-1] == result.bytes_moved
    for path, digest in result.digests.items():
        assert digest.sha256 == hashlib.sha256(Path(path).read_bytes()).hexdigest()


def in_streams(way: Way, tmp_path: Path, count: int) -> MoveRequest:
    """Files of many sizes, by three streams; skipped where there is but one."""
    if not way.mover.capabilities.parallel_streams:
        pytest.skip("it has one stream")
    (tmp_path / "from").mkdir(exist_ok=True)
    for number in range(count):
        (tmp_path / f"from/{number}").write_bytes(bytes([number % 256]) * (number * 997))
    pairs = [(tmp_path / f"from/{number}", tmp_path / f"to/{number}") for number in range(count)]
    return replace(request_of(way, *pairs), streams=3)


def test_several_streams_share_the_files(way: Way, tmp_path: Path) -> None:
    """What they do is told as if one had done it; what lies there already is not sent again."""
    request = in_streams(way, tmp_path, 60)
    (tmp_path / "to").mkdir()
    (tmp_path / "to/40").write_bytes(b"(" * 1000)
    (tmp_path / "to/7").write_bytes((tmp_path / "from/7").read_bytes())
    told: list[int] = []
    result = way.mover.move(request, progress=told.append)
    for number in range(60):
        assert (tmp_path / f"to/{number}").read_bytes() == (tmp_path / f"from/{number}").read_bytes()
    assert result.bytes_moved == request.size_bytes - 1000 - 7 * 997
    assert told == sorted(told)
    assert told[-1] == request.size_bytes
    for file in request.files:
        if file.partial_path != str(tmp_path / "to/7"):
            facts = Path(file.partial_path).stat()
            check_digest(
                replace(result, digests={file.partial_path: result.digests[file.partial_path]}),
                Path(file.partial_path),
                Path(file.source_path).read_bytes(),
            )
            assert result.facts[file.partial_path].inode == facts.st_ino


def test_several_streams_keep_to_one_rate(way: Way, tmp_path: Path) -> None:
    """It is that of the link, and not of each."""
    request = in_streams(way, tmp_path, 60)
    begin = time.monotonic()
    way.mover.move(replace(request, limit_bytes_per_s=1_000_000), progress=lambda _: None)
    assert time.monotonic() - begin > 0.75 * request.size_bytes / 1_000_000


def test_when_one_of_several_streams_fails_all_end(way: Way, tmp_path: Path) -> None:
    """And it is told why; what arrived is kept."""
    request = in_streams(way, tmp_path, 200)
    (tmp_path / "from/100").unlink()
    with pytest.raises(NotFoundError, match="from/100"):
        way.mover.move(request, progress=lambda _: None)
    wait_until(lambda: not naming(str(tmp_path)), within_s=20, what="the end of all that was started")
    (tmp_path / "from/100").write_bytes(bytes([100]) * 99_700)
    assert way.mover.move(request, progress=lambda _: None).bytes_moved <= request.size_bytes
    for number in range(200):
        assert (tmp_path / f"to/{number}").read_bytes() == (tmp_path / f"from/{number}").read_bytes()


def test_when_nothing_can_be_written_all_streams_end(way: Way, tmp_path: Path) -> None:
    """Though they wait to be told of more files."""
    request = in_streams(way, tmp_path, 60)
    (tmp_path / "to").write_bytes(b"no folder")
    with pytest.raises(MiddlewareError):
        way.mover.move(replace(request, fresh=True), progress=lambda _: None)
    wait_until(lambda: not naming(str(tmp_path)), within_s=20, what="the end of all that was started")


def test_several_streams_that_are_broken_off_leave_no_process(way: Way, tmp_path: Path) -> None:
    """None of them is forgotten."""
    request = in_streams(way, tmp_path, 200)
    with pytest.raises(TransferInterruptedError):
        way.mover.move(replace(request, limit_bytes_per_s=1e6), progress=broken_off)
    wait_until(lambda: not naming(str(tmp_path)), within_s=20, what="the end of all that was started")
    arrived = [path for path in (tmp_path / "to").glob("*") if path.stat().st_size]
    assert len(arrived) < 199


def test_names_that_are_no_utf8_are_moved(way: Way, tmp_path: Path) -> None:
    """Old Windows disks are full of them; Python keeps such bytes as lone surrogates."""
    source, partial = (os.fsdecode(os.fsencode(tmp_path) + b"/" + name) for name in (b"fran\xe7ais", b"\xff\xfe.part"))
    Path(source).write_bytes(b"content")
    file = MoveFile(source_path=source, partial_path=partial, size_bytes=7)
    request = replace(request_of(way, (tmp_path, tmp_path)), files=(file,))
    result = way.mover.move(request, progress=lambda _: None)
    assert Path(partial).read_bytes() == b"content"
    assert result.digests.keys() <= {partial}


def test_names_longer_than_a_tar_header_are_moved(way: Way, tmp_path: Path) -> None:
    """Content-addressed stores have long paths."""
    source, partial = tmp_path / ("s" * 200) / ("o" * 200), tmp_path / ("d" * 200) / ("p" * 200)
    source.parent.mkdir()
    source.write_bytes(b"content")
    moved(way, source, partial)
    assert partial.read_bytes() == b"content"


def test_a_request_goes_on_where_an_earlier_one_broke_off(way: Way, tmp_path: Path) -> None:
    """Of many files only those travel that are not whole."""
    if not way.mover.capabilities.resumes:
        pytest.skip("it does not resume")
    pairs = []
    for number in range(6):
        source, partial = tmp_path / f"from/{number}", tmp_path / f"to/{number}"
        for path, content in ((source, BIG[: number * 1000]), (partial, BIG[: 1000 * min(number, 3)])):
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
        pairs.append((source, partial))
    (tmp_path / "to/0").unlink()
    result = way.mover.move(request_of(way, *pairs), progress=lambda _: None)
    assert [partial.read_bytes() for _, partial in pairs] == [source.read_bytes() for source, _ in pairs]
    assert result.bytes_moved == 1000 + 2000
    for path, digest in result.digests.items():
        assert digest.sha256 == hashlib.sha256(Path(path).read_bytes()).hexdigest()


def test_a_rate_is_kept_to_by_those_that_say_so(way: Way, tmp_path: Path) -> None:
    """A link is shared with people who work on it."""
    if not way.mover.capabilities.limits_rate:
        pytest.skip("it keeps to no rate")
    (tmp_path / "source").write_bytes(BIG[: 3 << 20])
    request = request_of(way, (tmp_path / "source", tmp_path / "part"))
    begin = time.monotonic()
    way.mover.move(replace(request, limit_bytes_per_s=2 << 20), progress=lambda _: None)
    # Buffers take the beginning and the end at once.
    assert time.monotonic() - begin > 0.75
    assert (tmp_path / "part").read_bytes() == BIG[: 3 << 20]


def test_a_copy_that_breaks_off_leaves_no_process(way: Way, tmp_path: Path) -> None:
    """Neither here nor at a site: an orphan would go on writing."""
    (tmp_path / "source").write_bytes(BIG)
    request = request_of(way, (tmp_path / "source", tmp_path / "part"))
    slow = way.mover.capabilities.limits_rate
    with pytest.raises(TransferInterruptedError):
        way.mover.move(replace(request, limit_bytes_per_s=1e6 if slow else None), progress=broken_off)
    wait_until(lambda: not naming(str(tmp_path)), within_s=20, what="the end of all that was started")
    size = (tmp_path / "part").stat().st_size if (tmp_path / "part").exists() else 0
    assert size < len(BIG)


def broken_off(done: int) -> None:
    """Somebody cancels as soon as something lies there."""
    if done:
        raise TransferInterruptedError(f"after {done}")


def naming(text: str) -> list[int]:
    """The processes that have a file of that folder open or name it."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            named = text in os.fsdecode((place / "cmdline").read_bytes())
            opened = any(os.readlink(link).startswith(text) for link in (place / "fd").iterdir())
            if (named or opened) and int(place.name) != os.getpid():
                found.append(int(place.name))
    return found


def test_a_source_that_is_gone_is_told_with_its_path_and_its_site(way: Way, tmp_path: Path) -> None:
    """Nothing is left that could be taken for a file."""
    with pytest.raises(NotFoundError) as caught:
        moved(way, tmp_path / "absent", tmp_path / "part")
    assert str(tmp_path / "absent") in str(caught.value)
    assert "agh" in str(caught.value)
    assert not (tmp_path / "part").exists() or (tmp_path / "part").stat().st_size == 0


def test_a_full_destination_is_told_with_its_site_and_what_to_do(way: Way, tmp_path: Path) -> None:
    """Trying again would not help."""
    (tmp_path / "source").write_bytes(BIG)
    with small_disk(tmp_path / "disk", size_bytes=2 << 20) as disk:
        with pytest.raises(NoSpaceError) as caught:
            moved(way, tmp_path / "source", disk / "part")
        assert caught.value.site == "lrz"
        assert "convoy retry" in str(caught.value)


def test_a_folder_cannot_be_moved_and_a_folder_is_not_overwritten(way: Way, tmp_path: Path) -> None:
    """Both are told in our words."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "source").write_bytes(b"x")
    with pytest.raises(MiddlewareError):
        moved(way, tmp_path / "folder", tmp_path / "part")
    with pytest.raises(MiddlewareError):
        moved(way, tmp_path / "source", tmp_path / "folder")
    assert os.listdir(tmp_path / "folder") == []
