"""Values from the words of a command line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from metadata.errors import InvalidInputError
from orchestrator import quantities
from orchestrator.faces.states import LOOKS


def parse_pairs(words: Iterable[str], *, option: str) -> list[tuple[str, str]]:
    """(name, text) of each `name=text`. Raises InvalidInputError.

    >>> parse_pairs(["seed=7"], option="--param")
    [('seed', '7')]
    """
    pairs = [word.partition("=") for word in words]
    for word, (name, equals, _) in zip(words, pairs, strict=True):
        if not equals or not name.strip():
            raise InvalidInputError(f"{option} {word}: write it as NAME=VALUE")
    return [(name.strip(), text) for name, _, text in pairs]


def parse_value(text: str) -> Any:
    """A number, a truth value or a list where the text is one in JSON; else the text itself.

    >>> parse_value("0.25"), parse_value("[1, 2]"), parse_value("resnet50"), parse_value('"7"')
    (0.25, [1, 2], 'resnet50', '7')
    """
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, str | int | float | list) else text


def parse_values(words: Sequence[str], *, option: str) -> dict[str, Any]:
    """`name=value` pairs by name, each value as `parse_value` reads it."""
    return {name: parse_value(text) for name, text in parse_pairs(words, option=option)}


def parse_inputs(words: Sequence[str]) -> dict[str, str | Sequence[str]]:
    """`name=path` pairs by name; a name that comes twice has both paths."""
    found: dict[str, list[str]] = {}
    for name, text in parse_pairs(words, option="--input"):
        found.setdefault(name, []).append(text)
    return {name: texts[0] if len(texts) == 1 else texts for name, texts in found.items()}


def parse_attributes(words: Sequence[str], *, option: str) -> Mapping[str, Any]:
    """`key=value` pairs by key; `key=` with nothing behind it means: remove it."""
    pairs = parse_pairs(words, option=option)
    return {key: _attribute(text) if text else None for key, text in pairs}


def _attribute(text: str) -> Any:
    """Attributes know no truth values; `true` stays a text."""
    value = parse_value(text)
    return text if isinstance(value, bool) else value


def parse_names(text: str) -> list[str]:
    """The names between commas.

    >>> parse_names("agh, lrz")
    ['agh', 'lrz']
    """
    return [name for part in text.split(",") if (name := part.strip())]


def parse_counts(words: Sequence[str], *, option: str) -> list[int]:
    """Whole numbers of 1 or more. Raises InvalidInputError.

    >>> parse_counts(["1", "1000"], option="--files")
    [1, 1000]
    """
    for word in words:
        if not word.isdecimal() or not int(word):
            raise InvalidInputError(f"{option} {word}: write whole numbers of 1 or more, such as 1,1000")
    return [int(word) for word in words]


def parse_size(text: str, *, option: str) -> int:
    """Bytes. Raises InvalidInputError."""
    try:
        return int(quantities.parse_size(text))
    except ValueError as error:
        raise InvalidInputError(f"{option} {text}: {error}") from error


def parse_wait(text: str | None) -> float:
    """Seconds; none given is 0, and `forever` has no end.

    >>> parse_wait("forever"), parse_wait("1m"), parse_wait("30"), parse_wait(None)
    (inf, 60.0, 30.0, 0.0)
    """
    if text is None or text == "forever":
        return 0.0 if text is None else float("inf")
    return parse_seconds(text, option="--wait")


def parse_seconds(text: str, *, option: str) -> float:
    """Seconds of a time such as `30s` or `2d`; a bare number is seconds.

    >>> parse_seconds("30d", option="--keep"), parse_seconds("0.5", option="--settle")
    (2592000.0, 0.5)
    """
    try:
        return float(text) if text.replace(".", "", 1).isdigit() else float(quantities.parse_duration(text))
    except ValueError as error:
        raise InvalidInputError(f"{option}: {error}") from error


def parse_bytes(text: str, *, option: str) -> int:
    """Bytes of a size such as `4KiB`."""
    try:
        return int(quantities.parse_size(text))
    except ValueError as error:
        raise InvalidInputError(f"{option}: {error}") from error


def parse_limit(text: str | None) -> float | None:
    """Bytes a second; `none` is 0, for no limit.

    >>> parse_limit("200 Mbit/s"), parse_limit("none"), parse_limit(None)
    (25000000.0, 0.0, None)
    """
    if text is None or text == "none":
        return None if text is None else 0.0
    try:
        limit = quantities.parse_rate(text)
    except ValueError as error:
        raise InvalidInputError(f"--rate: {error}, or none") from error
    if not limit:
        raise InvalidInputError("--rate: nothing would arrive; write none for no limit")
    return float(limit)


def parse_task(text: str | None) -> tuple[str | None, int | None]:
    """The step and the task that `STEP` or `STEP.TASK` names.

    >>> parse_task("extract.3"), parse_task("extract"), parse_task(None)
    (('extract', 3), ('extract', None), (None, None))
    """
    if text is None:
        return None, None
    step, dot, task = text.partition(".")
    if dot and not task.isdigit():
        raise InvalidInputError(f"{text}: write a step as STEP, or one of its tasks as STEP.NUMBER")
    return step, int(task) if dot else None


def parse_state(word: str) -> str:
    """The state that a person's word means, or the state itself. Raises InvalidInputError.

    >>> parse_state("running"), parse_state("failed"), parse_state("ACTIVE")
    ('ACTIVE', 'FAILED', 'ACTIVE')
    """
    by_word = {look.word: name for name, look in LOOKS.items()}
    found = by_word.get(word.lower(), word.upper())
    if found not in LOOKS:
        from orchestrator.documents import did_you_mean  # noqa: PLC0415 - takes long to load, and is seldom needed

        raise InvalidInputError(f"there is no state {word!r}{did_you_mean(word, by_word)}")
    return found
