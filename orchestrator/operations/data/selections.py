"""What people mean by the names that they give: files of datasets, and files at sites."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from metadata.errors import ConflictError, InvalidInputError, NotFoundError
from metadata.globs import is_glob, literal_prefix
from metadata.policy import Policy
from metadata.records import FileRecord, ReplicaRecord
from orchestrator.operations.workspace import Workspace
from staging.locations import DatasetName, Location, Place, Store, parse_name, parse_place
from staging.ports import FileDigest, Storage


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The files that one name means."""

    name: DatasetName
    files: tuple[FileRecord, ...]
    base: str
    """The beginning of their paths that the name says, with its slash: what is behind it they keep elsewhere."""

    @property
    def single(self) -> bool:
        """Whether the name is one file's own."""
        return len(self.files) == 1 and self.files[0].path == self.name.path

    def relative(self, file: FileRecord) -> str:
        """The file's name as seen from the folder that was named."""
        return file.path.removeprefix(self.base)


def selected(workspace: Workspace, text: str) -> list[Selection]:
    """The files that a name means, by dataset: a file, a folder, a dataset, or a pattern for any of them.

    Raises NotFoundError, with the nearest name, or InvalidInputError.
    """
    return selected_name(workspace, parse_name(text))


def selected_name(workspace: Workspace, name: DatasetName) -> list[Selection]:
    """The same of a name that was read already."""
    names = [name.dataset]
    if is_glob(name.dataset):
        names = [row.name for row in workspace.catalogue.datasets(name.dataset)]
        if not names:
            raise NotFoundError(f"no dataset fits {name.dataset!r}; see: convoy data ls")
    path = name.path.rstrip("/")
    if len(names) == 1:
        return [_selection(workspace, names[0], path)]
    found = []
    for dataset in names:
        try:
            found.append(_selection(workspace, dataset, path))
        except NotFoundError:
            continue
    if not found:
        raise NotFoundError(f"nothing fits {name}; see: convoy data ls")
    return found


def _selection(workspace: Workspace, dataset: str, path: str) -> Selection:
    files = tuple(workspace.catalogue.resolve(dataset, path))
    single = len(files) == 1 and files[0].path == path
    if not path or single:
        base = posixpath.dirname(path)
    elif any(file.path.startswith(path + "/") for file in files):
        base = path
    else:
        base = posixpath.dirname(literal_prefix(path) + "x")
    return Selection(name=DatasetName(dataset=dataset, path=path), files=files, base=base + "/" if base else "")


def files_meant(workspace: Workspace, names: Iterable[str]) -> list[FileRecord]:
    """All files that the names mean, each once. Raises NotFoundError or InvalidInputError."""
    rows = [file for name in names for selection in selected(workspace, name) for file in selection.files]
    return list({(file.dataset, file.path): file for file in rows}.values())


@dataclass(frozen=True, kw_only=True)
class Item:
    """A file that shall go somewhere, wherever it was named."""

    name: str
    """For people: `dataset://...` or `site://...`."""
    relative: str
    """Its name below the folder that was named."""
    content: FileDigest
    copies: tuple[ReplicaRecord, ...]
    policy: Policy
    file: FileRecord | None = None
    """None for a file outside the catalogue."""


def items(workspace: Workspace, sources: Sequence[Place]) -> list[Item]:
    """Everything that the places name, with its content, its copies and what its owners ask.

    Files outside the catalogue are hashed where they lie. Raises NotFoundError or InvalidInputError.
    """
    found: list[Item] = []
    for source in sources:
        if isinstance(source, DatasetName):
            found += _items_of_dataset(workspace, source)
        elif isinstance(source, Location):
            found += _items_at_site(workspace, source)
        else:
            raise InvalidInputError(
                f"{source} is a site's store; name a dataset, or a path as site://{source.site}/path"
            )
    return found


def _items_of_dataset(workspace: Workspace, name: DatasetName) -> list[Item]:
    rows = [(selection, file) for selection in selected_name(workspace, name) for file in selection.files]
    hashes = {file.sha256 for _, file in rows}
    copies, policies = workspace.catalogue.replicas(hashes), workspace.catalogue.policies(hashes)
    return [
        Item(
            name=f"dataset://{file.dataset}/{file.path}",
            relative=selection.relative(file),
            content=FileDigest(size_bytes=file.size_bytes, sha256=file.sha256),
            copies=tuple(copies[file.sha256]),
            policy=policies[file.sha256],
            file=file,
        )
        for selection, file in rows
    ]


def _items_at_site(workspace: Workspace, place: Location) -> list[Item]:
    storage = storage_of(workspace, place.site)
    paths = {path: name for name, path in files_at(storage, place.path)}
    digests = storage.digests(list(paths))
    lost = sorted(set(paths) - set(digests))
    if lost:
        raise NotFoundError(f"{place.site}: {lost[0]} cannot be read", site=place.site)
    hashes = {digest.sha256 for digest in digests.values()}
    copies, policies = workspace.catalogue.replicas(hashes), workspace.catalogue.policies(hashes)
    return [
        Item(
            name=f"site://{place.site}{path}",
            relative=paths[path],
            content=digest,
            copies=(_copy_of(digest, place.site, path), *copies[digest.sha256]),
            policy=policies[digest.sha256],
        )
        for path, digest in digests.items()
    ]


def _copy_of(digest: FileDigest, site: str, path: str) -> ReplicaRecord:
    return ReplicaRecord(sha256=digest.sha256, size_bytes=digest.size_bytes, site=site, path=path, verified_at=0.0)


def files_at(storage: Storage, path: str) -> list[tuple[str, str]]:
    """(name, path) of every file that a path at a site means: itself, or all below it. Raises NotFoundError."""
    names = storage.files_below(path)
    own = posixpath.basename(path)
    if list(names) == [own] and storage.stat(f"{path}/{own}") is None:
        return [(own, path)]
    return [(name, f"{path.rstrip('/')}/{name}") for name in names]


def check_free(workspace: Workspace, found: Sequence[Item], paths: Sequence[str], site: str) -> set[str]:
    """The paths at which the items lie already. Raises ConflictError where anything else does."""
    present = workspace.storages[site].stats(list(paths))
    pairs = [(item, path) for item, path in zip(found, paths, strict=True) if path in present]
    alike = [path for item, path in pairs if present[path].size_bytes == item.content.size_bytes]
    digests = workspace.storages[site].digests(alike) if alike else {}
    for item, path in pairs:
        if digests.get(path) != item.content:
            raise ConflictError(
                f"site://{site}{path} is there with other content, and nothing is overwritten", site=site
            )
    return set(alike)


def storage_of(workspace: Workspace, site: str) -> Storage:
    """The file system of a site, or of this machine. Raises NotFoundError with what was meant."""
    if site not in workspace.storages:
        workspace.site(site)
    return workspace.storages[site]


def parse_source(text: str) -> DatasetName | Location:
    """A place with files in it. Raises InvalidInputError for a site's store as a whole."""
    place = parse_place(text)
    if isinstance(place, Store):
        raise InvalidInputError(f"{text!r} is a site's store; name a dataset, or a path as site://{place.site}/path")
    return place
