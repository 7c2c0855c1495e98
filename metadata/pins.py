"""The rows of pins: what nobody may take away."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any

from metadata.records import PinRecord
from metadata.sessions import Session, insertion
from metadata.statements import among

_COLUMNS = ("dataset_id", "file_id", "site", "created_at")
# A file is pinned by itself, or with its dataset.
_OF_FILES = "(pins.file_id = files.id OR (pins.file_id IS NULL AND pins.dataset_id = files.dataset_id))"
_LISTED = """
    SELECT datasets.name AS dataset, coalesce(files.path, '') AS path, pins.site, pins.created_at
    FROM pins JOIN datasets ON datasets.id = pins.dataset_id LEFT JOIN files ON files.id = pins.file_id
"""


def add(session: Session, dataset_id: int, file_ids: Sequence[int] | None, *, site: str) -> None:
    """The files, or the whole dataset when None, are pinned at the site, or everywhere. Once is enough."""
    remove(session, dataset_id, file_ids, site=site)
    targets: Sequence[int | None] = [None] if file_ids is None else file_ids
    now = time.time()
    rows = [{"dataset_id": dataset_id, "file_id": target, "site": site, "created_at": now} for target in targets]
    session.change_each(insertion("pins", _COLUMNS), rows)


def remove(session: Session, dataset_id: int, file_ids: Sequence[int] | None, *, site: str) -> int:
    """The pins of exactly these files, or of the whole dataset, at exactly this site are gone; how many there were."""
    here = "DELETE FROM pins WHERE dataset_id = :dataset_id AND site = :site"
    if file_ids is None:
        return session.change(f"{here} AND file_id IS NULL", dataset_id=dataset_id, site=site)
    rows = [{"dataset_id": dataset_id, "site": site, "file_id": file_id} for file_id in file_ids]
    return session.change_each(f"{here} AND file_id = :file_id", rows)


def listed(session: Session, dataset_id: int | None = None) -> list[PinRecord]:
    """All pins, or those of one dataset, sorted by name."""
    of_one: dict[str, Any] = {} if dataset_id is None else {"dataset_id": dataset_id}
    rows = session.rows(_LISTED + ("WHERE pins.dataset_id = :dataset_id" if of_one else ""), **of_one)
    return sorted((PinRecord(**row) for row in rows), key=lambda pin: (pin.dataset, pin.path, pin.site))


def any_of(session: Session, dataset_id: int) -> bool:
    """Whether the dataset, or anything in it, is pinned anywhere."""
    return bool(session.tuples("SELECT 1 FROM pins WHERE dataset_id = :dataset_id LIMIT 1", dataset_id=dataset_id))


def pinned_files(session: Session, dataset_id: int, file_ids: Iterable[int]) -> list[str]:
    """The paths of those files that are pinned, themselves or with their dataset."""
    question = f"""
        SELECT path FROM files
        WHERE dataset_id = :dataset_id AND id IN :each AND EXISTS (SELECT 1 FROM pins WHERE {_OF_FILES})
    """
    return [path for (path,) in among(session, question, file_ids, dataset_id=dataset_id)]


def sites(session: Session, sha256s: Iterable[str]) -> dict[str, frozenset[str]]:
    """The sites where each pinned content must stay, under whatever name it is pinned; "" stands for everywhere."""
    found: dict[str, set[str]] = {}
    question = f"SELECT files.sha256, pins.site FROM files JOIN pins ON {_OF_FILES} WHERE files.sha256 IN :each"
    for sha256, site in among(session, question, set(sha256s)):
        found.setdefault(sha256, set()).add(site)
    return {sha256: frozenset(places) for sha256, places in found.items()}


def take_along(session: Session, file_ids: Sequence[int], *, source_id: int, target_id: int) -> None:
    """The files' pins go with them to another dataset, and what was pinned with the first one is pinned by itself."""
    moved = [{"file_id": file_id, "dataset_id": target_id} for file_id in file_ids]
    session.change_each("UPDATE pins SET dataset_id = :dataset_id WHERE file_id = :file_id", moved)
    whole = "SELECT site FROM pins WHERE dataset_id = :dataset_id AND file_id IS NULL"
    for (site,) in session.tuples(whole, dataset_id=source_id):
        add(session, target_id, file_ids, site=site)
