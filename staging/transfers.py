"""Brings content to a site: checks, moves, verifies and gives it its final name at one instant."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from metadata.errors import IntegrityError, MiddlewareError, NoSpaceError, NotFoundError, TransferInterruptedError
from metadata.policy import Policy, check_move
from staging.locations import Location
from staging.ports import FileDigest, Mover, MoveRequest, Progress, Storage

PARTIAL_SUFFIX = ".part"
_SPARE_BYTES = 1 << 20
"""Room that must be left beside the file, for whatever else the site does."""


@dataclass(frozen=True, kw_only=True)
class Order:
    """Some content that shall be brought to a site."""

    name: str
    """For people."""
    content: FileDigest
    source: Location
    destination: Location
    mover: str
    policy: Policy


@dataclass(frozen=True, kw_only=True)
class Arrival:
    """Content that lies where it was ordered, verified."""

    bytes_moved: int
    """Bytes that travelled: none when the content was there already, fewer than its size after a resume."""
    seconds: float
    modified_ns: int


class Carrier:
    """Carries out orders between sites whose file systems it was given."""

    def __init__(self, *, storages: Mapping[str, Storage], movers: Mapping[str, Mover]) -> None:
        self._storages = storages
        self._movers = movers

    def carry(self, order: Order, *, progress: Progress) -> Arrival:
        """The content lies at its destination, under its final name, and its hash is right.

        Raises PolicyError (it may not go there), NoSpaceError, NotFoundError or IntegrityError (the source is gone
        or changed), TransferInterruptedError (try again). What arrived is kept for a resume only in the last case.
        """
        check_move(order.policy, order.destination.site, what=order.name)
        begin = time.monotonic()
        destination = self._storages[order.destination.site]
        moved = 0 if self._is_there(order, destination) else self._bring(order, destination, progress)
        facts = destination.stat(order.destination.path)
        seconds = time.monotonic() - begin
        return Arrival(bytes_moved=moved, seconds=seconds, modified_ns=facts.modified_ns if facts else 0)

    def _is_there(self, order: Order, destination: Storage) -> bool:
        """True when an earlier try got as far as the final name."""
        facts = destination.stat(order.destination.path)
        if facts is None or facts.size_bytes != order.content.size_bytes:
            return False
        return destination.digest(order.destination.path) == order.content

    def _bring(self, order: Order, destination: Storage, progress: Progress) -> int:
        partial = order.destination.path + PARTIAL_SUFFIX
        try:
            self._check_room(order, destination, partial)
            moved, digest = self._move(order, partial, progress)
            if digest != order.content:
                destination.remove(partial)
                self._explain(order, digest)
        except TransferInterruptedError:
            raise
        except MiddlewareError:
            destination.remove(partial)
            raise
        destination.rename(partial, order.destination.path)
        return moved

    def _move(self, order: Order, partial: str, progress: Progress) -> tuple[int, FileDigest]:
        source, destination = self._storages[order.source.site], self._storages[order.destination.site]
        request = MoveRequest(
            source=source.endpoint,
            source_path=order.source.path,
            destination=destination.endpoint,
            partial_path=partial,
            size_bytes=order.content.size_bytes,
        )
        resumed = destination.stat(partial) is not None
        result = self._movers[order.mover].move(request, progress=progress)
        digest = result.digest or destination.digest(partial)
        if digest != order.content and resumed:
            # What an earlier try left was not the beginning of this file; all of it is brought anew, once.
            destination.remove(partial)
            again = self._movers[order.mover].move(request, progress=progress)
            return result.bytes_moved + again.bytes_moved, again.digest or destination.digest(partial)
        return result.bytes_moved, digest

    def _check_room(self, order: Order, destination: Storage, partial: str) -> None:
        present = destination.stat(partial)
        wanted = order.content.size_bytes - (present.size_bytes if present else 0)
        free = destination.free_bytes(order.destination.path)
        if free < wanted + _SPARE_BYTES:
            site = order.destination.site
            message = f"{site}: {order.name} needs {wanted} bytes and {free} are free"
            raise NoSpaceError(f"{message}; free some space there, then: convoy retry", site=site)

    def _explain(self, order: Order, found: FileDigest) -> None:
        """Says whether the source or the way is to blame for wrong bytes."""
        source = self._storages[order.source.site]
        if source.stat(order.source.path) is None:
            raise NotFoundError(
                f"{order.source.site}: {order.source.path} ({order.name}) is gone", site=order.source.site
            )
        if source.digest(order.source.path) != order.content:
            raise IntegrityError(
                f"{order.name} changed: {order.source} no longer holds sha256 {order.content.sha256[:12]}… as the "
                "catalogue says. Bring the old file back, or register the new one with: convoy data add",
                site=order.source.site,
            )
        message = (
            f"{order.name} arrived wrong at {order.destination.site} (sha256 {found.sha256[:12]}…); it is sent again"
        )
        raise TransferInterruptedError(message, site=order.destination.site)
