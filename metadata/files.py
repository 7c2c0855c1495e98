"""The rows of files, and the policies that they carry."""

from __future__ import annotations

import difflib
import re
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, select

from metadata.errors import ConflictError, InvalidInputError, NotFoundError
from metadata.globs import compile_glob, is_glob, literal_prefix
from metadata.policy import Policy, combined
from metadata.records import FileRecord, NewFile
from metadata.statements import chunks, insert_missing
from metadata.tables import DATASETS, FILES

_SHA256 = re.compile(r"[0-9a-f]{64}")
# Databases refuse zero bytes and half characters; the others would break a listing's lines.
_UNUSABLE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_SUGGESTIONS_FROM = 2000
_TOO_LARGE = 2**63


def add(connection: Connection, dataset_id: int, files: Iterable[NewFile], *, dataset: str) -> None:
    """Adds the files in one batch. One that is there with the same content stays, and keeps the stricter policy.

    Raises InvalidInputError for a path or hash that cannot be, ConflictError for a path that has other content.
    """
    added, now = list(files), time.time()
    rows = [_row(file, dataset_id=dataset_id, created_at=now) for file in added]
    if insert_missing(connection, FILES, rows) == len(rows):
        return
    for chunk in chunks(added):
        _settle(connection, dataset_id, chunk, dataset=dataset)


def _row(file: NewFile, *, dataset_id: int, created_at: float) -> dict[str, Any]:
    _check(file)
    return {
        "dataset_id": dataset_id,
        "path": file.path,
        "size_bytes": file.size_bytes,
        "sha256": file.sha256,
        "media_type": file.media_type,
        "policy": _stored(file.policy),
        "created_at": created_at,
    }


def check_path(path: str) -> None:
    """Returns when a file of a dataset may be called so. Raises InvalidInputError."""
    if {"", ".", ".."} & set(path.split("/")):
        raise InvalidInputError(f"{path!r} cannot name a file of a dataset; write a relative path without '..'")
    if _UNUSABLE.search(path):
        raise InvalidInputError(
            f"{path!r} cannot name a file of a dataset: it has line breaks or other control characters, or bytes that "
            "are no UTF-8; rename the file, or pack its folder into an archive and add that"
        )


def _check(file: NewFile) -> None:
    check_path(file.path)
    if not _SHA256.fullmatch(file.sha256):
        raise InvalidInputError(f"{file.path}: {file.sha256!r} is no SHA-256; write 64 lower-case hexadecimal digits")
    if not 0 <= file.size_bytes < _TOO_LARGE:
        raise InvalidInputError(f"{file.path}: a file cannot have {file.size_bytes} bytes")


def _settle(connection: Connection, dataset_id: int, files: Sequence[NewFile], *, dataset: str) -> None:
    """Compares what was to be added with what is there now."""
    paths = FILES.c.path.in_([file.path for file in files])
    rows = connection.execute(select(FILES).where(FILES.c.dataset_id == dataset_id, paths))
    present = {row.path: row for row in rows}
    policies = {path: Policy.from_document(row.policy) for path, row in present.items() if row.policy}
    for file in files:
        row = present[file.path]
        if (row.sha256, row.size_bytes) != (file.sha256, file.size_bytes):
            raise ConflictError(_other_content(file, row, dataset=dataset))
        before = policies.get(file.path, Policy())
        policies[file.path] = combined((before, file.policy or Policy()))
        if policies[file.path] != before:
            change = FILES.update().where(FILES.c.id == row.id)
            connection.execute(change.values(policy=policies[file.path].to_document()))


def _other_content(file: NewFile, row: Row[Any], *, dataset: str) -> str:
    return (
        f"dataset://{dataset}/{file.path} is known with {row.size_bytes} bytes and sha256 {row.sha256}; the new file "
        f"has {file.size_bytes} bytes and {file.sha256}. Content never changes under a name: "
        "add the new file under another path or to another dataset"
    )


def where(connection: Connection, *clauses: ColumnElement[bool]) -> list[FileRecord]:
    """The files for which every clause holds, sorted by dataset and path."""
    columns = (*FILES.c, DATASETS.c.name.label("dataset"), DATASETS.c.policy.label("dataset_policy"))
    rows = connection.execute(select(*columns).join(DATASETS).where(*clauses))
    return sorted(map(_record, rows), key=lambda record: (record.dataset, record.path))


def _record(row: Row[Any]) -> FileRecord:
    return FileRecord(
        dataset=row.dataset,
        path=row.path,
        size_bytes=row.size_bytes,
        sha256=row.sha256,
        media_type=row.media_type,
        policy=_together(row.policy, row.dataset_policy),
    )


def within(connection: Connection, dataset_id: int, pattern: str | None = None) -> list[FileRecord]:
    """All files of the dataset, or those whose paths match the shell pattern."""
    if pattern is None:
        return where(connection, FILES.c.dataset_id == dataset_id)
    matches = compile_glob(pattern).fullmatch
    # SQLite's LIKE takes `A` for `a`: it only narrows, the pattern decides.
    near = FILES.c.path.startswith(literal_prefix(pattern), autoescape=True)
    return [file for file in where(connection, FILES.c.dataset_id == dataset_id, near) if matches(file.path)]


def at_path(connection: Connection, dataset_id: int, path: str) -> FileRecord | None:
    """The file of exactly this path."""
    found = where(connection, FILES.c.dataset_id == dataset_id, FILES.c.path == path)
    return found[0] if found else None


def meant_by(connection: Connection, dataset_id: int, path: str) -> list[FileRecord]:
    """The file of this path, or else the files below this folder, or else those that match this pattern."""
    exact = at_path(connection, dataset_id, path)
    if exact:
        return [exact]
    folder = path.rstrip("/") + "/"
    below = where(connection, FILES.c.dataset_id == dataset_id, FILES.c.path.startswith(folder, autoescape=True))
    inside = [file for file in below if file.path.startswith(folder)]
    return inside or (within(connection, dataset_id, path) if is_glob(path) else [])


def find_id(connection: Connection, dataset_id: int, path: str, *, dataset: str) -> int:
    """The file's row. Raises NotFoundError."""
    statement = select(FILES.c.id).where(FILES.c.dataset_id == dataset_id, FILES.c.path == path)
    found = connection.execute(statement).scalar_one_or_none()
    if found is None:
        raise unknown(connection, dataset_id, path, dataset=dataset)
    return int(found)


def ids_of(connection: Connection, dataset_id: int, paths: Iterable[str]) -> list[int]:
    """The rows of those paths that the dataset has."""
    return [
        int(row)
        for chunk in chunks(paths)
        for row in connection.execute(
            select(FILES.c.id).where(FILES.c.dataset_id == dataset_id, FILES.c.path.in_(chunk))
        ).scalars()
    ]


def unknown(connection: Connection, dataset_id: int, path: str, *, dataset: str) -> NotFoundError:
    """The error to raise when a dataset has nothing at `path`."""
    some = select(FILES.c.path).where(FILES.c.dataset_id == dataset_id).order_by(FILES.c.id).limit(_SUGGESTIONS_FROM)
    close = difflib.get_close_matches(path, connection.execute(some).scalars(), n=1)
    advice = f"did you mean {close[0]}?" if close else "list its files to see what there is"
    kind = "file that matches" if is_glob(path) else "file or folder"
    return NotFoundError(f"the dataset {dataset} has no {kind} {path!r}; {advice}")


def named_elsewhere(connection: Connection, sha256s: Iterable[str], *, outside: set[tuple[str, str]]) -> set[str]:
    """Those of the contents that some file has which is none of `outside`, as (dataset, path)."""
    return {
        file.sha256
        for chunk in chunks(sorted(set(sha256s)))
        for file in where(connection, FILES.c.sha256.in_(chunk))
        if (file.dataset, file.path) not in outside
    }


def policies(connection: Connection, sha256s: Iterable[str]) -> dict[str, Policy]:
    """What every owner of each content asks for it, under whatever names it is known."""
    wanted = sorted(set(sha256s))
    found: defaultdict[str, list[Policy]] = defaultdict(list)
    columns = (FILES.c.sha256, FILES.c.policy, DATASETS.c.policy.label("dataset_policy"))
    for chunk in chunks(wanted):
        for row in connection.execute(select(*columns).join(DATASETS).where(FILES.c.sha256.in_(chunk))):
            found[row.sha256].append(_together(row.policy, row.dataset_policy))
    return {sha256: combined(found[sha256]) for sha256 in wanted}


def _together(*documents: dict[str, Any] | None) -> Policy:
    return combined(Policy.from_document(document) for document in documents if document)


def _stored(policy: Policy | None) -> dict[str, Any] | None:
    return policy.to_document() if policy is not None and policy.restricted else None
