"""The rows of replicas: which content lies at which path of which site."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, select, update

from metadata.records import ReplicaRecord
from metadata.statements import chunks, upsert
from metadata.tables import REPLICAS

_NAMES = [field.name for field in dataclasses.fields(ReplicaRecord)]
_COLUMNS = [REPLICAS.c[name] for name in _NAMES]


def add(connection: Connection, records: Iterable[ReplicaRecord]) -> None:
    """Notes the copies in one batch; the newest word on a path of a site replaces the older one."""
    # One order for all writers, so that two of them wait for each other and never in a circle.
    ordered = sorted(records, key=lambda record: (record.site, record.path))
    upsert(connection, REPLICAS, [vars(record) for record in ordered], key=("site", "path"))


def of(connection: Connection, sha256s: Iterable[str]) -> dict[str, list[ReplicaRecord]]:
    """Every known copy of each content, sorted by site and path; an empty list where there is none."""
    found: dict[str, list[ReplicaRecord]] = {sha256: [] for sha256 in sha256s}
    for chunk in chunks(found):
        for row in connection.execute(select(*_COLUMNS).where(REPLICAS.c.sha256.in_(chunk))):
            found[row.sha256].append(_record(row))
    for records in found.values():
        records.sort(key=lambda record: (record.site, record.path))
    return found


def move(connection: Connection, *, site: str, pairs: Iterable[tuple[str, str]]) -> None:
    """Copies that lay at the first path of a pair are known at the second, and nothing else is."""
    for old, new in pairs:
        connection.execute(delete(REPLICAS).where(REPLICAS.c.site == site, REPLICAS.c.path == new))
        here = (REPLICAS.c.site == site) & (REPLICAS.c.path == old)
        connection.execute(update(REPLICAS).where(here).values(path=new))


def remove(connection: Connection, *, site: str, pairs: Iterable[tuple[str, str]]) -> None:
    """Forgets the copies at these paths, as (path, sha256); what is known of a path since with another hash stays."""
    rows = [{"at": path, "hash": sha256} for path, sha256 in sorted(pairs)]
    here = (REPLICAS.c.site == site) & (REPLICAS.c.path == bindparam("at")) & (REPLICAS.c.sha256 == bindparam("hash"))
    if rows:
        connection.execute(delete(REPLICAS).where(here), rows)


def at(connection: Connection, *, site: str, paths: Iterable[str]) -> dict[str, ReplicaRecord]:
    """What is known to lie at these paths; one of which nothing is known is absent."""
    found: dict[str, ReplicaRecord] = {}
    for chunk in chunks(paths):
        statement = select(*_COLUMNS).where(REPLICAS.c.site == site, REPLICAS.c.path.in_(chunk))
        found |= {row.path: _record(row) for row in connection.execute(statement)}
    return found


def _record(row: Row[Any]) -> ReplicaRecord:
    return ReplicaRecord(**dict(zip(_NAMES, row, strict=True)))
