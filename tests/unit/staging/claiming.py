"""Claims in a database of a test's own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from metadata.claims import Claims
from metadata.sessions import open_sessions


@contextmanager
def claiming(folder: Path) -> Iterator[Claims]:
    """The claims of a home in that folder."""
    sessions = open_sessions(f"sqlite:///{folder}/convoy.db")
    try:
        yield Claims(sessions)
    finally:
        sessions.dispose()
