"""``python -m usecases.transforms.compress``: a file becomes smaller, or is made whole again."""

import argparse
import bz2
import gzip
import lzma
import shutil
import sys
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import IO, cast

from usecases.console import complete_file, exit_code_of, parser_for
from usecases.transforms.console import TransformError

SUFFIXES = {"gzip": ".gz", "xz": ".xz", "bzip2": ".bz2"}
METHODS = tuple(SUFFIXES)
_MAGIC = {b"\x1f\x8b": "gzip", b"\xfd7zXZ\x00": "xz", b"BZh": "bzip2"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Compresses or, with --undo, expands; returns the exit code."""
    parser = parser_for(
        "transforms.compress", "Compresses a file; equal files give equal results. --undo expands it again."
    )
    parser.add_argument("--file", type=Path, required=True, help="what is compressed")
    parser.add_argument("--method", choices=METHODS, default="gzip", help="how; --undo finds it out")
    parser.add_argument("--level", type=int, choices=range(1, 10), default=6, help="1 is quickest, 9 smallest")
    parser.add_argument("--undo", action="store_true", help="expand it")
    options = parser.parse_args(arguments)
    return exit_code_of("compress", lambda: _run(options))


def _run(options: argparse.Namespace) -> None:
    if options.undo:
        name = options.file.stem if options.file.suffix in SUFFIXES.values() else options.file.name
        with complete_file(options.output_dir / "expanded" / name) as partial:
            expand(options.file, partial)
        return
    name = f"{options.file.name}{SUFFIXES[options.method]}"
    with complete_file(options.output_dir / "compressed" / name) as partial:
        compress(options.file, partial, method=options.method, level=options.level)


def compress(source: Path, target: Path, *, method: str = "gzip", level: int = 6) -> None:
    """The target holds the source, compressed, without name or time."""
    with source.open("rb") as content, target.open("wb") as raw, _writer(raw, method, level) as stream:
        shutil.copyfileobj(content, stream, 1 << 20)


def expand(source: Path, target: Path) -> None:
    """The target holds what was compressed. Raises TransformError when the source is not compressed, or broken."""
    with source.open("rb") as content:
        head = content.read(6)
    method = next((name for magic, name in _MAGIC.items() if head.startswith(magic)), None)
    if method is None:
        raise TransformError(f"{source}: it is not compressed by {', '.join(METHODS)}. Leave this transform out")
    try:
        with _reader(source, method) as content, target.open("wb") as stream:
            shutil.copyfileobj(content, stream, 1 << 20)
    except (EOFError, lzma.LZMAError, zlib.error, gzip.BadGzipFile, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise TransformError(f"{source}: it is broken: {error or 'it ends too early'}. Fetch it again") from error


def _writer(raw: IO[bytes], method: str, level: int) -> IO[bytes]:
    if method == "gzip":
        return cast("IO[bytes]", gzip.GzipFile(filename="", mode="wb", fileobj=raw, compresslevel=level, mtime=0))
    if method == "xz":
        return lzma.LZMAFile(raw, "wb", preset=level)
    return bz2.BZ2File(raw, "wb", compresslevel=level)


def _reader(source: Path, method: str) -> IO[bytes]:
    openers = {"gzip": gzip.GzipFile, "xz": lzma.LZMAFile, "bzip2": bz2.BZ2File}
    return cast("IO[bytes]", openers[method](source, "rb"))


if __name__ == "__main__":
    sys.exit(main())
