"""Bytes that verbs on data bring to places: what other processes see of it."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from typing import Any

from metadata.holders import lives, this_process
from metadata.sessions import Row, Sessions, insertion

_KEPT_S = 7 * 86400.0
"""Those of which nothing was heard for so long are forgotten."""

_COLUMNS = (
    "id", "name", "source_site", "destination_site", "files", "size_bytes", "bytes_done", "state", "message", "host",
    "pid", "process_started_at", "heartbeat_at", "created_at",
)  # fmt: skip
_BEGIN = insertion("shipments", _COLUMNS)
_OPEN = "SELECT * FROM shipments WHERE ended_at IS NULL ORDER BY created_at"
_ENDED = "SELECT * FROM shipments WHERE ended_at IS NOT NULL ORDER BY ended_at DESC LIMIT :most"


class Shipments:
    """All shipments of a database."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def begin(self, **facts: Any) -> str:
        """A shipment of this process is known, with `name`, sites, `files` and `size_bytes`. Returns its id."""
        now, shipment = time.time(), f"data-{secrets.token_hex(3)}"
        mine = {"id": shipment, "state": "ACTIVE", "created_at": now, **this_process()}
        with self._sessions.writing() as session:
            session.change("DELETE FROM shipments WHERE heartbeat_at < :then", then=now - _KEPT_S)
            session.change(_BEGIN, **{**facts, "name": _storable(facts["name"])}, **mine)
        return shipment

    def note(self, shipment: str, **values: Any) -> None:
        """The shipment has these values, and its process is alive."""
        settings = ", ".join(f"{name} = :{name}" for name in ("heartbeat_at", *values))
        with self._sessions.writing() as session:
            statement = f"UPDATE shipments SET {settings} WHERE id = :shipment"
            session.change(statement, shipment=shipment, heartbeat_at=time.time(), **values)

    def rows(self, *, ended: int = 0) -> list[Row]:
        """Those that have not ended, oldest first; before them the newest `ended` that have."""
        with self._sessions.reading() as session:
            found = session.rows(_ENDED, most=ended)[::-1] if ended else []
            return [*found, *session.rows(_OPEN)]


def _storable(name: str) -> str:
    """A name for people: a file's may hold bytes that are no text, and a database takes text only."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def is_carried(row: Mapping[str, Any]) -> bool:
    """Whether the process that moves it is still there."""
    return lives(row)
