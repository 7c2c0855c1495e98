"""A call of a verb that moves bytes, as other processes see it and may hold it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from metadata.errors import StagingError, TransferInterruptedError
from metadata.holds import CANCEL, wish_of
from orchestrator.jobs import JobState
from orchestrator.operations.workspace import Workspace

_LOOK_EVERY_S = 0.5


class Shipment:
    """Bytes on their way, in a `with` block. The database tells how far they are, and what people want of them."""

    def __init__(self, workspace: Workspace, *, name: str, files: int, size_bytes: int) -> None:
        self._shipments = workspace.shipments
        self._holds = workspace.holds
        self._facts = {"name": name, "files": files, "size_bytes": size_bytes}
        self._looked_at = 0.0
        self._done = 0
        self._errors = 0
        self.id = ""
        """Empty before the block."""
        self.wish = ""
        """What people want of it, as it was seen last."""

    def __enter__(self) -> Self:
        self.id = self._shipments.begin(**self._facts, source_site="", destination_site="", bytes_done=0, message="")
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
        """Takes how far it is. Raises TransferInterruptedError when somebody wants it to stop."""
        self._done = bytes_done
        if time.monotonic() - self._looked_at >= _LOOK_EVERY_S:
            self._look(bytes_done=bytes_done)
        if self.wish:
            raise TransferInterruptedError(f"{self._facts['name']}: held")

    def go(self, *, pair: Sequence[str], waiting: Callable[[str], None]) -> None:
        """Returns when the next bytes may move over a link; what arrived before is kept meanwhile.

        `waiting` is told now and then how to end the waiting. Raises StagingError when it was canceled.
        """
        self._look(source_site=pair[0], destination_site=pair[1])
        while self.wish and self.wish != CANCEL:
            waiting(f"paused, until: convoy transfer resume {self.id}")
            time.sleep(_LOOK_EVERY_S)
            self._look(state=str(JobState.NEW))
        if self.wish:
            raise StagingError(f"{self._facts['name']} was canceled on request: convoy transfer cancel {self.id}")
        self._look(state=str(JobState.ACTIVE))

    def _look(self, **values: object) -> None:
        self._looked_at = time.monotonic()
        self._shipments.note(self.id, **values)
        self.wish = wish_of(self._holds.wishes(), self.id)
