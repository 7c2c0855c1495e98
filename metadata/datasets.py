"""The rows of datasets."""

from __future__ import annotations

import difflib
import re
import time
from collections.abc import Iterable
from typing import Any

from metadata import attributes
from metadata.errors import ConflictError, InvalidInputError, NotFoundError
from metadata.globs import compile_glob
from metadata.policy import Policy
from metadata.records import DatasetRecord
from metadata.sessions import Session, document
from metadata.statements import among, insert_missing

# What a name in dataset://name/path may hold without being mistaken for a path, a pattern or a control character.
_NAME = re.compile(r"[^\W.][^\s/*?\[\x00-\x1f\x7f]*")
_SELECT = """
    SELECT id, name, description, policy, created_at,
        (SELECT count(*) FROM files WHERE files.dataset_id = datasets.id),
        (SELECT sum(size_bytes) FROM files WHERE files.dataset_id = datasets.id)
    FROM datasets WHERE """


def find_id(session: Session, name: str, *, lock: bool = False) -> int:
    """The dataset's row. `lock` keeps other writers of it out until the transaction ends. Raises NotFoundError."""
    question = "SELECT id FROM datasets WHERE name = :name" + (session.for_update if lock else "")
    for (found,) in session.tuples(question, name=name):
        return int(found)
    raise _unknown(session, name)


def ensure(session: Session, name: str, *, description: str | None, policy: Policy | None) -> int:
    """The dataset's row, made when new; None leaves what an existing one says.

    Raises InvalidInputError for a name that `dataset://` cannot carry, and ConflictError for another policy than
    the dataset has: adding files must not loosen it.
    """
    check_name(name)
    new = {"name": name, "description": description or "", "policy": stored(policy), "created_at": time.time()}
    insert_missing(session, "datasets", [new])
    # The lock makes the writers of one dataset wait for each other, and never in a circle over its files.
    [row] = session.rows("SELECT * FROM datasets WHERE name = :name" + session.for_update, name=name)
    check_policy(name, Policy.from_document(document(row["policy"])), policy)
    if description is not None and description != row["description"]:
        change = "UPDATE datasets SET description = :description WHERE id = :id"
        session.change(change, id=row["id"], description=description)
    return int(row["id"])


def exists(session: Session, name: str) -> bool:
    """Whether a dataset has this name."""
    return bool(session.tuples("SELECT id FROM datasets WHERE name = :name", name=name))


def check_name(name: str) -> None:
    """Returns when a dataset may be called so. Raises InvalidInputError."""
    if not _NAME.fullmatch(name):
        raise InvalidInputError(f"{name!r} cannot name a dataset; use letters, digits and . _ - without a slash")


def check_policy(name: str, present: Policy, asked: Policy | None) -> None:
    """Returns when files may be added with the policy that is asked for, or with none. Raises ConflictError."""
    if asked is not None and asked != present:
        raise ConflictError(
            f"the dataset {name} {present}, and the new files were given with: {asked}. "
            "Change the dataset's policy first, or leave the policy out"
        )


def set_policy(session: Session, name: str, policy: Policy | None) -> None:
    """Replaces the dataset's policy. Raises NotFoundError."""
    dataset_id = find_id(session, name)
    session.change("UPDATE datasets SET policy = :policy WHERE id = :id", id=dataset_id, policy=stored(policy))


def stored(policy: Policy | None) -> dict[str, Any] | None:
    """A policy as a column holds it: none at all for data that may go anywhere."""
    return policy.to_document() if policy is not None and policy.restricted else None


def names(session: Session, pattern: str | None = None) -> list[str]:
    """Names of all datasets, or of those that match the shell pattern; sorted."""
    found = session.tuples("SELECT name FROM datasets")
    return sorted(name for (name,) in found if pattern is None or compile_glob(pattern).fullmatch(name))


def named(session: Session, wanted: Iterable[str]) -> list[DatasetRecord]:
    """The datasets that have these names, sorted by name."""
    return _records(session, among(session, _SELECT + "name IN :each", wanted))


def where(session: Session, condition: str, **values: Any) -> list[DatasetRecord]:
    """The datasets for which the condition holds, sorted by name."""
    return _records(session, session.tuples(_SELECT + condition, **values))


def _records(session: Session, rows: Iterable[tuple[Any, ...]]) -> list[DatasetRecord]:
    ordered = sorted(rows, key=lambda row: str(row[1]))
    described = attributes.of_datasets(session, [row[0] for row in ordered])
    return [
        DatasetRecord(
            name=name, description=description, policy=Policy.from_document(document(policy)), created_at=created_at,
            attributes=described.get(dataset_id, {}), file_count=file_count,
            # PostgreSQL adds up to a Decimal, and nothing at all to NULL, as SQLite does.
            size_bytes=int(size_bytes or 0),
        )
        for dataset_id, name, description, policy, created_at, file_count, size_bytes in ordered
    ]  # fmt: skip


def _unknown(session: Session, name: str) -> NotFoundError:
    close = difflib.get_close_matches(name, names(session), n=1)
    advice = f"did you mean {close[0]}?" if close else "see what there is with: convoy data ls"
    return NotFoundError(f"no dataset is named {name!r}; {advice}")
