"""What crashes left at sites: partial files that no transfer wants, and content that nobody knows of."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from metadata.claims import place_of
from metadata.errors import MiddlewareError, NotFoundError
from orchestrator.operations.workspace import Workspace
from staging.locations import partials_folder


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
    needed = {sha256 for sha256, _ in workspace.journal.unfinished_transfers()}  # some sites share a workdir
    stores = [_Store(workspace, name, needed) for name in workspace.storages]
    found = [orphan for store in stores for orphan in store.orphans(unknown=unknown)]
    told, found = [row for row in found if row.trouble], [row for row in found if not row.trouble]
    if not found or not confirm(found):
        return told
    for store in stores:
        if mine := [row for row in found if row.site == store.site]:
            told += store.removed(mine, unknown=unknown)
    return told


class _Store:
    """Where a site keeps what was brought there."""

    def __init__(self, workspace: Workspace, site: str, needed: set[str]) -> None:
        """needed: Content that some run still wants to bring."""
        self.site = site
        self._workspace = workspace
        self._storage = workspace.storages[site]
        self._partials = partials_folder(workspace.workdir(site))
        self._needed = needed

    def orphans(self, *, unknown: bool) -> list[Orphan]:
        """What may go, or why nobody knows."""
        try:
            partials = self._old(self._unwanted(), _PARTIAL_AFTER_S)
            return [*partials, *self._old(self._strangers(), _UNKNOWN_AFTER_S)] if unknown else partials
        except MiddlewareError as error:
            return [Orphan(site=self.site, path=str(self._partials), size_bytes=0, trouble=error.message)]

    def removed(self, rows: Sequence[Orphan], *, unknown: bool) -> list[Orphan]:
        """Those of which it is still true are gone; nobody else may bring their content meanwhile."""
        places = {row.path: place_of(self.site, str(self._partials / PurePosixPath(row.path).name)) for row in rows}
        with self._workspace.claims.held(set(places.values())) as claim:
            again = self.orphans(unknown=unknown) if claim.places else []
            still = [row for row in again if row.path in places and places[row.path] in claim.places]
            try:
                self._storage.remove_all([row.path for row in still])
            except MiddlewareError as error:
                still = [replace(row, trouble=error.message) for row in still[:1]]
        return [*still, *(row for row in again if row.trouble)]

    def _unwanted(self) -> list[str]:
        """Partial files."""
        return [f"{self._partials}/{name}" for name in self._below(self._partials) if name not in self._needed]

    def _strangers(self) -> list[str]:
        """Content that the catalogue knows neither by its place, of whatever site, nor by its hash at this one."""
        store = self._partials.parent
        found = {row[1]: f"{store}/{row[0]}" for name in self._below(store) if (row := _IN_STORE.fullmatch(name))}
        copies = self._workspace.catalogue.replicas(found.keys() - self._needed)
        return [
            found[sha256]
            for sha256, known in copies.items()
            if not any(copy.site == self.site or copy.path == found[sha256] for copy in known)
        ]

    def _below(self, folder: PurePosixPath) -> Sequence[str]:
        try:
            return self._storage.files_below(str(folder))
        except NotFoundError:  # nothing was ever brought there
            return []

    def _old(self, paths: Sequence[str], older_than_s: float) -> list[Orphan]:
        """Those that nobody has written to for so long."""
        horizon = (time.time() - older_than_s) * 1e9
        return [
            Orphan(site=self.site, path=path, size_bytes=facts.size_bytes)
            for path, facts in self._storage.stats(paths).items()
            if facts.modified_ns <= horizon
        ]
