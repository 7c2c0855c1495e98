"""Small results, written whole or not at all."""

import json
from collections.abc import Mapping
from pathlib import Path

from usecases.console import complete_file


def save_json(path: Path, content: Mapping[str, object]) -> None:
    """Writes `content` as indented JSON; NaN is refused, as other readers of JSON refuse it."""
    text = json.dumps(content, indent=2, allow_nan=False) + "\n"
    save_text(path, text)


def save_text(path: Path, text: str) -> None:
    """Writes `text` as UTF-8."""
    with complete_file(path) as partial:
        partial.write_text(text, encoding="utf-8")
