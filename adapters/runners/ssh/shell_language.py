"""What a kept shell is told, and how the end of its answers is found."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from orchestrator.ports import Argv

PROGRAM = b"exec /bin/sh"

FIRST = b"trap : HUP INT QUIT TERM USR1 USR2; [ -r /proc/self/stat ] || exit 1\n"
"""A command that signals its whole group does not end the shell; in a subshell these traps are not set."""

LONGEST_BYTES = 8192
"""Of a command: some shells read byte by byte, and a longer line pays for a channel of its own."""

# `read` makes no process, so /proc/self is the subshell: the number, group and start of what becomes the command. The
# subshell keeps directory, variables and traps of one command from the next.
_RUN = (
    "(read -r convoy_self </proc/self/stat; printf '\\n%s\\n%s\\n' {marker} \"$convoy_self\"; "
    "exec {command} </dev/null)"
)
_END = "set -- $?; printf '\\n%s-end %s\\n' {marker} $1; printf '\\n%s-end %s\\n' {marker} $1 >&2"


def takes(argv: Argv) -> bool:
    """Whether a kept shell can run this command: it is short, and `exec` does not take it for an option."""
    return not argv[0].startswith("-") and sum(map(len, argv)) <= LONGEST_BYTES


def render_run(argv: Argv, marker: str) -> bytes:
    """Runs a command without a standard input; `render_line` has refused what no shell can take."""
    run = _RUN.format(marker=marker, command=shlex.join(argv))
    return f"{run}; {_END.format(marker=marker)}\n".encode("utf-8", "surrogateescape")


def render_ping(marker: str) -> bytes:
    """Asks for the end of an answer, and nothing else."""
    return f":; {_END.format(marker=marker)}\n".encode()


@dataclass(frozen=True, kw_only=True)
class End:
    """Where one stream of an answer is over."""

    at: int
    """Bytes before it."""

    exit_code: int


class EndSearch:
    """Looks for the end of one stream, at each byte once."""

    def __init__(self, marker: str) -> None:
        self._mark = f"\n{marker}-end ".encode()
        self._from = 0

    def find(self, text: bytearray) -> End | None:
        """The end, when it has arrived."""
        at = text.find(self._mark, self._from)
        if at < 0:
            self._from = max(0, len(text) - len(self._mark))
            return None
        self._from = at
        code, newline, _ = text[at + len(self._mark) :].partition(b"\n")
        return End(at=at, exit_code=int(code)) if newline else None
