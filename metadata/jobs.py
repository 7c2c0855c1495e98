"""Jobs that people hand to sites themselves, outside any run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from metadata.errors import NotFoundError
from metadata.sessions import Sessions, document, insertion

Row = Mapping[str, Any]

_DOCUMENTS = ("resources", "attributes", "usage")
_OPEN = "state NOT IN ('COMPLETED', 'FAILED', 'CANCELED')"
# What a new job has unless its values say otherwise.
_FRESH = {
    "tag": "", "script": "", "native_id": "", "native_state": "", "node": "", "message": "", "claimed_until": 0.0,
}  # fmt: skip


class JobBook:
    """Every job has an owner, and for anybody else it does not exist."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def add(self, **values: Any) -> None:
        """A new job is written down."""
        new = _FRESH | values
        with self._sessions.writing() as session:
            session.change(insertion("jobs", new), **new)

    def job(self, owner: str, job_id: str) -> Row:
        """One job of the owner's, by its id or the beginning of it. Raises NotFoundError."""
        question = """
            SELECT * FROM jobs WHERE owner = :owner AND substr(id, 1, :length) = :begin ORDER BY id LIMIT 2
        """
        rows = self._read(question, owner=owner, begin=job_id, length=len(job_id))
        # An id may be the beginning of no other: all are equally long.
        if len(rows) != 1 or not job_id:
            reason = f"more than one job begins with {job_id!r}" if len(rows) > 1 else f"there is no job {job_id!r}"
            raise NotFoundError(f"{reason}; see: convoy job ls")
        return rows[0]

    def jobs(self, owner: str, *, site: str | None = None, tag: str | None = None, limit: int = 100) -> list[Row]:
        """The owner's jobs, the newest first."""
        wanted = {name: value for name, value in (("owner", owner), ("site", site), ("tag", tag)) if value is not None}
        conditions = " AND ".join(f"{name} = :{name}" for name in wanted)
        question = f"SELECT * FROM jobs WHERE {conditions} ORDER BY created_at DESC, id LIMIT :most"
        return self._read(question, most=limit, **wanted)

    def change(self, job_id: str, **values: Any) -> bool:
        """The job has these values. False, and nothing changes, when it had ended: an end is never taken back."""
        return self._write(f"id = :job_id AND {_OPEN}", values, job_id=job_id)

    def claim(self, job_id: str, *, now: float, until: float) -> bool:
        """True for the one process that may submit the job now; its site must not know the job yet."""
        free = f"id = :job_id AND {_OPEN} AND native_id = '' AND claimed_until <= :now"
        return self._write(free, {"claimed_until": until}, job_id=job_id, now=now)

    def keep_usage(self, job_id: str, usage: Mapping[str, Any]) -> None:
        """What the job used is known; the first answer stays."""
        self._write("id = :job_id AND usage IS NULL", {"usage": dict(usage)}, job_id=job_id)

    def remove(self, job_id: str) -> None:
        """The job is forgotten."""
        with self._sessions.writing() as session:
            session.change("DELETE FROM jobs WHERE id = :job_id", job_id=job_id)

    def _read(self, question: str, **values: Any) -> list[Row]:
        with self._sessions.reading() as session:
            rows = session.rows(question, **values)
        return [row | {name: document(row[name]) for name in _DOCUMENTS} for row in rows]

    def _write(self, condition: str, values: Mapping[str, Any], **others: Any) -> bool:
        settings = ", ".join(f"{name} = :{name}" for name in values)
        with self._sessions.writing() as session:
            return session.change(f"UPDATE jobs SET {settings} WHERE {condition}", **values, **others) == 1
