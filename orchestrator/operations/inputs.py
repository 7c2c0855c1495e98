"""Finds the files that a workflow starts from, and makes sure that they are still what the catalogue says."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from metadata.errors import IntegrityError, InvalidInputError, NotFoundError
from metadata.globs import compile_glob, is_glob
from metadata.records import FileRecord, NewFile, ReplicaRecord
from orchestrator.documents import Problem
from orchestrator.operations.digests import digests_at, local_files
from orchestrator.operations.workspace import Workspace
from orchestrator.plans import PlannedFile
from orchestrator.settings import HERE
from orchestrator.workflows import FileType, Workflow, WorkflowInput
from staging.locations import SITE_SCHEME, is_dataset, parse_dataset

LOOSE_FILES = "loose-files"
"""The dataset of files that were named by a path. Each lies in it under the beginning of its hash."""

Given = Mapping[str, str | Sequence[str]]


def given_values(workflow: Workflow, given: Given) -> tuple[dict[str, list[str]], list[Problem]]:
    """What each input is set to: the caller's word before the file's; and the inputs that nobody set."""
    values: dict[str, list[str]] = {}
    problems = []
    for name, declared in workflow.inputs.items():
        value = given.get(name, declared.default)
        if value is None and not declared.optional:
            message = f"the input {name!r} has no value; give it with --input {name}=PATH, or a default here"
            problems.append(Problem(place=("inputs", name), message=message))
        values[name] = [] if value is None else [value] if isinstance(value, str) else list(value)
    return values, problems


def type_of(declared: WorkflowInput, values: Sequence[str]) -> FileType:
    """What an input is, when its author did not say: a look at the disk tells a folder from a file."""
    if declared.type:
        return declared.type
    one = len(values) == 1 and not declared.pattern and not _is_many(values[0])
    return FileType.FILE if one else FileType.FILES


def _is_many(text: str) -> bool:
    if is_dataset(text):
        path = parse_dataset(text).path
        return not path or is_glob(path)
    return is_glob(text) or Path(text).is_dir()


def find_files(workspace: Workspace, declared: WorkflowInput, values: Iterable[str]) -> tuple[PlannedFile, ...]:
    """An input's files, in order; loose ones are hashed and registered first.

    Raises NotFoundError, InvalidInputError, or IntegrityError for a file that is no longer what the catalogue says.
    """
    found: list[PlannedFile] = []
    for text in values:
        if text.startswith(SITE_SCHEME):
            raise InvalidInputError(
                f"{text}: an input is a path on this machine or dataset://NAME; "
                "make what lies at a site known first: convoy data add NAME PATH --site SITE"
            )
        found += _from_catalogue(workspace, text) if is_dataset(text) else _from_disk(workspace, text)
    if declared.pattern:
        fits = compile_glob(declared.pattern)
        found = [file for file in found if fits.fullmatch(file.name) or fits.fullmatch(file.origin.partition("://")[2])]
        if not found and not declared.optional:
            raise NotFoundError(f"no file of {', '.join(values)} fits the pattern {declared.pattern!r}")
    if declared.type is FileType.FILE and len(found) != 1:
        raise InvalidInputError(f"one file is wanted, and {', '.join(values) or 'nothing'} means {len(found)}")
    return tuple(found)


def _from_catalogue(workspace: Workspace, text: str) -> list[PlannedFile]:
    name = parse_dataset(text)
    records = workspace.catalogue.resolve(name.dataset, name.path)
    check_unchanged(workspace, records)
    return [_planned(record, f"dataset://{record.dataset}/{record.path}") for record in records]


def _planned(record: FileRecord, origin: str) -> PlannedFile:
    name = PurePosixPath(record.path).name
    return PlannedFile(name=name, sha256=record.sha256, size_bytes=record.size_bytes, origin=origin)


def _from_disk(workspace: Workspace, text: str) -> list[PlannedFile]:
    paths = local_files(text)
    found = digests_at(workspace, HERE, paths)
    planned = [
        PlannedFile(
            name=posixpath.basename(path), sha256=found[path].sha256, size_bytes=found[path].size_bytes, origin=path
        )
        for path in paths
    ]
    files = [
        NewFile(path=f"{file.sha256[:12]}/{file.name}", size_bytes=file.size_bytes, sha256=file.sha256)
        for file in planned
    ]
    workspace.catalogue.add_files(LOOSE_FILES, files, description="files that were named by a path")
    return planned


def check_unchanged(workspace: Workspace, records: Sequence[FileRecord]) -> None:
    """Every file has a copy that can still be what the catalogue says, as far as size and time tell.

    Raises IntegrityError when the only copies are on this machine and hold something else now, NotFoundError when
    they are gone.
    """
    copies = workspace.catalogue.replicas({record.sha256 for record in records})
    for record in records:
        mine = copies.get(record.sha256, [])
        if mine and all(copy.site == HERE for copy in mine):
            _check_here(workspace, record, mine)


def _check_here(workspace: Workspace, record: FileRecord, copies: Sequence[ReplicaRecord]) -> None:
    storage = workspace.storages[HERE]
    name = f"dataset://{record.dataset}/{record.path}"
    changed = ""
    for copy in copies:
        facts = storage.stat(copy.path)
        if facts is None:
            continue
        if (facts.size_bytes, facts.modified_ns) == (copy.size_bytes, copy.modified_ns):
            return
        if storage.digest(copy.path).sha256 == record.sha256:
            return
        changed = copy.path
    if changed:
        raise IntegrityError(
            f"{name} changed: {changed} no longer holds sha256 {record.sha256[:12]}… as the catalogue says. "
            "Bring the old file back, or register the new one under another name with: convoy data add"
        )
    raise NotFoundError(f"{name} is gone: there is no {copies[0].path} any more")
