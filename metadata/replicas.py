"""The rows of replicas: which content lies at which path of which site."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from metadata.errors import ConflictError
from metadata.records import ReplicaRecord
from metadata.sessions import Session
from metadata.statements import among, upsert

_SELECT = f"SELECT {', '.join(field.name for field in dataclasses.fields(ReplicaRecord))} FROM replicas WHERE "
# Half characters stand for bytes that are no UTF-8.
_HALF = re.compile(r"[\ud800-\udfff]")


def add(session: Session, records: Iterable[ReplicaRecord]) -> None:
    """Notes the copies in one batch; the newest word on a path of a site replaces the older one."""
    # One order for all writers, so that two of them wait for each other and never in a circle.
    ordered = sorted(records, key=_place)
    upsert(session, "replicas", [vars(record) for record in ordered], key=("site", "path"))


def refresh(session: Session, records: Iterable[ReplicaRecord]) -> None:
    """Notes time, inode and verification of copies that are known, and of no other."""
    change = """
        UPDATE replicas SET modified_ns = :modified_ns, inode = :inode, verified_at = :verified_at
        WHERE site = :site AND path = :path AND sha256 = :sha256
    """
    names = ("modified_ns", "inode", "verified_at", "site", "path", "sha256")
    rows = [{name: getattr(record, name) for name in names} for record in sorted(records, key=_place)]
    session.change_each(change, rows)


def check_lying(session: Session, named: Mapping[str, str], sites: Collection[str]) -> None:
    """Returns when each content, named for people by its hash, is known to lie at all of the sites.

    Whoever lets go of it meanwhile waits until the transaction ends. Raises ConflictError.
    """
    question = "SELECT sha256, site FROM replicas WHERE sha256 IN :each" + session.for_update
    known = set(among(session, question, sorted(named)))
    for sha256, name in named.items():
        for site in sites:
            if (sha256, site) not in known:
                raise ConflictError(f"{name} was taken away from {site} before it had its name; bring it again")


def of(session: Session, sha256s: Iterable[str]) -> dict[str, list[ReplicaRecord]]:
    """Every known copy of each content, sorted by site and path; an empty list where there is none."""
    found: dict[str, list[ReplicaRecord]] = {sha256: [] for sha256 in sha256s}
    for record in _records(among(session, _SELECT + "sha256 IN :each", found)):
        found[record.sha256].append(record)
    for records in found.values():
        if len(records) > 1:
            records.sort(key=_place)
    return found


def is_storable(path: str) -> bool:
    """Whether a database can hold the path: one that is no UTF-8 is known to nobody."""
    return _HALF.search(path) is None


def move(session: Session, *, site: str, pairs: Iterable[tuple[str, str]]) -> None:
    """Copies that lay at the first path of a pair are known at the second, and nothing else is."""
    for old, new in pairs:
        session.change("DELETE FROM replicas WHERE site = :site AND path = :new", site=site, new=new)
        here = "UPDATE replicas SET path = :new WHERE site = :site AND path = :old"
        if is_storable(old):
            session.change(here, site=site, new=new, old=old)


def remove(session: Session, *, site: str, pairs: Iterable[tuple[str, str]]) -> None:
    """Forgets the copies at these paths, as (path, sha256); what is known of a path since with another hash stays."""
    rows = [{"site": site, "path": path, "sha256": sha256} for path, sha256 in sorted(pairs)]
    session.change_each("DELETE FROM replicas WHERE site = :site AND path = :path AND sha256 = :sha256", rows)


def at(session: Session, *, site: str, paths: Iterable[str]) -> dict[str, ReplicaRecord]:
    """What is known to lie at these paths; one of which nothing is known is absent."""
    rows = among(session, _SELECT + "site = :site AND path IN :each", filter(is_storable, paths), site=site)
    return {record.path: record for record in _records(rows)}


def _records(rows: Iterable[tuple[Any, ...]]) -> list[ReplicaRecord]:
    return [
        ReplicaRecord(
            sha256=sha256, size_bytes=size_bytes, site=site, path=path,
            modified_ns=modified_ns, inode=inode, verified_at=verified_at,
        )
        for sha256, size_bytes, site, path, modified_ns, inode, verified_at in rows
    ]  # fmt: skip


def _place(record: ReplicaRecord) -> tuple[str, str]:
    return record.site, record.path
