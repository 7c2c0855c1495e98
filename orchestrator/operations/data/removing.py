"""Names go from the catalogue, and copies from sites; never the last copy, unless somebody insists."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from metadata.claims import place_of
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
from staging.locations import DatasetName, Location, partial_path
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
        gone = let_go(self._workspace, releases, names=self._files if names else None)
        check_gone(self._workspace, unwanted.copies, gone)
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
        """What was named since somebody said yes stays."""
        by_dataset: defaultdict[str, list[str]] = defaultdict(list)
        for dataset, path in self._files:
            by_dataset[dataset].append(path)
        whole = {selection.name.dataset for selection in self._selections if not selection.name.path}
        for dataset in whole:
            self._workspace.catalogue.remove_dataset(dataset, paths=by_dataset.pop(dataset, ()))
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


def let_go(
    workspace: Workspace, releases: Sequence[Release], *, names: Collection[tuple[str, str]] | None = None
) -> list[ReplicaRecord]:
    """The copies are forgotten, and then their bytes are gone; returns those that could go.

    Copies that somebody brings at this moment stay, and nobody brings one while it goes.

    Args:
        workspace: The home.
        releases: Any number.
        names: See `Retention.let_go`.

    Raises:
        SiteUnavailableError, SiteError: A site did not let its bytes go, and has its copies back in the catalogue. All
            others went.
    """
    gone: list[ReplicaRecord] = []
    trouble: list[MiddlewareError] = []
    for at in range(0, len(releases), _BATCH):
        places = {claimed_place(release.copy): release for release in releases[at : at + _BATCH]}
        with workspace.claims.held(places) as claim:
            mine = [release for place, release in places.items() if place in claim.places]
            by_site: defaultdict[str, list[ReplicaRecord]] = defaultdict(list)
            for copy in workspace.retention.let_go(mine, names=names):
                by_site[copy.site].append(copy)
            for site, copies in by_site.items():
                try:
                    workspace.storages[site].remove_all([copy.path for copy in copies])
                    gone += copies
                except MiddlewareError as error:
                    workspace.catalogue.add_replicas(copies)
                    trouble.append(error)
    if trouble:
        raise trouble[0]
    return gone


def claimed_place(copy: ReplicaRecord) -> str:
    """What whoever brings the copy has to claim."""
    return place_of(copy.site, partial_path(copy.path, copy.sha256))


def check_gone(workspace: Workspace, meant: Iterable[ReplicaRecord], gone: Iterable[ReplicaRecord]) -> None:
    """Returns when nothing that was meant is known any more. Raises ConflictError: it came to be wanted meanwhile."""
    went = set(gone)
    left = [copy for copy in meant if copy not in went]
    known = workspace.catalogue.replicas({copy.sha256 for copy in left})
    still = [
        copy for copy in left if any(copy.path == row.path and copy.site == row.site for row in known[copy.sha256])
    ]
    if still:
        more = f" and {len(still) - 1} more stay" if len(still) > 1 else " stays"
        raise ConflictError(
            f"site://{still[0].site}{still[0].path}{more}: since you were asked, it was pinned, named, needed by a "
            "run, brought again, or the only copy left. All names are still there; look at them, and say it again"
        )


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
        check_gone(self._workspace, known, let_go(self._workspace, releases))
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
