"""How fast something goes, as a person feels it: over the last seconds."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from metadata.progress import TransferProgress

_WINDOW_S = 5.0


class Rates:
    """How fast each transfer was in its last seconds, and all of them together."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str], Window] = {}
        self._whole = Window()

    def note(self, transfers: Sequence[TransferProgress], *, at: float, whole: int = 0) -> None:
        """Takes what has arrived at one moment, and forgets what is no longer under way.

        Args:
            transfers: Those under way.
            at: The moment, in seconds.
            whole: Bytes of all transfers of the run, ended ones included.
        """
        self._seen = {_key(row): self._seen.get(_key(row), Window()) for row in transfers}
        for row in transfers:
            self._seen[_key(row)].note(row.bytes_done, at=at)
        self._whole.note(whole, at=at)

    def of(self, transfer: TransferProgress) -> float | None:
        """Bytes a second; None while nothing moves."""
        window = self._seen.get(_key(transfer))
        return window.rate if window else None

    @property
    def whole(self) -> float | None:
        """Bytes a second of all transfers together; None while nothing moves."""
        return self._whole.rate


class Window:
    """What was seen of a growing number in the last seconds."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque()

    def note(self, value: int, *, at: float) -> None:
        """Takes what it was at one moment, in seconds."""
        self._samples.append((at, value))
        while at - self._samples[0][0] > _WINDOW_S:
            self._samples.popleft()

    @property
    def rate(self) -> float | None:
        """How much it grew in a second; None while it does not."""
        if not self._samples:
            return None
        (begin, first), (end, last) = self._samples[0], self._samples[-1]
        return (last - first) / (end - begin) if end > begin and last > first else None


def _key(row: TransferProgress) -> tuple[str, str]:
    return row.name, row.destination_site
