"""The process: `convoy`, or python -m orchestrator.faces.cli."""

from __future__ import annotations

import gc
import io
import os
import sys
from contextlib import suppress
from typing import NoReturn

# Imports make half a million objects and no garbage: to look for some meanwhile takes an eighth of the start.
# The terminal switches it on again where the work begins.
gc.disable()
gc.set_threshold(50_000, 20, 50)


def start() -> NoReturn:
    """Runs the command, and ends the process with its exit code."""
    from orchestrator.faces.cli.main import main  # noqa: PLC0415 - see above

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # Not every terminal knows every sign. JSON is UTF-8 everywhere.
            stream.reconfigure(encoding="utf-8" if "--json" in sys.argv else None, errors="replace")
    try:
        main()
    except SystemExit as end:
        # All is closed and written down. To take half a million objects apart would only keep the shell waiting.
        # Where nobody reads any more, or the disk is full, Python's own end tells of it.
        with suppress(OSError):
            _flush()
            os._exit(end.code if isinstance(end.code, int) else 1)
        raise


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        if stream:  # a shell may have closed it before the start
            stream.flush()


if __name__ == "__main__":
    start()
