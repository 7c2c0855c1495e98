"""Packs files into a stream; unpacks and hashes such a stream, and gives the files their names.

It is sent to sites as text and runs there by itself: Python 3.6, the standard library, nothing else, so it knows no
walrus and no annotations. Paths are bytes, because a site's locale is not ours. Both halves can speak tar, so that GNU
tar can stand at the other end. Among themselves they leave out its blocks, which are a twentieth of a small file.
"""

import contextlib
import errno
import fcntl
import hashlib
import os
import sys
import time
import zlib

TYPES = False
if TYPES:
    from collections.abc import Iterator
    from typing import Any, BinaryIO

BLOCK = 512
CHUNK = 1 << 20
SMALL = 1 << 18
ZEROS = bytes(CHUNK)
MAP_AT = 386  # where a header of GNU tells what is no hole
REPORT_S = 0.1
ROWS = b"C"  # a member of this kind is a list of files
PIPE_SIZE = 1031  # F_SETPIPE_SZ: fewer and larger turns
GONE, SHORT, FULL = 41, 42, 43  # exit codes


class Pace:
    """Keeps to a rate in bytes per second; none when it is 0."""

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self.begin = time.monotonic()
        self.done = 0

    def chunk(self) -> int:
        """How much to take at once."""
        return max(4096, min(CHUNK, int(self.rate / 8))) if self.rate else CHUNK

    def count(self, size: int) -> None:
        """Returns when as much may have passed."""
        if self.rate:
            self.done += size
            early = self.done / self.rate - (time.monotonic() - self.begin)
            if early > 0:
                time.sleep(early)


class FailureError(Exception):
    """What ends the program; the words are for people."""

    def __init__(self, code: int, words: str) -> None:
        super().__init__(words)
        self.code = code


def words(path: bytes, error: OSError) -> str:
    """What went wrong with a file."""
    return f"{os.fsdecode(path)}: {error.strerror}"


# --- Packing


def header(name: bytes, size: int, kind: bytes = b"0", end: bytes = b"") -> bytes:
    """A member's header; a name that is too long goes before it, in GNU's manner."""
    before = b""
    if len(name) > 100:
        long = name + b"\0"
        before = header(b"././@LongLink", len(long), b"L") + long + b"\0" * (-len(long) % BLOCK)
        name = name[:100]
    start = name.ljust(100, b"\0") + b"0000644\0" + b"0000000\0" * 2 + digits(size) + b"00000000000\0"
    rest = (kind + b"\0" * 100 + b"ustar  \0").ljust(MAP_AT - 156, b"\0") + end
    # The sum of all bytes, its own eight counted as blanks.
    total = sum(start) + 8 * 32 + sum(rest)
    return before + (start + b"%06o\0 " % total + rest).ljust(BLOCK, b"\0")


def digits(number: int) -> bytes:
    """A number of a header: octal, or GNU's binary from 8 GiB on."""
    return b"%011o\0" % number if number < 8**11 else b"\x80" + number.to_bytes(11, "big")


def sparse_header(name: bytes, extents: "list[tuple[int, int]]", size: int) -> bytes:
    """The header of a file with holes, as GNU tar writes it: a map of what is no hole, in as many blocks as it takes.

    size: the file's, its holes counted. The map ends with an entry at its end, however it ends.
    """
    entries = [digits(start) + digits(length) for start, length in [*extents, (size, 0)]]
    first, rest = entries[:4], entries[4:]
    end = b"".join(first).ljust(96, b"\0") + bytes([bool(rest)]) + digits(size)
    blocks = [header(name, sum(length for _, length in extents), b"S", end)]
    while rest:
        some, rest = rest[:21], rest[21:]
        blocks.append((b"".join(some).ljust(504, b"\0") + bytes([bool(rest)])).ljust(BLOCK, b"\0"))
    return b"".join(blocks)


def extents_of(file: int, offset: int, end: int) -> "list[tuple[int, int]]":
    """(start, length) of what is no hole between two places of a file; starts are counted from the first of them."""
    found = []  # type: list[tuple[int, int]]
    at = offset
    while at < end:
        try:
            start = os.lseek(file, at, os.SEEK_DATA)
        except OSError as error:
            if error.errno != errno.ENXIO:  # the file system knows nothing of holes
                return [(0, end - offset)]
            break
        at = min(end, os.lseek(file, start, os.SEEK_HOLE))
        if found and start - offset - sum(found[-1]) < CHUNK:
            start = offset + found.pop()[0]
        if start < at:
            found.append((start - offset, at - start))
    return found


class Tar:
    """The stream as GNU tar speaks it."""

    unit = BLOCK
    end = b"\0" * 2 * BLOCK
    header = staticmethod(header)
    sparse_header = staticmethod(sparse_header)


class Plain:
    """The stream as only these two halves speak it: a line before each member, and nothing behind it."""

    unit = 1
    end = b"\n"

    @staticmethod
    def header(name: bytes, size: int, kind: bytes = b"0") -> bytes:
        """KIND, NAME, SIZE."""
        return b"%s %s %d\n" % (kind, name, size)

    @staticmethod
    def sparse_header(name: bytes, extents: "list[tuple[int, int]]", size: int) -> bytes:
        """The same, and START:LENGTH of all that is no hole."""
        listed = b" ".join([b"%d:%d" % extent for extent in extents])
        return b"S %s %d %s\n" % (name, size, listed)


FORMS = {b"tar": Tar, b"plain": Plain}  # type: dict[bytes, type[Tar] | type[Plain]]


def write_all(out: int, content: "bytes | memoryview") -> None:
    """All of it is written."""
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(out, rest) :]


class Packer:
    """Writes members; small ones are gathered, large ones go from the file to the pipe without a copy."""

    def __init__(self, out: int, pace: Pace, form: "type[Tar] | type[Plain]") -> None:
        self.out = out
        self.pace = pace
        self.form = form
        self.gathered = []  # type: list[bytes]
        self.size = 0

    def put(self, content: bytes) -> None:
        """It is in the stream, sooner or later."""
        self.gathered.append(content)
        self.size += len(content)
        if self.size >= SMALL:
            self.flush()

    def pad(self, size: int) -> None:
        """What follows a member of that size is in the stream."""
        if -size % self.form.unit:
            self.put(b"\0" * (-size % self.form.unit))

    def put_rows(self, rows: bytes) -> None:
        """A list of files for the other half, which speaks as we do; an empty one has it report."""
        self.put(Plain.header(b"rows", len(rows), ROWS) + rows)

    def flush(self) -> None:
        """What was gathered is in the stream."""
        write_all(self.out, b"".join(self.gathered))
        self.pace.count(self.size)
        self.gathered, self.size = [], 0

    def add(self, name: bytes, path: bytes, offset: int) -> None:
        """The file from `offset` on is a member."""
        try:
            file = os.open(path, os.O_RDONLY)
        except OSError as error:
            raise FailureError(GONE, words(path, error)) from error
        try:
            facts = os.fstat(file)
            size = max(0, facts.st_size - offset)
            if size > SMALL and facts.st_blocks * 512 < facts.st_size - CHUNK:
                self.add_sparse(name, file, offset, size)
                return
            self.put(self.form.header(name, size))
            if size > SMALL:
                self.flush()
                self.stream(file, offset, size)
            elif size:
                self.put(os.pread(file, size, offset).ljust(size, b"\0"))
            self.pad(size)
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise
            raise FailureError(GONE, words(path, error)) from error
        finally:
            os.close(file)

    def add_sparse(self, name: bytes, file: int, offset: int, size: int) -> None:
        """A file whose holes do not travel."""
        extents = extents_of(file, offset, offset + size)
        self.put(self.form.sparse_header(name, extents, size))
        self.flush()
        for start, length in extents:
            self.stream(file, offset + start, length)
        self.pad(sum(length for _, length in extents))

    def stream(self, file: int, offset: int, size: int) -> None:
        """A large file's bytes."""
        end = offset + size
        while offset < end:
            sent = send(self.out, file, offset, min(self.pace.chunk(), end - offset))
            if sent == 0:  # it was cut short meanwhile: zeros keep the stream whole, and the hash tells
                sent = min(CHUNK, end - offset)
                write_all(self.out, b"\0" * sent)
            offset += sent
            self.pace.count(sent)


def send(out: int, file: int, offset: int, size: int) -> int:
    """How many bytes went from the file into the stream."""
    try:
        return os.sendfile(out, file, offset, size)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOSYS):
            raise
    content = os.pread(file, size, offset)
    write_all(out, content)
    return len(content)


def rows_of(content: bytes, columns: int) -> "Iterator[tuple[bytes, ...]]":
    """A list of files: so many fields to a file, each ended by a NUL, and all of that made smaller; or nothing."""
    fields = iter(zlib.decompress(content).split(b"\0") if content else ())
    return zip(*[fields] * columns)


def widen(pipe: int) -> None:
    """A pipe that holds more, where that is allowed."""
    with contextlib.suppress(OSError):
        fcntl.fcntl(pipe, PIPE_SIZE, CHUNK)


def pack(source: "BinaryIO", out: int) -> None:
    r"""source: "RATE FORM BYTES\n" and as many bytes, which go before the stream, then lists of files until it ends.

    A list is "BYTES BYTES\n", as many bytes for this half and as many for the other one; GNU tar needs none.
    """
    rate, form, size = source.readline().split()
    widen(out)
    packer = Packer(out, Pace(float(rate)), FORMS[form])
    packer.put(source.read(int(size)))
    packer.flush()  # the other half starts meanwhile
    for line in iter(source.readline, b""):
        rows, others = [source.read(int(size)) for size in line.split()]
        if others:
            packer.put_rows(others)
        for name, path, offset in rows_of(rows, 3):
            packer.add(name, path, int(offset))
        if others:
            packer.put_rows(b"")
        packer.flush()
    packer.put(packer.form.end)
    packer.flush()


# --- Unpacking


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
            os.ftruncate(file, os.lseek(file, 0, os.SEEK_CUR))
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


def main(arguments: "list[str]") -> None:
    """arguments: pack, or unpack and the mark of its reports."""
    try:
        if arguments[0] == "pack":
            pack(sys.stdin.buffer, 1)
        else:
            unpack(sys.stdin.buffer, 1, arguments[1].encode())
    except FailureError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(error.code)
    except OSError as error:
        sys.stderr.write(f"{error.strerror}\n")
        sys.exit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
