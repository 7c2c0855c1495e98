"""The rows of datasets."""

from __future__ import annotations

import difflib
import re
import time
from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, func, select

from metadata import attributes
from metadata.errors import ConflictError, InvalidInputError, NotFoundError
from metadata.globs import compile_glob
from metadata.policy import Policy
from metadata.records import DatasetRecord
from metadata.statements import chunks, insert_missing
from metadata.tables import DATASETS, FILES

# What a name in dataset://name/path may hold without being mistaken for a path, a pattern or a control character.
_NAME = re.compile(r"[^\W.][^\s/*?\[\x00-\x1f\x7f]*")


def find_id(connection: Connection, name: str, *, lock: bool = False) -> int:
    """The dataset's row. `lock` keeps other writers of it out until the transaction ends. Raises NotFoundError."""
    statement = select(DATASETS.c.id).where(DATASETS.c.name == name)
    found = connection.execute(statement.with_for_update() if lock else statement).scalar_one_or_none()
    if found is None:
        raise _unknown(connection, name)
    return int(found)


def ensure(connection: Connection, name: str, *, description: str | None, policy: Policy | None) -> int:
    """The dataset's row, made when new; None leaves what an existing one says.

    Raises InvalidInputError for a name that `dataset://` cannot carry, and ConflictError for another policy than
    the dataset has: adding files must not loosen it.
    """
    check_name(name)
    new = {"name": name, "description": description or "", "policy": _stored(policy), "created_at": time.time()}
    insert_missing(connection, DATASETS, [new])
    # The lock makes the writers of one dataset wait for each other, and never in a circle over its files.
    row = connection.execute(select(DATASETS).where(DATASETS.c.name == name).with_for_update()).one()
    present = Policy.from_document(row.policy)
    if policy is not None and policy != present:
        raise ConflictError(
            f"the dataset {name} {present}, and the new files were given with: {policy}. "
            "Change the dataset's policy first, or leave the policy out"
        )
    if description is not None and description != row.description:
        connection.execute(DATASETS.update().where(DATASETS.c.id == row.id).values(description=description))
    return int(row.id)


def exists(connection: Connection, name: str) -> bool:
    """Whether a dataset has this name."""
    return connection.execute(select(DATASETS.c.id).where(DATASETS.c.name == name)).first() is not None


def check_name(name: str) -> None:
    """Returns when a dataset may be called so. Raises InvalidInputError."""
    if not _NAME.fullmatch(name):
        raise InvalidInputError(f"{name!r} cannot name a dataset; use letters, digits and . _ - without a slash")


def set_policy(connection: Connection, name: str, policy: Policy | None) -> None:
    """Replaces the dataset's policy. Raises NotFoundError."""
    change = DATASETS.update().where(DATASETS.c.id == find_id(connection, name))
    connection.execute(change.values(policy=_stored(policy)))


def names(connection: Connection, pattern: str | None = None) -> list[str]:
    """Names of all datasets, or of those that match the shell pattern; sorted."""
    found = connection.execute(select(DATASETS.c.name)).scalars()
    return sorted(name for name in found if pattern is None or compile_glob(pattern).fullmatch(name))


def named(connection: Connection, wanted: Sequence[str]) -> list[DatasetRecord]:
    """The datasets that have these names, sorted by name."""
    return [record for chunk in chunks(sorted(wanted)) for record in where(connection, DATASETS.c.name.in_(chunk))]


def where(connection: Connection, *clauses: ColumnElement[bool]) -> list[DatasetRecord]:
    """The datasets for which every clause holds, sorted by name."""
    of_it = FILES.c.dataset_id == DATASETS.c.id
    count = select(func.count()).select_from(FILES).where(of_it).scalar_subquery()
    size = select(func.coalesce(func.sum(FILES.c.size_bytes), 0)).where(of_it).scalar_subquery()
    statement = select(DATASETS, count.label("file_count"), size.label("size_bytes")).where(*clauses)
    rows = connection.execute(statement).all()
    described = attributes.of_datasets(connection, [row.id for row in rows])
    return sorted((_record(row, described.get(row.id, {})) for row in rows), key=lambda record: record.name)


def _record(row: Row[Any], described: dict[str, Any]) -> DatasetRecord:
    return DatasetRecord(
        name=row.name,
        description=row.description,
        policy=Policy.from_document(row.policy),
        attributes=described,
        file_count=row.file_count,
        # PostgreSQL adds up to a Decimal.
        size_bytes=int(row.size_bytes),
        created_at=row.created_at,
    )


def _stored(policy: Policy | None) -> dict[str, Any] | None:
    return policy.to_document() if policy is not None and policy.restricted else None


def _unknown(connection: Connection, name: str) -> NotFoundError:
    close = difflib.get_close_matches(name, names(connection), n=1)
    advice = f"did you mean {close[0]}?" if close else "List what there is by `Catalogue.datasets`, or add files to it"
    return NotFoundError(f"no dataset is named {name!r}; {advice}")
