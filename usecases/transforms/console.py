"""What the transforms' command lines do alike."""

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


class TransformError(Exception):
    """A deliberate failure: one line that says what, where, why and what to do."""


def parser_for(name: str, description: str) -> argparse.ArgumentParser:
    """A parser with the options that all transforms share."""
    parser = argparse.ArgumentParser(
        prog=f"python -m usecases.transforms.{name}",
        description=description,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        epilog="Exit codes: 0 done, 1 failed (one line on stderr says what, where, why and what to do), 2 wrong usage.",
        allow_abbrev=False,
    )
    parser.add_argument("--output-dir", type=Path, default=Path(), help="where the result is written; made if absent")
    return parser


def exit_code_of(name: str, work: Callable[[], None]) -> int:
    """Returns 0 when `work` ends well; else writes one line on stderr and returns 1."""
    try:
        work()
    except TransformError as error:
        print(f"{name}: error: {error}", file=sys.stderr)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"{name}: error: {where}{error.strerror or error}. Check the path and the space.", file=sys.stderr)
    else:
        return 0
    return 1


@contextmanager
def complete_file(path: Path) -> Iterator[Path]:
    """Yields a temporary name beside `path`, which becomes `path` when the block ends without an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".partial-{os.getpid()}-{path.name}")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def unlike_names(paths: list[Path]) -> list[Path]:
    """The paths, in the order of their names. Raises TransformError when two files have one name."""
    names = [path.name for path in paths]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise TransformError(f"several files are called {', '.join(twice)}. Give each a name of its own")
    return sorted(paths, key=lambda path: path.name)
