"""One line that tells a person how far a long reading of files has come."""

from __future__ import annotations

import sys
import time
from typing import Self

from orchestrator.faces.cli.terminal import Terminal

_EVERY_S = 0.1
_WIDTH = 78


class Counter:
    """Writes over its own line on the terminal; silent anywhere else."""

    def __init__(self, terminal: Terminal, word: str) -> None:
        self._shown = terminal.watched and sys.stderr.isatty()
        self._word = word
        self._told_at = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._told_at:
            self._write("")

    def __call__(self, name: str, done: int, total: int) -> None:
        """Takes what is being read, and how much of everything is done."""
        if self._shown and time.monotonic() - self._told_at >= _EVERY_S:
            self._told_at = time.monotonic()
            self._write(f"{self._word} {100 * done // max(total, 1):3d} %  {name}"[:_WIDTH])

    @staticmethod
    def _write(text: str) -> None:
        sys.stderr.write(f"\r{text:<{_WIDTH}}\r{text}")
        sys.stderr.flush()
