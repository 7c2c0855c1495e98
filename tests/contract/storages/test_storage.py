"""What every storage promises."""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from adapters.storages import command
from metadata.errors import MiddlewareError, NoSpaceError, NotFoundError, SiteError
from orchestrator.ports import SiteSettings
from orchestrator.registry import load
from staging.ports import FileDigest, Storage
from tests.contract.storages.small_disk import small_disk

ODD_NAMES = ["plain", "a b", "-n", "--", "it's", '"', "$(id)", "*", "a\nb", "a\\b", "é ü 漢", " end ", "~", "%s"]


def test_a_file_has_its_size_its_time_and_its_inode(storage: Storage, tmp_path: Path) -> None:
    """A change of any shows that the file is another one."""
    path = tmp_path / "file"
    path.write_bytes(b"content")
    os.utime(path, ns=(10**18 + 1, 10**18 + 123456789))
    facts = storage.stat(str(path))
    assert facts is not None
    assert (facts.size_bytes, facts.modified_ns, facts.inode) == (7, 10**18 + 123456789, path.stat().st_ino)


def test_what_is_not_there_has_no_facts(storage: Storage, tmp_path: Path) -> None:
    """Neither has what would lie below a file, nor a link to nothing."""
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "link").symlink_to("nowhere")
    assert [storage.stat(str(tmp_path / name)) for name in ("absent", "absent/deeper", "file/below", "link")] == [
        None
    ] * 4


@pytest.mark.parametrize("content", [b"", b"x", b"\0\r\n\xff" * 1000, bytes(3_000_001)], ids=len)
def test_a_digest_is_that_of_the_content(storage: Storage, tmp_path: Path, content: bytes) -> None:
    """Empty and sparse files too."""
    path = tmp_path / "file"
    path.write_bytes(content)
    assert storage.digest(str(path)) == FileDigest(size_bytes=len(content), sha256=hashlib.sha256(content).hexdigest())


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_file_of_any_name_is_written_read_renamed_and_removed(storage: Storage, tmp_path: Path, name: str) -> None:
    """No name means anything to a shell."""
    first, second = str(tmp_path / "folder" / name), str(tmp_path / "other" / name)
    storage.write(first, b"\0content\xff\n")
    assert storage.read(first) == b"\0content\xff\n"
    assert storage.stat(first) is not None
    assert storage.digest(first).size_bytes == 10
    storage.rename(first, second)
    assert (Path(first).exists(), Path(second).read_bytes()) == (False, b"\0content\xff\n")
    assert list(storage.files_below(str(tmp_path / "other"))) == [name]
    storage.remove(second)
    assert os.listdir(tmp_path / "other") == []


def test_a_written_file_replaces_another_and_leaves_nothing_beside_it(storage: Storage, tmp_path: Path) -> None:
    """A reader sees the old file or the new one."""
    path = tmp_path / "file"
    path.write_bytes(b"a much longer content")
    storage.write(str(path), b"new")
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize(
    ("limit", "expected"), [(None, b"0123456789"), (4, b"6789"), (10, b"0123456789"), (99, b"0123456789"), (0, b"")]
)
def test_the_end_of_a_file_can_be_read_alone(
    storage: Storage, tmp_path: Path, limit: int | None, expected: bytes
) -> None:
    """The last words of a log are worth most."""
    (tmp_path / "file").write_bytes(b"0123456789")
    assert storage.read(str(tmp_path / "file"), limit_bytes=limit) == expected


def test_every_regular_file_below_a_folder_is_found(storage: Storage, tmp_path: Path) -> None:
    """Sorted; links to folders are not followed, so that no circle can trap it."""
    for name in ("b", "a/2", "a/1", "a/deep/er/x", ".hidden"):
        (tmp_path / "top" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "top" / name).write_bytes(b"")
    (tmp_path / "top/a/circle").symlink_to(tmp_path / "top")
    (tmp_path / "top/empty").mkdir()
    assert list(storage.files_below(str(tmp_path / "top"))) == [".hidden", "a/1", "a/2", "a/deep/er/x", "b"]
    assert list(storage.files_below(str(tmp_path / "top/b"))) == ["b"]


VERY_ODD_NAMES = [*ODD_NAMES, os.fsdecode(b"latin-\xe9"), "n" * 255, "end\n"]


def test_many_files_are_asked_for_at_once(storage: Storage, tmp_path: Path) -> None:
    """Whatever their names; what is not there is absent, and what cannot be read has no digest."""
    paths = {str(tmp_path / name): name.encode("utf-8", "surrogateescape") for name in VERY_ODD_NAMES}
    for path, content in paths.items():
        Path(path).write_bytes(content)
    (tmp_path / "folder").mkdir()
    asked = [*paths, str(tmp_path / "absent"), str(tmp_path / "plain/below"), str(tmp_path / "folder")]
    facts, digests = storage.stats(asked), storage.digests(asked)
    assert {path: row.size_bytes for path, row in facts.items() if path in paths} == {
        path: len(content) for path, content in paths.items()
    }
    assert facts[str(tmp_path / "a b")] == storage.stat(str(tmp_path / "a b"))
    assert digests == {
        path: FileDigest(size_bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
        for path, content in paths.items()
    }
    assert sorted(storage.files_below(str(tmp_path))) == sorted(VERY_ODD_NAMES)


def test_nothing_is_asked_about_nothing(storage: Storage) -> None:
    """An empty list is no folder of all files."""
    assert (storage.stats([]), storage.digests([])) == ({}, {})
    storage.rename_all([])
    storage.copy_all([])
    storage.remove_all([])


def test_many_files_are_renamed_and_removed_at_once(storage: Storage, tmp_path: Path) -> None:
    """Folders are made on the way, and what lay at a target is replaced."""
    for name in VERY_ODD_NAMES:
        (tmp_path / name).write_bytes(name.encode("utf-8", "surrogateescape"))
    (tmp_path / "to/a b").mkdir(parents=True)
    (tmp_path / "to/a b/a b").write_bytes(b"old")
    pairs = [(str(tmp_path / name), str(tmp_path / "to" / name / name)) for name in VERY_ODD_NAMES]
    storage.rename_all(pairs)
    assert os.listdir(tmp_path) == ["to"]
    for _, target in pairs:
        assert Path(target).read_bytes() == Path(target).name.encode("utf-8", "surrogateescape")
    storage.remove_all([target for _, target in pairs])
    storage.remove_all([target for _, target in pairs])
    assert storage.files_below(str(tmp_path / "to")) == []


def test_of_many_renames_the_one_that_fails_is_told(storage: Storage, tmp_path: Path) -> None:
    """Those before it are done."""
    (tmp_path / "a").write_bytes(b"")
    (tmp_path / "c").write_bytes(b"")
    pairs = [(str(tmp_path / name), str(tmp_path / "to" / name)) for name in "abc"]
    with pytest.raises(NotFoundError) as caught:
        storage.rename_all(pairs)
    assert (tmp_path / "to/a").exists()
    assert caught.value.site == "toy"
    assert str(tmp_path) in str(caught.value)


def test_copies_are_files_of_their_own(storage: Storage, tmp_path: Path) -> None:
    """What is done to one is not done to the other."""
    for name in VERY_ODD_NAMES:
        (tmp_path / name).write_bytes(b"content" * 100)
    (tmp_path / "to").mkdir()
    (tmp_path / "to/plain").write_bytes(b"old, and longer than the new one" * 100)
    storage.copy_all([(str(tmp_path / name), str(tmp_path / "to" / name)) for name in VERY_ODD_NAMES])
    for name in VERY_ODD_NAMES:
        with (tmp_path / "to" / name).open("r+b") as file:
            file.write(b"CHANGED")
        assert (tmp_path / name).read_bytes() == b"content" * 100
        assert (tmp_path / "to" / name).read_bytes() == b"CHANGED" + b"content" * 99
    with pytest.raises(NotFoundError):
        storage.copy_all([(str(tmp_path / "absent"), str(tmp_path / "to/absent"))])


def test_holes_of_a_copy_are_holes(storage: Storage, tmp_path: Path) -> None:
    """And what lies between them and at the end is the same."""
    with (tmp_path / "from").open("wb") as file:
        for place in (1 << 20, 8 << 20):
            file.seek(place)
            file.write(b"content")
        file.truncate(16 << 20)
    storage.copy_all([(str(tmp_path / "from"), str(tmp_path / "to"))])
    assert storage.digest(str(tmp_path / "to")) == storage.digest(str(tmp_path / "from"))
    assert (tmp_path / "to").stat().st_blocks * 512 < 1 << 20


@pytest.mark.parametrize(
    ("offset", "size", "expected"),
    [(0, 4, b"0123"), (4, 3, b"456"), (8, 9, b"89"), (10, 1, b""), (99, 1, b""), (3, 0, b"")],
)
def test_a_range_of_a_file_is_read_alone(
    storage: Storage, tmp_path: Path, offset: int, size: int, expected: bytes
) -> None:
    """Fewer bytes only where the file ends."""
    (tmp_path / "file").write_bytes(b"0123456789")
    assert storage.read_range(str(tmp_path / "file"), offset=offset, size_bytes=size) == expected
    with pytest.raises(NotFoundError):
        storage.read_range(str(tmp_path / "absent"), offset=offset, size_bytes=size)


def test_room_is_reserved_and_let_go(storage: Storage, tmp_path: Path) -> None:
    """What a file system does not give is told before a byte moves."""
    with small_disk(tmp_path / "disk", size_bytes=4 << 20) as disk:
        storage.probe_room(str(disk / "new/file"), size_bytes=2 << 20)
        with pytest.raises(NoSpaceError) as caught:
            storage.probe_room(str(disk / "new/file"), size_bytes=8 << 20)
        assert "convoy retry" in str(caught.value)
        assert storage.files_below(str(disk)) == []
        assert storage.survey([str(disk)]).free_bytes > 3 << 20


def test_a_link_to_a_file_is_a_file(storage: Storage, tmp_path: Path) -> None:
    """Collections of slides are often folders of links."""
    (tmp_path / "store").write_bytes(b"content")
    (tmp_path / "top").mkdir()
    (tmp_path / "top/slide.tif").symlink_to(tmp_path / "store")
    assert list(storage.files_below(str(tmp_path / "top"))) == ["slide.tif"]
    assert storage.digest(str(tmp_path / "top/slide.tif")).size_bytes == 7


@pytest.mark.parametrize("verb", ["digest", "read", "files_below", "rename"])
def test_what_is_not_there_is_told_with_its_path_and_site(storage: Storage, tmp_path: Path, verb: str) -> None:
    """So that a person can go and look."""
    path = str(tmp_path / "absent")
    with pytest.raises(NotFoundError) as caught:
        getattr(storage, verb)(path, *([path + "2"] if verb == "rename" else []))
    assert path in str(caught.value)
    assert caught.value.site == "toy"


def test_a_removed_folder_is_gone_with_all_in_it_and_what_is_linked_stays(storage: Storage, tmp_path: Path) -> None:
    """Twice is no error."""
    (tmp_path / "keep").mkdir()
    (tmp_path / "keep/file").write_bytes(b"")
    (tmp_path / "gone/deep").mkdir(parents=True)
    (tmp_path / "gone/deep/link").symlink_to(tmp_path / "keep")
    storage.remove(str(tmp_path / "gone"))
    storage.remove(str(tmp_path / "gone"))
    assert os.listdir(tmp_path) == ["keep"]
    assert (tmp_path / "keep/file").exists()


def test_a_link_is_removed_and_not_what_it_points_to(storage: Storage, tmp_path: Path) -> None:
    """A link to a folder is a link."""
    (tmp_path / "keep").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "keep")
    storage.remove(str(tmp_path / "link"))
    assert os.listdir(tmp_path) == ["keep"]


def test_room_is_counted_where_a_path_will_lie(storage: Storage, tmp_path: Path) -> None:
    """Its folders need not be there yet."""
    with small_disk(tmp_path / "disk", size_bytes=4 << 20):
        assert 3 << 20 < storage.survey([str(tmp_path / "disk/not/yet/there")]).free_bytes <= 4 << 20


def test_a_full_disk_is_told_and_leaves_the_old_file_and_nothing_else(storage: Storage, tmp_path: Path) -> None:
    """With what to do."""
    with small_disk(tmp_path / "disk", size_bytes=1 << 20) as disk:
        storage.write(str(disk / "file"), b"old")
        with pytest.raises(NoSpaceError, match="no room left") as caught:
            storage.write(str(disk / "file"), bytes(2 << 20))
        assert "convoy retry" in str(caught.value)
        assert (os.listdir(disk), (disk / "file").read_bytes()) == (["file"], b"old")


def test_room_that_cannot_be_looked_for_is_an_error_of_ours(storage: Storage, tmp_path: Path) -> None:
    """It is the first thing that is asked of a place."""
    with pytest.raises(MiddlewareError):
        storage.survey([str(tmp_path / ("n" * 300) / "file")])


def test_what_cannot_be_done_is_an_error_of_ours(storage: Storage, tmp_path: Path) -> None:
    """No exception of the operating system gets out."""
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    with pytest.raises(MiddlewareError):
        storage.write(str(tmp_path / "file/below"), b"")
    with pytest.raises(MiddlewareError):
        storage.read(str(tmp_path / "folder"))
    with pytest.raises(MiddlewareError):
        storage.rename(str(tmp_path / "file"), str(tmp_path / "folder"))


def test_a_site_without_perl_renames_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More slowly, with a process for each file."""
    monkeypatch.setattr(command, "RENAME", command.RENAME.replace("perl", "no-such-perl"))
    settings = SiteSettings(name="toy", workdir=PurePosixPath(tmp_path))
    storage = command.CommandStorage(settings, load("runners", "local")(site="toy", options={}))
    for test in (
        test_many_files_are_renamed_and_removed_at_once,
        test_of_many_renames_the_one_that_fails_is_told,
    ):
        folder = tmp_path / test.__name__[:20]
        folder.mkdir()
        test(storage, folder)


def test_a_link_to_a_folder_that_is_named_is_that_folder(storage: Storage, tmp_path: Path) -> None:
    """Many a home has its data behind one."""
    (tmp_path / "disk/deep").mkdir(parents=True)
    (tmp_path / "disk/deep/a").write_bytes(b"a")
    (tmp_path / "data").symlink_to("disk")
    for path in ("data", "data/", "disk"):
        assert list(storage.files_below(f"{tmp_path}/{path}")) == ["deep/a"]


def test_a_folder_that_one_may_not_look_into_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What lies in it would be left out, and nobody would know. Who is root may look everywhere."""
    scandir = os.scandir

    def refusing(path: str) -> Any:
        if str(path).endswith("closed"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return scandir(path)

    (tmp_path / "top/closed").mkdir(parents=True)
    storage = load("storages", "posix")(SiteSettings(name="toy", workdir=PurePosixPath(tmp_path)))
    monkeypatch.setattr(os, "scandir", refusing)
    with pytest.raises(SiteError, match=r"toy: Permission denied: .*closed"):
        storage.files_below(str(tmp_path / "top"))


def test_a_rename_that_fails_tells_where_to(storage: Storage, tmp_path: Path) -> None:
    """The fault is at the new name far more often than at the old one."""
    (tmp_path / "source").write_bytes(b"a")
    (tmp_path / "taken/by/a/folder").mkdir(parents=True)
    (tmp_path / "file").write_bytes(b"b")
    for target in ("taken/by", "file/below"):
        with pytest.raises(SiteError, match=target.partition("/")[0]):
            storage.rename_all([(str(tmp_path / "source"), str(tmp_path / target))])
        if target == "file/below":
            with pytest.raises(SiteError, match="file"):
                storage.copy_all([(str(tmp_path / "source"), str(tmp_path / target))])
    assert (tmp_path / "source").read_bytes() == b"a"
