"""Progress that only grows, whatever a tool says."""

from __future__ import annotations

from dataclasses import dataclass

from staging.ports import Progress


@dataclass(kw_only=True)
class Growth:
    """Passes on what is more than was told before."""

    progress: Progress
    size_bytes: int
    """Of the whole request."""
    _told: int = -1

    def tell(self, lying_bytes: int) -> None:
        """So many bytes lie at the destination. Whoever listens may raise."""
        lying = min(lying_bytes, self.size_bytes)
        if lying > self._told:
            self._told = lying
            self.progress(lying)
