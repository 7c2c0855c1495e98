"""Data come to this machine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from metadata.errors import ConflictError
from metadata.records import FileRecord
from orchestrator.operations.data.carrying import carry
from orchestrator.operations.data.errands import Errand, FileProgress, raise_first
from orchestrator.operations.data.selections import Item, check_free, items, parse_source
from orchestrator.operations.workspace import Workspace
from orchestrator.settings import HERE
from staging.locations import Location
from staging.ports import FileDigest


def get_data(
    workspace: Workspace, names: str | Iterable[str], folder: Path, *, progress: FileProgress | None = None
) -> list[Path]:
    """The files lie in `folder` of this machine, verified; those below a folder that was named keep their ways.

    Args:
        workspace: The home.
        names: Datasets, folders, files or patterns, or places as `site://agh/path`.
        folder: Made when it is not there. A file there that has the right content is left as it is, and no other is
            overwritten.
        progress: Called with the bytes that have arrived.

    Raises:
        NotFoundError: There is nothing of that name, or it lies nowhere.
        PolicyError: It must not come here; nothing is fetched then.
        ConflictError: Two of the files would have one name, or a file there has one of them; nothing is fetched then.
        StagingError: It did not arrive.
    """
    told = [names] if isinstance(names, str) else list(names)
    found = items(workspace, [parse_source(name) for name in told])
    distinct = list({(item.name, item.relative): item for item in found}.values())
    _check_distinct(distinct)
    targets = [folder / item.relative for item in distinct]
    places = [_absolute(target) for target in targets]
    there = check_free(workspace, distinct, places, HERE)
    wanted = [(item, place) for item, place in zip(distinct, places, strict=True) if place not in there]
    _fetch(workspace, wanted, progress=progress)
    return targets


def _check_distinct(found: Sequence[Item]) -> None:
    double = [name for name, count in Counter(item.relative for item in found).items() if count > 1]
    if double:
        both = " and ".join(item.name for item in found if item.relative == double[0])
        raise ConflictError(f"{both} would both be {double[0]}; fetch them into folders of their own")


def _fetch(workspace: Workspace, wanted: Sequence[tuple[Item, str]], *, progress: FileProgress | None) -> None:
    errands = [
        Errand(
            name=item.name,
            content=item.content,
            copies=item.copies,
            destination=Location(site=HERE, path=place),
            policy=item.policy,
        )
        for item, place in wanted
    ]
    raise_first(carry(workspace, errands, register=False, progress=progress))


def _absolute(target: Path) -> str:
    return str(target.expanduser().resolve())


def fetch_file(workspace: Workspace, file: FileRecord, target: Path, *, progress: FileProgress | None = None) -> Path:
    """The file lies at `target` on this machine, verified. Raises NotFoundError, PolicyError or StagingError."""
    item = Item(
        name=f"dataset://{file.dataset}/{file.path}",
        relative=target.name,
        content=FileDigest(size_bytes=file.size_bytes, sha256=file.sha256),
        copies=tuple(workspace.catalogue.replicas([file.sha256])[file.sha256]),
        policy=workspace.catalogue.policies([file.sha256])[file.sha256],
    )
    _fetch(workspace, [(item, _absolute(target))], progress=progress)
    return target
