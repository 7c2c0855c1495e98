"""A call of a verb that moves bytes, as other processes see it and may hold it."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from metadata.errors import StagingError, TransferInterruptedError
from metadata.holds import CANCEL, wish_of
from orchestrator.jobs import JobState
from orchestrator.operations.data.errands import Cargo
from orchestrator.operations.workspace import Workspace

_LOOK_EVERY_S = 0.5


class HeldError(TransferInterruptedError):
    """People want it to stop."""


class Shipment:
    """Bytes on their way, in a `with` block. The database tells how far they are, and what people want of them.

    Thread-safe: parts of them may wait or go at once.
    """

    def __init__(self, workspace: Workspace, cargo: Cargo) -> None:
        self._shipments = workspace.shipments
        self._holds = workspace.holds
        self._cargo = cargo
        self._looked_at = 0.0
        self._done = 0
        self._errors = 0
        self.id = ""
        """Empty before the block."""
        self.wish = ""
        """What people want of it, as it was seen last."""

    def __enter__(self) -> Self:
        self.id = self._shipments.begin(
            name=self._cargo.name, files=self._cargo.files, size_bytes=self._cargo.size_bytes, source_site="",
            destination_site="", bytes_done=0, message="",
        )  # fmt: skip
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        canceled = self.wish == CANCEL or (kind is not None and not issubclass(kind, Exception))
        failed = JobState.FAILED if kind is not None or self._errors else JobState.COMPLETED
        self._shipments.note(
            self.id, state=str(JobState.CANCELED if canceled else failed), ended_at=time.time(), bytes_done=self._done,
            message=str(error or "") if kind else f"{self._errors} did not arrive" if self._errors else "",
        )  # fmt: skip
        self._holds.release([self.id])

    def settle(self, errors: int) -> None:
        """So many of its files did not arrive."""
        self._errors = errors

    def tell(self, bytes_done: int) -> None:
        """Takes how far it is. Raises HeldError when somebody wants it to stop."""
        self._done = bytes_done
        if time.monotonic() - self._looked_at >= _LOOK_EVERY_S:
            self._look(bytes_done=bytes_done)
        if self.wish:
            raise HeldError(f"{self._cargo.name}: held")

    def go(self, pair: tuple[str, str], *, opens_at: Callable[[float], float], waiting: Callable[[str], None]) -> None:
        """Returns when the next bytes may move over a link; what arrived before is kept meanwhile.

        opens_at: Tells for a time when the link's window opens; see `LinkRules.opens_at`.
        waiting: Told now and then why it waits.

        Raises StagingError when it was canceled.
        """
        self._look(source_site=pair[0], destination_site=pair[1])
        while why := self._hindrance(pair, opens_at):
            waiting(why)
            time.sleep(_LOOK_EVERY_S)
            self._look(state=str(JobState.NEW))
        self._look(state=str(JobState.ACTIVE))

    def _hindrance(self, pair: tuple[str, str], opens_at: Callable[[float], float]) -> str:
        """What it waits for, in words for people; empty when for nothing."""
        if self.wish == CANCEL:
            raise StagingError(f"{self._cargo.name} was canceled on request: convoy transfer cancel {self.id}")
        if self.wish:
            return f"paused, until: convoy transfer resume {self.id}"
        now = time.time()
        opens = opens_at(now)
        if opens <= now:
            return ""
        return f"{' -> '.join(pair)}: the window opens at {time.strftime('%H:%M', time.localtime(opens))}"

    def _look(self, **values: object) -> None:
        self._looked_at = time.monotonic()
        self._shipments.note(self.id, **values)
        self.wish = wish_of(self._holds.wishes(), self.id)
