"""Talks with a program at a site that knows its files: one process for any number of questions."""

from __future__ import annotations

import io
import os
import secrets
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import cast

from adapters._openssh.errors import failure
from adapters._openssh.programs import running
from adapters._openssh.sides import Side
from adapters.storages._agent import program
from metadata.errors import SiteUnavailableError

PYTHON = "python3"
_PROGRAM = Path(program.__file__).read_bytes()
# It comes by the standard input, so that no argument is long and nothing is written at a site.
_LOADER = "import sys; r = sys.stdin.buffer; exec(r.read(int(r.readline())))"
_FORGOTTEN_S = program.IDLE_S - 15.0
"""A program that was asked nothing for as long may end any moment, and is asked nothing more."""
_SURE_S = 5.0
"""A program that said something this lately is there."""
_PATIENCE_S, _LONG_S = 600.0, 24 * 3600.0
"""A site whose file system hangs answers nothing, and its sshd is well all the while."""


class RefusedError(Exception):
    """The file system said no to one of the paths."""

    def __init__(self, number: int, code: int) -> None:
        super().__init__(os.strerror(code))
        self.number = number
        """Of the path in the question."""
        self.code = code
        """As in `errno`."""


class Conversation:
    """A program that runs, and answers one question after the other. For one thread at a time."""

    def __init__(self, side: Side) -> None:
        """It runs. Raises what a login or a missing Python means: see `adapters._openssh.errors`."""
        self._site = side.site
        self._open = ExitStack()
        try:
            self._start(side)
        except BaseException:
            self.close()
            raise

    def answers(self) -> bool:
        """Whether it is there: it said something lately, or says so now. A connection may die while nobody talks."""
        silent_s = time.monotonic() - self._asked_at
        if silent_s > _FORGOTTEN_S or self._program.over:
            return False
        if silent_s < _SURE_S:
            return True
        try:
            self.ask("stats", [])
        except SiteUnavailableError:
            return False
        return True

    def ask(self, verb: str, paths: Sequence[str], *, long: bool = False) -> list[bytes]:
        """The fields of the answer.

        Raises RefusedError, or SiteUnavailableError: it may have been done then, and the program is of no use any more.
        """
        # Paths are much alike, and each turn of a new connection carries but some.
        content = zlib.compress(os.fsencode("".join([f"{path}\0" for path in paths])), level=1)
        with self._patience(_LONG_S if long else _PATIENCE_S), self._broken_told(verb):
            self._program.write(f"{verb} {len(content)}\n".encode() + content)
            told, size = self._said.readline().split()
            answer = self._said.read(int(size))
            if len(answer) < int(size):
                raise EOFError
        self._asked_at = time.monotonic()
        fields = zlib.decompress(answer).split(b"\0")[:-1]
        if told == b"failed":
            raise RefusedError(*map(int, fields))
        return fields

    def close(self) -> None:
        """The program is no more."""
        with suppress(OSError):
            self._open.close()

    def _start(self, side: Side) -> None:
        mark = f"convoy-{secrets.token_hex(8)}"
        interpreter = sys.executable if side.door is None else PYTHON
        words = (interpreter, "-I", "-S", "-c", _LOADER, mark)
        argv = side.argv('exec "$@"', *words)
        self._program = self._open.enter_context(running(argv, stdin=subprocess.PIPE))
        self._said = self._open.enter_context(io.BufferedReader(cast("io.RawIOBase", self._program.stdout)))
        with self._patience(_PATIENCE_S):
            with suppress(OSError):  # why it reads nothing is told by how it ended
                self._program.write(b"%d\n" % len(_PROGRAM) + _PROGRAM)
            if not any(line == f"{mark}\n".encode() for line in iter(self._said.readline, b"")):
                raise failure(side.site, self._program.words(), self._program.wait())
        self._asked_at = time.monotonic()

    @contextmanager
    def _patience(self, seconds: float) -> Iterator[None]:
        """What takes longer is ended."""
        ending = threading.Timer(seconds, self._program.kill)
        ending.daemon = True
        ending.start()
        try:
            yield
        finally:
            ending.cancel()

    @contextmanager
    def _broken_told(self, verb: str) -> Iterator[None]:
        try:
            yield
        except (OSError, EOFError, ValueError) as error:
            message = f"{self._site}: the connection broke at a question about files ({verb}); try again"
            raise SiteUnavailableError(message, site=self._site) from error
