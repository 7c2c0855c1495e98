"""Whether copies are what they were, and how a wrong one becomes right again."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from metadata.errors import MiddlewareError, SiteUnavailableError
from metadata.records import FileRecord, ReplicaRecord
from orchestrator.operations.data.carrying import carry
from orchestrator.operations.data.copies import ours
from orchestrator.operations.data.errands import Errand, FileProgress, store_at
from orchestrator.operations.data.selections import files_meant, storage_of
from orchestrator.operations.workspace import Workspace
from staging.locations import Location
from staging.ports import FileDigest

_BATCH = 200
"""Copies that a site hashes in one question."""
_MOST_SILENCES = 2
"""A site that was silent so often in a row is asked no more: each question waits for a login."""


@dataclass(frozen=True, kw_only=True)
class Verification:
    """What reading a copy again showed."""

    file: str
    site: str
    path: str
    good: bool
    detail: str
    repaired: bool = False
    """Whether it was wrong or lost, and is right now."""


def verify_data(
    workspace: Workspace,
    names: str | Iterable[str] | None = None,
    *,
    site: str | None = None,
    repair: bool = False,
    progress: FileProgress | None = None,
) -> list[Verification]:
    """Every copy is read again, where it lies, and compared with the catalogue.

    Args:
        workspace: The home.
        names: Datasets, folders, files or patterns; all datasets without any.
        site: The copies at this site only.
        repair: Brings what is wrong or lost again from a copy that is right. A file that people registered where it
            lay, and changed, is theirs and stays as it is: the site gets a right copy in its store instead.
        progress: Called as copies are read.

    Raises:
        NotFoundError: There is nothing of that name, or no such site, nor was there one that has copies.
    """
    files = _meant(workspace, names)
    copies = workspace.catalogue.replicas({file.sha256 for file in files})
    rows = [(file, copy) for file in files for copy in copies[file.sha256] if site in (None, copy.site)]
    if site and not rows:
        storage_of(workspace, site)
    read = _read(workspace, [copy for _, copy in rows], progress)
    found = [_verified(file, copy, read[copy]) for file, copy in rows]
    if repair:
        found = _Repair(workspace, rows, read).mended(found, progress)
    orphans = [file for file in files if not copies[file.sha256]]
    return found + [_lost(file) for file in orphans]


def _meant(workspace: Workspace, names: str | Iterable[str] | None) -> list[FileRecord]:
    if names is None or names == []:
        return [file for row in workspace.catalogue.datasets() for file in workspace.catalogue.files(row.name)]
    return files_meant(workspace, [names] if isinstance(names, str) else names)


Reading = FileDigest | MiddlewareError | None
"""What a copy holds; None when it is gone; an error when nobody knows."""


def _read(
    workspace: Workspace, copies: Sequence[ReplicaRecord], progress: FileProgress | None
) -> dict[ReplicaRecord, Reading]:
    by_site: defaultdict[str, list[ReplicaRecord]] = defaultdict(list)
    for copy in dict.fromkeys(copies):
        by_site[copy.site].append(copy)
    found: dict[ReplicaRecord, Reading] = {}
    total = sum(copy.size_bytes for mine in by_site.values() for copy in mine)
    for site, mine in by_site.items():
        silences = 0
        for at in range(0, len(mine), _BATCH):
            batch = mine[at : at + _BATCH]
            if progress:
                progress(f"{site}: {batch[0].path}", sum(copy.size_bytes for copy in found), total)
            if silences < _MOST_SILENCES:
                read = _read_at(workspace, site, batch)
                silences = silences + 1 if isinstance(read[batch[0]], SiteUnavailableError) else 0
            else:
                read = dict.fromkeys(batch, found[mine[at - 1]])
            _note_right(workspace, read)
            found |= read
    return found


def _read_at(workspace: Workspace, site: str, batch: Sequence[ReplicaRecord]) -> dict[ReplicaRecord, Reading]:
    if site not in workspace.storages:
        error = MiddlewareError(f"the site {site} is not in the site file", site=site)
        return dict.fromkeys(batch, error)
    try:
        digests = workspace.storages[site].digests([copy.path for copy in batch])
    except MiddlewareError as error:
        return dict.fromkeys(batch, error)
    return {copy: digests.get(copy.path) for copy in batch}


def _note_right(workspace: Workspace, read: Mapping[ReplicaRecord, Reading]) -> None:
    now = time.time()
    right = [replace(copy, verified_at=now) for copy, digest in read.items() if _is_right(copy, digest)]
    workspace.catalogue.refresh_replicas(right)


def _is_right(copy: ReplicaRecord, digest: Reading) -> bool:
    return isinstance(digest, FileDigest) and digest.sha256 == copy.sha256


def _verified(file: FileRecord, copy: ReplicaRecord, digest: Reading) -> Verification:
    if isinstance(digest, MiddlewareError):
        detail = digest.message
    elif digest is None:
        detail = f"{copy.site}: there is no {copy.path} that can be read"
    elif digest.sha256 != copy.sha256:
        detail = f"it holds sha256 {digest.sha256[:12]}… where {copy.sha256[:12]}… is expected"
    else:
        detail = "sha256 is right"
    return Verification(
        file=f"dataset://{file.dataset}/{file.path}", site=copy.site, path=copy.path, detail=detail,
        good=_is_right(copy, digest),
    )  # fmt: skip


def _lost(file: FileRecord) -> Verification:
    return Verification(
        file=f"dataset://{file.dataset}/{file.path}", site="", path="", good=False, detail="it lies at no site"
    )


class _Repair:
    """Wrong and lost copies are brought again from right ones."""

    def __init__(
        self,
        workspace: Workspace,
        rows: Sequence[tuple[FileRecord, ReplicaRecord]],
        read: Mapping[ReplicaRecord, Reading],
    ) -> None:
        self._workspace = workspace
        self._files = {copy: file for file, copy in rows}
        self._read = read
        self._wrong = [
            copy for copy, digest in read.items()
            if not _is_right(copy, digest) and not isinstance(digest, MiddlewareError)
        ]  # fmt: skip

    def mended(self, found: Sequence[Verification], progress: FileProgress | None) -> list[Verification]:
        good = self._good_copies()
        mendable = [copy for copy in self._wrong if good[copy.sha256]]
        policies = self._workspace.catalogue.policies({copy.sha256 for copy in mendable})
        places = {copy: self._place(copy) for copy in mendable}
        errands = {
            places[copy]: Errand(
                name=f"dataset://{self._files[copy].dataset}/{self._files[copy].path}",
                content=FileDigest(size_bytes=copy.size_bytes, sha256=copy.sha256),
                copies=tuple(good[copy.sha256]),
                destination=places[copy],
                policy=policies[copy.sha256],
            )
            for copy in mendable
        }
        carried = carry(self._workspace, list(errands.values()), asked_for=False, progress=progress)
        outcomes = dict(zip(errands, carried, strict=True))
        told = {}
        for copy, place in places.items():
            error = outcomes[place].error
            told[copy.site, copy.path] = (place, error.message if error else "")
            if not error and place.path != copy.path:
                self._workspace.catalogue.remove_replicas(copy.site, [(copy.path, copy.sha256)])
        return [_retold(row, *told[row.site, row.path]) if (row.site, row.path) in told else row for row in found]

    @cached_property
    def _gone(self) -> set[ReplicaRecord]:
        """Those that are not there. What is there and cannot be read may be anything."""
        by_site: defaultdict[str, list[ReplicaRecord]] = defaultdict(list)
        for copy in self._wrong:
            if self._read[copy] is None:
                by_site[copy.site].append(copy)
        found = {
            site: self._workspace.storages[site].stats([copy.path for copy in mine]) for site, mine in by_site.items()
        }
        return {copy for site, mine in by_site.items() for copy in mine if copy.path not in found[site]}

    def _good_copies(self) -> dict[str, list[ReplicaRecord]]:
        """Those that were read just now; where none of them is right, those that were not looked at."""
        hashes = {copy.sha256 for copy in self._wrong}
        known = self._workspace.catalogue.replicas(hashes)
        seen = set(map(_key, self._read))
        unread = [copy for rows in known.values() for copy in rows if _key(copy) not in seen]
        read = {**self._read, **_read(self._workspace, unread, None)}
        right = {_key(copy) for copy, digest in read.items() if _is_right(copy, digest)}
        return {sha256: [copy for copy in known[sha256] if _key(copy) in right] for sha256 in hashes}

    def _place(self, copy: ReplicaRecord) -> Location:
        """Its own path, where nobody's file is overwritten by that."""
        if ours(self._workspace, copy) or copy in self._gone:
            return Location(site=copy.site, path=copy.path)
        return store_at(self._workspace, copy.site, copy.sha256)


def _key(copy: ReplicaRecord) -> tuple[str, str]:
    return copy.site, copy.path


def _retold(row: Verification, place: Location, trouble: str) -> Verification:
    if trouble:
        return replace(row, detail=f"{row.detail}; it could not be repaired: {trouble}")
    where = "" if place.path == row.path else f" as {place}, and the changed file stays"
    return replace(row, good=True, repaired=True, detail=f"{row.detail}; brought again{where}")
