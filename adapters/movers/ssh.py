"""Streams one file after the other through OpenSSH, with nothing but coreutils at the other end; hashed on its way."""

from __future__ import annotations

import contextlib
import os
import secrets
import subprocess
import time
from dataclasses import dataclass

from adapters._openssh.errors import failure, gone, is_full, last_line
from adapters._openssh.programs import Program, running
from adapters._openssh.sides import Side, sides_of
from adapters.movers._ssh.agent.wire import widen
from adapters.movers._ssh.growth import Growth
from adapters.movers._ssh.partials import prepare
from metadata.errors import MiddlewareError, no_room
from staging.ports import Capabilities, Direction, FileDigest, MoveFile, MoveRequest, MoveResult, Progress

_BLOCK_BYTES = 1 << 20
# A login shell may talk before the file begins.
_READ = """printf '\\n%s\\n' "$3"; exec tail -c "+$2" -- "$1\""""
# Old builds of sha256sum take five times as long as OpenSSL. tee goes on when the disk is full, and says so.
_WRITE = """\
echo; { [ "$2" = 0 ] || head -c "$2" -- "$1"; tee -a -- "$1" || echo convoy-failed >&2; } |
  if command -v openssl >/dev/null; then openssl dgst -sha256 -r; else sha256sum -b; fi
stat -L -c %s -- "$1\""""


class SshMover:
    """One stream from `tail` at the source to `tee` and a hash at the destination; a partial file is gone on with."""

    capabilities = Capabilities(
        schemes=frozenset({"file", "ssh"}),
        directions=frozenset({Direction.PUSH, Direction.PULL, Direction.RELAY}),
        resumes=True,
        encrypted=True,
        verifies=True,
        limits_rate=True,
        needs=("ssh",),
    )

    def move(self, request: MoveRequest, *, progress: Progress) -> MoveResult:
        """All bytes of every source lie at its partial path."""
        source, destination = sides_of(request)
        present = prepare(destination, request.files)
        growth = Growth(progress=progress, size_bytes=request.size_bytes)
        lying = sum(present.values())
        growth.tell(lying)
        digests, moved = {}, 0
        for file in request.files:
            begin = present.get(file.partial_path, -1)
            if begin == file.size_bytes:
                continue
            flow = _Flow(
                file=file, begin=max(0, begin), growth=growth, lying=lying + moved, rate=request.limit_bytes_per_s
            )
            digests[file.partial_path] = flow.run(source, destination)
            moved += flow.moved
        growth.tell(request.size_bytes)
        return MoveResult(bytes_moved=moved, digests=digests)


@dataclass(kw_only=True)
class _Flow:
    """One file on its way."""

    file: MoveFile
    begin: int
    """Bytes that an earlier try left."""
    growth: Growth
    lying: int
    """Bytes of the request that lay there before."""
    rate: float | None
    moved: int = 0

    def run(self, source: Side, destination: Side) -> FileDigest:
        """The file lies there. Its digest, whatever it is."""
        mark = f"convoy-{secrets.token_hex(8)}"
        with (
            running(source.argv(_READ, self.file.source_path, str(self.begin + 1), mark)) as reader,
            running(destination.argv(_WRITE, self.file.partial_path, str(self.begin)), stdin=subprocess.PIPE) as writer,
        ):
            _skip_noise(reader.stdout.fileno(), f"\n{mark}\n".encode())
            widen(writer.stdin.fileno())
            self._carry(reader.stdout.fileno(), writer.stdin.fileno())
            reader.stdout.close()
            writer.close_stdin()
            said = writer.stdout.read()
            self._check_writer(destination, writer)
            if code := reader.wait():
                raise _unread(source, self.file, reader.words(), code)
        digest, size = said.split()[-3::2]
        return FileDigest(size_bytes=int(size), sha256=digest.decode())

    def _carry(self, reader: int, writer: int) -> None:
        """Bytes go from pipe to pipe until the source ends or the destination takes no more."""
        since = time.monotonic()
        with contextlib.suppress(BrokenPipeError):  # the destination says why, when it is asked how it ended
            while sent := _pass_on(reader, writer):
                self.moved += sent
                self.growth.tell(self.lying + self.moved)
                if self.rate:
                    time.sleep(max(0.0, self.moved / self.rate - (time.monotonic() - since)))

    def _check_writer(self, destination: Side, writer: Program) -> None:
        code, words = writer.wait(), writer.words()
        if is_full(words):
            raise no_room(destination.site, last_line(words.replace("convoy-failed", ""), code))
        if code or "convoy-failed" in words:
            raise failure(destination.site, words.replace("convoy-failed", ""), code)


def _skip_noise(reader: int, mark: bytes) -> None:
    """What comes next is the file."""
    said = b""
    while not said.endswith(mark) and (byte := os.read(reader, 1)):
        said = said[-len(mark) :] + byte


def _pass_on(reader: int, writer: int) -> int:
    """How many bytes went from one pipe into the other; without a copy where the kernel can do that."""
    if hasattr(os, "splice"):
        return os.splice(reader, writer, _BLOCK_BYTES)
    rest = memoryview(os.read(reader, _BLOCK_BYTES))
    size = len(rest)
    while rest:
        rest = rest[os.write(writer, rest) :]
    return size


def _unread(source: Side, file: MoveFile, words: str, code: int) -> MiddlewareError:
    return gone(source.site, file.source_path) if "No such file" in words else failure(source.site, words, code)


ADAPTER = SshMover
