"""Results to look at: pictures, and small tables of numbers. Pure."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_IMAGE = re.compile(r"image/[A-Za-z0-9.+-]+")
_MOST = 24
_MOST_TEXT = 20_000


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A result that the report shows."""

    title: str
    """The output's name."""
    step: str
    task: str
    """The element that its task worked on; empty for a step without scatter."""
    media_type: str
    """`image/...` is shown as it is, `application/json` as a table, `text/...` as text."""
    content: bytes


@dataclass(frozen=True, kw_only=True)
class Exhibit:
    """A result, ready to be shown. One of `address`, `rows` and `text` is filled."""

    title: str
    caption: str
    address: str = ""
    """A `data:` URL."""
    rows: tuple[tuple[str, str], ...] = ()
    text: str = ""


@dataclass(frozen=True, kw_only=True)
class Exhibition:
    """All results that are shown, and how many are not."""

    images: tuple[Exhibit, ...]
    tables: tuple[Exhibit, ...]
    left_out: int


def exhibition(pictures: Sequence[Picture]) -> Exhibition:
    """The first results, each ready to be shown."""
    shown = [_exhibit(picture) for picture in pictures[:_MOST]]
    images = tuple(each for each in shown if each.address)
    tables = tuple(each for each in shown if not each.address)
    return Exhibition(images=images, tables=tables, left_out=max(0, len(pictures) - _MOST))


def _exhibit(picture: Picture) -> Exhibit:
    caption = " · ".join(part for part in (picture.step, picture.task) if part)
    if _IMAGE.fullmatch(picture.media_type):
        address = f"data:{picture.media_type};base64,{base64.b64encode(picture.content).decode()}"
        return Exhibit(title=picture.title, caption=caption, address=address)
    text = picture.content.decode(errors="replace")[:_MOST_TEXT]
    rows = tuple(_scalars(text)) if picture.media_type == "application/json" else ()
    return Exhibit(title=picture.title, caption=caption, rows=rows, text="" if rows else text)


def _scalars(text: str) -> Iterable[tuple[str, str]]:
    """The plain values of a JSON object, by name; nothing when it is no object."""
    try:
        found = json.loads(text)
    except ValueError:
        return
    if isinstance(found, dict):
        for name, value in found.items():
            if isinstance(value, float):
                yield name, f"{value:.4g}"
            elif not isinstance(value, (dict, list)):
                yield name, str(value)
