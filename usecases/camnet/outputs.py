"""Results appear under their final names only when they are complete."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path


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


def save_json(path: Path, content: Mapping[str, object]) -> None:
    """Writes `content` as indented JSON; NaN is refused, as other readers of JSON refuse it."""
    text = json.dumps(content, indent=2, allow_nan=False) + "\n"
    save_text(path, text)


def save_text(path: Path, text: str) -> None:
    """Writes `text` as UTF-8."""
    with complete_file(path) as partial:
        partial.write_text(text, encoding="utf-8")
