"""Files become known as datasets."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from pathlib import Path

from metadata.errors import InvalidInputError, NotFoundError
from metadata.files import check_path
from metadata.policy import Policy
from metadata.records import AttributeValue, DatasetRecord, NewFile
from orchestrator.operations.data.errands import FileProgress
from orchestrator.operations.data.selections import files_at, storage_of
from orchestrator.operations.digests import digests_at, local_files
from orchestrator.operations.workspace import Workspace
from orchestrator.settings import HERE
from staging.manifest import unheard


def add_data(
    workspace: Workspace,
    dataset: str,
    paths: Sequence[str],
    *,
    site: str = HERE,
    description: str | None = None,
    attributes: Mapping[str, AttributeValue] | None = None,
    policy: Policy | None = None,
    progress: FileProgress | None = None,
) -> DatasetRecord:
    """The files are in the dataset, hashed where they lie; they are not moved.

    Args:
        workspace: The home.
        dataset: Its name; it is made when it is new.
        paths: Files, folders or shell patterns; at another site, files and folders of that site.
        site: Where they lie.
        description: For people.
        attributes: Facts about the dataset, by which it can be found.
        policy: Where the data may lie.
        progress: Called as files are hashed.

    Raises:
        NotFoundError: There is no such file.
        ConflictError: The dataset has another file of that name already.
    """
    found = found_here(paths) if site == HERE else _found_at(workspace, site, paths)
    files = digested(workspace, found, site=site, progress=progress)
    workspace.catalogue.add_files(dataset, files, description=description, policy=policy, attributes=attributes)
    return workspace.catalogue.dataset(dataset)


def found_here(texts: Sequence[str]) -> list[tuple[str, str]]:
    """(name in the dataset, path) of each file: below a folder by its way from there, else by its base name."""
    found: list[tuple[str, str]] = []
    for text in texts:
        root = Path(text).expanduser()
        front = f"{root.absolute()}/".replace("//", "/") if root.is_dir() else None
        paths = local_files(text, hidden=True)
        found += [(path.removeprefix(front) if front else posixpath.basename(path), path) for path in paths]
    return found


def _found_at(workspace: Workspace, site: str, paths: Sequence[str]) -> list[tuple[str, str]]:
    storage = storage_of(workspace, site)
    for path in paths:
        if not path.startswith("/"):
            raise InvalidInputError(f"{path}: files at {site} are named by absolute paths")
    found = [row for path in paths for row in files_at(storage, path)]
    if not found:
        raise NotFoundError(f"{site}: there is no file below {paths[0]}", site=site)
    return found


def digested(
    workspace: Workspace, found: Sequence[tuple[str, str]], *, site: str, progress: FileProgress | None = None
) -> list[NewFile]:
    """The files, by (name, path), as the catalogue takes them; their copies are noted.

    A file that is known and looks as it did is not read again. Raises InvalidInputError for a name that the catalogue
    cannot hold, NotFoundError, or IntegrityError for a file that changes as it is read.
    """
    for name, _ in found:
        check_path(name)
    storage_of(workspace, site)
    names = {path: name for name, path in found}
    told = (lambda path, done, total: progress(names[path], done, total)) if progress else unheard
    digests = digests_at(workspace, site, list(names), told=told)
    return [
        NewFile(path=name, size_bytes=digests[path].size_bytes, sha256=digests[path].sha256) for name, path in found
    ]
