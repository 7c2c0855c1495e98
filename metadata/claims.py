"""Makes sure that one process at most writes a file at a site: of two that bring the same, one waits for the other."""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import Event, Thread

from metadata.errors import SiteUnavailableError
from metadata.holders import HEARTBEAT_S, lives, this_process
from metadata.sessions import Sessions, insertion

_COLUMNS = ("place", "holder", "host", "pid", "process_started_at", "heartbeat_at")
_TAKE = f"{insertion('claims', _COLUMNS)} ON CONFLICT DO NOTHING"
_TAKEN = "SELECT place FROM claims WHERE holder = :holder"
_HOLDERS = "SELECT DISTINCT holder, host, pid, process_started_at, heartbeat_at FROM claims"
_RENEW = "UPDATE claims SET heartbeat_at = :now WHERE holder = :holder"
_FORGET = "DELETE FROM claims WHERE holder = :holder"


def place_of(site: str, path: str) -> str:
    """What is claimed for a file at a site."""
    return hashlib.sha256(f"{site}\0{path}".encode("utf-8", "surrogateescape")).hexdigest()


@dataclass(kw_only=True)
class Claim:
    """What one holder may write."""

    places: frozenset[str] = frozenset()
    """Those that nobody else had."""
    lost: bool = False
    """True when another process took this one for dead, as after a long sleep of its machine."""


class Claims:
    """Rights to write, kept in the database. A process that dies loses its own."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    @contextmanager
    def held(self, places: Collection[str]) -> Iterator[Claim]:
        """Those of the places that nobody else holds, held while the block lasts. They may be none."""
        holder = uuid.uuid4().hex
        claim = Claim(places=self._taken(holder, places))
        if not claim.places:
            yield claim
            return
        over = Event()
        beats = Thread(target=self._renew, args=(holder, claim, over), name="claim", daemon=True)
        beats.start()
        try:
            yield claim
        finally:
            over.set()
            beats.join()
            with self._sessions.writing() as session:
                session.change(_FORGET, holder=holder)

    def _taken(self, holder: str, places: Collection[str]) -> frozenset[str]:
        mine = {"holder": holder, **this_process()}
        with self._sessions.writing() as session:
            for row in session.rows(_HOLDERS):
                if not lives(row):
                    session.change(_FORGET, holder=row["holder"])
            session.change_each(_TAKE, [{"place": place, **mine} for place in sorted(places)])
            return frozenset(row["place"] for row in session.rows(_TAKEN, holder=holder))

    def _renew(self, holder: str, claim: Claim, over: Event) -> None:
        while not over.wait(HEARTBEAT_S):
            # A database that is busy for long is asked again; whoever took the claim away stays known.
            with suppress(SiteUnavailableError), self._sessions.writing() as session:
                kept = session.change(_RENEW, holder=holder, now=time.time())
                claim.lost = kept < len(claim.places)
