"""Names of files and datasets change and go; what they name stays where it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from metadata import datasets, files, pins
from metadata.errors import ConflictError
from metadata.policy import Policy, combined
from metadata.sessions import Session, document

_MOST_NAMED = 3

_Rows = Mapping[str, tuple[int, Any]]
"""Path -> (id, policy)."""


@dataclass(frozen=True, kw_only=True)
class Rename:
    """A file that shall have another name."""

    path: str
    """In the dataset that it leaves."""
    new_path: str


def rename_dataset(session: Session, name: str, new_name: str) -> None:
    """The dataset has its new name, in rules too. Raises NotFoundError, ConflictError or InvalidInputError."""
    dataset_id = datasets.find_id(session, name, lock=True)
    datasets.check_name(new_name)
    if new_name != name and datasets.exists(session, new_name):
        raise ConflictError(f"there is a dataset {new_name} already; nothing was renamed")
    session.change("UPDATE datasets SET name = :name WHERE id = :id", id=dataset_id, name=new_name)
    for rule_id, pattern in session.tuples("SELECT id, target FROM rules"):
        target, slash, path = pattern.partition("/")
        if target == name:
            renamed = new_name + slash + path
            session.change("UPDATE rules SET target = :target WHERE id = :id", id=rule_id, target=renamed)


def rename_files(session: Session, dataset: str, renames: Sequence[Rename], *, into: str) -> None:
    """The files have their new names in the dataset `into`, with their attributes, pins and policies.

    Raises NotFoundError, ConflictError where a name is taken, or InvalidInputError for one that cannot be.
    """
    source_id = datasets.find_id(session, dataset, lock=True)
    target_id = datasets.ensure(session, into, description=None, policy=None)
    rows = _rows(session, source_id, [rename.path for rename in renames], dataset=dataset)
    _check_free(session, target_id, renames, into=into)
    moved = [{"id": rows[rename.path][0], "path": rename.new_path, "dataset_id": target_id} for rename in renames]
    session.change_each("UPDATE files SET path = :path, dataset_id = :dataset_id WHERE id = :id", moved)
    if source_id != target_id:
        _take_along(session, rows, source_id=source_id, target_id=target_id)


def _rows(session: Session, dataset_id: int, paths: Sequence[str], *, dataset: str) -> _Rows:
    found = {path: (int(file_id), policy) for file_id, path, *_, policy in files.rows_of(session, dataset_id, paths)}
    for path in paths:
        if path not in found:
            raise files.unknown(session, dataset_id, path, dataset=dataset)
    return found


def _check_free(session: Session, dataset_id: int, renames: Sequence[Rename], *, into: str) -> None:
    """No file has a name that is wanted, and no two want the same. Raises ConflictError."""
    wanted = [rename.new_path for rename in renames]
    for path in wanted:
        files.check_path(path)
    if len(set(wanted)) != len(wanted):
        double = min(path for path, times in Counter(wanted).items() if times > 1)
        raise ConflictError(f"two files would both be dataset://{into}/{double}; nothing was renamed")
    taken = [path for _, path, *_ in files.rows_of(session, dataset_id, wanted)]
    if taken:
        raise ConflictError(f"{_listed(into, taken)} already there, and nothing is overwritten; nothing was renamed")


def _take_along(session: Session, rows: _Rows, *, source_id: int, target_id: int) -> None:
    """What was said of a whole dataset goes on for each file that leaves it: its policy and its pins."""
    [(stored,)] = session.tuples("SELECT policy FROM datasets WHERE id = :id", id=source_id)
    policy = Policy.from_document(document(stored))
    for file_id, own in rows.values() if policy.restricted else ():
        files.set_policy(session, file_id, combined((policy, Policy.from_document(document(own)))))
    ids = [file_id for file_id, _ in rows.values()]
    moved = [{"file_id": file_id, "dataset_id": target_id} for file_id in ids]
    session.change_each("UPDATE attributes SET dataset_id = :dataset_id WHERE file_id = :file_id", moved)
    pins.take_along(session, ids, source_id=source_id, target_id=target_id)


def remove_files(session: Session, dataset: str, paths: Sequence[str]) -> None:
    """The dataset has no such names any more. Raises NotFoundError, or ConflictError for one that is pinned."""
    dataset_id = datasets.find_id(session, dataset, lock=True)
    ids = [file_id for file_id, _ in _rows(session, dataset_id, paths, dataset=dataset).values()]
    pinned = pins.pinned_files(session, dataset_id, ids)
    if pinned:
        raise ConflictError(f"{_listed(dataset, pinned)} pinned; let go of it first with: convoy data unpin")
    session.change_each("DELETE FROM files WHERE id = :id", [{"id": file_id} for file_id in ids])


def remove_dataset(session: Session, name: str, *, paths: Collection[str]) -> None:
    """The dataset and these names in it are gone; it stays with others that it has, as those that came meanwhile.

    Raises NotFoundError, or ConflictError when something is pinned.
    """
    dataset_id = datasets.find_id(session, name, lock=True)
    if pins.any_of(session, dataset_id):
        raise ConflictError(f"dataset://{name} is pinned, or some of its files are; see: convoy data pin --list {name}")
    session.change_each(
        "DELETE FROM files WHERE dataset_id = :id AND path = :path",
        [{"id": dataset_id, "path": path} for path in paths],
    )
    empty = "DELETE FROM datasets WHERE id = :id AND NOT EXISTS (SELECT 1 FROM files WHERE dataset_id = :id)"
    session.change(empty, id=dataset_id)


def _listed(dataset: str, paths: Sequence[str]) -> str:
    shown = ", ".join(f"dataset://{dataset}/{path}" for path in sorted(paths)[:_MOST_NAMED])
    left = len(paths) - _MOST_NAMED
    return f"{shown} and {left} more are" if left > 0 else f"{shown} {'is' if len(paths) == 1 else 'are'}"
