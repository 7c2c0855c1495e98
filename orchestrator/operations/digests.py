"""Files where they lie, and their digests: read once, and noted."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

from metadata.errors import NotFoundError
from metadata.globs import is_glob
from metadata.records import ReplicaRecord
from orchestrator.operations.workspace import Workspace
from staging.manifest import Told, digested, is_same, unheard
from staging.ports import FileDigest


def local_files(text: str) -> list[Path]:
    """The files that a path means: itself, everything below a folder, or what a shell pattern finds. Sorted.

    Raises NotFoundError.
    """
    path = Path(text).expanduser()
    if path.is_file():
        return [path.absolute()]
    # Links keep their own names: what they point at may be called anything.
    if path.is_dir():
        # Of ten thousands of files, paths that are texts are made ten times as fast.
        walked = ((folder.rstrip("/"), names) for folder, _, names in os.walk(path.absolute()))
        found = [f"{folder}/{name}" for folder, names in walked for name in names if not name.startswith(".")]
        files = [file for name in sorted(found, key=lambda name: name.split("/")) if (file := Path(name)).is_file()]
    else:
        matches = Path(path.anchor or ".").glob(str(path.relative_to(path.anchor))) if is_glob(text) else ()
        files = sorted(file.absolute() for file in matches if file.is_file())
    if not files:
        raise NotFoundError(f"there is no file {text}")
    return files


def digests_at(workspace: Workspace, site: str, paths: Sequence[str], *, told: Told = unheard) -> dict[str, FileDigest]:
    """The digests of files at a site, and their copies noted. What did not change since the last time is not read.

    Raises NotFoundError, or IntegrityError for a file that changes while it is read.
    """
    known: dict[str, ReplicaRecord] = {}

    def look_up(wanted: Sequence[str]) -> dict[str, ReplicaRecord]:
        known.update(workspace.catalogue.replicas_at(site, wanted))
        return known

    found = digested(workspace.storages[site], paths, known=look_up, told=told)
    now = time.time()
    fresh = [
        ReplicaRecord(
            sha256=digest.sha256, size_bytes=digest.size_bytes, site=site, path=path,
            modified_ns=facts.modified_ns, inode=facts.inode, verified_at=now,
        )
        for path, (facts, digest) in found.items()
        if path not in known or not is_same(known[path], facts)
    ]  # fmt: skip
    if fresh:
        workspace.catalogue.add_replicas(fresh)
    return {path: digest for path, (_, digest) in found.items()}
