"""What transfers over a link have to keep to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

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

    def opens_at(self, now: float) -> float:
        """When transfers may begin, in seconds since the epoch; `now` while they may.

        The window is in minutes of this machine's day.
        """
        if self.window is None:
            return now
        begins, ends = self.window
        moment = datetime.fromtimestamp(now)  # noqa: DTZ006 - people write their own time of the day
        minute = 60 * moment.hour + moment.minute
        inside = begins <= minute < ends if begins < ends else minute >= begins or minute < ends
        if inside:
            return now
        midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
        opens = midnight + timedelta(minutes=begins)
        return (opens if opens > moment else opens + timedelta(days=1)).timestamp()


ANY_WAY = LinkRules()
"""Nothing is asked of the link."""
