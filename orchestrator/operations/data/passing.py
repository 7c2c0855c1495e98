"""Data are copied through transforms: small programs that run where the data lie, and only what they make goes on."""

from __future__ import annotations

import json
import posixpath
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from metadata.errors import InvalidInputError, StagingError
from orchestrator.jobs import JobState
from orchestrator.layers import load_layer
from orchestrator.operations.data.copying import copy_items
from orchestrator.operations.data.errands import Carried, FileProgress
from orchestrator.operations.data.selections import Item, files_meant, items, storage_of
from orchestrator.operations.planning import plan
from orchestrator.operations.runs import start
from orchestrator.operations.workspace import Workspace
from orchestrator.transforms import chain
from staging.locations import DatasetName, is_dataset, parse_place


def copy_through(
    workspace: Workspace,
    sources: Sequence[str],
    destination: str,
    transforms: Sequence[str],
    *,
    parameters: Mapping[str, Any] | None = None,
    progress: FileProgress | None = None,
) -> list[Carried]:
    """What the transforms make of the sources is at the destination; the sources themselves go nowhere.

    The transforms are a run of their own, which tells everything of them and keeps what they made as its dataset.

    Args:
        workspace: The home.
        sources: Datasets, folders, files or patterns.
        destination: `agh:` for a site's store, `site://agh/path` for a folder of one's own there.
        transforms: `<use case>/<layer>` each, in their order.
        parameters: Each goes to whatever transforms declare it.
        progress: Called with the bytes that have arrived.

    Returns:
        What became of each file that was made, errors too.

    Raises:
        NotFoundError, InvalidInputError: Nothing was done.
        PolicyError: The data must not be at any site that could run the transforms.
        StagingError: A transform failed; its run tells how.
    """
    target = parse_place(destination)
    if isinstance(target, DatasetName):
        raise InvalidInputError("what transforms make goes to a place, as agh: or site://agh/path; name it afterwards")
    storage_of(workspace, target.site)
    meant = [f"dataset://{file.dataset}/{file.path}" for file in files_meant(workspace, map(_named, sources))]
    document = chain(transforms, find_layer=lambda name: load_layer(name)[0], parameters=parameters or {})
    run = _transformed(workspace, document, meant)
    return copy_items(workspace, _made(workspace, run, last=list(document["steps"])[-1]), target, progress=progress)


def _named(source: str) -> str:
    if not is_dataset(source) and not isinstance(parse_place(source), DatasetName):
        raise InvalidInputError(f"{source}: transforms take data that the catalogue knows; see: convoy data add --site")
    return source


def _transformed(workspace: Workspace, document: Mapping[str, Any], files: Sequence[str]) -> str:
    """The run in which the transforms did their work."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "copy-through.yaml"
        file.write_text(json.dumps(document), encoding="utf-8")
        planned = plan(workspace, file, inputs={"files": files})
    ended = start(workspace, planned)
    if ended.state != JobState.COMPLETED:
        raise StagingError(f"a transform failed, and nothing was copied; see: convoy show {ended.id}")
    return ended.id


def _made(workspace: Workspace, run: str, *, last: str) -> list[Item]:
    """What the last transform made, each file by its own name; behind the number of its task where two are the same."""
    found = items(workspace, [DatasetName(dataset=run, path=last)])
    names = [posixpath.basename(item.relative) for item in found]
    counts = Counter(names)
    return [
        replace(item, relative=name if counts[name] == 1 else f"{item.relative.partition('/')[0]}/{name}")
        for item, name in zip(found, names, strict=True)
    ]
