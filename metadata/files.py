"""The rows of files, and the policies that they carry."""

from __future__ import annotations

import difflib
import re
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any

from metadata.datasets import stored
from metadata.errors import ConflictError, InvalidInputError, NotFoundError
from metadata.globs import compile_glob, is_glob, literal_prefix
from metadata.policy import ANYWHERE, Policy, combined
from metadata.records import FileRecord, NewFile
from metadata.sessions import Row, Session, document
from metadata.statements import among, insert_missing

_SHA256 = re.compile(r"[0-9a-f]{64}")
# Databases refuse zero bytes and half characters; the others would break a listing's lines.
_UNUSABLE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_SUGGESTIONS_FROM = 2000
_TOO_LARGE = 2**63
_FROM = "FROM files JOIN datasets ON datasets.id = files.dataset_id"
# Policies as texts, of which few are different: each is read once.
_POLICIES = "CAST(files.policy AS TEXT), CAST(datasets.policy AS TEXT)"
_SELECT = f"""
    SELECT datasets.name, files.path, files.size_bytes, files.sha256, files.media_type, {_POLICIES} {_FROM} WHERE """
_RESTRICTED = f"""
    SELECT files.sha256, {_POLICIES} {_FROM}
    WHERE files.sha256 IN :each AND (files.policy IS NOT NULL OR datasets.policy IS NOT NULL)
"""
_OF_DATASET = "files.dataset_id = :dataset_id"
_BEGINS = "substr(files.path, 1, :length) = :prefix"


def add(session: Session, dataset_id: int, files: Iterable[NewFile], *, dataset: str) -> None:
    """Adds the files in one batch. One that is there with the same content stays, and keeps the stricter policy.

    Raises InvalidInputError for a path or hash that cannot be, ConflictError for a path that has other content.
    """
    added, now = list(files), time.time()
    rows = [_row(file, dataset_id=dataset_id, created_at=now) for file in added]
    if insert_missing(session, "files", rows) != len(rows):
        _settle(session, dataset_id, added, dataset=dataset)


def _row(file: NewFile, *, dataset_id: int, created_at: float) -> Row:
    _check(file)
    return {
        "dataset_id": dataset_id,
        "path": file.path,
        "size_bytes": file.size_bytes,
        "sha256": file.sha256,
        "media_type": file.media_type,
        "policy": stored(file.policy),
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


def _settle(session: Session, dataset_id: int, files: Sequence[NewFile], *, dataset: str) -> None:
    """Compares what was to be added with what is there now."""
    present = {row[1]: row for row in rows_of(session, dataset_id, [file.path for file in files])}
    policies = {path: Policy.from_document(document(row[4])) for path, row in present.items() if row[4]}
    for file in files:
        file_id, _, size_bytes, sha256, _ = present[file.path]
        if (sha256, size_bytes) != (file.sha256, file.size_bytes):
            raise ConflictError(_other_content(file, size_bytes=size_bytes, sha256=sha256, dataset=dataset))
        before = policies.get(file.path, Policy())
        policies[file.path] = combined((before, file.policy or Policy()))
        if policies[file.path] != before:
            set_policy(session, file_id, policies[file.path])


def _other_content(file: NewFile, *, size_bytes: int, sha256: str, dataset: str) -> str:
    return (
        f"dataset://{dataset}/{file.path} is known with {size_bytes} bytes and sha256 {sha256}; the new file "
        f"has {file.size_bytes} bytes and {file.sha256}. Content never changes under a name: "
        "add the new file under another path or to another dataset"
    )


def rows_of(session: Session, dataset_id: int, paths: Iterable[str]) -> list[tuple[Any, ...]]:
    """(id, path, size_bytes, sha256, policy) of those paths that the dataset has."""
    question = "SELECT id, path, size_bytes, sha256, policy FROM files WHERE dataset_id = :dataset_id AND path IN :each"
    return among(session, question, paths, dataset_id=dataset_id)


def set_policy(session: Session, file_id: int, policy: Policy) -> None:
    """Replaces what the file itself carries."""
    session.change("UPDATE files SET policy = :policy WHERE id = :id", id=file_id, policy=policy.to_document())


def where(session: Session, condition: str, **values: Any) -> list[FileRecord]:
    """The files for which the condition holds, sorted by dataset and path."""
    return _records(session.tuples(_SELECT + condition, **values))


def _records(rows: Iterable[tuple[Any, ...]]) -> list[FileRecord]:
    return [
        FileRecord(
            dataset=dataset, path=path, size_bytes=size_bytes, sha256=sha256, media_type=media_type,
            policy=_together(own, of_dataset),
        )
        for dataset, path, size_bytes, sha256, media_type, own, of_dataset in sorted(rows, key=itemgetter(0, 1))
    ]  # fmt: skip


def within(session: Session, dataset_id: int, pattern: str | None = None) -> list[FileRecord]:
    """All files of the dataset, or those whose paths match the shell pattern."""
    if pattern is None:
        return where(session, _OF_DATASET, dataset_id=dataset_id)
    matches = compile_glob(pattern).fullmatch
    return [file for file in _below(session, dataset_id, literal_prefix(pattern)) if matches(file.path)]


def _below(session: Session, dataset_id: int, prefix: str) -> list[FileRecord]:
    condition = f"{_OF_DATASET} AND {_BEGINS}"
    return where(session, condition, dataset_id=dataset_id, prefix=prefix, length=len(prefix))


def at_path(session: Session, dataset_id: int, path: str) -> FileRecord | None:
    """The file of exactly this path."""
    found = where(session, f"{_OF_DATASET} AND files.path = :path", dataset_id=dataset_id, path=path)
    return found[0] if found else None


def meant_by(session: Session, dataset_id: int, path: str) -> list[FileRecord]:
    """The file of this path, or else the files below this folder, or else those that match this pattern."""
    exact = at_path(session, dataset_id, path)
    if exact:
        return [exact]
    inside = _below(session, dataset_id, path.rstrip("/") + "/")
    return inside or (within(session, dataset_id, path) if is_glob(path) else [])


def find_id(session: Session, dataset_id: int, path: str, *, dataset: str) -> int:
    """The file's row. Raises NotFoundError."""
    for file_id, *_ in rows_of(session, dataset_id, [path]):
        return int(file_id)
    raise unknown(session, dataset_id, path, dataset=dataset)


def unknown(session: Session, dataset_id: int, path: str, *, dataset: str) -> NotFoundError:
    """The error to raise when a dataset has nothing at `path`."""
    question = "SELECT path FROM files WHERE dataset_id = :dataset_id ORDER BY id LIMIT :some"
    known = [name for (name,) in session.tuples(question, dataset_id=dataset_id, some=_SUGGESTIONS_FROM)]
    close = difflib.get_close_matches(path, known, n=1)
    advice = f"did you mean {close[0]}?" if close else "list its files to see what there is"
    kind = "file that matches" if is_glob(path) else "file or folder"
    return NotFoundError(f"the dataset {dataset} has no {kind} {path!r}; {advice}")


def named_elsewhere(session: Session, sha256s: Iterable[str], *, outside: set[tuple[str, str]]) -> set[str]:
    """Those of the contents that some file has which is none of `outside`, as (dataset, path)."""
    question = f"SELECT files.sha256, datasets.name, files.path {_FROM} WHERE files.sha256 IN :each"
    rows = among(session, question, set(sha256s))
    return {sha256 for sha256, *name in rows if tuple(name) not in outside}


def policies(session: Session, sha256s: Iterable[str]) -> dict[str, Policy]:
    """What every owner of each content asks for it, under whatever names it is known."""
    wanted = sorted(set(sha256s))
    found: defaultdict[str, list[Policy]] = defaultdict(list)
    for sha256, own, of_dataset in among(session, _RESTRICTED, wanted):
        found[sha256].append(_together(own, of_dataset))
    return dict.fromkeys(wanted, ANYWHERE) | {sha256: combined(asked) for sha256, asked in found.items()}


@lru_cache
def _together(*documents: str | None) -> Policy:
    return combined(Policy.from_document(document(text)) for text in documents if text)
