"""What files hold, told where they lie: relative paths, sizes and hashes, made in one pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from metadata.errors import IntegrityError, NotFoundError
from metadata.records import ReplicaRecord
from staging.ports import FileDigest, FileStat, Storage

Known = Callable[[Sequence[str]], Mapping[str, ReplicaRecord]]
"""What was noted of these paths when they were hashed before."""
Found = tuple[FileStat, FileDigest]
Noted = Callable[[Mapping[str, Found]], None]
"""Hears of some files as soon as they were hashed: of many, hours may pass until the last one is."""
Told = Callable[[str, int, int], None]
"""(path of the file that is read next, files done, files in all)"""

_MOST_FILES = 1000
_MOST_BYTES = 1 << 30
"""What is hashed by one question to a site: few enough for progress to be told in between."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A file of a manifest."""

    path: str
    """Relative to the manifest's folder."""
    facts: FileStat
    """Before and after it was read."""
    digest: FileDigest


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """Everything below a folder of a site."""

    site: str
    folder: str
    entries: tuple[Entry, ...]
    """Sorted by path."""

    @property
    def size_bytes(self) -> int:
        """Of all files together."""
        return sum(entry.digest.size_bytes for entry in self.entries)


def _unknown(_paths: Sequence[str]) -> Mapping[str, ReplicaRecord]:
    return {}


def _unnoted(_found: Mapping[str, Found]) -> None:
    """Files that nobody notes."""


def unheard(_path: str, _done: int, _total: int) -> None:
    """Progress that nobody wants to know."""


def manifest_of(storage: Storage, folder: str, *, known: Known = _unknown, told: Told = unheard) -> Manifest:
    """Every regular file below a folder, hashed at its site. Raises what `digested` does."""
    root = folder.rstrip("/")
    names = {f"{root}/{name}": name for name in storage.files_below(folder)}
    found = digested(storage, list(names), known=known, told=told)
    entries = tuple(Entry(path=names[path], facts=facts, digest=digest) for path, (facts, digest) in found.items())
    return Manifest(
        site=storage.endpoint.site, folder=folder, entries=tuple(sorted(entries, key=lambda entry: entry.path))
    )


def digested(
    storage: Storage, paths: Sequence[str], *, known: Known = _unknown, noted: Noted = _unnoted, told: Told = unheard
) -> dict[str, Found]:
    """The facts and the digest of each file. What has the size, time and inode that are known is not read again.

    `noted` hears of the others.

    Raises NotFoundError for a file that is gone or cannot be read, and IntegrityError for one that changes while it
    is read: nothing true can be said of either.
    """
    facts = storage.stats(paths)
    _refuse_missing(storage, paths, facts)
    before = known(paths)
    found = {
        path: (facts[path], FileDigest(size_bytes=row.size_bytes, sha256=row.sha256))
        for path in paths
        if (row := before.get(path)) and is_same(row, facts[path])
    }
    unread = [path for path in paths if path not in found]
    total = sum(facts[path].size_bytes for path in facts)
    done = total - sum(facts[path].size_bytes for path in unread)
    for some in _portions(unread, facts):
        told(some[0], done, total)
        done += sum(facts[path].size_bytes for path in some)
        digests = storage.digests(some)
        _refuse_missing(storage, some, digests)
        _refuse_changing(storage, some, facts, digests)
        fresh = {path: (facts[path], digests[path]) for path in some}
        noted(fresh)
        found |= fresh
    return found


def is_same(row: ReplicaRecord, facts: FileStat) -> bool:
    """Whether the file is still the one that was hashed, as far as size, time and inode tell."""
    if row.modified_ns is None or row.inode not in (None, facts.inode):
        return False
    return (row.size_bytes, row.modified_ns) == (facts.size_bytes, facts.modified_ns)


def _portions(paths: Sequence[str], facts: Mapping[str, FileStat]) -> Iterator[list[str]]:
    some: list[str] = []
    size = 0
    for path in paths:
        if some and (len(some) == _MOST_FILES or size + facts[path].size_bytes > _MOST_BYTES):
            yield some
            some, size = [], 0
        some.append(path)
        size += facts[path].size_bytes
    if some:
        yield some


def _refuse_missing(storage: Storage, paths: Sequence[str], found: Mapping[str, object]) -> None:
    site = storage.endpoint.site
    for path in paths:
        if path not in found:
            raise NotFoundError(f"{site}: there is no {path}, or it cannot be read", site=site)


def _refuse_changing(
    storage: Storage, paths: Sequence[str], before: Mapping[str, FileStat], digests: Mapping[str, FileDigest]
) -> None:
    after = storage.stats(paths)
    site = storage.endpoint.site
    for path in paths:
        if after.get(path) != before[path] or digests[path].size_bytes != before[path].size_bytes:
            raise IntegrityError(
                f"{site}: {path} changed while it was read; try again when nobody writes to it", site=site
            )
