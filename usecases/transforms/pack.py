"""``python -m usecases.transforms.pack``: many files become one archive."""

import argparse
import gzip
import lzma
import sys
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from usecases.console import complete_file, exit_code_of, parser_for
from usecases.transforms.console import unlike_names

COMPRESSIONS = ("none", "gzip", "xz")


def main(arguments: Sequence[str] | None = None) -> int:
    """Packs, and returns the exit code."""
    parser = parser_for("transforms.pack", "Packs files into one tar archive; equal files give equal archives.")
    parser.add_argument("--files", type=Path, nargs="+", required=True, help="what is packed")
    parser.add_argument("--compression", choices=COMPRESSIONS, default="none", help="of the archive")
    options = parser.parse_args(arguments)
    return exit_code_of("pack", lambda: _run(options))


def _run(options: argparse.Namespace) -> None:
    with complete_file(options.output_dir / "packed.tar") as partial:
        pack(options.files, partial, compression=options.compression)


def pack(files: Sequence[Path], archive: Path, *, compression: str = "none") -> None:
    """The files are in the archive under their base names. Owners and times are left out: they would change its hash.

    Raises TransformError when two files have one name.
    """
    with (
        archive.open("wb") as target,
        _compressed(target, compression) as stream,
        tarfile.open(fileobj=stream, mode="w|", format=tarfile.PAX_FORMAT) as tar,
    ):
        for path in unlike_names(list(files)):
            entry = tarfile.TarInfo(path.name)
            entry.size, entry.mode = path.stat().st_size, 0o644
            with path.open("rb") as content:
                tar.addfile(entry, content)


@contextmanager
def _compressed(target: IO[bytes], compression: str) -> Iterator[IO[bytes]]:
    """Takes plain bytes and writes compressed ones to `target`."""
    if compression == "gzip":
        with gzip.GzipFile(filename="", mode="wb", fileobj=target, mtime=0) as stream:
            yield cast("IO[bytes]", stream)
    elif compression == "xz":
        with lzma.LZMAFile(target, "wb") as stream:
            yield stream
    else:
        yield target


if __name__ == "__main__":
    sys.exit(main())
