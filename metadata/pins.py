"""The rows of pins: what nobody may take away."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, delete, exists, insert, or_, select, update

from metadata.records import PinRecord
from metadata.statements import chunks
from metadata.tables import DATASETS, FILES, PINS


def add(connection: Connection, dataset_id: int, file_ids: Sequence[int] | None, *, site: str) -> None:
    """The files, or the whole dataset when None, are pinned at the site, or everywhere. Once is enough."""
    remove(connection, dataset_id, file_ids, site=site)
    targets: Sequence[int | None] = [None] if file_ids is None else file_ids
    rows = [
        {"dataset_id": dataset_id, "file_id": target, "site": site, "created_at": time.time()} for target in targets
    ]
    if rows:
        connection.execute(insert(PINS), rows)


def remove(connection: Connection, dataset_id: int, file_ids: Sequence[int] | None, *, site: str) -> int:
    """The pins of exactly these files, or of the whole dataset, at exactly this site are gone; how many there were."""
    here = (PINS.c.dataset_id == dataset_id) & (PINS.c.site == site)
    if file_ids is None:
        return connection.execute(delete(PINS).where(here, PINS.c.file_id.is_(None))).rowcount
    return sum(
        connection.execute(delete(PINS).where(here, PINS.c.file_id.in_(chunk))).rowcount for chunk in chunks(file_ids)
    )


def listed(connection: Connection, dataset_id: int | None = None) -> list[PinRecord]:
    """All pins, or those of one dataset, sorted by name."""
    question = select(DATASETS.c.name.label("dataset"), FILES.c.path, PINS.c.site, PINS.c.created_at).select_from(
        PINS.join(DATASETS, PINS.c.dataset_id == DATASETS.c.id).outerjoin(FILES, PINS.c.file_id == FILES.c.id)
    )
    if dataset_id is not None:
        question = question.where(PINS.c.dataset_id == dataset_id)
    found = [
        PinRecord(dataset=row.dataset, path=row.path or "", site=row.site, created_at=row.created_at)
        for row in connection.execute(question)
    ]
    return sorted(found, key=lambda pin: (pin.dataset, pin.path, pin.site))


def any_of(connection: Connection, dataset_id: int) -> bool:
    """Whether the dataset, or anything in it, is pinned anywhere."""
    return bool(connection.execute(select(exists().where(PINS.c.dataset_id == dataset_id))).scalar_one())


def pinned_files(connection: Connection, dataset_id: int, file_ids: Sequence[int]) -> list[str]:
    """The paths of those files that are pinned, themselves or with their dataset."""
    found: list[str] = []
    for chunk in chunks(file_ids):
        whole = (PINS.c.file_id.is_(None)) & (PINS.c.dataset_id == FILES.c.dataset_id)
        pinned = exists().where(or_(PINS.c.file_id == FILES.c.id, whole))
        question = select(FILES.c.path).where(FILES.c.dataset_id == dataset_id, FILES.c.id.in_(chunk), pinned)
        found += connection.execute(question).scalars()
    return found


def sites(connection: Connection, sha256s: Iterable[str]) -> dict[str, frozenset[str]]:
    """The sites where each pinned content must stay, under whatever name it is pinned; "" stands for everywhere."""
    found: dict[str, set[str]] = {}
    whole = (PINS.c.file_id.is_(None)) & (PINS.c.dataset_id == FILES.c.dataset_id)
    for chunk in chunks(set(sha256s)):
        question = select(FILES.c.sha256, PINS.c.site).join(PINS, or_(PINS.c.file_id == FILES.c.id, whole))
        for row in connection.execute(question.where(FILES.c.sha256.in_(chunk))):
            found.setdefault(row.sha256, set()).add(row.site)
    return {sha256: frozenset(places) for sha256, places in found.items()}


def take_along(connection: Connection, file_ids: Sequence[int], *, source_id: int, target_id: int) -> None:
    """The files' pins go with them to another dataset, and what was pinned with the first one is pinned by itself."""
    connection.execute(update(PINS).where(PINS.c.file_id.in_(file_ids)).values(dataset_id=target_id))
    whole = select(PINS.c.site).where(PINS.c.dataset_id == source_id, PINS.c.file_id.is_(None))
    for site in connection.execute(whole).scalars().all():
        add(connection, target_id, file_ids, site=site)
