"""How far a copy is, told by the size of its partial file, for tools that do not say it themselves."""

from __future__ import annotations

import threading
from collections.abc import Callable

from adapters._openssh.programs import Program, running
from adapters._openssh.sides import Side

# Ends by itself when nobody listens any more.
_SIZES = 'while echo "$(stat -L -c %s -- "$1" 2>/dev/null || echo 0)"; do sleep 1; done'


def follow(program: Program, side: Side, path: str, tell: Callable[[int], None]) -> int:
    """The program's exit code; until it ends `tell` hears the file's size every second, and may raise."""
    with running(side.argv(_SIZES, path)) as sizes:
        ender = threading.Thread(target=_end_with, args=(program, sizes), daemon=True)
        ender.start()
        for line in sizes.lines():
            if line.strip().isdigit():
                tell(int(line))
        return program.wait()


def _end_with(program: Program, sizes: Program) -> None:
    program.wait()
    sizes.kill()
