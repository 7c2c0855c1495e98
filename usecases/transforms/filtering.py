"""``python -m usecases.transforms.filtering``: some of the files go on, the others stay behind."""

import argparse
import shutil
import sys
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from usecases.console import complete_file, exit_code_of, parser_for
from usecases.transforms.console import TransformError, unlike_names

FOLDER = "kept"


def main(arguments: Sequence[str] | None = None) -> int:
    """Filters, and returns the exit code."""
    parser = parser_for("transforms.filter", f"Copies those files into the folder {FOLDER} that meet every condition.")
    parser.add_argument("--files", type=Path, nargs="+", required=True, help="what is looked at")
    parser.add_argument("--name", default="*", help="a shell pattern for the base name")
    parser.add_argument("--least-bytes", type=int, default=0, help="smaller files stay behind")
    parser.add_argument("--most-bytes", type=int, default=2**63, help="larger files stay behind")
    options = parser.parse_args(arguments)
    return exit_code_of("filter", lambda: _run(options))


def _run(options: argparse.Namespace) -> None:
    files = unlike_names(options.files)
    kept = [path for path in files if _fits(path, options)]
    if not kept:
        raise TransformError(
            f"none of {len(files)} files fits the conditions. Loosen --name, --least-bytes or --most-bytes"
        )
    for path in kept:
        with complete_file(options.output_dir / FOLDER / path.name) as partial:
            shutil.copyfile(path, partial)


def _fits(path: Path, options: argparse.Namespace) -> bool:
    size_bytes = path.stat().st_size
    return fnmatchcase(path.name, options.name) and options.least_bytes <= size_bytes <= options.most_bytes


if __name__ == "__main__":
    sys.exit(main())
