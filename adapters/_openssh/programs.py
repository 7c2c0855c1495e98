"""Programs on this machine: started in a group of their own, and never left behind."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO, cast

# rsync and scp speak the user's language otherwise, and write numbers with commas.
_ENVIRONMENT = {"LC_ALL": "C"}


class Program:
    """A program that runs. What it says on standard error is kept, however much it is."""

    def __init__(self, argv: Sequence[str], *, stdin: int | IO[bytes] = subprocess.DEVNULL) -> None:
        self._words = tempfile.TemporaryFile()  # noqa: SIM115 - closed by end()
        self._process = subprocess.Popen(
            argv, stdin=stdin, stdout=subprocess.PIPE, stderr=self._words, bufsize=0, start_new_session=True,
            env={**os.environ, **_ENVIRONMENT},
        )  # fmt: skip
        self._feeder: threading.Thread | None = None
        # Once it was waited for, its number may be another's.
        self._ending = threading.Lock()

    @property
    def stdin(self) -> IO[bytes]:
        """Its standard input, where that is a pipe."""
        return _there(self._process.stdin)

    @property
    def stdout(self) -> IO[bytes]:
        """What it says."""
        return _there(self._process.stdout)

    def lines(self) -> Iterator[bytes]:
        """What it says, line by line: a raw pipe would be read byte by byte for that."""
        with io.BufferedReader(cast("io.RawIOBase", self.stdout)) as reader:
            yield from reader

    def feed(self, content: bytes, *, then_close: bool = True) -> None:
        """It reads `content`, while others read what it says."""
        self._feeder = threading.Thread(target=self._write, args=(content, then_close), daemon=True)
        self._feeder.start()

    def write(self, content: bytes) -> None:
        """It has been given `content`. Raises OSError when it reads no more."""
        rest = memoryview(content)
        while rest:
            rest = rest[self.stdin.write(rest) :]

    def _write(self, content: bytes, then_close: bool) -> None:
        # Who reads no more has a reason, and says it when asked how it ended.
        with contextlib.suppress(OSError, ValueError):
            self.write(content)
        if then_close:
            self.close_stdin()

    def close_stdin(self) -> None:
        """It sees the end of its input."""
        with contextlib.suppress(OSError):
            self.stdin.close()

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self._process.poll() is not None

    def wait(self) -> int:
        """Its exit code, once it has ended; negative after a signal."""
        return self._process.wait()

    def words(self) -> str:
        """What it said on standard error."""
        self._words.seek(0)
        return self._words.read().decode(errors="replace")

    def kill(self) -> None:
        """It and all that it started end at once."""
        with self._ending:
            if self._process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self._process.pid, signal.SIGKILL)

    def end(self) -> None:
        """It and all that it started are no more, and its pipes are closed."""
        self.kill()
        self._process.wait()
        if self._feeder is not None:
            self._feeder.join()
        for stream in (self._process.stdin, self._process.stdout, self._words):
            with contextlib.suppress(OSError):
                if stream is not None:
                    stream.close()


@contextmanager
def running(argv: Sequence[str], *, stdin: int | IO[bytes] = subprocess.DEVNULL) -> Iterator[Program]:
    """The program while the block lasts; it is killed when the block ends before it."""
    program = Program(argv, stdin=stdin)
    try:
        yield program
    finally:
        program.end()


def _there(stream: IO[bytes] | None) -> IO[bytes]:
    if stream is None:
        raise ValueError("this program has no such pipe")
    return stream
