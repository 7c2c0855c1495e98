"""What people want to be moved later, or never; whoever moves bytes heeds it within a second."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping

from metadata.sessions import Session, Sessions, insertion

PAUSE, CANCEL = "pause", "cancel"

ALL = "all"
"""Held under this name is whatever moves, now and later."""

Wishes = Mapping[str, str]
"""Name -> `pause` or `cancel`."""


class Holds:
    """The wishes for transfers, by the names that the table `holds` tells."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def wishes(self) -> Wishes:
        """All of them; nearly always there are none."""
        with self._sessions.reading() as session:
            return read_wishes(session)

    def hold(self, names: Iterable[str], wish: str) -> None:
        """From now on this is wanted of these; a later wish replaces an earlier one."""
        rows = [{"held": name, "wish": wish, "made_at": time.time()} for name in dict.fromkeys(names)]
        with self._sessions.writing() as session:
            for row in rows:
                session.change("DELETE FROM holds WHERE held = :held", held=row["held"])
                session.change(insertion("holds", row), **row)

    def release(self, names: Iterable[str]) -> None:
        """Nothing is wanted of these any more."""
        with self._sessions.writing() as session:
            for name in names:
                session.change("DELETE FROM holds WHERE held = :held", held=name)

    def release_all(self) -> None:
        """Everything goes on."""
        with self._sessions.writing() as session:
            session.change("DELETE FROM holds WHERE wish = :wish", wish=PAUSE)


def read_wishes(session: Session) -> Wishes:
    """All wishes, within some transaction."""
    return {row["held"]: row["wish"] for row in session.rows("SELECT held, wish FROM holds")}


def wish_of(wishes: Wishes, *names: str) -> str:
    """What is wanted of something that is held under any of these names; empty when nothing is.

    >>> wish_of({"all": "pause", "7": "cancel"}, "7", "run-1"), wish_of({"all": "pause"}, "8"), wish_of({}, "8")
    ('cancel', 'pause', '')
    """
    found = {wishes[name] for name in (*names, ALL) if name in wishes}
    return next((wish for wish in (CANCEL, PAUSE) if wish in found), "")
