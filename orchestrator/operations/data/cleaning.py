"""What crashes left at sites: partial files that no transfer wants, and content that nobody knows of."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from metadata.errors import MiddlewareError, NotFoundError
from orchestrator.operations.workspace import Workspace
from staging.locations import partials_folder
from staging.ports import Storage


@dataclass(frozen=True, kw_only=True)
class Orphan:
    """A file that was removed, or a folder of them that could not be looked at."""

    site: str
    path: str
    size_bytes: int
    trouble: str = ""


_PARTIAL_AFTER_S = 3600.0
_UNKNOWN_AFTER_S = 24 * 3600.0
"""A batch that travels for hours is known once all of it is there."""
_IN_STORE = re.compile(r"[0-9a-f]{2}/([0-9a-f]{64})")


def clean_data(
    workspace: Workspace,
    *,
    unknown: bool = False,
    confirm: Callable[[Sequence[Orphan]], bool] = lambda _: True,
) -> list[Orphan]:
    """Partial files that no transfer wants are gone from every site; returns what was removed, and sites in trouble.

    Files that were written within the last hour are left alone: a transfer outside any run may be at work.

    Args:
        workspace: The home.
        unknown: Whether content in the sites' stores that the catalogue does not know goes, too, if it has lain there
            for a day. Another home that has the same workdir may know it.
        confirm: Asked before anything is removed; it sees what would be.
    """
    wanted = workspace.journal.unfinished_transfers()
    found: list[Orphan] = []
    for name, storage in workspace.storages.items():
        needed = {sha256 for sha256, site in wanted if site == name}
        folder = partials_folder(workspace.workdir(name))
        try:
            with suppress(NotFoundError):  # nothing was ever brought there
                found += _partials(storage, str(folder), needed)
                found += _unknown(workspace, storage, str(folder.parent), needed) if unknown else ()
        except MiddlewareError as error:
            found.append(Orphan(site=name, path=str(folder), size_bytes=0, trouble=error.message))
    return _removed(workspace, found) if found and confirm(found) else []


def _partials(storage: Storage, folder: str, needed: Collection[str]) -> Iterator[Orphan]:
    paths = [f"{folder}/{name}" for name in storage.files_below(folder) if name not in needed]
    yield from _old(storage, paths, _PARTIAL_AFTER_S)


def _unknown(workspace: Workspace, storage: Storage, store: str, needed: Collection[str]) -> Iterator[Orphan]:
    names = [
        name for name in storage.files_below(store) if (found := _IN_STORE.fullmatch(name)) and found[1] not in needed
    ]
    paths = [f"{store}/{name}" for name in names]
    known = workspace.catalogue.replicas_at(storage.endpoint.site, paths)
    yield from _old(storage, [path for path in paths if path not in known], _UNKNOWN_AFTER_S)


def _old(storage: Storage, paths: Sequence[str], older_than_s: float) -> Iterator[Orphan]:
    """Those that nobody has written to for so long."""
    horizon = (time.time() - older_than_s) * 1e9
    for path, facts in storage.stats(paths).items():
        if facts.modified_ns <= horizon:
            yield Orphan(site=storage.endpoint.site, path=path, size_bytes=facts.size_bytes)


def _removed(workspace: Workspace, found: Sequence[Orphan]) -> list[Orphan]:
    """The same, now that they are gone; a site that fails is told."""
    told = [row for row in found if row.trouble]
    for site in sorted({row.site for row in found}):
        mine = [row for row in found if row.site == site and not row.trouble]
        try:
            workspace.storages[site].remove_all([row.path for row in mine])
        except MiddlewareError as error:
            mine = [replace(row, trouble=error.message) for row in mine[:1]]
        told += mine
    return told
