"""Whether a copy is really what the catalogue says, as cheaply as that can be told."""

from __future__ import annotations

from metadata.records import ReplicaRecord
from orchestrator.engine.context import Context


def trusted(context: Context, copy: ReplicaRecord) -> bool:
    """True when the copy is there and looks unchanged, or was hashed anew and is right; else it is forgotten."""
    storage = context.storages.get(copy.site)
    if storage is None:
        return False  # the site left the site file, and may come back
    facts = storage.stat(copy.path)
    if facts is not None and facts.size_bytes == copy.size_bytes:
        if copy.modified_ns is None or copy.modified_ns == facts.modified_ns:
            return True
        if storage.digest(copy.path).sha256 == copy.sha256:
            return True
    context.catalogue.remove_replica(copy.site, copy.path)
    return False
