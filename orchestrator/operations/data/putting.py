"""Data go from this machine to sites: some are hashed while others travel."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from threading import Thread

from metadata.attributes import check as check_attributes
from metadata.datasets import check_name, check_policy
from metadata.errors import ConflictError, MiddlewareError, NotFoundError
from metadata.files import check_path
from metadata.policy import Policy, combined
from metadata.records import AttributeValue, NewFile
from orchestrator.operations.data.adding import digested, found_here
from orchestrator.operations.data.carrying import carry
from orchestrator.operations.data.errands import Cargo, Carried, Errand, FileProgress, called, raise_first
from orchestrator.operations.data.portions import portions
from orchestrator.operations.data.selections import storage_of
from orchestrator.operations.workspace import Workspace
from orchestrator.settings import HERE
from staging.locations import DatasetName, Location, parse_name, store_path
from staging.ports import Endpoint, FileDigest, FileStat, Storage, SupportsConnecting, SupportsReaching

_Found = tuple[str, str]
"""(name in the dataset, path)"""


def put_data(
    workspace: Workspace,
    paths: Sequence[str],
    name: str,
    *,
    sites: Sequence[str],
    attributes: Mapping[str, AttributeValue] | None = None,
    policy: Policy | None = None,
    progress: FileProgress | None = None,
) -> list[Carried]:
    """Files of this machine are in a dataset, and their bytes lie at the sites, verified.

    The names are given once all bytes are there.

    Args:
        workspace: The home.
        paths: Files, folders or shell patterns.
        name: A dataset, which is made when it is new, or a folder in it.
        sites: At least one.
        attributes: Facts about the dataset.
        policy: Where the data may lie; None leaves what an existing dataset says.
        progress: Called with the bytes that have arrived.

    Raises:
        NotFoundError: There is no such file or site.
        PolicyError: The data must not go there.
        ConflictError: The dataset has another file of that name already, or another policy; or somebody took content
            away from a site before all was there.
        InvalidInputError: A name or attribute that cannot be.
        StagingError: A file did not arrive.
    """
    wanted = parse_name(name)
    for site in sites:
        storage_of(workspace, site)
    check_attributes(attributes or {})
    with _connecting(workspace, sites):
        front = f"{wanted.path.rstrip('/')}/" if wanted.path else ""
        found = [(front + relative, path) for relative, path in found_here(paths)]
        _check_dataset(workspace, wanted.dataset, policy)
        _check_names(workspace, wanted.dataset, found)
        load = _Load(workspace, wanted, found, sites=list(dict.fromkeys(sites)), policy=policy)
        carried = carry(workspace, load.errands(), cargo=load.cargo, progress=progress)
    raise_first(carried)
    workspace.catalogue.add_files(wanted.dataset, load.files, policy=policy, attributes=attributes, lying_at=sites)
    return carried


@contextmanager
def _connecting(workspace: Workspace, sites: Sequence[str]) -> Iterator[None]:
    """Logins are opened beside the block, for questions and for bytes: each takes as long as hashing 100 MB."""
    there = [storage for site in sites if not (storage := workspace.storages[site]).endpoint.local]
    threads = [Thread(target=_connect, args=(storage,), daemon=True) for storage in there]
    threads += [Thread(target=_reach, args=(workspace, storage.endpoint), daemon=True) for storage in there]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for thread in threads:
            thread.join()


def _connect(storage: Storage) -> None:
    if isinstance(storage, SupportsConnecting):
        with suppress(MiddlewareError):  # whoever needs the site is told
            storage.connect()


def _reach(workspace: Workspace, endpoint: Endpoint) -> None:
    for mover in workspace.movers.values():
        if isinstance(mover, SupportsReaching):
            with suppress(MiddlewareError):
                mover.reach(endpoint)


def _check_dataset(workspace: Workspace, dataset: str, policy: Policy | None) -> None:
    """What the catalogue would refuse in the end is refused before a byte moves."""
    check_name(dataset)
    if workspace.catalogue.has_dataset(dataset):
        check_policy(dataset, workspace.catalogue.dataset(dataset).policy, policy)


def _check_names(workspace: Workspace, dataset: str, found: Sequence[_Found]) -> None:
    """The same for a name that cannot be, is taken, or wanted twice. Only files of the last two have to be read."""
    for name, _ in found:
        check_path(name)
    known = workspace.catalogue.has_dataset(dataset)
    present = {file.path: file.sha256 for file in workspace.catalogue.files(dataset)} if known else {}
    counts = Counter(name for name, _ in found)
    doubtful = [(name, path) for name, path in found if name in present or counts[name] > 1]
    if not doubtful:
        return
    wanted: dict[str, str] = {}
    for file in digested(workspace, doubtful, site=HERE):
        if wanted.setdefault(file.path, file.sha256) != file.sha256:
            raise ConflictError(f"two files would both be dataset://{dataset}/{file.path}; put them into folders")
        if present.get(file.path, file.sha256) != file.sha256:
            raise ConflictError(
                f"dataset://{dataset}/{file.path} is there with other content, and content never changes under a name: "
                "put the new file under another name"
            )


class _Load:
    """Files that go to sites together."""

    def __init__(
        self,
        workspace: Workspace,
        wanted: DatasetName,
        found: Sequence[_Found],
        *,
        sites: Sequence[str],
        policy: Policy | None,
    ) -> None:
        self._workspace = workspace
        self._dataset = wanted.dataset
        self._found = found
        self._policy = policy
        self._workdirs = {site: workspace.workdir(site) for site in sites}
        self._sizes = {path: facts.size_bytes for path, facts in self._stats().items()}
        self.files: list[NewFile] = []
        """Those of which errands were made."""

    def _stats(self) -> Mapping[str, FileStat]:
        return self._workspace.storages[HERE].stats([path for _, path in self._found])

    @property
    def cargo(self) -> Cargo:
        """All of them."""
        many = len(self._workdirs)
        name = called(f"dataset://{self._dataset}/{self._found[0][0]}", files=len(self._found))
        return Cargo(name=name, files=many * len(self._found), size_bytes=many * sum(self._sizes.values()))

    def errands(self) -> Iterator[Errand]:
        """One for each content and site; files are hashed as errands are asked for."""
        seen: set[str] = set()
        for some in portions(self._found, size_bytes=lambda row: self._sizes.get(row[1], 0)):
            files = digested(self._workspace, some, site=HERE)
            self.files += files
            fresh = {file.sha256: file for file in files if file.sha256 not in seen}
            seen |= fresh.keys()
            copies = self._workspace.catalogue.replicas(fresh)
            asked = self._policies(fresh)
            for site, workdir in self._workdirs.items():
                for sha256, file in fresh.items():
                    yield Errand(
                        name=f"dataset://{self._dataset}/{file.path}",
                        content=FileDigest(size_bytes=file.size_bytes, sha256=sha256),
                        copies=tuple(copies[sha256]),
                        destination=Location(site=site, path=store_path(workdir, sha256)),
                        policy=asked[sha256],
                    )

    def _policies(self, hashes: Iterable[str]) -> dict[str, Policy]:
        """What will be asked for the contents once they have their names."""
        known, mine = self._workspace.catalogue.policies(hashes), self._asked
        return {sha256: combined((found, *mine)) for sha256, found in known.items()}

    @cached_property
    def _asked(self) -> tuple[Policy, Policy]:
        """What the dataset asks, and what is asked now."""
        try:
            of_dataset = self._workspace.catalogue.dataset(self._dataset).policy
        except NotFoundError:
            of_dataset = Policy()
        return of_dataset, self._policy or Policy()
