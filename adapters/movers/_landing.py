"""Partial files that were written out of order, and names that a tool cannot say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from adapters.movers._detached import ask, check_answer
from metadata.errors import MiddlewareError
from staging.ports import MoveFile, MoveRequest, Shell

# Parallel streams leave holes. What lies before the first hole is the file's beginning; a hole is told by whole blocks
# of the file system only, so a mebibyte before it is not trusted. Every file exists afterwards.
_SETTLE = """\
import os, sys
words = sys.stdin.buffer.read().split(b"\\0")
for size, path in zip(words[0::2], words[1::2]):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    length = os.fstat(file).st_size
    kept = 0
    if 0 < length <= int(size):
        hole = os.lseek(file, 0, os.SEEK_HOLE)
        kept = length if hole == length else max(0, hole - (1 << 20))
    if kept != length:
        os.truncate(file, kept)
    os.close(file)
    print(kept)
"""
_SUMS = """\
import hashlib, sys
words = sys.stdin.buffer.read().split(b"\\0")
for begin, end, path in zip(words[0::3], words[1::3], words[2::3]):
    with open(path, "rb") as file:
        file.seek(int(begin))
        print(hashlib.sha256(file.read(int(end) - int(begin))).hexdigest())
"""
_CUT = "xargs -0 -r -n 2 truncate -s"
_LINK = """\
d=$(mktemp -d "$HOME/.convoy-names-XXXXXXXXXX") && cd "$d" && printf %s "$d" &&
xargs -0 -r -n 2 ln -s --
"""


def settle(request: MoveRequest, shell: Shell) -> list[int]:
    """How much of each file's beginning lies at its partial path already; what lies behind that is cut away.

    The partial files and their folders exist afterwards. Needs Python 3 where they are. Raises NoSpaceError,
    StagingError.
    """
    site = request.destination.site
    words = "\0".join(f"{file.size_bytes}\0{file.partial_path}" for file in request.files)
    answer = shell.run(("python3", "-c", _SETTLE), stdin=words, timeout_s=600.0)
    check_answer(site, answer)
    return [int(line) for line in answer.stdout.split()]


@dataclass(frozen=True, kw_only=True)
class Span:
    """Some bytes of a file, from `begin` to before `end`."""

    file: MoveFile
    begin: int
    end: int


def differing(request: MoveRequest, source: Shell | None, destination: Shell, spans: Sequence[Span]) -> list[Span]:
    """Which spans hold other bytes at the destination; all of them where the source cannot be asked."""
    if source is None or not spans:
        return list(spans)
    here = _sums(source, request.source.site, [(span, span.file.source_path) for span in spans])
    there = _sums(destination, request.destination.site, [(span, span.file.partial_path) for span in spans])
    return [span for span, one, other in zip(spans, here, there, strict=True) if one != other]


def _sums(shell: Shell, site: str, spans: Sequence[tuple[Span, str]]) -> list[str]:
    words = "\0".join(f"{span.begin}\0{span.end}\0{path}" for span, path in spans)
    return ask(shell, site, ("python3", "-c", _SUMS), stdin=words, timeout_s=600.0).split()


def cut(shell: Shell, site: str, spans: Sequence[Span]) -> None:
    """The partial files end where the spans begin."""
    words = "\0".join(f"{span.begin}\0{span.file.partial_path}" for span in spans)
    ask(shell, site, ("/bin/sh", "-c", _CUT), stdin=words)


@contextmanager
def settled_when_broken(request: MoveRequest, shell: Shell | None) -> Iterator[None]:
    """When the block breaks off, only true beginnings are left at the partial paths."""
    try:
        yield
    except BaseException:
        if shell is not None:
            with suppress(MiddlewareError):
                settle(request, shell)
        raise


@contextmanager
def plain_names(shell: Shell, site: str, paths: Sequence[str]) -> Iterator[list[str]]:
    """Paths of plain letters for files of any name, while the block lasts: links in a folder of their own."""
    words = "\0".join(f"{path}\0{number}" for number, path in enumerate(paths))
    folder = ask(shell, site, ("/bin/sh", "-c", _LINK), stdin=words, timeout_s=600.0)
    try:
        yield [f"{folder}/{number}" for number in range(len(paths))]
    finally:
        with suppress(MiddlewareError):
            shell.run(("rm", "-rf", "--", folder))


def missing(shell: Shell, files: Sequence[MoveFile]) -> list[str]:
    """Which of the sources are no files."""
    script = 'xargs -0 -r -n 500 /bin/sh -c \'for f; do [ -f "$f" ] || printf "%s\\0" "$f"; done\' sh'
    answer = shell.run(("/bin/sh", "-c", script), stdin="\0".join(file.source_path for file in files), timeout_s=600.0)
    return [path for path in answer.stdout.split("\0") if path]
