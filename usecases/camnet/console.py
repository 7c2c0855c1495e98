"""What every layer's command line does alike: exit codes, the progress line, and checked numbers."""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from usecases.camnet.errors import CamnetError

FAILURE = 1
INTERRUPTED = 130  # 128 + SIGINT, as shells report it


def exit_code_of(layer: str, work: Callable[[], None]) -> int:
    """Returns 0 when `work` ends well; else writes one line on stderr and returns 1 (130 when interrupted).

    Bugs are not caught: they keep their traceback, which is what their reader needs.
    """
    try:
        work()
    except CamnetError as error:
        return _fail(layer, str(error))
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _fail(layer, f"file system: {where}{error.strerror or error}. Check the path, the rights and the space.")
    except KeyboardInterrupt:
        _fail(layer, "interrupted; nothing unfinished was left under a final name.")
        return INTERRUPTED
    return 0


def _fail(layer: str, message: str) -> int:
    print(f"{layer}: error: {message}", file=sys.stderr)
    return FAILURE


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


def parser_for(layer: str, description: str) -> argparse.ArgumentParser:
    """Returns a parser that shows defaults and has the option that all layers share."""
    parser = argparse.ArgumentParser(
        prog=f"python -m usecases.camnet.{layer}",
        description=description,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        epilog="Exit codes: 0 done, 1 failed (one line on stderr says what, where, why and what to do), 2 wrong usage.",
        allow_abbrev=False,
    )
    parser.add_argument("--output-dir", type=Path, default=Path(), help="where the results are written; made if absent")
    return parser
