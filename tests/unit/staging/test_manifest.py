"""What files hold is told in one pass, and not asked twice."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import pytest

from metadata.errors import IntegrityError, NotFoundError
from metadata.records import ReplicaRecord
from orchestrator.ports import SiteSettings
from orchestrator.registry import load
from staging.manifest import digested, manifest_of
from staging.ports import FileDigest, FileStat, Storage


def storage_at(folder: Path) -> Storage:
    """A site whose files are these."""
    storage: Storage = load("storages", "posix")(SiteSettings(name="toy", workdir=PurePosixPath(folder)))
    return storage


def sha256(content: bytes) -> str:
    """Of the content."""
    return hashlib.sha256(content).hexdigest()


def noted(path: Path, digest: str, **facts: int) -> ReplicaRecord:
    """What was noted of a file as it is now."""
    now = path.stat()
    known = {"size_bytes": now.st_size, "modified_ns": now.st_mtime_ns, "inode": now.st_ino} | facts
    return ReplicaRecord(site="toy", path=str(path), sha256=digest, verified_at=0.0, **known)


def test_a_manifest_lists_everything_below_a_folder(tmp_path: Path) -> None:
    """Sorted by path; links to folders are not followed."""
    for name in ("b", "a/2", "a/deep/1"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    (tmp_path / "a/circle").symlink_to(tmp_path)
    manifest = manifest_of(storage_at(tmp_path), f"{tmp_path}/")
    assert [(entry.path, entry.digest) for entry in manifest.entries] == [
        (name, FileDigest(size_bytes=len(name), sha256=sha256(name.encode()))) for name in ("a/2", "a/deep/1", "b")
    ]
    assert (manifest.site, manifest.size_bytes) == ("toy", 12)
    assert manifest.entries[2].facts.inode == (tmp_path / "b").stat().st_ino


def test_what_did_not_change_is_not_read_again(tmp_path: Path) -> None:
    """A lie that was noted is believed, which shows that nobody looked."""
    path = tmp_path / "file"
    path.write_bytes(b"content")
    known = {str(path): noted(path, "0" * 64)}
    found = digested(storage_at(tmp_path), [str(path)], known=lambda _: known)
    assert found[str(path)][1].sha256 == "0" * 64


@pytest.mark.parametrize("change", [{"size_bytes": 6}, {"modified_ns": 1}, {"inode": 1}])
def test_a_change_of_size_or_time_or_inode_has_it_read(tmp_path: Path, change: dict[str, int]) -> None:
    """Any of them shows another file."""
    path = tmp_path / "file"
    path.write_bytes(b"content")
    known = {str(path): noted(path, "0" * 64, **change)}
    found = digested(storage_at(tmp_path), [str(path)], known=lambda _: known)
    assert found[str(path)][1].sha256 == sha256(b"content")


def test_a_file_that_is_replaced_by_one_of_the_same_size_and_time_is_noticed(tmp_path: Path) -> None:
    """As `cp -p` and rsync leave them."""
    path, other = tmp_path / "file", tmp_path / "other"
    path.write_bytes(b"content")
    known = {str(path): noted(path, sha256(b"content"))}
    facts = path.stat()
    other.write_bytes(b"CONTENT")
    other.replace(path)
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    found = digested(storage_at(tmp_path), [str(path)], known=lambda _: known)
    assert found[str(path)][1].sha256 == sha256(b"CONTENT")


def test_a_file_that_changes_while_it_is_read_has_no_digest(tmp_path: Path) -> None:
    """Nothing true can be said of it."""
    path = tmp_path / "file"
    path.write_bytes(b"content")

    def told(name: str, done: int, total: int) -> None:
        path.write_bytes(b"longer content")

    with pytest.raises(IntegrityError, match="changed while it was read"):
        digested(storage_at(tmp_path), [str(path)], told=told)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    """With its site."""
    with pytest.raises(NotFoundError, match="toy: there is no"):
        digested(storage_at(tmp_path), [str(tmp_path / "absent")])


def test_many_files_are_asked_for_in_few_questions(tmp_path: Path) -> None:
    """Progress is told in between, in bytes."""
    paths = [tmp_path / str(number) for number in range(2500)]
    for path in paths:
        path.write_bytes(path.name.encode())
    storage = storage_at(tmp_path)
    questions: list[int] = []
    told: list[tuple[int, int]] = []

    class Counting:
        endpoint = storage.endpoint

        def stats(self, some: Sequence[str]) -> dict[str, FileStat]:
            return dict(storage.stats(some))

        def digests(self, some: Sequence[str]) -> dict[str, FileDigest]:
            questions.append(len(some))
            return dict(storage.digests(some))

    found = digested(
        Counting(),  # type: ignore[arg-type]
        [str(path) for path in paths],
        told=lambda _, done, total: told.append((done, total)),
    )
    assert questions == [1000, 1000, 500]
    assert told == [(0, 8890), (2890, 8890), (6890, 8890)]
    assert all(found[str(path)][1].sha256 == sha256(path.name.encode()) for path in paths)
