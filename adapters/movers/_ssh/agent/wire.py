"""What the packer and the unpacker share: the stream between them, and how they fail.

Written for Python 3.6 and the standard library alone, so it knows no walrus and no annotations.
"""

# Sent to sites from here on.
import contextlib
import fcntl
import os
import sys
import time
import zlib

TYPES = False
if TYPES:
    from collections.abc import Callable, Iterator

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


def rows_of(content: bytes, columns: int) -> "Iterator[tuple[bytes, ...]]":
    """A list of files: so many fields to a file, each ended by a NUL, and all of that made smaller; or nothing."""
    fields = iter(zlib.decompress(content).split(b"\0") if content else ())
    return zip(*[fields] * columns)


def widen(pipe: int) -> None:
    """A pipe that holds more, where that is allowed."""
    with contextlib.suppress(OSError):
        fcntl.fcntl(pipe, PIPE_SIZE, CHUNK)


def run(half: "Callable[[], None]") -> None:
    """What fails is told, and ends the program."""
    try:
        half()
    except FailureError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(error.code)
    except OSError as error:
        sys.stderr.write(f"{error.strerror}\n")
        sys.exit(1)
