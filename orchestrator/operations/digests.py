"""Files where they lie, and their digests: read once, and noted."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from metadata.errors import InvalidInputError, NotFoundError
from metadata.globs import is_glob
from metadata.records import ReplicaRecord
from metadata.replicas import is_storable
from orchestrator.operations.workspace import Workspace
from staging.locations import Location, is_partial
from staging.manifest import Found, Told, digested, unheard
from staging.ports import FileDigest


def local_files(text: str, *, hidden: bool = False) -> list[str]:
    """The files that a path means, as absolute paths: itself, all below a folder, or what a shell pattern finds.

    They are sorted. Files that are on their way to the folder are not among them.

    hidden: Whether a folder's files whose names begin with a dot are. Data are not whole without them (`.zarray`), and
        no task is wanted for each.

    Raises NotFoundError, or InvalidInputError for a folder that one may not look into.
    """
    path = Path(text).expanduser()
    if path.is_file():
        return [str(path.absolute())]
    if path.is_dir():
        # Of ten thousands of files, paths that are texts are made ten times as fast.
        below = _files_below(str(path.absolute()))
        shown = (name for name in below if hidden or not name.rpartition("/")[2].startswith("."))
        files = sorted(shown, key=lambda name: name.split("/"))
    else:
        matches = Path(path.anchor or ".").glob(str(path.relative_to(path.anchor))) if is_glob(text) else ()
        files = [str(found) for found in sorted(file.absolute() for file in matches if file.is_file())]
    if not files:
        raise NotFoundError(f"there is no file {text}")
    return files


def _files_below(folder: str) -> Iterator[str]:
    """Links to files keep their own names: what they point at may be called anything. Links to folders are no way."""
    try:
        with os.scandir(folder) as found:
            entries = list(found)
    except OSError as error:
        raise InvalidInputError(f"{folder}: {error.strerror}; what lies in it would be left out") from error
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from _files_below(entry.path)
        elif not is_partial(entry.name) and _is_file(entry):
            yield entry.path


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:  # a link to itself
        return False


def digests_at(workspace: Workspace, site: str, paths: Sequence[str], *, told: Told = unheard) -> dict[str, FileDigest]:
    """The digests of files at a site, and their copies noted as they are read. What did not change is not read again.

    Raises NotFoundError, InvalidInputError for a path that cannot be noted, or IntegrityError for a file that changes
    while it is read.
    """
    check_storable(site, paths)

    def look_up(wanted: Sequence[str]) -> dict[str, ReplicaRecord]:
        return workspace.catalogue.replicas_at(site, wanted)

    def note(fresh: Mapping[str, Found]) -> None:
        now = time.time()
        workspace.catalogue.add_replicas(
            ReplicaRecord(
                sha256=digest.sha256, size_bytes=digest.size_bytes, site=site, path=path,
                modified_ns=facts.modified_ns, inode=facts.inode, verified_at=now,
            )
            for path, (facts, digest) in fresh.items()
        )  # fmt: skip

    found = digested(workspace.storages[site], paths, known=look_up, noted=note, told=told)
    return {path: digest for path, (_, digest) in found.items()}


def check_storable(site: str, paths: Iterable[str]) -> None:
    """Returns when the catalogue can note what lies at the paths. Raises InvalidInputError."""
    for path in paths:
        if not is_storable(path):
            raise InvalidInputError(
                f"{str(Location(site=site, path=path))!r}: the catalogue notes no name that is no UTF-8; "
                "rename the file, or pack its folder into an archive"
            )
