"""Unpacks a stream, hashes what it writes, and gives the files their names. It is sent to sites behind `wire`."""

from adapters.movers._ssh.agent.wire import (
    BLOCK,
    CHUNK,
    FORMS,
    FULL,
    MAP_AT,
    REPORT_S,
    ROWS,
    SHORT,
    SMALL,
    ZEROS,
    FailureError,
    Pace,
    Plain,
    Tar,
    rows_of,
    run,
    widen,
    words,
    write_all,
)

# Sent to sites from here on.
import hashlib
import os
import sys
import time


TYPES = False
if TYPES:
    from collections.abc import Iterator
    from typing import Any, BinaryIO


class Reporter:
    """Tells how far it is: a line for each file, and one now and then for the bytes of a large one."""

    def __init__(self, out: int, mark: bytes) -> None:
        self.out = out
        self.mark = mark
        self.lines = [b""]
        self.told = time.monotonic()

    def say(self, *words: bytes) -> None:
        """It will be said within a short while."""
        self.lines.append(b" ".join([self.mark, *words]))
        if time.monotonic() - self.told > REPORT_S:
            self.flush()

    def flush(self) -> None:
        """All has been said."""
        if self.lines:
            write_all(self.out, b"\n".join(self.lines) + b"\n")
        self.lines = []
        self.told = time.monotonic()

    def large(self, number: bytes, size: int) -> None:
        """Some of a file's bytes lie there."""
        if time.monotonic() - self.told > REPORT_S:
            self.say(b"at", number, b"%d" % size)

    def whole(self, number: bytes, size: int, holes: int, digest: bytes, facts: os.stat_result) -> None:
        """A file lies there; so much of it did not travel, being holes. One that is right has its name: no digest."""
        words = size, holes, facts.st_size, facts.st_mtime_ns, facts.st_ino, digest
        self.say(b"whole", number, b"%d %d %d %d %d %s" % words)


class Hasher:
    """Hashes beside the writing: both let go of the interpreter meanwhile. Its buffers are used again and again."""

    def __init__(self, digest: "Any") -> None:
        import queue
        import threading

        self.digest = digest
        self.free = queue.Queue()  # type: queue.Queue[memoryview]
        for _ in range(4):
            self.free.put(memoryview(bytearray(CHUNK)))
        self.filled = queue.Queue()  # type: queue.Queue[tuple[memoryview, memoryview] | None]
        self.thread = threading.Thread(target=self.work)
        self.thread.daemon = True
        self.thread.start()

    def work(self) -> None:
        """Until there is no more."""
        for buffer, content in iter(self.filled.get, None):
            self.digest.update(content)
            self.free.put(buffer)

    def close(self) -> None:
        """All was hashed."""
        self.filled.put(None)
        self.thread.join()


class Unpacker:
    """Writes members to the paths that their names stand for."""

    def __init__(self, source: "Any", pace: Pace, form: "type[Tar] | type[Plain]", reporter: Reporter) -> None:
        self.source = source
        self.pace = pace
        self.form = form
        self.reporter = reporter
        self.targets = {}  # type: dict[bytes, tuple[bytes, ...]]

    def expect(self, rows: bytes) -> None:
        """The files of a list may come."""
        self.targets.update((row[0], row[1:]) for row in rows_of(rows, 6))
        self.reporter.flush()  # there may be no more before that was heard

    def take(self, size: int) -> bytes:
        """Exactly that many bytes."""
        content = self.source.read(size)  # type: bytes
        if len(content) < size:
            raise FailureError(SHORT, "the stream ended before its time")
        self.pace.count(size)
        return content

    def skip_padding(self, size: int) -> None:
        """What follows a member of that size is taken, too."""
        if -size % self.form.unit:
            self.take(-size % self.form.unit)

    def lines(self) -> "Iterator[tuple[bytes, int, list[tuple[int, int]]]]":
        """The same as `members` of a plain stream."""
        for line in iter(self.source.readline, Plain.end):
            if not line.endswith(b"\n"):
                raise FailureError(SHORT, "the stream ended before its time")
            kind, name, size, *extents = line.split()
            if kind == ROWS:
                self.expect(self.take(int(size)))
            elif kind == b"S":
                pairs = [extent.split(b":") for extent in extents]
                yield name, int(size), [(int(start), int(length)) for start, length in pairs]
            else:
                yield name, int(size), [(0, int(size))]

    def members(self) -> "Iterator[tuple[bytes, int, list[tuple[int, int]]]]":
        """Name and size of each member and what is no hole of it, which must be taken before the next."""
        long_name = None  # type: bytes | None
        while True:
            block = self.take(BLOCK)
            kind = block[156:157]
            if kind == b"\0" and not block.strip(b"\0"):
                return
            size = number_of(block[124:136])
            if kind == b"L":
                long_name = self.take(size + -size % BLOCK)[:size].rstrip(b"\0")
                continue
            extents = [(0, size)]
            if kind == b"S":
                size, extents = self.map_of(block)
            elif kind not in b"0\0":
                raise FailureError(SHORT, "the stream holds something that is no file")
            yield long_name or block[:100].rstrip(b"\0"), size, extents
            long_name = None

    def map_of(self, block: bytes) -> "tuple[int, list[tuple[int, int]]]":
        """Size of a file with holes, and (start, length) of what is none: as the header says, and blocks behind it."""
        size = number_of(block[483:495])
        fields, more = block[MAP_AT : MAP_AT + 96], block[482]
        while more:
            block = self.take(BLOCK)
            fields, more = fields + block[:504], block[504]
        rows = [(fields[at : at + 12], fields[at + 12 : at + 24]) for at in range(0, len(fields), 24)]
        return size, [(number_of(start), number_of(length)) for start, length in rows if start.strip(b"\0")]

    def write(self, name: bytes, size: int, extents: "list[tuple[int, int]]") -> None:
        """`size` more bytes lie in the file of that name; what is no hole is in the stream."""
        number, path, begin, final, sha256 = self.targets.pop(name)
        offset = int(begin)
        try:
            digest = self.filled(number, path, offset, size, extents).hexdigest().encode()
            if final and digest == sha256:
                give_name(path, final)
                path, digest = final, b""
            # Some file systems set the time when a file is closed.
            facts = os.stat(path)  # noqa: PTH116 - of bytes
        except OSError as error:
            raise FailureError(FULL, words(path, error)) from error
        holes = size - sum(length for _, length in extents)
        self.reporter.whole(number, offset + size, holes, digest, facts)

    def filled(self, number: bytes, path: bytes, offset: int, size: int, extents: "list[tuple[int, int]]") -> "Any":
        """The digest of a file that has all its bytes, its first `offset` ones among them."""
        digest = hashlib.sha256()
        file = opened(path, os.O_RDWR | os.O_CREAT | (0 if offset else os.O_TRUNC))
        try:
            if offset:
                hash_beginning(file, digest, offset)
            if size > SMALL or extents != [(0, size)]:
                self.stream(number, file, digest, offset, size, extents)
            elif size:
                content = self.take(size)
                self.skip_padding(size)
                write_all(file, content)
                digest.update(content)
        finally:
            os.close(file)
        return digest

    def stream(
        self, number: bytes, file: int, digest: "Any", offset: int, size: int, extents: "list[tuple[int, int]]"
    ) -> None:
        """A large file, whose holes stay holes."""
        hasher = Hasher(digest)
        at = 0
        try:
            for start, length in [*extents, (size, 0)]:
                self.skip(number, file, hasher, offset + at, offset + start)
                self.fill(number, file, hasher, offset + start, offset + start + length)
                at = start + length
        finally:
            lengthen(file, os.lseek(file, 0, os.SEEK_CUR))
            hasher.close()
        self.skip_padding(sum(length for _, length in extents))

    def skip(self, number: bytes, file: int, hasher: Hasher, at: int, end: int) -> None:
        """A hole: it is hashed, and that is all."""
        while at < end:
            size = min(CHUNK, end - at)
            hasher.filled.put((hasher.free.get(), memoryview(ZEROS)[:size]))
            at = os.lseek(file, size, os.SEEK_CUR)
            self.reporter.large(number, at)

    def fill(self, number: bytes, file: int, hasher: Hasher, at: int, end: int) -> None:
        """What is no hole, though it may be zeros."""
        while at < end:
            buffer = hasher.free.get()
            got = self.source.readinto1(buffer[: min(self.pace.chunk(), end - at)])
            if not got:
                raise FailureError(SHORT, "the stream ended before its time")
            hasher.filled.put((buffer, buffer[:got]))
            if buffer[0] == buffer[got - 1] == 0 and bytes(buffer[:got]) == ZEROS[:got]:
                os.lseek(file, got, os.SEEK_CUR)
            else:
                write_all(file, buffer[:got])
            at += got
            self.pace.count(got)
            self.reporter.large(number, at)


def opened(path: bytes, flags: int) -> int:
    """A file to write; its folder is made where it is missing."""
    try:
        return os.open(path, flags, 0o666)
    except FileNotFoundError:
        os.makedirs(os.path.dirname(path), exist_ok=True)  # noqa: PTH103, PTH120 - of bytes
        return os.open(path, flags, 0o666)


def lengthen(file: int, size: int) -> None:
    """A hole at its end is part of a file, which never gets shorter.

    When a dead connection is noticed at last, another process may have gone on with the file, and given it its name.
    """
    if os.fstat(file).st_size < size:
        os.ftruncate(file, size)


def hash_beginning(file: int, digest: "Any", size: int) -> None:
    """What an earlier try left is hashed, and gone on with."""
    left = size
    while left:
        block = os.read(file, min(CHUNK, left))
        if not block:
            raise FailureError(SHORT, "a partial file became shorter meanwhile")
        digest.update(block)
        left -= len(block)


def number_of(field: bytes) -> int:
    """A number of a header: octal digits, or GNU's binary for sizes from 8 GiB on."""
    if field[0] & 0x80:
        return int.from_bytes(field[1:], "big")
    return int(field.strip(b" \0") or b"0", 8)


def give_name(path: bytes, final: bytes) -> None:
    """A file has its final name, at once; its folder is made where it is missing."""
    try:
        os.replace(path, final)  # noqa: PTH105 - of bytes
    except FileNotFoundError:
        os.makedirs(os.path.dirname(final), exist_ok=True)  # noqa: PTH103, PTH120 - of bytes
        os.replace(path, final)  # noqa: PTH105 - of bytes


def unpack(source: "BinaryIO", out: int, mark: bytes) -> None:
    r"""source: "RATE FORM BYTES\n" and as many bytes of a list, then the stream, which may hold more lists.

    Lists are of name in the stream, number, path, offset, final name and SHA-256; without these no name is given.
    """
    rate, form, size = source.readline().split()
    reporter = Reporter(out, mark)
    unpacker = Unpacker(source, Pace(float(rate)), FORMS[form], reporter)
    unpacker.expect(source.read(int(size)))
    widen(source.fileno())
    try:
        for member in unpacker.members() if unpacker.form is Tar else unpacker.lines():
            unpacker.write(*member)
    finally:
        reporter.flush()
    if unpacker.targets:
        raise FailureError(SHORT, "the stream ended before its time")
    while source.read(CHUNK):
        pass


if __name__ == "__main__":
    run(lambda: unpack(sys.stdin.buffer, 1, sys.argv[1].encode()))
