"""One command as the one line that sshd gives to the user's shell, and its answer without that shell's noise."""

from __future__ import annotations

import secrets
import shlex
from dataclasses import dataclass

from metadata.errors import InvalidInputError, SiteError
from orchestrator.ports import Argv

LONGEST_LINE_BYTES = 128 * 1024 - 1
"""Linux takes no longer single argument, and sshd passes the whole line as one."""

# Start files (.bashrc, modules, quota notices) write before the command runs; whatever stands before the marker is
# theirs. The outer line must mean the same to every login shell, csh too, so the redirections are /bin/sh's.
# sh stays in place of exec, so that a command that was killed by signal N ends with 128+N; its number ($$) is that of
# the group of all that it starts, because sshd makes each command a session leader.
_SCRIPT = 'printf "\\n%%s\\n%%s\\n" "$1" $$; printf "\\n%%s\\n" "$1" >&2; shift; "$@"%s; exit $?'


def new_marker() -> str:
    """A line that nothing else writes."""
    return f"convoy-{secrets.token_hex(12)}"


def render_line(argv: Argv, marker: str, *, reads: bool = False) -> bytes:
    """The only place where a command is quoted for a shell.

    reads: whether the command gets a standard input. The others have an empty one from the start: no end of it has to
    be sent, which paramiko may send after the channel was closed, and for that sshd ends the whole connection.

    Raises InvalidInputError for an empty command, a NUL character or a line that is too long for the site.
    """
    if not argv or any("\0" in word for word in argv):
        raise InvalidInputError("a command needs at least one word, and no word may hold a NUL character")
    line = "exec " + shlex.join(("/bin/sh", "-c", _SCRIPT % ("" if reads else " </dev/null"), "sh", marker, *argv))
    encoded = line.encode("utf-8", "surrogateescape")
    if len(encoded) > LONGEST_LINE_BYTES:
        message = (
            f"the command {argv[0]} is {len(encoded)} bytes long, more than the {LONGEST_LINE_BYTES} that a site takes"
        )
        raise InvalidInputError(f"{message}; put its arguments into a file or its standard input")
    return encoded


@dataclass(frozen=True, kw_only=True)
class Framed:
    """What the command itself wrote."""

    group: int
    """The number of its process group at the site."""

    stdout: bytes
    stderr: bytes


def parse_answer(stdout: bytes, stderr: bytes, marker: str) -> Framed:
    """What the command wrote, without what the login shell wrote. Raises SiteError when it was never started."""
    noise, found, answer = stdout.partition(_line(marker))
    group, _, output = answer.partition(b"\n")
    if not found or not group.isdigit():
        words = (noise + b"\n" + stderr).decode("utf-8", "replace").strip()[:500] or "nothing"
        raise SiteError(
            f"the login shell did not run the command, it said: {words}. Check the user's shell start files"
        )
    return Framed(group=int(group), stdout=output, stderr=stderr.partition(_line(marker))[2])


def kill_command(group: int) -> Argv:
    """Ends a process group, with one second to tidy up; returns at once."""
    # `kill -TERM -- -1` is an error in dash, `kill -s TERM --` works everywhere.
    script = 'exec >/dev/null 2>&1 </dev/null; (kill -s TERM -- "-$1"; sleep 1; kill -s KILL -- "-$1") &'
    return ("sh", "-c", script, "kill", str(group))


def _line(marker: str) -> bytes:
    return b"\n" + marker.encode() + b"\n"
