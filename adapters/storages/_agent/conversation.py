"""Talks with a program at a site that knows its files: one login and one process for any number of questions."""

from __future__ import annotations

import io
import os
import secrets
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

from adapters._openssh.programs import Program, running
from adapters._openssh.sides import Side
from adapters.storages._agent import program
from metadata.errors import MiddlewareError, SiteUnavailableError
from staging.ports import FileDigest, FileStat

if TYPE_CHECKING:
    from collections.abc import Iterator

PYTHON = "python3"
_PROGRAM = Path(program.__file__).read_bytes()
# It comes by the standard input, so that no argument is long and nothing is written at a site.
_LOADER = "import sys; r = sys.stdin.buffer; exec(r.read(int(r.readline())))"
_FORGOTTEN_S = program.IDLE_S - 15.0
"""A program that was asked nothing for as long may end any moment, and is asked nothing more."""
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
    """Questions and answers, one after the other. Thread-safe. The program starts with the first question."""

    def __init__(self, side: Side) -> None:
        self._side = side
        self._talking = threading.Lock()
        self._open = ExitStack()
        # Nobody closes a storage: the program ends with whoever had it.
        weakref.finalize(self, self._open.close)
        self._program: Program | None = None
        self._said: IO[bytes] = io.BytesIO()
        self._asked_at = 0.0
        self._impossible = False

    @property
    def open(self) -> bool:
        """Whether the program is there, as far as is known."""
        return self._program is not None

    def begin(self) -> bool:
        """Whether the program is there, now that it was started where it was not; some sites have no Python."""
        with self._talking:
            return self._begun()

    def ask(self, verb: str, paths: Sequence[str]) -> list[bytes]:
        """The fields of the answer. Raises RefusedError, or SiteUnavailableError: it may have been done then."""
        with self._talking, self._broken_told(verb):
            if not self._begun():
                raise EOFError
            content = os.fsencode("".join([f"{path}\0" for path in paths]))
            self._asked_at = time.monotonic()
            told, fields = self._heard(f"{verb} {len(content)}\n".encode() + content, long=verb == "digests")
            self._asked_at = time.monotonic()
        if told == b"failed":
            raise RefusedError(*map(int, fields))
        return fields

    def digests(self, paths: Sequence[str]) -> dict[str, FileDigest]:
        """Of many files; one that is not there or cannot be read is absent from the answer."""
        rows = {path: row.decode().split() for path, row in zip(paths, self.ask("digests", paths), strict=True) if row}
        return {path: FileDigest(size_bytes=int(size), sha256=sha256) for path, (size, sha256) in rows.items()}

    def stats(self, paths: Sequence[str]) -> dict[str, FileStat]:
        """The same for their facts. Raises RefusedError for a folder that one may not look into."""
        found: dict[str, FileStat] = {}
        for path, row in zip(paths, self.ask("stats", paths), strict=True):
            if row:
                size, on_disk, modified, inode = map(int, row.split())
                holes = max(0, size - on_disk)
                found[path] = FileStat(size_bytes=size, modified_ns=modified, inode=inode, hole_bytes=holes)
        return found

    def _heard(self, question: bytes, *, long: bool) -> tuple[bytes, list[bytes]]:
        running_program = cast("Program", self._program)
        ending = threading.Timer(_LONG_S if long else _PATIENCE_S, running_program.kill)
        ending.daemon = True
        ending.start()
        try:
            running_program.write(question)
            told, size = self._said.readline().split()
            content = self._said.read(int(size))
        finally:
            ending.cancel()
        if len(content) < int(size):
            raise EOFError
        return told, content.split(b"\0")[:-1]

    def _begun(self) -> bool:
        if self._program is not None and time.monotonic() - self._asked_at > _FORGOTTEN_S:
            self._end()
        if self._program is None and not self._impossible:
            try:
                self._start()
            except (MiddlewareError, OSError, EOFError) as error:
                self._end()
                # What may be well a moment later is tried again then.
                self._impossible = not isinstance(error, SiteUnavailableError)
        return self._program is not None

    def _start(self) -> None:
        mark = f"convoy-{secrets.token_hex(8)}"
        interpreter = sys.executable if self._side.door is None else PYTHON
        words = (interpreter, "-I", "-S", "-c", _LOADER, mark)
        started = self._open.enter_context(running(self._side.argv('exec "$@"', *words), stdin=subprocess.PIPE))
        said = self._open.enter_context(io.BufferedReader(cast("io.RawIOBase", started.stdout)))
        started.write(b"%d\n" % len(_PROGRAM) + _PROGRAM)
        if not any(line == f"{mark}\n".encode() for line in iter(said.readline, b"")):
            raise EOFError
        self._program, self._said, self._asked_at = started, said, time.monotonic()

    def _end(self) -> None:
        self._program = None
        with suppress(OSError):
            self._open.close()

    @contextmanager
    def _broken_told(self, verb: str) -> Iterator[None]:
        try:
            yield
        except (OSError, EOFError, ValueError) as error:
            self._end()
            site = self._side.site
            message = f"{site}: the connection broke at a question about files ({verb}); try again"
            raise SiteUnavailableError(message, site=site) from error
