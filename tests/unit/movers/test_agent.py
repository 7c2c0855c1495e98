"""The program that is sent to sites: what it packs can be tar, and what it unpacks may come from tar."""

from __future__ import annotations

import ast
import hashlib
import io
import os
import subprocess
import sys
import tarfile
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.movers import tar
from adapters.movers._ssh.agent import PACKER, UNPACKER, unpacker, wire
from tests.testbed.fixtures import wait_until

File = tuple[bytes, Path, int]
"""Its name in the stream, where it is, and where it goes on."""
FORMS = pytest.mark.parametrize("form", [b"tar", b"plain"])


def run(program: bytes, *arguments: str, stdin: bytes) -> subprocess.CompletedProcess[bytes]:
    """What the program said, run as at a site."""
    return subprocess.run(words(program, *arguments), input=stdin, capture_output=True, check=False)


def words(program: bytes, *arguments: str) -> list[str]:
    """How it is run."""
    return [sys.executable, "-I", "-S", "-c", program.decode(), *arguments]


def sources(*files: File) -> bytes:
    """A list of files as the packer reads it."""
    return listed(b"%s\0%s\0%d\0" % (name, os.fsencode(path), offset) for name, path, offset in files)


def targets(*files: File, finals: Sequence[tuple[Path, str]] = ()) -> bytes:
    """A list of files as the unpacker reads it; some shall have another name if their SHA-256 is right."""
    named = [(os.fsencode(path), sha256.encode()) for path, sha256 in finals] or [(b"", b"")] * len(files)
    return listed(
        b"%s\0%d\0%s\0%d\0%s\0%s\0" % (name, number, os.fsencode(path), offset, *final)
        for number, ((name, path, offset), final) in enumerate(zip(files, named, strict=True))
    )


def listed(rows: Iterable[bytes]) -> bytes:
    """As all lists are."""
    return zlib.compress(b"".join(rows))


def pack(*files: File, form: bytes = b"tar") -> subprocess.CompletedProcess[bytes]:
    """The program packed these, and told nobody of them."""
    rows = sources(*files)
    return run(PACKER, stdin=b"0 %s 0\n%d 0\n%s" % (form, len(rows), rows))


def unpack(
    *files: File, archive: bytes, form: bytes = b"tar", finals: Sequence[tuple[Path, str]] = ()
) -> subprocess.CompletedProcess[bytes]:
    """The program unpacked these."""
    rows = targets(*files, finals=finals)
    return run(UNPACKER, "MARK", stdin=b"0 %s %d\n%s" % (form, len(rows), rows) + archive)


def told(answer: subprocess.CompletedProcess[bytes]) -> list[list[bytes]]:
    """What was said of whole files: number, size, holes, size, time, inode and, of those without a name, SHA-256."""
    assert answer.returncode == 0, answer.stderr
    return [line.split()[2:] for line in answer.stdout.splitlines() if line.startswith(b"MARK whole ")]


def test_it_is_written_in_a_python_that_old_clusters_have() -> None:
    """3.6 came with the enterprise Linux of 2019, which clusters keep for ten years."""
    for program in (PACKER, UNPACKER):
        tree = ast.parse(program.decode(), feature_version=(3, 6))
        imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        imported |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert {name.split(".")[0] for name in imported} <= set(sys.stdlib_module_names) - {"__future__"}


@given(
    name=st.binary(min_size=1, max_size=300).filter(lambda name: b"\0" not in name and not name.endswith(b"/")),
    size=st.integers(0, 1 << 60),
)
def test_a_header_is_read_by_tar_as_it_was_meant(name: bytes, size: int) -> None:
    """Long names and sizes from 8 GiB on too."""
    stream = io.BytesIO(wire.header(name, size))
    if len(name) > 100:
        long_name = tarfile.TarInfo.frombuf(stream.read(512), "utf-8", "surrogateescape")
        assert long_name.type == tarfile.GNUTYPE_LONGNAME
        assert stream.read(len(name) + 1 + -(len(name) + 1) % 512)[: len(name)] == name
    info = tarfile.TarInfo.frombuf(stream.read(512), "utf-8", "surrogateescape")
    assert info.size == size
    assert os.fsencode(info.name) == name[:100]
    assert stream.read() == b""


@given(size=st.integers(0, 1 << 60))
def test_a_size_in_a_header_is_read_as_it_was_written(size: int) -> None:
    """Octal or binary."""
    assert unpacker.number_of(wire.header(b"name", size)[124:136]) == size


def test_what_is_packed_is_an_archive(tmp_path: Path) -> None:
    """GNU tar stands at the other end where there is no Python."""
    contents = {b"small": b"x" * 1000, b"n" * 200: b"", b"large": os.urandom(3 << 20)}
    for name, content in contents.items():
        (tmp_path / os.fsdecode(name)).write_bytes(content)
    packed = pack(*((name, tmp_path / os.fsdecode(name), 0) for name in contents))
    assert packed.returncode == 0, packed.stderr
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
        found = {os.fsencode(member.name): archive.extractfile(member).read() for member in archive}  # type: ignore[union-attr]
    assert found == contents


def test_an_archive_of_tar_is_unpacked_and_hashed(tmp_path: Path) -> None:
    """In whatever order it comes."""
    contents = {"first": b"x" * 1000, "n" * 200: b"", "large": os.urandom(3 << 20)}
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name, content in reversed(contents.items()):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    files = [(os.fsencode(name), tmp_path / f"{number}.part", 0) for number, name in enumerate(contents)]
    unpacked = unpack(*files, archive=archive.getvalue())
    said = told(unpacked)
    for number, content in enumerate(contents.values()):
        assert (tmp_path / f"{number}.part").read_bytes() == content
        facts = (tmp_path / f"{number}.part").stat()
        words = (number, len(content), 0, facts.st_size, facts.st_mtime_ns, facts.st_ino)
        assert [*(b"%d" % word for word in words), hashlib.sha256(content).hexdigest().encode()] in said


@FORMS
def test_a_file_that_is_right_gets_its_name_and_another_one_does_not(tmp_path: Path, form: bytes) -> None:
    """Nothing needs to be asked or hashed any more then."""
    (tmp_path / "source").write_bytes(b"content")
    (tmp_path / "1.part").write_bytes(b"con")
    names = (b"0", 0), (b"1", 3), (b"2", 0)
    packed = pack(*((name, tmp_path / "source", offset) for name, offset in names), form=form).stdout
    right, wrong = hashlib.sha256(b"content").hexdigest(), hashlib.sha256(b"other").hexdigest()
    finals = [(tmp_path / "new/0", right), (tmp_path / "new/1", right), (tmp_path / "new/2", wrong)]
    parts = [(name, tmp_path / f"{name.decode()}.part", offset) for name, offset in names]
    said = told(unpack(*parts, archive=packed, form=form, finals=finals))
    assert [row[6:] for row in said] == [[], [], [right.encode()]]
    assert sorted(os.listdir(tmp_path / "new")) == ["0", "1"]
    assert (tmp_path / "new/1").read_bytes() == (tmp_path / "2.part").read_bytes() == b"content"
    assert not (tmp_path / "0.part").exists()
    assert said[0][5] == b"%d" % (tmp_path / "new/0").stat().st_ino


def test_missing_folders_are_made(tmp_path: Path) -> None:
    """Nobody looks for them first where nothing is to be gone on with."""
    (tmp_path / "source").write_bytes(b"content")
    packed = pack((b"0", tmp_path / "source", 0)).stdout
    unpacked = unpack((b"0", tmp_path / "new" / "folder" / "part", 0), archive=packed)
    assert unpacked.returncode == 0, unpacked.stderr
    assert (tmp_path / "new" / "folder" / "part").read_bytes() == b"content"


@FORMS
def test_a_stream_that_ends_too_soon_is_no_success(tmp_path: Path, form: bytes) -> None:
    """Its beginning is kept."""
    (tmp_path / "source").write_bytes(os.urandom(3 << 20))
    packed = pack((b"0", tmp_path / "source", 0), form=form).stdout
    end = 1024 if form == b"tar" else 1
    for size in (0, 3, 100, 512, 2 << 20, len(packed) - end):
        unpacked = unpack((b"0", tmp_path / "part", 0), archive=packed[:size], form=form)
        assert unpacked.returncode == wire.SHORT
    assert (tmp_path / "part").read_bytes() == (tmp_path / "source").read_bytes()


def test_a_file_that_shrinks_while_it_is_packed_keeps_the_stream_whole(tmp_path: Path) -> None:
    """Its hash tells."""
    (tmp_path / "source").write_bytes(b"12345")
    packed = pack((b"0", tmp_path / "source", 2)).stdout
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        assert archive.extractfile("0").read() == b"345"  # type: ignore[union-attr]


def sparse(path: Path, islands: list[tuple[int, bytes]], size: int) -> None:
    """A file of holes with something in between."""
    with path.open("wb") as file:
        for at, content in islands:
            file.seek(at)
            file.write(content)
        file.truncate(size)


# GNU tells of four parts in the header itself, and of twenty-one in each block behind it.
@FORMS
@pytest.mark.parametrize(
    ("parts", "begin", "offset"),
    [(0, 0, 0), (1, 0, 0), (3, 0, 0), (4, 3 << 20, 0), (24, 0, 0), (25, 0, 1), (27, 3 << 20, 0), (3, 0, (5 << 20) + 7)],
)
def test_holes_do_not_travel_and_arrive_as_holes(
    tmp_path: Path, parts: int, begin: int, offset: int, form: bytes
) -> None:
    """A sparse image of 20 GB fills no disk and no cable, of however many parts it is; tar reads it as it is meant."""
    source, part, size = tmp_path / "source", tmp_path / "part", begin + (parts << 21) + (3 << 20)
    sparse(source, [(begin + (number << 21), os.urandom(5000)) for number in range(parts)], size)
    content = source.read_bytes()
    part.write_bytes(content[:offset])
    packed = pack((b"0", source, offset), form=form).stdout
    assert len(packed) < parts * 12_288 + 20_480
    ((_, told_size, holes, *_, sha256),) = told(unpack((b"0", part, offset), archive=packed, form=form))
    assert part.read_bytes() == content
    assert part.stat().st_blocks * 512 < offset + parts * 12_288 + 20_480
    assert int(told_size) == size
    assert sha256 == hashlib.sha256(content).hexdigest().encode()
    assert size - offset - parts * 12_288 <= int(holes) <= size - offset
    if form == b"plain":
        return
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        assert archive.extractfile("0").read() == content[offset:]  # type: ignore[union-attr]


@pytest.mark.parametrize("parts", [0, 1, 5, 30])
def test_holes_that_tar_packed_are_unpacked(tmp_path: Path, parts: int) -> None:
    """It stands at the source where there is no Python, and is told to look for holes."""
    sparse(tmp_path / "source", [(number << 21, os.urandom(5000)) for number in range(parts)], 70 << 20)
    words = ["tar", "-cSf", "-", "--format=gnu", "-C", tmp_path, "source"]
    packed = subprocess.run(words, capture_output=True, check=True).stdout
    assert len(packed) < 1 << 20
    unpacked = unpack((b"source", tmp_path / "part", 0), archive=packed)
    assert unpacked.returncode == 0, unpacked.stderr
    assert (tmp_path / "part").read_bytes() == (tmp_path / "source").read_bytes()


def test_zeros_that_were_written_arrive_as_holes(tmp_path: Path) -> None:
    """They travel, but fill no disk."""
    (tmp_path / "source").write_bytes(b"begin" + bytes(64 << 20) + b"end")
    packed = pack((b"0", tmp_path / "source", 0)).stdout
    unpack((b"0", tmp_path / "part", 0), archive=packed)
    assert (tmp_path / "part").read_bytes() == (tmp_path / "source").read_bytes()
    assert (tmp_path / "part").stat().st_blocks * 512 < 8 << 20


def test_a_dead_stream_that_is_noticed_late_cuts_nothing_off(tmp_path: Path) -> None:
    """Another one went on with the file meanwhile."""
    (tmp_path / "source").write_bytes(os.urandom(3 << 20))
    packed = pack((b"0", tmp_path / "source", 0), form=b"plain").stdout
    rows = targets((b"0", tmp_path / "part", 0))
    with subprocess.Popen(words(UNPACKER, "MARK"), stdin=subprocess.PIPE, stderr=subprocess.PIPE) as program:
        assert program.stdin is not None
        program.stdin.write(b"0 plain %d\n%s" % (len(rows), rows) + packed[: 2 << 20])
        program.stdin.flush()
        wait_until(lambda: (tmp_path / "part").exists() and (tmp_path / "part").stat().st_size > 1 << 20)
        with (tmp_path / "part").open("r+b") as part:
            part.write((tmp_path / "source").read_bytes())
        program.communicate()
    assert program.returncode == wire.SHORT
    assert (tmp_path / "part").read_bytes() == (tmp_path / "source").read_bytes()


def test_a_python_that_lacks_something_counts_as_none(tmp_path: Path) -> None:
    """GNU tar stands in for it, too."""
    for loader in (tar._PACK, tar._UNPACK.format(mark="MARK", short=wire.SHORT)):
        for missing in ("zlib", "hashlib"):
            program = f"import sys; sys.modules[{missing!r}] = None; {loader}"
            assert run(program.encode(), stdin=b"").returncode in tar._NO_PYTHON


def test_lists_may_come_in_the_stream_and_what_they_name_is_reported_before_the_next(tmp_path: Path) -> None:
    """Who deals the files out waits for that."""
    (tmp_path / "source").write_bytes(b"content")
    packing = [b"0 plain 0\n"]
    for number in range(2):
        here = sources((b"%d" % number, tmp_path / "source", 0))
        there = targets((b"%d" % number, tmp_path / f"{number}.part", 0))
        packing += [b"%d %d\n" % (len(here), len(there)), here, there]
    packed = run(PACKER, stdin=b"".join(packing)).stdout
    second = packed.index(b"C rows", packed.index(b"C rows 0") + 8)
    with subprocess.Popen(words(UNPACKER, "MARK"), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as program:
        assert program.stdin is not None
        assert program.stdout is not None
        program.stdin.write(b"0 plain 0\n" + packed[:second])
        program.stdin.flush()
        assert next(line for line in program.stdout if b"whole" in line)
        rest, _ = program.communicate(packed[second:])
        assert b"whole" in rest
    assert program.returncode == 0
    assert [(tmp_path / f"{number}.part").read_bytes() for number in range(2)] == [b"content"] * 2
