"""Names of files and datasets change and go; what they name stays where it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, delete, select, update

from metadata import datasets, files, pins
from metadata.errors import ConflictError
from metadata.policy import Policy, combined
from metadata.statements import chunks
from metadata.tables import ATTRIBUTES, DATASETS, FILES, RULES

_MOST_NAMED = 3


@dataclass(frozen=True, kw_only=True)
class Rename:
    """A file that shall have another name."""

    path: str
    """In the dataset that it leaves."""
    new_path: str


def rename_dataset(connection: Connection, name: str, new_name: str) -> None:
    """The dataset has its new name, in rules too. Raises NotFoundError, ConflictError or InvalidInputError."""
    dataset_id = datasets.find_id(connection, name, lock=True)
    datasets.check_name(new_name)
    if new_name != name and datasets.exists(connection, new_name):
        raise ConflictError(f"there is a dataset {new_name} already; nothing was renamed")
    connection.execute(update(DATASETS).where(DATASETS.c.id == dataset_id).values(name=new_name))
    for rule in connection.execute(select(RULES.c.id, RULES.c.target)).all():
        target, slash, path = rule.target.partition("/")
        if target == name:
            connection.execute(update(RULES).where(RULES.c.id == rule.id).values(target=new_name + slash + path))


def rename_files(connection: Connection, dataset: str, renames: Sequence[Rename], *, into: str) -> None:
    """The files have their new names in the dataset `into`, with their attributes, pins and policies; all or none.

    Raises NotFoundError, ConflictError where a name is taken, or InvalidInputError for one that cannot be.
    """
    source_id = datasets.find_id(connection, dataset, lock=True)
    target_id = datasets.ensure(connection, into, description=None, policy=None)
    rows = _rows(connection, source_id, renames, dataset=dataset)
    _check_free(connection, target_id, renames, into=into)
    for rename in renames:
        connection.execute(
            update(FILES).where(FILES.c.id == rows[rename.path].id).values(path=rename.new_path, dataset_id=target_id)
        )
    if source_id != target_id:
        _take_along(connection, rows.values(), source_id=source_id, target_id=target_id)


def _rows(connection: Connection, dataset_id: int, renames: Sequence[Rename], *, dataset: str) -> dict[str, Row[Any]]:
    found: dict[str, Row[Any]] = {}
    for chunk in chunks(renames):
        named = FILES.c.path.in_([rename.path for rename in chunk])
        question = select(FILES).where(FILES.c.dataset_id == dataset_id, named)
        found |= {row.path: row for row in connection.execute(question)}
    for rename in renames:
        if rename.path not in found:
            raise files.unknown(connection, dataset_id, rename.path, dataset=dataset)
    return found


def _check_free(connection: Connection, dataset_id: int, renames: Sequence[Rename], *, into: str) -> None:
    """No file has a name that is wanted, and no two want the same. Raises ConflictError."""
    wanted = [rename.new_path for rename in renames]
    for path in wanted:
        files.check_path(path)
    if len(set(wanted)) != len(wanted):
        double = sorted({path for path in wanted if wanted.count(path) > 1})
        raise ConflictError(f"two files would both be dataset://{into}/{double[0]}; nothing was renamed")
    taken = [
        path
        for chunk in chunks(wanted)
        for path in connection.execute(
            select(FILES.c.path).where(FILES.c.dataset_id == dataset_id, FILES.c.path.in_(chunk))
        ).scalars()
    ]
    if taken:
        raise ConflictError(f"{_listed(into, taken)} already there, and nothing is overwritten; nothing was renamed")


def _take_along(connection: Connection, rows: Any, *, source_id: int, target_id: int) -> None:
    """What was said of a whole dataset goes on for each file that leaves it: its policy and its pins."""
    taken = list(rows)
    policy = connection.execute(select(DATASETS.c.policy).where(DATASETS.c.id == source_id)).scalar_one()
    for row in taken if policy else ():
        kept = combined(Policy.from_document(document) for document in (policy, row.policy) if document)
        connection.execute(update(FILES).where(FILES.c.id == row.id).values(policy=kept.to_document()))
    for chunk in chunks([row.id for row in taken]):
        moved = update(ATTRIBUTES).where(ATTRIBUTES.c.file_id.in_(chunk))
        connection.execute(moved.values(dataset_id=target_id))
        pins.take_along(connection, chunk, source_id=source_id, target_id=target_id)


def remove_files(connection: Connection, dataset: str, paths: Sequence[str]) -> None:
    """The dataset has no such names any more. Raises NotFoundError, or ConflictError for one that is pinned."""
    dataset_id = datasets.find_id(connection, dataset, lock=True)
    rows = _rows(connection, dataset_id, [Rename(path=path, new_path=path) for path in paths], dataset=dataset)
    pinned = pins.pinned_files(connection, dataset_id, [row.id for row in rows.values()])
    if pinned:
        raise ConflictError(f"{_listed(dataset, pinned)} pinned; let go of it first with: convoy data unpin")
    for chunk in chunks([row.id for row in rows.values()]):
        connection.execute(delete(FILES).where(FILES.c.id.in_(chunk)))


def remove_dataset(connection: Connection, name: str) -> None:
    """The dataset and all its names are gone. Raises NotFoundError, or ConflictError when something is pinned."""
    dataset_id = datasets.find_id(connection, name, lock=True)
    if pins.any_of(connection, dataset_id):
        raise ConflictError(f"dataset://{name} is pinned, or some of its files are; see: convoy data pin --list {name}")
    connection.execute(delete(DATASETS).where(DATASETS.c.id == dataset_id))


def _listed(dataset: str, paths: Sequence[str]) -> str:
    shown = ", ".join(f"dataset://{dataset}/{path}" for path in sorted(paths)[:_MOST_NAMED])
    left = len(paths) - _MOST_NAMED
    return f"{shown} and {left} more are" if left > 0 else f"{shown} {'is' if len(paths) == 1 else 'are'}"
