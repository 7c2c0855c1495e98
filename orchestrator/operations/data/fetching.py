"""Data come to this machine, and go from it to a site."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread

from metadata.errors import ConflictError, MiddlewareError, NotFoundError
from metadata.policy import Policy, combined
from metadata.records import AttributeValue, FileRecord, NewFile
from orchestrator.operations.data.adding import digested, found_here
from orchestrator.operations.data.carrying import Carried, Errand, FileProgress, carry, raise_first
from orchestrator.operations.data.selections import Item, items, parse_source, storage_of
from orchestrator.operations.workspace import Workspace
from orchestrator.settings import HERE
from staging.locations import Location, parse_name, store_path
from staging.ports import Endpoint, FileDigest, SupportsReaching


def get_data(
    workspace: Workspace, names: str | Iterable[str], folder: Path, *, progress: FileProgress | None = None
) -> list[Path]:
    """The files lie in `folder` of this machine, verified; those below a folder that was named keep their ways.

    Args:
        workspace: The home.
        names: Datasets, folders, files or patterns, or places as `site://agh/path`.
        folder: Made when it is not there. A file there that has the right content is left as it is.
        progress: Called with the bytes that have arrived.

    Raises:
        NotFoundError: There is nothing of that name, or it lies nowhere.
        PolicyError: It must not come here; nothing is fetched then.
        ConflictError: Two of the files would have one name.
        StagingError: It did not arrive.
    """
    wanted = [names] if isinstance(names, str) else list(names)
    found = items(workspace, [parse_source(name) for name in wanted])
    distinct = list({(item.name, item.relative): item for item in found}.values())
    _check_distinct(distinct)
    targets = [folder / item.relative for item in distinct]
    _fetch(workspace, distinct, targets, progress=progress)
    return targets


def _check_distinct(found: Sequence[Item]) -> None:
    double = [name for name, count in Counter(item.relative for item in found).items() if count > 1]
    if double:
        both = " and ".join(item.name for item in found if item.relative == double[0])
        raise ConflictError(f"{both} would both be {double[0]}; fetch them into folders of their own")


def _fetch(
    workspace: Workspace, found: Sequence[Item], targets: Sequence[Path], *, progress: FileProgress | None
) -> None:
    errands = [
        Errand(
            name=item.name,
            content=item.content,
            copies=item.copies,
            destination=Location(site=HERE, path=str(target.expanduser().resolve())),
            policy=item.policy,
        )
        for item, target in zip(found, targets, strict=True)
    ]
    raise_first(carry(workspace, errands, register=False, progress=progress))


def fetch_file(workspace: Workspace, file: FileRecord, target: Path, *, progress: FileProgress | None = None) -> Path:
    """The file lies at `target` on this machine, verified. Raises NotFoundError, PolicyError or StagingError."""
    item = Item(
        name=f"dataset://{file.dataset}/{file.path}",
        relative=target.name,
        content=FileDigest(size_bytes=file.size_bytes, sha256=file.sha256),
        copies=tuple(workspace.catalogue.replicas([file.sha256])[file.sha256]),
        policy=workspace.catalogue.policies([file.sha256])[file.sha256],
    )
    _fetch(workspace, [item], [target], progress=progress)
    return target


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
        ConflictError: The dataset has another file of that name already, or another policy.
        StagingError: A file did not arrive.
    """
    wanted = parse_name(name)
    for site in sites:
        storage_of(workspace, site)
    front = f"{wanted.path.rstrip('/')}/" if wanted.path else ""
    with _reaching(workspace, sites):
        found = [(front + relative, path) for relative, path in found_here(paths)]
        files = digested(workspace, found, site=HERE)
    _check_names(workspace, wanted.dataset, files)
    copies = workspace.catalogue.replicas({file.sha256 for file in files})
    asked = _policies(workspace, wanted.dataset, {file.sha256 for file in files}, policy)
    # One look at the site for all files: ten thousand take a tenth of a second.
    workdirs = {site: workspace.workdir(site) for site in sites}
    carried = carry(
        workspace,
        [
            Errand(
                name=f"dataset://{wanted.dataset}/{file.path}",
                content=FileDigest(size_bytes=file.size_bytes, sha256=file.sha256),
                copies=tuple(copies[file.sha256]),
                destination=Location(site=site, path=str(store_path(workdirs[site], file.sha256))),
                policy=asked[file.sha256],
            )
            for site in dict.fromkeys(sites)
            for file in {file.sha256: file for file in files}.values()
        ],
        progress=progress,
    )
    raise_first(carried)
    workspace.catalogue.add_files(wanted.dataset, files, policy=policy)
    if attributes:
        workspace.catalogue.set_attributes(wanted.dataset, dict(attributes))
    return carried


@contextmanager
def _reaching(workspace: Workspace, sites: Sequence[str]) -> Iterator[None]:
    """Connections are opened beside the block, for commands and for bytes: a login takes as long as hashing 100 MB."""
    endpoints = [endpoint for site in sites if not (endpoint := workspace.storages[site].endpoint).local]
    threads = [
        Thread(target=reach, args=(workspace, endpoint), daemon=True)
        for endpoint in endpoints
        for reach in (_reach_by_movers, _reach)
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for thread in threads:
            thread.join()


def _reach(_: Workspace, endpoint: Endpoint) -> None:
    if endpoint.shell:
        with suppress(MiddlewareError):  # whoever needs the site is told
            endpoint.shell.run(("true",))


def _reach_by_movers(workspace: Workspace, endpoint: Endpoint) -> None:
    for mover in workspace.movers.values():
        if isinstance(mover, SupportsReaching):
            with suppress(MiddlewareError):
                mover.reach(endpoint)


def _check_names(workspace: Workspace, dataset: str, files: Sequence[NewFile]) -> None:
    """A name that is taken, or wanted twice, is told before a byte moves."""
    wanted: dict[str, str] = {}
    for file in files:
        if wanted.setdefault(file.path, file.sha256) != file.sha256:
            raise ConflictError(f"two files would both be dataset://{dataset}/{file.path}; put them into folders")
    known = {row.name for row in workspace.catalogue.datasets()}
    present = workspace.catalogue.files(dataset) if dataset in known else []
    taken = [file.path for file in present if wanted.get(file.path, file.sha256) != file.sha256]
    if taken:
        raise ConflictError(
            f"dataset://{dataset}/{taken[0]} is there with other content, and content never changes under a name: "
            "put the new file under another name"
        )


def _policies(workspace: Workspace, dataset: str, hashes: Iterable[str], policy: Policy | None) -> dict[str, Policy]:
    """What will be asked for the contents once they have their names."""
    known = workspace.catalogue.policies(hashes)
    try:
        of_dataset = workspace.catalogue.dataset(dataset).policy
    except NotFoundError:
        of_dataset = Policy()
    return {sha256: combined((found, of_dataset, policy or Policy())) for sha256, found in known.items()}
