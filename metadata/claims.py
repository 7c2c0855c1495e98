"""Makes sure that one process at most writes a file at a site: of two that bring the same, one waits for the other."""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import Event, Thread

from sqlalchemy import Connection, Engine, delete, select, update
from sqlalchemy.exc import OperationalError

from metadata.holders import HEARTBEAT_S, lives, this_process
from metadata.statements import chunks, insert_missing
from metadata.tables import CLAIMS


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

    def __init__(self, engine: Engine) -> None:
        self._writer = engine.execution_options(writing=True)

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
            with self._writer.begin() as connection:
                connection.execute(delete(CLAIMS).where(CLAIMS.c.holder == holder))

    def _taken(self, holder: str, places: Collection[str]) -> frozenset[str]:
        mine = {"holder": holder, **this_process()}
        with self._writer.begin() as connection:
            _forget_dead(connection, places)
            insert_missing(connection, CLAIMS, [{"place": place, **mine} for place in sorted(places)])
            return frozenset(connection.scalars(select(CLAIMS.c.place).where(CLAIMS.c.holder == holder)))

    def _renew(self, holder: str, claim: Claim, over: Event) -> None:
        mine = update(CLAIMS).where(CLAIMS.c.holder == holder)
        while not over.wait(HEARTBEAT_S):
            # A database that is busy for long is asked again; whoever took the claim away stays known.
            with suppress(OperationalError), self._writer.begin() as connection:
                kept = connection.execute(mine.values(heartbeat_at=time.time())).rowcount
                claim.lost = kept < len(claim.places)


def _forget_dead(connection: Connection, places: Collection[str]) -> None:
    """Claims of processes that are no more do not count."""
    holders = {
        row["holder"]: dict(row)
        for some in chunks(places)
        for row in connection.execute(select(CLAIMS).where(CLAIMS.c.place.in_(some))).mappings()
    }
    dead = [holder for holder, row in holders.items() if not lives(row)]
    for some in chunks(dead):
        connection.execute(delete(CLAIMS).where(CLAIMS.c.holder.in_(some)))
