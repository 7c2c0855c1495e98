"""Partial files that no transfer wants any more."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass

from metadata.errors import MiddlewareError, NotFoundError
from orchestrator.operations.workspace import Workspace
from staging.locations import partials_folder
from staging.ports import Storage


@dataclass(frozen=True, kw_only=True)
class Orphan:
    """A partial file that was removed, or a folder of them that could not be looked at."""

    site: str
    path: str
    size_bytes: int
    trouble: str = ""


_ORPHAN_AFTER_S = 3600.0


def clean_data(workspace: Workspace, *, older_than_s: float = _ORPHAN_AFTER_S) -> list[Orphan]:
    """Partial files that no transfer wants are gone from every site; returns what was removed, and sites in trouble.

    Args:
        workspace: The home.
        older_than_s: Younger ones are left alone: a transfer outside any run may be writing them.
    """
    wanted = workspace.journal.unfinished_transfers()
    found: list[Orphan] = []
    for name, storage in workspace.storages.items():
        folder = str(partials_folder(workspace.workdir(name)))
        try:
            found += _cleaned(storage, folder, {sha256 for sha256, site in wanted if site == name}, older_than_s)
        except NotFoundError:
            continue  # nothing was ever brought there
        except MiddlewareError as error:
            found.append(Orphan(site=name, path=folder, size_bytes=0, trouble=error.message))
    return found


def _cleaned(storage: Storage, folder: str, wanted: Collection[str], older_than_s: float) -> list[Orphan]:
    paths = [f"{folder}/{name}" for name in storage.files_below(folder) if name not in wanted]
    facts = storage.stats(paths)
    horizon = (time.time() - older_than_s) * 1e9
    old = {path: row for path, row in facts.items() if row.modified_ns <= horizon}
    storage.remove_all(list(old))
    site = storage.endpoint.site
    return [Orphan(site=site, path=path, size_bytes=row.size_bytes) for path, row in old.items()]
