"""What transfers over a link have to keep to."""

from __future__ import annotations

from dataclasses import dataclass

from staging.ports import Credential


@dataclass(frozen=True, kw_only=True)
class LinkRules:
    """What transfers over a link have to keep to."""

    direct: Credential | None = None
    """By what right its sites may talk to each other; None has data of plain SSH sites relayed."""
    limit_bytes_per_s: float | None = None
    """For all transfers over it together."""
    window: tuple[int, int] | None = None
    """When transfers may begin, in minutes of the day; it may go past midnight."""
    at_once: int | None = None
    mover: str | None = None
    """The only one to use."""

    @property
    def share_bytes_per_s(self) -> float | None:
        """What one transfer may take of the limit."""
        return None if self.limit_bytes_per_s is None else self.limit_bytes_per_s / (self.at_once or 1)


ANY_WAY = LinkRules()
"""Nothing is asked of the link."""
