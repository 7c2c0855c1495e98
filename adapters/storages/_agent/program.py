"""Answers questions about many files at once, as long as somebody asks.

It is sent to sites as text and runs there by itself: Python 3.6, the standard library, nothing else, so it knows no
walrus and no annotations. Paths are bytes, because a site's locale is not ours.

A question is a line of its verb and of the size of what follows: fields with a NUL behind each, made smaller. So is an
answer, with `done` or `failed` as its verb. What failed is told by the number of the path and of the error.
"""

import errno
import hashlib
import os
import shutil
import signal
import sys
import zlib

TYPES = False
if TYPES:
    from collections.abc import Callable, Iterator
    from typing import BinaryIO

IDLE_S = 60
CHUNK = 1 << 20
ABSENT = (errno.ENOENT, errno.ENOTDIR)
NO_KERNEL_COPY = (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM)


class FailedError(Exception):
    """One of the paths failed."""

    def __init__(self, number: int, error: OSError) -> None:
        super().__init__(number, error)
        self.fields = [b"%d" % number, b"%d" % (error.errno or 0)]


class Folders:
    """Folders that are known to be there, or not to be: of a thousand files in one, it is looked for once."""

    def __init__(self) -> None:
        self.there = {}  # type: dict[bytes, bool]

    def has(self, path: bytes) -> bool:
        """Whether the folder in which the path would lie is there."""
        folder = os.path.dirname(path)
        if folder not in self.there:
            self.there[folder] = is_there(folder)
        return self.there[folder]

    def make(self, path: bytes) -> None:
        """It is there."""
        if not self.has(path):
            folder = os.path.dirname(path)
            os.makedirs(folder, exist_ok=True)
            self.there[folder] = True


def is_there(path: bytes) -> bool:
    """False only where nothing can lie below it; whoever may not look is told so later."""
    try:
        os.stat(path)
    except OSError as error:
        return error.errno not in ABSENT
    return True


def stats(paths: "list[bytes]") -> "list[bytes]":
    """Size, bytes on the disk, time and inode of each file; nothing for one that is not there."""
    folders = Folders()
    return [facts(number, path) if folders.has(path) else b"" for number, path in enumerate(paths)]


def facts(number: int, path: bytes) -> bytes:
    """The same of one file."""
    try:
        found = os.stat(path)
    except OSError as error:
        if error.errno in ABSENT:
            return b""
        raise FailedError(number, error) from error
    return b"%d %d %d %d" % (found.st_size, found.st_blocks * 512, found.st_mtime_ns, found.st_ino)


def digests(paths: "list[bytes]") -> "list[bytes]":
    """Size and SHA-256 of each file; nothing for one that cannot be read."""
    buffer = bytearray(CHUNK)
    return [digest(path, buffer) for path in paths]


def digest(path: bytes, buffer: bytearray) -> bytes:
    """The same of one file."""
    view, found, size = memoryview(buffer), hashlib.sha256(), 0
    try:
        with open(path, "rb", buffering=0) as file:
            for got in iter(lambda: file.readinto(buffer), 0):
                found.update(view[:got])
                size += got or 0
    except OSError:
        return b""
    return b"%d %s" % (size, found.hexdigest().encode())


def rename(pairs: "list[bytes]") -> "list[bytes]":
    """Each source has its target's name, at once; the targets' folders are made."""
    return for_each(pairs, os.replace)


def copy(pairs: "list[bytes]") -> "list[bytes]":
    """Each target holds what its source does; the targets' folders are made."""
    return for_each(pairs, duplicate)


def for_each(pairs: "list[bytes]", act: "Callable[[bytes, bytes], None]") -> "list[bytes]":
    """Something is done with each source and its target."""
    folders = Folders()
    for number, (source, target) in enumerate(zip(pairs[0::2], pairs[1::2])):
        try:
            folders.make(target)
            act(source, target)
        except OSError as error:
            raise FailedError(2 * number + (not blames(error, source)), error) from error
    return []


def blames(error: OSError, source: "bytes | str") -> bool:
    """Whether something is wrong with the source, and not where it goes."""
    return error.errno == errno.ENOENT or (error.filename == source and error.filename2 is None)


def duplicate(source: "bytes | str", target: "bytes | str") -> None:
    """All of a file in another one, holes as holes; the kernel copies, and shares blocks where it can."""
    with open(source, "rb") as read, open(target, "wb") as written:
        size = os.fstat(read.fileno()).st_size
        for start, end in extents(read.fileno(), size):
            duplicate_range(read.fileno(), written.fileno(), start, end)
        written.truncate(size)


def extents(file: int, size: int) -> "Iterator[tuple[int, int]]":
    """Begin and end of whatever is no hole."""
    at = 0
    while at < size:
        try:
            at = os.lseek(file, at, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return
            yield at, size  # the file system knows nothing of holes
            return
        begin, at = at, os.lseek(file, at, os.SEEK_HOLE)
        yield begin, at


def duplicate_range(read: int, written: int, at: int, end: int) -> None:
    """The bytes between two places of one file are at the same places of the other."""
    try:
        # Python has it since 3.8.
        while at < end and hasattr(os, "copy_file_range"):
            done = os.copy_file_range(read, written, min(end - at, 1 << 30), at, at)
            if not done:
                return
            at += done
    except OSError as error:
        if error.errno not in NO_KERNEL_COPY:
            raise
    while at < end:
        block = os.pread(read, min(end - at, CHUNK), at)
        if not block:
            return
        at += os.pwrite(written, block, at)


def remove(paths: "list[bytes]") -> "list[bytes]":
    """None of the files and folders is there."""
    for number, path in enumerate(paths):
        try:
            if os.path.isdir(path) and not os.path.islink(path):
                shutil.rmtree(path)
            else:
                os.unlink(path)
        except OSError as error:
            if error.errno not in ABSENT:
                raise FailedError(number, error) from error
    return []


def survey(paths: "list[bytes]") -> "list[bytes]":
    """Bytes that are left for the user where the first path lies, or will lie, and the stats of all."""
    try:
        free = free_bytes(paths[0])
    except OSError as error:
        raise FailedError(0, error) from error
    return [b"%d" % free, *stats(paths)]


def free_bytes(path: "bytes | str") -> int:
    """What is left for the user where the path lies, or will lie."""
    while not os.path.exists(path):
        path = os.path.dirname(path)
    found = os.statvfs(path)
    return found.f_bavail * found.f_frsize


def answer(verb: bytes, fields: "list[bytes]") -> "list[bytes]":
    """`done` or `failed`, and what goes with it."""
    verbs = {
        b"stats": stats, b"survey": survey, b"digests": digests, b"rename": rename, b"copy": copy, b"remove": remove,
    }  # fmt: skip
    try:
        return [b"done", *verbs[verb](fields)]
    except FailedError as error:
        return [b"failed", *error.fields]


def main(source: "BinaryIO", out: "BinaryIO", mark: bytes) -> None:
    """Questions come from `source` until it ends, or nobody asks for a while. A login shell may have talked before."""
    out.write(b"\n" + mark + b"\n")
    out.flush()
    while True:
        signal.alarm(IDLE_S)
        line = source.readline()
        if not line:
            return
        verb, size = line.split()
        content = source.read(int(size))
        signal.alarm(0)
        told, *fields = answer(verb, zlib.decompress(content).split(b"\0")[:-1])
        text = zlib.compress(b"".join([field + b"\0" for field in fields]), 1)
        out.write(b"%s %d\n%s" % (told, len(text), text))
        out.flush()


if __name__ == "__main__":
    main(sys.stdin.buffer, sys.stdout.buffer, sys.argv[1].encode())
