"""Names go from the catalogue, and copies from sites; never the last copy, unless somebody insists."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from metadata.errors import ConflictError, InvalidInputError, MiddlewareError
from metadata.records import FileRecord, ReplicaRecord
from metadata.retention import Release
from orchestrator.operations.data.copies import Sights, ours, sights
from orchestrator.operations.data.copying import check_idle
from orchestrator.operations.data.selections import (
    Selection,
    files_at,
    parse_source,
    selected_name,
    storage_of,
)
from orchestrator.operations.workspace import Workspace
from staging.locations import DatasetName, Location
from staging.upkeep import EVERYWHERE, Sight

_BATCH = 500
"""Copies that go together: their bytes go right after the catalogue has let go of them."""


@dataclass(frozen=True, kw_only=True)
class Unwanted:
    """What would go: shown before it does."""

    names: tuple[str, ...] = ()
    """Names in the catalogue."""
    copies: tuple[ReplicaRecord, ...] = ()
    """Copies whose bytes go."""
    paths: tuple[Location, ...] = ()
    """Files at sites that the catalogue does not know."""
    kept: tuple[str, ...] = ()
    """What stays although it was meant, and why."""

    @property
    def size_bytes(self) -> int:
        """Of the copies that the catalogue knows."""
        return sum(copy.size_bytes for copy in self.copies)


Confirm = Callable[[Unwanted], bool]
"""Says whether what is shown may go."""


def remove_data(
    workspace: Workspace,
    names: Iterable[str],
    *,
    confirm: Confirm,
    copies: bool = False,
    site: str | None = None,
    force: bool = False,
) -> Unwanted | None:
    """What the names mean is gone, if `confirm` says so; returns what went, or None after a no.

    Args:
        workspace: The home.
        names: Datasets, folders, files, patterns; or files at a site as `site://agh/path`.
        confirm: Asked once, when everything was checked and before anything goes.
        copies: Takes the bytes away, too: at one `site`, where the names stay; or at all sites, with the names.
            Only what Convoy brought or made: files that people registered where they lay stay there.
        site: Where the bytes go; it takes `copies`.
        force: The last copy may go.

    Raises:
        NotFoundError: There is nothing of that name.
        ConflictError: It is pinned, a run that has not ended needs it, or the last copy would go; nothing went.
        InvalidInputError: `site` without `copies`.
    """
    if site is not None and not copies:
        raise InvalidInputError("names lie at no site; to take bytes away at one, add --copies")
    places = [parse_source(name) for name in names]
    outside = [place for place in places if isinstance(place, Location)]
    inside = [place for place in places if isinstance(place, DatasetName)]
    if outside and inside:
        raise InvalidInputError("names of the catalogue and paths at sites go separately; say them in two commands")
    if outside:
        return _Paths(workspace, outside, force=force).removed(confirm)
    if site is not None:
        storage_of(workspace, site)
    selections = list({s.name: s for place in inside for s in selected_name(workspace, place)}.values())
    return _Names(workspace, selections, copies=copies, site=site, force=force).removed(confirm)


class _Names:
    """Names of the catalogue, and the copies behind them."""

    def __init__(
        self, workspace: Workspace, selections: Sequence[Selection], *, copies: bool, site: str | None, force: bool
    ) -> None:
        self._workspace = workspace
        self._selections = selections
        self._copies = copies
        self._site = site
        self._force = force
        self._files = {(file.dataset, file.path): file for s in selections for file in s.files}

    def removed(self, confirm: Confirm) -> Unwanted | None:
        names = self._site is None
        if names:
            check_idle(self._workspace, {selection.name.dataset for selection in self._selections})
            self._check_names_unpinned()
        releases, kept = self._releases() if self._copies else ([], [])
        unwanted = Unwanted(
            names=self._names() if names else (),
            copies=tuple(release.copy for release in releases),
            kept=tuple(kept),
        )
        if not confirm(unwanted):
            return None
        let_go(self._workspace, releases)
        if names:
            self._remove_names()
        return unwanted

    def _releases(self) -> tuple[list[Release], list[str]]:
        hashes = {file.sha256 for file in self._files.values()}
        if self._site is None:
            hashes -= self._workspace.catalogue.named_elsewhere(hashes, outside=self._files)
        check_unpinned(
            self._workspace,
            [file for file in self._files.values() if file.sha256 in hashes],
            site=self._site or EVERYWHERE,
        )
        check_unneeded(self._workspace, hashes)
        copies = self._workspace.catalogue.replicas(hashes)
        known = [copy for rows in copies.values() for copy in rows]
        meant = [copy for copy in known if self._site in (None, copy.site)]
        going = [copy for copy in meant if ours(self._workspace, copy)]
        kept = [
            f"site://{copy.site}{copy.path} was registered where it lay, and stays there"
            for copy in meant
            if not ours(self._workspace, copy)
        ]
        return releases_of(self._workspace, going, copies, force=self._force), kept

    def _names(self) -> tuple[str, ...]:
        whole = [str(selection.name) for selection in self._selections if not selection.name.path]
        return (*whole, *(f"dataset://{dataset}/{path}" for dataset, path in self._files))

    def _check_names_unpinned(self) -> None:
        for dataset in {selection.name.dataset for selection in self._selections}:
            for pin in self._workspace.retention.pins(dataset):
                if not pin.path or (dataset, pin.path) in self._files:
                    name = f"dataset://{dataset}/{pin.path}".rstrip("/")
                    raise ConflictError(f"{name} is pinned; let go of it first with: convoy data unpin")

    def _remove_names(self) -> None:
        for selection in self._selections:
            if not selection.name.path:
                self._workspace.catalogue.remove_dataset(selection.name.dataset)
        whole = {selection.name.dataset for selection in self._selections if not selection.name.path}
        by_dataset: defaultdict[str, list[str]] = defaultdict(list)
        for dataset, path in self._files:
            if dataset not in whole:
                by_dataset[dataset].append(path)
        for dataset, paths in by_dataset.items():
            self._workspace.catalogue.remove_files(dataset, paths)


def check_unpinned(workspace: Workspace, files: Iterable[FileRecord], *, site: str) -> None:
    """Returns when none of the files' contents is pinned at the site, or anywhere. Raises ConflictError."""
    named = {file.sha256: f"dataset://{file.dataset}/{file.path}" for file in files}
    for sha256, places in workspace.retention.pinned_sites(named).items():
        if site == EVERYWHERE or places & {EVERYWHERE, site}:
            raise ConflictError(f"{named[sha256]} is pinned; let go of it first with: convoy data unpin")


def check_unneeded(workspace: Workspace, hashes: Iterable[str]) -> None:
    """Returns when no run that has not ended needs the contents. Raises ConflictError."""
    needed = sorted(workspace.retention.needed() & set(hashes))
    if needed:
        raise ConflictError(
            f"a run that has not ended needs sha256 {needed[0][:12]}…; wait for it, or cancel it: convoy ls"
        )


def releases_of(
    workspace: Workspace,
    going: Sequence[ReplicaRecord],
    copies: Mapping[str, Sequence[ReplicaRecord]],
    *,
    force: bool,
) -> list[Release]:
    """The copies as they may be let go of. Raises ConflictError when one is the last that can be seen."""
    leaving = set(going)
    staying = [copy for rows in copies.values() for copy in rows if copy not in leaving]
    seen: Sights = {} if force else sights(workspace, staying)
    survivors: defaultdict[str, list[ReplicaRecord]] = defaultdict(list)
    for copy in staying:
        if seen.get(copy) is Sight.SEEN:
            survivors[copy.sha256].append(copy)
    last = [copy for copy in going if not survivors[copy.sha256]]
    if last and not force:
        more = f" and {len(last) - 1} more are" if len(last) > 1 else " is"
        raise ConflictError(
            f"site://{last[0].site}{last[0].path}{more} the last copy that can be seen; make another one with: "
            "convoy data cp, or insist with --force"
        )
    return [Release(copy=copy, survivors=tuple(survivors[copy.sha256])) for copy in going]


def let_go(workspace: Workspace, releases: Sequence[Release]) -> list[ReplicaRecord]:
    """The copies are forgotten, and then their bytes are gone; returns those that could go."""
    gone = []
    for at in range(0, len(releases), _BATCH):
        some = workspace.retention.let_go(releases[at : at + _BATCH])
        by_site: defaultdict[str, list[ReplicaRecord]] = defaultdict(list)
        for copy in some:
            by_site[copy.site].append(copy)
        for site, copies in by_site.items():
            _remove_bytes(workspace, site, copies)
        gone += some
    return gone


def _remove_bytes(workspace: Workspace, site: str, copies: Sequence[ReplicaRecord]) -> None:
    """A site that does not let its bytes go has its copies back in the catalogue."""
    try:
        workspace.storages[site].remove_all([copy.path for copy in copies])
    except MiddlewareError:
        workspace.catalogue.add_replicas(copies)
        raise


class _Paths:
    """Files at sites, whether the catalogue knows them or not."""

    def __init__(self, workspace: Workspace, places: Sequence[Location], *, force: bool) -> None:
        self._workspace = workspace
        self._places = places
        self._force = force

    def removed(self, confirm: Confirm) -> Unwanted | None:
        known, unknown = self._found()
        hashes = {copy.sha256 for copy in known}
        pinned = self._workspace.retention.pinned_sites(hashes)
        for copy in known:
            if pinned.get(copy.sha256, frozenset()) & {EVERYWHERE, copy.site}:
                raise ConflictError(f"site://{copy.site}{copy.path} holds pinned data; see: convoy data pin --list")
        check_unneeded(self._workspace, hashes)
        releases = releases_of(self._workspace, known, self._workspace.catalogue.replicas(hashes), force=self._force)
        unwanted = Unwanted(copies=tuple(known), paths=tuple(unknown))
        if not confirm(unwanted):
            return None
        let_go(self._workspace, releases)
        for site in {place.site for place in unknown}:
            self._workspace.storages[site].remove_all([place.path for place in unknown if place.site == site])
        return unwanted

    def _found(self) -> tuple[list[ReplicaRecord], list[Location]]:
        known: list[ReplicaRecord] = []
        unknown: list[Location] = []
        for place in self._places:
            paths = [path for _, path in files_at(storage_of(self._workspace, place.site), place.path)]
            copies = self._workspace.catalogue.replicas_at(place.site, paths)
            known += copies.values()
            unknown += [Location(site=place.site, path=path) for path in paths if path not in copies]
        return known, unknown
