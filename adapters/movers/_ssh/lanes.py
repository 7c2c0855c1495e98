"""Ways from a source to a destination side by side, each with TCP connections of its own."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace

from adapters._openssh.logins import is_persons
from adapters._openssh.sides import Side
from metadata.errors import MiddlewareError


@dataclass(frozen=True, kw_only=True)
class Lane:
    """A source and a destination by logins that no other lane uses."""

    source: Side
    destination: Side
    opened: threading.Event = field(default_factory=threading.Event, compare=False)
    """Set once somebody is logged in at both. Where a site lets in no more, it never is."""

    def open(self) -> None:
        """Its logins are open, or it is known that they cannot be: sites have limits, and nobody waits for that."""
        try:
            for side in (self.source, self.destination):
                if side.door is not None:
                    side.words()
        except MiddlewareError:
            return
        self.opened.set()


def lanes(source: Side, destination: Side, count: int) -> list[Lane]:
    """So many lanes; the first is open, and the others are being opened all at once.

    There is but one where a person logged in: programs that share a login share its TCP connection, too, which one lost
    packet slows down for all of them.
    """
    if any(side.door is not None and is_persons(side.door) for side in (source, destination)):
        count = 1
    numbered = [
        Lane(source=replace(source, login=number), destination=replace(destination, login=number))
        for number in range(count)
    ]
    numbered[0].opened.set()
    for lane in numbered[1:]:
        threading.Thread(target=lane.open, daemon=True).start()
    return numbered
