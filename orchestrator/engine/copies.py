"""Whether copies are really what the catalogue says, as cheaply as that can be told."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from metadata.records import ReplicaRecord
from orchestrator.engine.context import Context
from staging.manifest import is_same
from staging.ports import FileStat, Storage


def trusted(context: Context, copies: Iterable[ReplicaRecord]) -> set[ReplicaRecord]:
    """Those that are there and look unchanged, or were hashed anew and are right; others are forgotten.

    Each site is asked once for all of them. Copies at sites that left the site file are neither: they may come back.
    """
    by_site: dict[str, list[ReplicaRecord]] = defaultdict(list)
    for copy in copies:
        if copy.site in context.storages:
            by_site[copy.site].append(copy)
    good: set[ReplicaRecord] = set()
    for site, some in by_site.items():
        good |= _trusted_at(context.storages[site], some)
        lost = [(copy.path, copy.sha256) for copy in some if copy not in good]
        if lost:
            context.catalogue.remove_replicas(site, lost)
    return good


def _trusted_at(storage: Storage, copies: list[ReplicaRecord]) -> set[ReplicaRecord]:
    facts = storage.stats([copy.path for copy in copies])
    good = {copy for copy in copies if copy.path in facts and looks_unchanged(copy, facts[copy.path])}
    doubtful = [
        copy
        for copy in copies
        if copy not in good and copy.path in facts and facts[copy.path].size_bytes == copy.size_bytes
    ]
    digests = storage.digests([copy.path for copy in doubtful]) if doubtful else {}
    return good | {copy for copy in doubtful if copy.path in digests and digests[copy.path].sha256 == copy.sha256}


def looks_unchanged(copy: ReplicaRecord, facts: FileStat) -> bool:
    """Size, time and inode are as when it was hashed; a copy without a time is taken at its word."""
    if copy.modified_ns is None:
        return copy.size_bytes == facts.size_bytes
    return is_same(copy, facts)
