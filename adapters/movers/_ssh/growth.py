"""Progress that only grows, whatever a tool says."""

from __future__ import annotations

import time
from dataclasses import dataclass

from staging.ports import Progress

_TELL_EVERY_S = 0.05


@dataclass(kw_only=True)
class Growth:
    """Passes on what is more than was told before, some times in a second, and always that all is there."""

    progress: Progress
    size_bytes: int
    """Of the whole request."""
    _told: int = -1
    _told_at: float = 0.0
    """In time.monotonic()'s seconds."""

    def tell(self, lying_bytes: int) -> None:
        """So many bytes lie at the destination. Whoever listens may raise."""
        lying, now = min(lying_bytes, self.size_bytes), time.monotonic()
        if lying > self._told and (now - self._told_at >= _TELL_EVERY_S or lying == self.size_bytes):
            self._told, self._told_at = lying, now
            self.progress(lying)
