"""What the command lines of all use cases do alike: options, exit codes, and results that are complete.

Every use case counts it as its own: a change here changes what stands for its program (`orchestrator.layers`), and the
recipes of images copy it with the rest of `usecases/`.
"""

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

FAILURE = 1
INTERRUPTED = 130  # 128 + SIGINT, as shells report it


class ProgramError(Exception):
    """A deliberate failure: one line that says what, where, why and what to do."""


def parser_for(program: str, description: str) -> argparse.ArgumentParser:
    """A parser that shows defaults and has the option that all programs share; `program` such as `camnet.layer1`."""
    parser = argparse.ArgumentParser(
        prog=f"python -m usecases.{program}",
        description=description,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        epilog="Exit codes: 0 done, 1 failed (one line on stderr says what, where, why and what to do), 2 wrong usage.",
        allow_abbrev=False,
    )
    parser.add_argument("--output-dir", type=Path, default=Path(), help="where results are written; made if absent")
    return parser


def exit_code_of(name: str, work: Callable[[], None]) -> int:
    """Returns 0 when `work` ends well; else writes one line on stderr and returns 1 (130 when interrupted).

    Bugs are not caught: they keep their traceback, which is what their reader needs.
    """
    try:
        work()
    except ProgramError as error:
        return _fail(name, str(error))
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _fail(name, f"file system: {where}{error.strerror or error}. Check the path, the rights and the space.")
    except KeyboardInterrupt:
        _fail(name, "interrupted; nothing unfinished was left under a final name.")
        return INTERRUPTED
    return 0


def _fail(name: str, message: str) -> int:
    print(f"{name}: error: {message}", file=sys.stderr)
    return FAILURE


@contextmanager
def complete_file(path: Path) -> Iterator[Path]:
    """Yields a temporary name beside `path`, and renames it to `path` when the block ends without an error.

    The temporary name keeps the suffixes, as Keras, h5py and matplotlib choose the format by them.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".partial-{os.getpid()}-{path.name}")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
