"""How many commands may be under way on one connection."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from metadata.errors import SiteUnavailableError


class Gate:
    """Lets a bounded number of commands through; the bound shrinks when the site turns out to allow fewer."""

    def __init__(self, *, site: str, places: int) -> None:
        self._site = site
        self._places = places
        self._inside = 0
        self._changed = threading.Condition()

    @property
    def places(self) -> int:
        """How many commands may be under way."""
        return self._places

    @property
    def free(self) -> int:
        """How many more may come."""
        return max(0, self._places - self._inside)

    @contextmanager
    def place(self, *, deadline: float) -> Iterator[None]:
        """A place is the caller's until the end of the block.

        deadline: in time.monotonic()'s seconds. Raises SiteUnavailableError when none is free by then.
        """
        with self._changed:
            while self._inside >= self._places:
                if not self._changed.wait(deadline - time.monotonic()):
                    message = f"site '{self._site}': {self._places} commands are under way, and none ended in time"
                    raise SiteUnavailableError(message, site=self._site)
            self._inside += 1
        try:
            yield
        finally:
            with self._changed:
                self._inside -= 1
                self._changed.notify()

    def shrink(self) -> bool:
        """One place fewer, after the site refused a channel. False when no other command holds a place."""
        with self._changed:
            if self._inside <= 1:
                return False
            self._places = min(self._places, self._inside - 1)
            return True
