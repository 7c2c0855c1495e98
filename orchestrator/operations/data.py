"""Datasets: adding, looking up, fetching and checking them."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from metadata.errors import IntegrityError, InvalidInputError, MiddlewareError, NotFoundError, StagingError
from metadata.policy import Policy
from metadata.records import AttributeValue, DatasetRecord, FileRecord, NewFile, ReplicaRecord
from orchestrator.operations.inputs import digests_at, local_files
from orchestrator.operations.workspace import Workspace
from orchestrator.settings import HERE
from staging.locations import DatasetName, Location, is_dataset, parse_dataset, partials_folder
from staging.manifest import unheard
from staging.ports import FileDigest, Storage
from staging.transfers import Order

FileProgress = Callable[[str, int, int], None]
"""(file name, bytes done, bytes in all)"""


@dataclass(frozen=True, kw_only=True)
class FileView:
    """A file with its copies and attributes."""

    file: FileRecord
    replicas: tuple[ReplicaRecord, ...]
    attributes: Mapping[str, AttributeValue]


@dataclass(frozen=True, kw_only=True)
class DatasetView:
    """A dataset, or a part of it, with its files."""

    dataset: DatasetRecord
    files: tuple[FileView, ...]


@dataclass(frozen=True, kw_only=True)
class Verification:
    """What reading a copy again showed."""

    file: str
    site: str
    path: str
    good: bool
    detail: str


@dataclass(frozen=True, kw_only=True)
class Orphan:
    """A partial file that was removed, or a folder of them that could not be looked at."""

    site: str
    path: str
    size_bytes: int
    trouble: str = ""


_ORPHAN_AFTER_S = 3600.0


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
    found = _found_here(paths) if site == HERE else _found_at(workspace, site, paths)
    names = {path: name for name, path in found}
    told = (lambda path, done, total: progress(names[path], done, total)) if progress else unheard
    digests = digests_at(workspace, site, list(names), told=told)
    new_files = [
        NewFile(path=name, size_bytes=digests[path].size_bytes, sha256=digests[path].sha256) for name, path in found
    ]
    workspace.catalogue.add_files(dataset, new_files, description=description, policy=policy)
    if attributes:
        workspace.catalogue.set_attributes(dataset, dict(attributes))
    return workspace.catalogue.dataset(dataset)


def _found_here(paths: Sequence[str]) -> list[tuple[str, str]]:
    """(name in the dataset, path) of each file: below a folder by its way from there, else by its base name."""
    found = []
    for text in paths:
        root = Path(text).expanduser()
        for file in local_files(text):
            name = str(file.relative_to(root.absolute())) if root.is_dir() else file.name
            found.append((name, str(file)))
    return found


def _found_at(workspace: Workspace, site: str, paths: Sequence[str]) -> list[tuple[str, str]]:
    workspace.site(site)
    storage = workspace.storages[site]
    found = []
    for path in paths:
        if not path.startswith("/"):
            raise InvalidInputError(f"{path}: files at {site} are named by absolute paths")
        names = storage.files_below(path)
        single = len(names) == 1 and storage.stat(f"{path}/{names[0]}") is None
        found += [(name, path if single else f"{path.rstrip('/')}/{name}") for name in names]
    return found


def list_data(workspace: Workspace, pattern: str | None = None) -> list[DatasetRecord]:
    """The datasets whose names fit the shell pattern; all without one."""
    return workspace.catalogue.datasets(pattern)


def show_data(workspace: Workspace, name: str) -> DatasetView:
    """A dataset, or the part of it that `name` means, with every copy. Raises NotFoundError."""
    wanted = dataset_name(name)
    files = workspace.catalogue.resolve(wanted.dataset, wanted.path)
    copies = workspace.catalogue.replicas({file.sha256 for file in files})
    views = [
        FileView(
            file=file,
            replicas=tuple(copies.get(file.sha256, ())),
            attributes=workspace.catalogue.attributes(file.dataset, file.path) if len(files) <= 100 else {},
        )
        for file in files
    ]
    return DatasetView(dataset=workspace.catalogue.dataset(wanted.dataset), files=tuple(views))


def find_data(
    workspace: Workspace, conditions: Sequence[str], *, kind: Literal["files", "datasets"] = "files"
) -> list[FileRecord] | list[DatasetRecord]:
    """What meets every condition, such as `mpp<0.3`. Raises InvalidInputError at the place where one cannot be read."""
    return workspace.catalogue.find(list(conditions), kind=kind)


def tag_data(
    workspace: Workspace, name: str, attributes: Mapping[str, AttributeValue | None]
) -> Mapping[str, AttributeValue]:
    """Sets attributes of a dataset or of one of its files; None removes one. Returns them all. Raises NotFoundError."""
    wanted = dataset_name(name)
    path = wanted.path or None
    workspace.catalogue.set_attributes(wanted.dataset, dict(attributes), path=path)
    return workspace.catalogue.attributes(wanted.dataset, path)


def get_data(workspace: Workspace, name: str, folder: Path, *, progress: FileProgress | None = None) -> list[Path]:
    """The files lie in `folder` of this machine, verified. Raises NotFoundError, PolicyError or StagingError."""
    wanted = dataset_name(name)
    files = workspace.catalogue.resolve(wanted.dataset, wanted.path)
    return [fetch_file(workspace, file, _place(folder, file, wanted), progress=progress) for file in files]


def _place(folder: Path, file: FileRecord, wanted: DatasetName) -> Path:
    """A file that was asked for by name comes by its base name, others keep their folders."""
    return folder / (Path(file.path).name if file.path == wanted.path else file.path)


def fetch_file(workspace: Workspace, file: FileRecord, target: Path, *, progress: FileProgress | None = None) -> Path:
    """The file lies at `target` on this machine, verified. Raises NotFoundError, PolicyError or StagingError."""
    copies = [
        copy for copy in workspace.catalogue.replicas([file.sha256])[file.sha256] if copy.site in workspace.storages
    ]
    if not copies:
        raise NotFoundError(f"dataset://{file.dataset}/{file.path} lies at no site that is known")
    source = next((copy for copy in copies if copy.site == HERE), copies[0])
    order = Order(
        name=f"dataset://{file.dataset}/{file.path}",
        content=FileDigest(size_bytes=file.size_bytes, sha256=file.sha256),
        source=Location(site=source.site, path=source.path),
        destination=Location(site=HERE, path=str(target.resolve())),
        policy=workspace.catalogue.policies([file.sha256])[file.sha256],
    )
    workspace.carrier.carry_one(
        order, progress=lambda done: progress(file.path, done, file.size_bytes) if progress else None
    )
    return target


def verify_data(
    workspace: Workspace, name: str | None = None, *, progress: FileProgress | None = None
) -> list[Verification]:
    """Every copy is read again and compared with the catalogue; of all datasets when none is named."""
    if name is None:
        files = [file for row in workspace.catalogue.datasets() for file in workspace.catalogue.files(row.name)]
    else:
        wanted = dataset_name(name)
        files = workspace.catalogue.resolve(wanted.dataset, wanted.path)
    copies = workspace.catalogue.replicas({file.sha256 for file in files})
    rows = [(file, copy) for file in files for copy in copies[file.sha256]]
    found = []
    for done, (file, copy) in enumerate(rows):
        if progress:
            progress(file.path, done, len(rows))
        found.append(_verified(workspace, file, copy))
    orphans = [file for file in files if not copies[file.sha256]]
    return found + [_lost(file) for file in orphans]


def _verified(workspace: Workspace, file: FileRecord, copy: ReplicaRecord) -> Verification:
    good, detail = True, "sha256 is right"
    try:
        if copy.site not in workspace.storages:
            raise StagingError(f"the site {copy.site} is not in the site file")
        digest = workspace.storages[copy.site].digest(copy.path)
        if digest.sha256 != file.sha256:
            raise IntegrityError(f"it holds sha256 {digest.sha256[:12]}… where {file.sha256[:12]}… is expected")
    except MiddlewareError as error:
        good, detail = False, error.message
    return Verification(
        file=f"dataset://{file.dataset}/{file.path}", site=copy.site, path=copy.path, good=good, detail=detail
    )


def _lost(file: FileRecord) -> Verification:
    return Verification(
        file=f"dataset://{file.dataset}/{file.path}", site="", path="", good=False, detail="it lies at no site"
    )


def clean_data(workspace: Workspace, *, older_than_s: float = _ORPHAN_AFTER_S) -> list[Orphan]:
    """Partial files that no transfer wants are gone from every site; returns what was removed, and sites in trouble.

    Args:
        workspace: The home.
        older_than_s: Younger ones are left alone: a transfer outside any run may be writing them.
    """
    wanted = workspace.journal.unfinished_transfers()
    found: list[Orphan] = []
    for name, storage in workspace.storages.items():
        workdir = workspace.settings.home if name == HERE else workspace.site(name).workdir
        folder = str(partials_folder(PurePosixPath(workdir)))
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


def dataset_name(text: str) -> DatasetName:
    """The dataset name; the scheme may be left out where nothing else can be meant."""
    return parse_dataset(text if is_dataset(text) else f"dataset://{text}")
