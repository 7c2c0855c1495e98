"""What the layers' command lines do alike beyond those of other use cases: the progress line, and checked numbers."""

import argparse
import sys
import time
from collections.abc import Callable
from typing import TextIO


class Progress:
    """One line on stderr that says how far the work is.

    On a terminal the line is rewritten in place; in a log file a new line appears at most every `interval_s`.
    """

    def __init__(self, title: str, *, total: int, stream: TextIO | None = None, interval_s: float = 5.0) -> None:
        """Starts at zero of `total`, silently."""
        self._title, self._total = title, total
        self._stream = stream or sys.stderr
        self._live = self._stream.isatty()
        self._interval_s = 0.1 if self._live else interval_s
        self._shown_at = time.monotonic()

    def show(self, done: int, remark: str = "") -> None:
        """Shows `done` of the total when the last line is old enough, or when the work is complete."""
        if done < self._total and time.monotonic() - self._shown_at < self._interval_s:
            return
        self._write(f"{self._title}: {done}/{self._total} {remark}".rstrip(), last=done >= self._total)

    def close(self, remark: str) -> None:
        """Ends the line with a remark, whatever the count."""
        self._write(f"{self._title}: {remark}", last=True)

    def _write(self, line: str, *, last: bool) -> None:
        self._shown_at = time.monotonic()
        start, end = ("\r\x1b[K", "\n" if last else "") if self._live else ("", "\n")
        print(start + line, end=end, file=self._stream, flush=True)


def integer_from(minimum: int) -> Callable[[str], int]:
    """Returns an argparse type: an integer not below `minimum`."""

    def integer(text: str) -> int:
        value = int(text)
        if value < minimum:
            raise argparse.ArgumentTypeError(f"{value} is below {minimum}")
        return value

    return integer


def number_within(minimum: float, maximum: float) -> Callable[[str], float]:
    """Returns an argparse type: a number within the two bounds, both included."""

    def number(text: str) -> float:
        value = float(text)
        if not minimum <= value <= maximum:
            raise argparse.ArgumentTypeError(f"{value} is not within {minimum} and {maximum}")
        return value

    return number
