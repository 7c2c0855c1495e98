"""Files that appear in a folder are registered as they settle."""

from __future__ import annotations

import fnmatch
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from metadata.errors import (
    ConflictError,
    IntegrityError,
    InvalidInputError,
    MiddlewareError,
    NotFoundError,
    TransientError,
)
from metadata.policy import Policy
from metadata.records import FileRecord, NewFile
from orchestrator.operations.data.adding import digested
from orchestrator.operations.data.selections import storage_of
from orchestrator.operations.workspace import Workspace
from orchestrator.settings import HERE
from staging.locations import PARTIAL_SUFFIX, SITE_SCHEME, Location, parse_name, parse_place
from staging.ports import FileStat, Storage


@dataclass(frozen=True, kw_only=True)
class Sighting:
    """Something that watching a folder showed."""

    path: str
    name: str
    """`dataset://...` when the file was registered."""
    size_bytes: int = 0
    trouble: str = ""
    """Why it was not registered; empty when it was."""


@dataclass(kw_only=True)
class _Folder:
    """A folder that is watched."""

    storage: Storage
    path: str
    pattern: str
    settle_s: float
    known: set[str] = field(default_factory=set)
    """The names of what was registered, or told as trouble: nobody looks at them again."""
    seen: dict[str, tuple[FileStat, float]] = field(default_factory=dict)
    """By name: the facts of files that have not settled, and since when they are so."""

    def settled(self, now: float) -> list[str]:
        """The files that have been the same for long enough. One question for names, one for what is new."""
        names = [name for name in self.storage.files_below(self.path) if self._wanted(name)]
        facts = self.storage.stats([self.place(name) for name in names]) if names else {}
        fresh: dict[str, tuple[FileStat, float]] = {}
        for name in names:
            if found := facts.get(self.place(name)):
                before = self.seen.get(name)
                fresh[name] = before if before and _same(before[0], found) else (found, now)
        self.seen = fresh
        return [name for name, (_, since) in fresh.items() if now - since >= self.settle_s]

    def place(self, name: str) -> str:
        return f"{self.path.rstrip('/')}/{name}"

    def _wanted(self, name: str) -> bool:
        hidden = any(part.startswith(".") for part in name.split("/"))
        return (
            name not in self.known
            and not hidden
            and not name.endswith(PARTIAL_SUFFIX)
            and fnmatch.fnmatchcase(name.rsplit("/", 1)[-1], self.pattern)
        )


def _same(before: FileStat, now: FileStat) -> bool:
    return (before.size_bytes, before.modified_ns, before.inode) == (now.size_bytes, now.modified_ns, now.inode)


@dataclass(frozen=True, kw_only=True)
class Watch:
    """What to watch, and how."""

    dataset: str
    """Or a folder in it."""
    folder: str
    """A folder of this machine, or of a site as `site://agh/path`."""
    pattern: str = "*"
    """For the files' own names."""
    settle_s: float = 30.0
    """A file that was the same for so long is finished."""
    interval_s: float = 10.0
    """Between two looks."""
    once: bool = False
    """Ends when nothing is left that has not settled."""
    policy: Policy | None = None

    @property
    def place(self) -> Location:
        """The folder. Raises InvalidInputError."""
        place = parse_place(self.folder) if self.folder.startswith(SITE_SCHEME) else None
        if isinstance(place, Location):
            return place
        return Location(site=HERE, path=str(Path(self.folder).expanduser().absolute()))


def watch_data(
    workspace: Workspace, watch: Watch, *, wait: Callable[[float], object] = time.sleep
) -> Iterator[Sighting]:
    """Registers files as they settle, until the caller stops, or with `once` until all have settled.

    A site that does not answer is asked again at the next look. A file that cannot be read or named, or whose name is
    taken by other content, because it changed after it was registered, is told as trouble and left out.

    Raises NotFoundError (no such folder at the first look), InvalidInputError.
    """
    storage = storage_of(workspace, watch.place.site)
    folder = _Folder(storage=storage, path=watch.place.path, pattern=watch.pattern, settle_s=watch.settle_s)
    storage.files_below(folder.path)
    _pass_over_known(workspace, watch, folder)
    while True:
        # What cannot be reached now is looked at again later: watching is for days.
        with suppress(TransientError, NotFoundError):
            yield from _registered(workspace, watch, folder, sorted(folder.settled(time.monotonic())))
            if watch.once and not folder.seen.keys() - folder.known:
                return
        wait(_pause(watch))


def _pause(watch: Watch) -> float:
    """With `once` nobody waits longer than files need to settle."""
    return min(watch.interval_s, max(watch.settle_s, 0.05)) if watch.once else watch.interval_s


def _pass_over_known(workspace: Workspace, watch: Watch, folder: _Folder) -> None:
    """What the dataset holds already, and was not changed, is not hashed again at every start."""
    name, front = parse_name(watch.dataset), _front(watch)
    if not workspace.catalogue.has_dataset(name.dataset):
        return
    present: Mapping[str, FileRecord] = {file.path: file for file in workspace.catalogue.files(name.dataset)}
    copies = workspace.catalogue.replicas({file.sha256 for file in present.values()})
    names = [below for below in folder.storage.files_below(folder.path) if front + below in present]
    facts = folder.storage.stats([folder.place(below) for below in names]) if names else {}
    for below in names:
        path = folder.place(below)
        for copy in copies[present[front + below].sha256]:
            found = facts.get(path)
            same_place = (copy.site, copy.path) == (watch.place.site, path)
            if same_place and found and (found.size_bytes, found.modified_ns) == (copy.size_bytes, copy.modified_ns):
                folder.known.add(below)


def _registered(workspace: Workspace, watch: Watch, folder: _Folder, settled: Sequence[str]) -> Iterator[Sighting]:
    for name, found in _read(workspace, watch, folder, settled):
        trouble = _added(workspace, watch, found) if isinstance(found, NewFile) else found.message
        folder.known.add(name)
        yield Sighting(
            path=str(Location(site=watch.place.site, path=folder.place(name))),
            name="" if trouble else f"dataset://{parse_name(watch.dataset).dataset}/{_front(watch)}{name}",
            size_bytes=folder.seen[name][0].size_bytes,
            trouble=trouble,
        )


def _added(workspace: Workspace, watch: Watch, file: NewFile) -> str:
    """Why the file is not registered; empty when it is."""
    try:
        workspace.catalogue.add_files(parse_name(watch.dataset).dataset, [file], policy=watch.policy)
    except (ConflictError, InvalidInputError) as error:
        return error.message
    return ""


def _read(
    workspace: Workspace, watch: Watch, folder: _Folder, names: Sequence[str]
) -> Iterator[tuple[str, NewFile | MiddlewareError]]:
    """Each file as it is registered, or why it cannot be. What is gone, or changes as it is read, is left for later."""
    rows = [(_front(watch) + name, folder.place(name)) for name in names]
    try:
        yield from zip(names, digested(workspace, rows, site=watch.place.site), strict=True)
    except (NotFoundError, IntegrityError, InvalidInputError) as error:
        if len(names) > 1:  # one bad file does not keep its fellows out: they are read in halves
            middle = len(names) // 2
            yield from _read(workspace, watch, folder, names[:middle])
            yield from _read(workspace, watch, folder, names[middle:])
        elif not isinstance(error, IntegrityError) and folder.storage.stat(folder.place(names[0])):
            yield names[0], error


def _front(watch: Watch) -> str:
    """What names in the dataset begin with."""
    path = parse_name(watch.dataset).path.rstrip("/")
    return f"{path}/" if path else ""
