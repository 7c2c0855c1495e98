"""Programs that run here or at a site and are watched from here.

A transfer may take hours, and a connection lives shorter than that. So the program is started apart from the
connection that started it, writes into a folder of its own, and is asked now and then how far it is. Who is no
longer asked ends by itself: nothing goes on when Convoy was killed.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from metadata.errors import (
    MiddlewareError,
    SiteUnavailableError,
    StagingError,
    TransferInterruptedError,
    no_room,
)
from staging.ports import Endpoint, Shell, ShellAnswer

_SILENCE_S = 60.0
"""How long a site may fail to answer while its program goes on."""
_FULL = ("No space left", "Disk quota exceeded")
_FIRST_PAUSE_S, _LAST_PAUSE_S = 0.01, 0.5

# The program's working folder holds `input` (what it was given), `output`, and `code` when it has ended. `alive` is
# touched by every look; two minutes without one end everything that runs here.
_START = """\
export LC_ALL=C
d=$(mktemp -d "${TMPDIR:-/tmp}/convoy-XXXXXXXXXX") && cd "$d" && cat >input && : >alive && : >output || exit 1
setsid /bin/sh -c '
echo $$ >group.new && mv group.new group
( while sleep 5; do [ -n "$(find alive -mmin -2)" ] || { rm -rf -- "$PWD"; kill -s KILL 0; }; done ) &
"$@" <input >output 2>&1
echo $? >code.new && mv code.new code' sh "$@" </dev/null >/dev/null 2>&1 &
i=0
while [ ! -e group ]; do
  i=$((i + 1)) && [ "$i" -lt 1000 ] && sleep 0.01 || { echo "nothing could be started in $d" >&2; exit 1; }
done
printf %s "$d"
"""
_LOOK = """\
cd -- "$1" 2>/dev/null && touch alive || exit 3
code=-
[ ! -e code ] || read -r code <code
n=$(($(wc -c <output)))
echo "$code $n"
[ "$n" -le "$2" ] || tail -c +"$(($2 + 1))" output | head -c "$((n - $2))"
"""
_STOP = """\
cd -- "$1" 2>/dev/null || exit 0
g=$(cat group)
i=0
while [ "$i" -lt 100 ]; do
  case $i in 0) kill -s "$2" -- "-$g" ;; 80) kill -s KILL -- "-$g" ;; esac 2>/dev/null
  kill -s 0 -- "-$g" 2>/dev/null && [ ! -e code ] || break
  i=$((i + 1)) && sleep 0.05
done
kill -s KILL -- "-$g" 2>/dev/null
cd / && rm -rf -- "$1"
"""


@dataclass(frozen=True, kw_only=True)
class LocalAnswer:
    """What a command said on this machine."""

    exit_code: int
    stdout: str
    stderr: str


class LocalShell:
    """Short commands on this machine, by the same rules as at a site."""

    def run(self, argv: tuple[str, ...], *, stdin: str = "", timeout_s: float = 60.0) -> LocalAnswer:
        """The command's answer, whatever its exit code."""
        try:
            done = subprocess.run(
                argv, input=stdin.encode(errors="surrogateescape"), capture_output=True, timeout=timeout_s, check=False
            )
        except FileNotFoundError as error:
            return LocalAnswer(exit_code=127, stdout="", stderr=str(error))
        except subprocess.TimeoutExpired as error:
            raise SiteUnavailableError(f"{argv[0]} did not end within {timeout_s:g} s on this machine") from error
        words = (done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))
        return LocalAnswer(exit_code=done.returncode, stdout=words[0], stderr=words[1])


def shell_of(endpoint: Endpoint) -> Shell | None:
    """How to run commands where the endpoint's files are."""
    return LocalShell() if endpoint.local else endpoint.shell


def ask(shell: Shell, site: str, argv: tuple[str, ...], *, stdin: str = "", timeout_s: float = 60.0) -> str:
    """What a command answered that had to work. Raises StagingError with the site's words."""
    answer = shell.run(argv, stdin=stdin, timeout_s=timeout_s)
    check_answer(site, answer)
    return answer.stdout


def check_answer(site: str, answer: ShellAnswer) -> None:
    """Raises NoSpaceError, or StagingError with the site's words, when a command failed."""
    if answer.exit_code != 0:
        check_room(site, answer.stderr)
        words = answer.stderr.strip().splitlines()[-1:] or [f"exit code {answer.exit_code}"]
        raise StagingError(f"{site}: {words[0]}", site=site, exit_code=answer.exit_code)


def check_room(site: str, words: str) -> None:
    """Raises NoSpaceError when a program's words say that a disk is full."""
    if any(word in words for word in _FULL):
        raise no_room(site, "no room left")


class Detached:
    """A program that was started and goes on by itself."""

    def __init__(self, shell: Shell, site: str, folder: str) -> None:
        self._shell = shell
        self._site = site
        self._folder = folder
        self._read_bytes = 0
        self._answered = time.monotonic()
        self.output = ""
        """All that it wrote so far."""
        self.exit_code: int | None = None
        """None while it runs."""

    def look(self) -> str:
        """What it wrote since the last look.

        Raises TransferInterruptedError when it is gone, or when the site says nothing for a minute.
        """
        try:
            answer = self._shell.run(("/bin/sh", "-c", _LOOK, "sh", self._folder, str(self._read_bytes)))
        except SiteUnavailableError as error:
            if time.monotonic() - self._answered < _SILENCE_S:
                return ""
            raise TransferInterruptedError(f"{self._site} went silent: {error}", site=self._site) from error
        self._answered = time.monotonic()
        if answer.exit_code != 0:
            raise TransferInterruptedError(f"{self._site}: the program that moved the data is gone", site=self._site)
        head, _, news = answer.stdout.partition("\n")
        code, read_bytes = head.split()
        self._read_bytes = int(read_bytes)
        self.exit_code = None if code == "-" else int(code)
        self.output += news
        return news

    def wait(self, hear: Callable[[str], None], *, until: Callable[[], bool] = lambda: False) -> None:
        """The program has ended, or `until` came true; `hear` was called at every look, with what was new."""
        pause_s = _FIRST_PAUSE_S
        while self.exit_code is None and not until():
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, _LAST_PAUSE_S)
            hear(self.look())

    def stop(self, signal: str) -> None:
        """It has ended, and nothing of it is left. A site that is silent now ends it by itself in two minutes."""
        with suppress(MiddlewareError):
            self._shell.run(("/bin/sh", "-c", _STOP, "sh", self._folder, signal))


@contextmanager
def running(
    shell: Shell, site: str, argv: tuple[str, ...], *, given: str = "", signal: str = "TERM"
) -> Iterator[Detached]:
    """The program while the block lasts, in a new folder, where the file `input` holds what was `given`.

    `signal` has it end in good order; four seconds later it is killed.
    """
    program = Detached(shell, site, ask(shell, site, ("/bin/sh", "-c", _START, "sh", *argv), stdin=given))
    try:
        yield program
    finally:
        program.stop(signal)
