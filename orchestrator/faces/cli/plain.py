"""A run in plain lines: one when something changed, for files, pipes and logs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Self

from orchestrator import quantities
from orchestrator.faces.states import count_of, look_of, step_state

if TYPE_CHECKING:
    from metadata.progress import RunProgress, StepProgress

_TRANSFERS_EVERY_S = 1.0
"""A thousand small files shall not make a thousand lines."""
_NAME_WIDTH = 12


class PlainLines:
    """Says what changed since it was last told."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._told: dict[str, str] = {}
        self._transfers_told_at = 0.0
        self.last: RunProgress | None = None
        """The newest progress; None before there was any."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.last is not None and self._told:
            self._tell("transfers", transfers_line(self.last))

    def __call__(self, progress: RunProgress) -> None:
        """Takes the run's progress at one moment."""
        self.last = progress
        for name, line in _lines(progress):
            self._tell(name, line)
        if time.monotonic() - self._transfers_told_at >= _TRANSFERS_EVERY_S:
            self._transfers_told_at = time.monotonic()
            self._tell("transfers", transfers_line(progress))

    def _tell(self, name: str, line: str) -> None:
        if line and self._told.get(name) != line:
            self._told[name] = line
            self._say(f"{time.strftime('%H:%M:%S')}  {name:<{_NAME_WIDTH}}  {line}")


def _lines(progress: RunProgress) -> Iterator[tuple[str, str]]:
    yield "run", progress.id
    if not progress.ended_at:
        yield "waiting", progress.message.removeprefix("waiting ")
    for step in progress.steps:
        yield step.name, _step_line(step)


def _step_line(step: StepProgress) -> str:
    """Nothing while it waits; else its state, with numbers only where they stay as they are until the state changes."""
    state = step_state(step)
    word, place = look_of(state).word, f"at {step.site}"
    if step.skipped:
        return f"{word}: {step.skipped}"
    if state == "NEW":
        return ""
    if any(count_of(step, name) for name in ("FAILED", "CANCELED")):
        return f"{word} {place}: {count_of(step, 'FAILED')} of {step.total} tasks failed"
    reused = f", {step.reused} reused" if step.reused else ""
    return f"{word} {place}, {step.total} task{'s' * (step.total != 1)}{reused}"


def transfers_line(progress: RunProgress) -> str:
    """How many transfers have ended, and how much that was; empty when there are none."""
    total = sum(progress.transfer_counts.values())
    done = progress.transfer_counts.get("COMPLETED", 0)
    if not done:
        return ""
    failed = progress.transfer_counts.get("FAILED", 0)
    sizes = f"{quantities.shown_size(progress.bytes_done)} of {quantities.shown_size(progress.bytes_total)}"
    return f"{done} of {total} done, {sizes}" + (f", {failed} failed" if failed else "")
