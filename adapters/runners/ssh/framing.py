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
    line = f"exec {shlex.join(('/bin/sh', '-c', _SCRIPT % ('' if reads else ' </dev/null'), 'sh', marker, *argv))}"
    encoded = line.encode("utf-8", "surrogateescape")
    if len(encoded) > LONGEST_LINE_BYTES:
        message = (
            f"the command {argv[0]} is {len(encoded)} bytes long, more than the {LONGEST_LINE_BYTES} that a site takes"
        )
        raise InvalidInputError(f"{message}; put its arguments into a file or its standard input")
    return encoded


@dataclass(frozen=True, kw_only=True)
class Start:
    """Which processes at the site are the command's."""

    group: int
    """The number of their process group."""

    since: int = 0
    """Not those that started earlier, in the kernel's ticks: in a kept shell's group there may be others."""


@dataclass(frozen=True, kw_only=True)
class Framed:
    """What the command itself wrote."""

    start: Start
    stdout: bytes
    stderr: bytes


def parse_answer(stdout: bytes, stderr: bytes, marker: str) -> Framed:
    """What the command wrote, without what the login shell wrote. Raises SiteError when it was never started."""
    noise, _, answer = stdout.partition(_line(marker))
    start = parse_start(stdout, marker)
    if start is None:
        words = (noise + b"\n" + stderr).decode("utf-8", "replace").strip()[:500] or "nothing"
        raise SiteError(
            f"the login shell did not run the command, it said: {words}. Check the user's shell start files"
        )
    # A kept shell has no start files behind it, and draws no line there.
    return Framed(start=start, stdout=answer.partition(b"\n")[2], stderr=stderr.rpartition(_line(marker))[2])


def parse_start(stdout: bytes, marker: str) -> Start | None:
    """What a frame begins with: the number of a group, or a line of /proc/self/stat. None for no frame."""
    told, newline, _ = stdout.partition(_line(marker))[2].partition(b"\n")
    if not newline:
        return None
    if told.isdigit():
        return Start(group=int(told))
    words = told.rpartition(b") ")[2].split()  # the name before it may hold anything
    return Start(group=int(words[2]), since=int(words[19])) if len(words) > 19 else None


_KILL_GROUP = """\
exec >/dev/null 2>&1 </dev/null
(kill -s TERM -- "-$1"; sleep 1; kill -s KILL -- "-$1") &
"""  # `kill -TERM -- -1` is an error in dash, `kill -s TERM --` works everywhere
_KILL_SINCE = """\
exec >/dev/null 2>&1 </dev/null
group=$1 since=$2
each() {
    for stat in /proc/[0-9]*/stat; do
        read -r line <"$stat" || continue
        set -- "$1" ${line##*) }
        [ "$4" = "$group" ] && [ "${21}" -ge "$since" ] && kill -s "$1" "${line%% *}"
    done
}
(each TERM; sleep 1; each KILL) &
"""


def kill_command(start: Start) -> Argv:
    """Ends a command and all that it started, with one second to tidy up; returns at once."""
    script = _KILL_SINCE if start.since else _KILL_GROUP
    return ("sh", "-c", script, "kill", str(start.group), str(start.since))


def _line(marker: str) -> bytes:
    return b"\n" + marker.encode() + b"\n"
