"""Makes sure that one engine at most acts on a database."""

from __future__ import annotations

import time
import uuid
from typing import Self

from metadata.errors import EngineBusyError
from metadata.holders import lives, this_process
from metadata.sessions import Row, Sessions, insertion

_PATIENCE_S = 0.5

_COLUMNS = ("id", "holder", "host", "pid", "process_started_at", "heartbeat_at")
_BEGIN = f"{insertion('leases', _COLUMNS)} ON CONFLICT DO NOTHING"
_INHERIT = """
    UPDATE leases SET holder = :holder, host = :host, pid = :pid, process_started_at = :process_started_at,
        heartbeat_at = :heartbeat_at
    WHERE holder = :dead
"""
_RENEW = "UPDATE leases SET heartbeat_at = :now WHERE holder = :holder"


class EngineLease:
    """The right to act on a database, held while the `with` block lasts."""

    def __init__(self, sessions: Sessions, *, wait_s: float = 0.0) -> None:
        self._sessions = sessions
        self._wait_s = wait_s
        self.holder = uuid.uuid4().hex
        """Names this lease in the database."""

    def __enter__(self) -> Self:
        """Raises EngineBusyError when another engine acts and `wait_s` is over."""
        deadline = time.monotonic() + self._wait_s
        while (other := self._try()) is not None:
            if time.monotonic() >= deadline:
                raise EngineBusyError(
                    f"another engine (process {other['pid']} on {other['host']}) works on this database; "
                    "wait for it with --wait, or watch its runs with: convoy show",
                    retry_after_s=_PATIENCE_S,
                )
            time.sleep(_PATIENCE_S)
        return self

    def __exit__(self, *_: object) -> None:
        with self._sessions.writing() as session:
            session.change("DELETE FROM leases WHERE holder = :holder", holder=self.holder)

    def renew(self) -> bool:
        """False when the lease was lost: the engine must stop at once."""
        with self._sessions.writing() as session:
            return session.change(_RENEW, now=time.time(), holder=self.holder) == 1

    def _try(self) -> Row | None:
        """Takes the lease and returns None, or returns who has it."""
        row = _row(self._sessions)
        if row is not None and lives(row):
            return row
        return None if self._take(row["holder"] if row else None) else row or {"pid": "?", "host": "?"}

    def _take(self, dead: str | None) -> bool:
        """False when somebody else was quicker: only the very row that was found dead may be replaced."""
        mine = {"holder": self.holder, **this_process()}
        with self._sessions.writing() as session:
            taken = session.change(_INHERIT, **mine, dead=dead) if dead else session.change(_BEGIN, id=1, **mine)
        return taken == 1


def holder_of(sessions: Sessions) -> Row | None:
    """The engine that acts on the database now, if one does."""
    row = _row(sessions)
    return row if row is not None and lives(row) else None


def _row(sessions: Sessions) -> Row | None:
    with sessions.reading() as session:
        return next(iter(session.rows("SELECT * FROM leases")), None)
