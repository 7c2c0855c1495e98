"""Which copies are really there, told as cheaply as it can be told."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import PurePosixPath

from metadata.errors import MiddlewareError
from metadata.records import ReplicaRecord
from orchestrator.operations.workspace import Workspace
from staging.manifest import is_same
from staging.ports import FileStat
from staging.upkeep import Sight

Sights = Mapping[ReplicaRecord, Sight | None]
"""What looking at each copy showed; None for one that is gone or holds something else."""


def sights(workspace: Workspace, copies: Iterable[ReplicaRecord]) -> dict[ReplicaRecord, Sight | None]:
    """What the sites say of the copies, in one or two questions each.

    A copy of the right size and time is right. One whose time is unknown or another is hashed at its site, and its
    time is noted when it was right. Nothing is forgotten here.
    """
    by_site: defaultdict[str, list[ReplicaRecord]] = defaultdict(list)
    for copy in copies:
        by_site[copy.site].append(copy)
    found: dict[ReplicaRecord, Sight | None] = {}
    for site, mine in by_site.items():
        try:
            found |= _at(workspace, site, mine)
        except MiddlewareError:
            found |= dict.fromkeys(mine, Sight.HIDDEN)
    return found


def _at(workspace: Workspace, site: str, copies: list[ReplicaRecord]) -> dict[ReplicaRecord, Sight | None]:
    if site not in workspace.storages:
        return dict.fromkeys(copies, Sight.HIDDEN)
    storage = workspace.storages[site]
    facts = storage.stats([copy.path for copy in copies])
    good = {copy for copy in copies if copy.path in facts and _unchanged(copy, facts[copy.path])}
    doubted = [
        copy
        for copy in copies
        if copy not in good and copy.path in facts and facts[copy.path].size_bytes == copy.size_bytes
    ]
    digests = storage.digests([copy.path for copy in doubted]) if doubted else {}
    right = [copy for copy in doubted if (found := digests.get(copy.path)) and found.sha256 == copy.sha256]
    now = time.time()
    workspace.catalogue.refresh_replicas(
        replace(copy, modified_ns=facts[copy.path].modified_ns, inode=facts[copy.path].inode, verified_at=now)
        for copy in right
    )
    good |= set(right)
    return {copy: Sight.SEEN if copy in good else None for copy in copies}


def _unchanged(copy: ReplicaRecord, facts: FileStat) -> bool:
    """A copy whose time nobody noted is not taken at its word here: something may be removed because of it."""
    return copy.modified_ns is not None and is_same(copy, facts)


def ours(workspace: Workspace, copy: ReplicaRecord) -> bool:
    """Whether Convoy made the copy: in its store or in a run. What people put somewhere themselves is theirs."""
    if copy.site not in workspace.storages:
        return False
    return PurePosixPath(copy.path).is_relative_to(workspace.own_folder(copy.site))
