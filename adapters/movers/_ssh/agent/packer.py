"""Packs files into a stream. It is sent to sites behind `wire`."""

from adapters.movers._ssh.agent.wire import (
    CHUNK,
    FORMS,
    GONE,
    ROWS,
    SMALL,
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
import errno
import os
import sys


TYPES = False
if TYPES:
    from typing import BinaryIO


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


if __name__ == "__main__":
    run(lambda: pack(sys.stdin.buffer, 1))
