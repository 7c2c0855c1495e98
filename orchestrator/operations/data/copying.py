"""Data go from place to place: to sites by their bytes, between datasets by their names alone."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from metadata.errors import ConflictError, InvalidInputError, MiddlewareError, NotFoundError
from metadata.namespace import Rename
from metadata.records import NewFile, ReplicaRecord
from orchestrator.operations.data.adding import digested
from orchestrator.operations.data.carrying import carry
from orchestrator.operations.data.copies import sights
from orchestrator.operations.data.errands import Carried, Errand, FileProgress, store_at
from orchestrator.operations.data.selections import (
    Item,
    Selection,
    check_free,
    files_at,
    items,
    parse_source,
    selected_name,
    storage_of,
)
from orchestrator.operations.digests import check_storable
from orchestrator.operations.workspace import Workspace
from staging.locations import DatasetName, Location, Store, parse_place
from staging.upkeep import Sight


@dataclass(frozen=True, kw_only=True)
class Named:
    """A name that was given."""

    name: str
    """The new one."""
    source: str
    """What it was called before, or what has the same content."""


def copy_data(
    workspace: Workspace, sources: Sequence[str], destination: str, *, progress: FileProgress | None = None
) -> list[Carried] | list[Named]:
    """The sources are at the destination, too.

    A file takes the destination's name, unless that ends with a slash or is a folder; whatever lies below a folder
    that is named keeps its way from there.

    Args:
        workspace: The home.
        sources: Datasets, folders, files or patterns; or places as `site://agh/path`.
        destination: `agh:` brings the bytes to a site's store, `site://agh/path` to a folder of one's own there. A
            dataset is given names only: content is shared, and moves nowhere.
        progress: Called with the bytes that have arrived.

    Returns:
        What became of each file, errors too, where bytes travelled; the new names for a dataset.

    Raises:
        NotFoundError, ConflictError (a name is taken) or InvalidInputError: Nothing was done.
    """
    places, target = [parse_source(source) for source in sources], parse_place(destination)
    if isinstance(target, DatasetName):
        return _name_again(workspace, places, target, progress)
    storage_of(workspace, target.site)
    return copy_items(workspace, items(workspace, places), target, progress=progress)


def copy_items(
    workspace: Workspace, found: Sequence[Item], target: Store | Location, *, progress: FileProgress | None = None
) -> list[Carried]:
    """The files are at the target, too. Raises ConflictError where a name is taken: nothing was done then."""
    if isinstance(target, Store):
        return _to_store(workspace, found, target.site, progress)
    return carry(workspace, _to_folder(workspace, found, target), progress=progress)


def _to_store(workspace: Workspace, found: Sequence[Item], site: str, progress: FileProgress | None) -> list[Carried]:
    """Each content once, and none that lies at the site already."""
    contents = {item.content.sha256: item for item in found}
    there = {
        copy.sha256: copy
        for copy, sight in sights(
            workspace, (copy for item in contents.values() for copy in item.copies if copy.site == site)
        ).items()
        if sight is Sight.SEEN and copy.verified_at
    }
    carried = carry(
        workspace,
        [
            Errand(
                name=item.name,
                content=item.content,
                copies=item.copies,
                destination=store_at(workspace, site, sha256),
                policy=item.policy,
            )
            for sha256, item in contents.items()
            if sha256 not in there
        ],
        progress=progress,
    )
    return carried + [_was_there(contents[sha256], copy) for sha256, copy in there.items()]


def _was_there(item: Item, copy: ReplicaRecord) -> Carried:
    return Carried(
        name=item.name, site=copy.site, path=copy.path, size_bytes=copy.size_bytes, source=copy.site, bytes_moved=0
    )


def _to_folder(workspace: Workspace, found: Sequence[Item], target: Location) -> list[Errand]:
    """Each file under a name of its own below the target. Raises ConflictError where another file has it."""
    exact = len(found) == 1 and not target.path.endswith("/") and not _is_folder(workspace, target)
    paths = [target.path if exact else f"{target.path.rstrip('/')}/{item.relative}" for item in found]
    _check_paths(workspace, found, paths, target.site)
    return [
        Errand(
            name=item.name,
            content=item.content,
            copies=item.copies,
            destination=Location(site=target.site, path=path),
            policy=item.policy,
        )
        for item, path in zip(found, paths, strict=True)
    ]


def _is_folder(workspace: Workspace, place: Location) -> bool:
    try:
        return bool([name for name, path in files_at(workspace.storages[place.site], place.path) if path != place.path])
    except NotFoundError:
        return False


def _check_paths(workspace: Workspace, found: Sequence[Item], paths: Sequence[str], site: str) -> None:
    """Each file has a place of its own that the catalogue can note, and nothing is overwritten."""
    check_storable(site, paths)
    if len(set(paths)) != len(paths):
        double = next(path for path in paths if paths.count(path) > 1)
        raise ConflictError(
            f"two of the files would both be site://{site}{double}; copy them into folders of their own"
        )
    check_free(workspace, found, paths, site)


# -- names ---------------------------------------------------------------------------------------------------------


def _name_again(
    workspace: Workspace,
    places: Sequence[DatasetName | Location],
    target: DatasetName,
    progress: FileProgress | None,
) -> list[Named]:
    named: list[tuple[str, NewFile]] = []
    for place in places:
        if isinstance(place, Location):
            named += _named_at_site(workspace, place, target, progress)
        else:
            for selection in selected_name(workspace, place):
                named += _named(workspace, selection, target, alone=len(places) == 1)
    workspace.catalogue.add_files(target.dataset, [file for _, file in named])
    return [Named(name=f"dataset://{target.dataset}/{file.path}", source=source) for source, file in named]


def _named(
    workspace: Workspace, selection: Selection, target: DatasetName, *, alone: bool
) -> list[tuple[str, NewFile]]:
    return [
        (
            f"dataset://{file.dataset}/{file.path}",
            NewFile(
                path=path,
                size_bytes=file.size_bytes,
                sha256=file.sha256,
                media_type=file.media_type,
                # A copy under another name is as restricted as the first, even when the first name goes.
                policy=file.policy if file.policy.restricted else None,
            ),
        )
        for file, path in zip(selection.files, _new_paths(workspace, selection, target, alone=alone), strict=True)
    ]


def _new_paths(workspace: Workspace, selection: Selection, target: DatasetName, *, alone: bool) -> list[str]:
    folder = target.path.rstrip("/")
    if selection.single and alone and folder and not _names_folder(workspace, target):
        return [folder]
    return [f"{folder}/{selection.relative(file)}".lstrip("/") for file in selection.files]


def _names_folder(workspace: Workspace, target: DatasetName) -> bool:
    """Whether a destination means the inside of a folder."""
    if target.path.endswith("/"):
        return True
    try:
        found = workspace.catalogue.resolve(target.dataset, target.path)
    except NotFoundError:
        return False
    return all(file.path != target.path for file in found)


def _named_at_site(
    workspace: Workspace, place: Location, target: DatasetName, progress: FileProgress | None
) -> list[tuple[str, NewFile]]:
    found = files_at(storage_of(workspace, place.site), place.path)
    single = len(found) == 1 and found[0][1] == place.path
    folder = target.path.rstrip("/")
    exact = single and folder and not _names_folder(workspace, target)
    named = [(folder if exact else f"{folder}/{name}".lstrip("/"), path) for name, path in found]
    files = digested(workspace, named, site=place.site, progress=progress)
    return [(f"site://{place.site}{path}", file) for (_, path), file in zip(named, files, strict=True)]


# -- moving --------------------------------------------------------------------------------------------------------


def move_data(workspace: Workspace, sources: Sequence[str], destination: str) -> list[Named]:
    """The sources have other names. No byte travels, and nothing is overwritten.

    Args:
        workspace: The home.
        sources: Datasets, folders, files or patterns; or places at one site.
        destination: A name in the catalogue; for places at a site, another place there. A dataset that is given the
            name of no other dataset is renamed, with its attributes, policy, rules and pins.

    Raises:
        NotFoundError: There is nothing of that name.
        ConflictError: A name is taken, or a run that has not ended fills the dataset.
        InvalidInputError: The destination is a site's store, or at another site.
    """
    places, target = [parse_source(source) for source in sources], parse_place(destination)
    if isinstance(target, Store) or any(
        isinstance(place, Location) != isinstance(target, Location) for place in places
    ):
        raise InvalidInputError(
            "names move within the catalogue, and paths within a site; to bring bytes elsewhere: convoy data cp"
        )
    if isinstance(target, Location):
        return _move_paths(workspace, [place for place in places if isinstance(place, Location)], target)
    return _move_names(workspace, [place for place in places if isinstance(place, DatasetName)], target)


def _move_names(workspace: Workspace, places: Sequence[DatasetName], target: DatasetName) -> list[Named]:
    selections = [selection for place in places for selection in selected_name(workspace, place)]
    check_idle(workspace, {selection.name.dataset for selection in selections} | {target.dataset})
    whole = len(selections) == 1 and not selections[0].name.path and not target.path
    if whole and not workspace.catalogue.has_dataset(target.dataset):
        name = selections[0].name.dataset
        workspace.catalogue.rename_dataset(name, target.dataset)
        return [Named(name=str(target), source=f"dataset://{name}")]
    rows = [
        (selection.name.dataset, row)
        for selection in selections
        for row in _renames(workspace, selection, target, alone=len(selections) == 1)
    ]
    by_dataset: defaultdict[str, list[Rename]] = defaultdict(list)
    for dataset, row in rows:
        by_dataset[dataset].append(row)
    workspace.catalogue.rename_files(by_dataset, into=target.dataset)
    return [
        Named(name=f"dataset://{target.dataset}/{row.new_path}", source=f"dataset://{dataset}/{row.path}")
        for dataset, row in rows
    ]


def _renames(workspace: Workspace, selection: Selection, target: DatasetName, *, alone: bool) -> list[Rename]:
    paths = _new_paths(workspace, selection, target, alone=alone)
    renames = [Rename(path=file.path, new_path=path) for file, path in zip(selection.files, paths, strict=True)]
    return [row for row in renames if selection.name.dataset != target.dataset or row.path != row.new_path]


def check_idle(workspace: Workspace, datasets: set[str]) -> None:
    """Returns when no run that has not ended fills one of the datasets. Raises ConflictError."""
    busy = sorted(datasets & workspace.retention.active_runs())
    if busy:
        raise ConflictError(
            f"the run {busy[0]} has not ended, and writes its results there; see: convoy show {busy[0]}"
        )


def _move_paths(workspace: Workspace, places: Sequence[Location], target: Location) -> list[Named]:
    """Renames at one site; copies that the catalogue knows are known under their new paths."""
    if {place.site for place in places} != {target.site}:
        raise InvalidInputError("paths move within one site; bring them elsewhere with: convoy data cp")
    storage = storage_of(workspace, target.site)
    found = [(place, row) for place in places for row in files_at(storage, place.path)]
    exact = len(found) == 1 and found[0][0].path == found[0][1][1] and not target.path.endswith("/")
    exact = exact and not _is_folder(workspace, target)
    pairs = [(path, target.path if exact else f"{target.path.rstrip('/')}/{name}") for _, (name, path) in found]
    targets = [new for _, new in pairs]
    taken = sorted(storage.stats(targets)) or [new for new, count in Counter(targets).items() if count > 1]
    if taken:
        raise ConflictError(f"site://{target.site}{taken[0]} is there already, and nothing is overwritten")
    check_storable(target.site, targets)
    try:
        storage.rename_all(pairs)
    except MiddlewareError:
        with suppress(MiddlewareError):  # some may have their new names by now
            moved = storage.stats(targets)
            workspace.catalogue.move_replicas(target.site, [(old, new) for old, new in pairs if new in moved])
        raise
    workspace.catalogue.move_replicas(target.site, pairs)
    return [Named(name=f"site://{target.site}{new}", source=f"site://{target.site}{old}") for old, new in pairs]
