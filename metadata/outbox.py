"""Messages to others that nobody has taken yet, and what became of them."""

from __future__ import annotations

import time

from metadata.sessions import Row, Sessions, insertion

MOST_AT_ONCE = 100

_TROUBLE = """
    UPDATE messages SET tries = tries + 1, not_before = :not_before, trouble = :trouble WHERE id = :id
"""
_TOLD = insertion("events", ("run_id", "at", "kind", "subject", "message"))


class Outbox:
    """The pending messages of a database. The engine adds them, with the events that they tell of."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def pending(self, *, limit: int = MOST_AT_ONCE) -> list[Row]:
        """The oldest first."""
        with self._sessions.reading() as session:
            return session.rows("SELECT * FROM messages ORDER BY id LIMIT :most", most=limit)

    def note_trouble(self, message: Row, trouble: str, *, wait_s: float) -> None:
        """It was not taken, and waits for so long."""
        with self._sessions.writing() as session:
            session.change(_TROUBLE, id=message["id"], not_before=time.time() + wait_s, trouble=trouble)

    def settle(self, message: Row, kind: str, told: str) -> None:
        """It is pending no more; the run's story says why, as an event of this kind."""
        event = {"run_id": message["run_id"], "at": time.time(), "kind": kind, "subject": message["id"]}
        with self._sessions.writing() as session:
            if session.change("DELETE FROM messages WHERE id = :id", id=message["id"]) == 1:
                session.change(_TOLD, **event, message=told)
