"""What there is, how much of it, and where."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from metadata.errors import NotFoundError
from metadata.records import AttributeValue, DatasetRecord, FileRecord, ReplicaRecord
from orchestrator.operations.data.selections import Selection, files_at, parse_source, selected_name, storage_of
from orchestrator.operations.workspace import Workspace
from staging.locations import DatasetName, Location, parse_name

_MOST_DESCRIBED = 100


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
class Entry:
    """A line of a folder: a file, or a folder with everything below it."""

    name: str
    """As seen from the folder that was listed; a folder's ends with a slash."""
    type: Literal["file", "folder"]
    size_bytes: int
    files: int = 1
    sha256: str = ""
    """Of a file of the catalogue."""
    modified_at: float | None = None
    """Of a file at a site, seconds since the epoch."""
    sites: Mapping[str, int] = field(default_factory=dict)
    """Site -> how many of its files have a copy there."""


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What a folder holds."""

    name: str
    files: int
    size_bytes: int
    """Of all names, each counted."""
    unique_bytes: int
    """Of all contents, each counted once whatever number of names it has."""
    sites: Mapping[str, int] = field(default_factory=dict)
    """Site -> bytes of the contents that lie there, each counted once."""


def list_data(workspace: Workspace, pattern: str | None = None) -> list[DatasetRecord]:
    """The datasets whose names fit the shell pattern; all without one."""
    return workspace.catalogue.datasets(pattern)


def list_folder(workspace: Workspace, name: str, *, recursive: bool = False) -> list[Entry]:
    """What lies in a dataset, in a folder of it, or in a folder of a site.

    Args:
        workspace: The home.
        name: `dataset/folder`, a pattern, a file, or `site://agh/path`.
        recursive: Every file instead of the folder's own lines.

    Raises:
        NotFoundError: There is no such dataset, folder or file.
        InvalidInputError: No place can be written so.
    """
    place = parse_source(name)
    if isinstance(place, Location):
        return _folded(_entries_at(workspace, place), recursive=recursive)
    found = selected_name(workspace, place)
    return _folded(
        [entry for selection in found for entry in _entries(workspace, selection, many=len(found) > 1)],
        recursive=recursive,
    )


def stat_data(workspace: Workspace, name: str) -> Entry:
    """The dataset, folder or file of exactly this name, as one line. Raises NotFoundError."""
    wanted = parse_name(name)
    path = wanted.path.rstrip("/")
    files = workspace.catalogue.resolve(wanted.dataset, path)
    own = path.rsplit("/", 1)[-1] or wanted.dataset
    copies = workspace.catalogue.replicas({file.sha256 for file in files})
    entries = [_entry(file, own, copies[file.sha256]) for file in files]
    if path and files[0].path == path:
        return entries[0]
    if path and not files[0].path.startswith(f"{path}/"):
        raise NotFoundError(f"the dataset {wanted.dataset} has no file or folder {path!r}")
    return _folder(own, entries)


def _entry(file: FileRecord, name: str, copies: Sequence[ReplicaRecord]) -> Entry:
    sites = {copy.site: 1 for copy in copies}
    return Entry(name=name, type="file", size_bytes=file.size_bytes, sha256=file.sha256, sites=sites)


def _entries(workspace: Workspace, selection: Selection, *, many: bool) -> list[Entry]:
    copies = workspace.catalogue.replicas({file.sha256 for file in selection.files})
    front = f"{selection.name.dataset}/" if many else ""
    return [_entry(file, front + selection.relative(file), copies[file.sha256]) for file in selection.files]


def _entries_at(workspace: Workspace, place: Location) -> list[Entry]:
    storage = storage_of(workspace, place.site)
    paths = {path: name for name, path in files_at(storage, place.path)}
    facts = storage.stats(list(paths))
    return [
        Entry(
            name=name,
            type="file",
            size_bytes=facts[path].size_bytes,
            modified_at=facts[path].modified_ns / 1e9,
            sites={place.site: 1},
        )
        for path, name in paths.items()
        if path in facts
    ]


def _folded(entries: Sequence[Entry], *, recursive: bool) -> list[Entry]:
    """The folder's own lines, folders first; or every file."""
    if recursive:
        return sorted(entries, key=lambda entry: entry.name)
    folders: defaultdict[str, list[Entry]] = defaultdict(list)
    files = []
    for entry in entries:
        first, slash, _ = entry.name.partition("/")
        if slash:
            folders[first].append(entry)
        else:
            files.append(entry)
    made = [_folder(name, inside) for name, inside in sorted(folders.items())]
    return made + sorted(files, key=lambda entry: entry.name)


def _folder(name: str, inside: Sequence[Entry]) -> Entry:
    sites: defaultdict[str, int] = defaultdict(int)
    for entry in inside:
        for site in entry.sites:
            sites[site] += 1
    size = sum(entry.size_bytes for entry in inside)
    return Entry(name=f"{name}/", type="folder", size_bytes=size, files=len(inside), sites=dict(sorted(sites.items())))


def measure_usage(workspace: Workspace, names: Iterable[str] = (), *, depth: int = 0) -> list[Usage]:
    """What each of the names holds, and their folders down to `depth`; all datasets when none is named.

    Raises NotFoundError or InvalidInputError.
    """
    wanted = list(names) or [row.name for row in workspace.catalogue.datasets()]
    found = []
    for name in wanted:
        place = parse_source(name)
        if isinstance(place, Location):
            rows = [(entry.name, entry.name, entry.size_bytes, entry.sites) for entry in _entries_at(workspace, place)]
            found += _usages(str(place).rstrip("/"), rows, depth)
        else:
            found += _usage_of_dataset(workspace, place, depth)
    return found


def _usage_of_dataset(workspace: Workspace, name: DatasetName, depth: int) -> list[Usage]:
    found = []
    for selection in selected_name(workspace, name):
        copies = workspace.catalogue.replicas({file.sha256 for file in selection.files})
        rows = [
            (selection.relative(file), file.sha256, file.size_bytes, {copy.site: 1 for copy in copies[file.sha256]})
            for file in selection.files
        ]
        found += _usages(str(selection.name), rows, depth)
    return found


_Row = tuple[str, str, int, Mapping[str, int]]
"""(name below the folder, what tells its content from others, bytes, where it lies)"""


def _usages(top: str, rows: Sequence[_Row], depth: int) -> list[Usage]:
    """The folder itself, and those below it down to `depth`."""
    folders: defaultdict[str, list[_Row]] = defaultdict(list)
    folders[""] = []
    for row in rows:
        parts = row[0].split("/")[:-1]
        for level in range(min(depth, len(parts)) + 1):
            folders["/".join(parts[:level])].append(row)
    return [_usage(f"{top}/{folder}".rstrip("/"), inside) for folder, inside in sorted(folders.items())]


def _usage(name: str, rows: Sequence[_Row]) -> Usage:
    contents = {content: (size, sites) for _, content, size, sites in rows}
    sites: defaultdict[str, int] = defaultdict(int)
    for size, places in contents.values():
        for site in places:
            sites[site] += size
    return Usage(
        name=name,
        files=len(rows),
        size_bytes=sum(row[2] for row in rows),
        unique_bytes=sum(size for size, _ in contents.values()),
        sites=dict(sorted(sites.items())),
    )


def show_data(workspace: Workspace, name: str) -> DatasetView:
    """A dataset, or the part of it that `name` means, with every copy. Raises NotFoundError."""
    wanted = parse_name(name)
    files = workspace.catalogue.resolve(wanted.dataset, wanted.path)
    copies = workspace.catalogue.replicas({file.sha256 for file in files})
    views = [
        FileView(
            file=file,
            replicas=tuple(copies.get(file.sha256, ())),
            attributes=workspace.catalogue.attributes(file.dataset, file.path) if len(files) <= _MOST_DESCRIBED else {},
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
    wanted = parse_name(name)
    path = wanted.path or None
    workspace.catalogue.set_attributes(wanted.dataset, dict(attributes), path=path)
    return workspace.catalogue.attributes(wanted.dataset, path)
