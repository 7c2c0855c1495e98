"""``python -m usecases.transforms.checksum``: a list of SHA-256 sums, as `sha256sum --check` reads it."""

import argparse
import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path

from usecases.console import complete_file, exit_code_of, parser_for
from usecases.transforms.console import unlike_names


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes the list, and returns the exit code."""
    parser = parser_for(
        "transforms.checksum", "Writes the SHA-256 of each file, in the form that sha256sum --check reads."
    )
    parser.add_argument("--files", type=Path, nargs="+", required=True, help="what is hashed")
    options = parser.parse_args(arguments)
    return exit_code_of("checksum", lambda: _run(options))


def _run(options: argparse.Namespace) -> None:
    with complete_file(options.output_dir / "SHA256SUMS") as partial:
        lines = [f"{_sha256(path)} *{path.name}\n" for path in unlike_names(options.files)]
        partial.write_text("".join(lines), encoding="utf-8")


def _sha256(path: Path) -> str:
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


if __name__ == "__main__":
    sys.exit(main())
