"""``python -m usecases.transforms.unpack``: an archive becomes the files in it.

The files come to lie in one folder: `a/b.txt` of the archive is called `a__b.txt` there.
"""

import argparse
import os
import shutil
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

from usecases.console import exit_code_of, parser_for
from usecases.transforms.console import TransformError

FOLDER = "unpacked"


def main(arguments: Sequence[str] | None = None) -> int:
    """Unpacks, and returns the exit code."""
    parser = parser_for("transforms.unpack", f"Unpacks a tar or zip archive into the folder {FOLDER}.")
    parser.add_argument("--archive", type=Path, required=True, help="a tar (also gzip, bzip2, xz) or zip archive")
    options = parser.parse_args(arguments)
    return exit_code_of("unpack", lambda: _run(options))


def _run(options: argparse.Namespace) -> None:
    options.output_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=options.output_dir, prefix=".partial-") as folder:
        inside = Path(folder) / FOLDER
        unpack(options.archive, inside)
        target = options.output_dir / FOLDER
        if target.exists():
            shutil.rmtree(target)
        inside.rename(target)


def unpack(archive: Path, folder: Path) -> None:
    """The archive's regular files lie below the folder.

    Raises TransformError for anything that is no such archive, that would leave the folder, or that is a link or a
    device: nobody needs them here, and they are how archives do harm.
    """
    folder.mkdir(parents=True)
    try:
        if zipfile.is_zipfile(archive):
            _unzip(archive, folder)
        else:
            _untar(archive, folder)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError) as error:
        raise TransformError(
            f"{archive}: it cannot be unpacked: {error}. Is it a tar or zip archive, and whole?"
        ) from error


def _untar(archive: Path, folder: Path) -> None:
    with tarfile.open(archive, "r:*") as tar:
        for entry in tar:
            if entry.isdir():
                continue
            content = tar.extractfile(entry) if entry.isreg() else None
            if content is None:
                raise TransformError(f"{archive}: {entry.name} is a link or a device. Pack plain files only")
            with content, _place(folder, entry.name, archive).open("wb") as target:
                shutil.copyfileobj(content, target)


def _unzip(archive: Path, folder: Path) -> None:
    with zipfile.ZipFile(archive) as packed:
        for entry in packed.infolist():
            if not entry.is_dir():
                with packed.open(entry) as content, _place(folder, entry.filename, archive).open("wb") as target:
                    shutil.copyfileobj(content, target)


def _place(folder: Path, name: str, archive: Path) -> Path:
    parts = name.split("/")
    if name.startswith("/") or ".." in parts or os.sep != "/" or "\0" in name:
        raise TransformError(f"{archive}: {name!r} would lie outside the folder. Pack files with plain relative names")
    path = folder / "__".join(part for part in parts if part not in ("", "."))
    if path.exists():
        raise TransformError(f"{archive}: it holds {path.name} twice. Pack it anew, with unlike names")
    return path


if __name__ == "__main__":
    sys.exit(main())
