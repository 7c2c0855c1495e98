"""The process: `convoy`, or python -m orchestrator.faces.cli."""

from __future__ import annotations

import gc
import os
import sys
from typing import NoReturn

# Imports make half a million objects and no garbage: to look for some meanwhile takes an eighth of the start.
# The terminal switches it on again where the work begins.
gc.disable()
gc.set_threshold(50_000, 20, 50)


def start() -> NoReturn:
    """Runs the command, and ends the process with its exit code."""
    from orchestrator.faces.cli.main import main  # noqa: PLC0415 - see above

    try:
        main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    sys.stdout.flush()
    sys.stderr.flush()
    # All is closed and written down. To take half a million objects apart would only keep the shell waiting.
    os._exit(code)


if __name__ == "__main__":
    start()
