"""Jobs that people hand to sites themselves, outside any run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, Engine, delete, insert, select, update

from metadata.errors import NotFoundError
from metadata.tables import JOBS

Row = Mapping[str, Any]

_FINAL = ("COMPLETED", "FAILED", "CANCELED")
_OPEN = JOBS.c.state.not_in(_FINAL)


class JobBook:
    """Every job has an owner, and for anybody else it does not exist."""

    def __init__(self, engine: Engine) -> None:
        self._writer = engine.execution_options(writing=True)
        self._reader = engine

    def add(self, **values: Any) -> None:
        """A new job is written down."""
        with self._writer.begin() as connection:
            connection.execute(insert(JOBS), [values])

    def job(self, owner: str, job_id: str) -> Row:
        """One job of the owner's, by its id or the beginning of it. Raises NotFoundError."""
        named = JOBS.c.id.startswith(job_id, autoescape=True)
        with self._reader.connect() as connection:
            question = select(JOBS).where(JOBS.c.owner == owner, named).limit(2)
            rows = connection.execute(question.order_by(JOBS.c.id)).mappings().all()
        # An id may be the beginning of no other: all are equally long.
        if len(rows) != 1 or not job_id:
            reason = f"more than one job begins with {job_id!r}" if len(rows) > 1 else f"there is no job {job_id!r}"
            raise NotFoundError(f"{reason}; see: convoy job ls")
        return dict(rows[0])

    def jobs(self, owner: str, *, site: str | None = None, tag: str | None = None, limit: int = 100) -> list[Row]:
        """The owner's jobs, the newest first."""
        wanted: list[ColumnElement[bool]] = [JOBS.c.owner == owner]
        wanted += [JOBS.c.site == site] if site is not None else []
        wanted += [JOBS.c.tag == tag] if tag is not None else []
        question = select(JOBS).where(*wanted).order_by(JOBS.c.created_at.desc(), JOBS.c.id).limit(limit)
        with self._reader.connect() as connection:
            return [dict(row) for row in connection.execute(question).mappings()]

    def change(self, job_id: str, **values: Any) -> bool:
        """The job has these values. False, and nothing changes, when it had ended: an end is never taken back."""
        return self._write(JOBS.c.id == job_id, _OPEN, **values)

    def claim(self, job_id: str, *, now: float, until: float) -> bool:
        """True for the one process that may submit the job now; its site must not know the job yet."""
        return self._write(
            JOBS.c.id == job_id, _OPEN, JOBS.c.native_id == "", JOBS.c.claimed_until <= now, claimed_until=until
        )

    def keep_usage(self, job_id: str, usage: Mapping[str, Any]) -> None:
        """What the job used is known; the first answer stays."""
        self._write(JOBS.c.id == job_id, JOBS.c.usage.is_(None), usage=dict(usage))

    def remove(self, job_id: str) -> None:
        """The job is forgotten."""
        with self._writer.begin() as connection:
            connection.execute(delete(JOBS).where(JOBS.c.id == job_id))

    def _write(self, *conditions: ColumnElement[bool], **values: Any) -> bool:
        with self._writer.begin() as connection:
            return connection.execute(update(JOBS).where(*conditions).values(**values)).rowcount == 1
