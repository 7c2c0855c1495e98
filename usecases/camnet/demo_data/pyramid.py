"""Writes a pyramidal BigTIFF of JPEG tiles.

Only what such a file needs, from the TIFF 6.0 specification, its Technical Note 2 (JPEG) and the BigTIFF design.
It is written here as the usual writer needs a second, large package before it lets a JPEG tile through.
"""

import io
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image

from usecases.camnet.slides import RgbImage

TILE = 256
QUALITY = 88
_SHORT, _LONG, _RATIONAL, _LONG8 = 3, 4, 5, 16
_FORMATS = {_SHORT: "H", _LONG: "I", _RATIONAL: "I", _LONG8: "Q"}
_JPEG, _YCBCR, _CENTIMETRE = 7, 6, 3
_SMALLEST_SIDE = 256  # a level below one tile saves nothing

Tag = tuple[int, int, tuple[int, ...]]


def save_pyramid(path: Path, image: RgbImage, *, mpp_um: float) -> None:
    """Writes (height, width, 3) uint8 RGB and its halvings, with the pixel size in the resolution tags."""
    with path.open("wb") as file:
        # Little-endian, version 43, 8-byte offsets; the last field is the first directory's offset, filled in below.
        file.write(struct.pack("<2sHHHQ", b"II", 43, 8, 0, 0))
        link = 8
        for number, level in enumerate(_levels(image)):
            link = _write_level(file, level, link=link, reduced=number > 0, mpp_um=mpp_um * 2**number)


def _levels(image: RgbImage) -> Iterator[RgbImage]:
    yield image
    while min(image.shape[:2]) >= 2 * _SMALLEST_SIDE:
        image = np.asarray(Image.fromarray(image).reduce(2))
        yield image


def _write_level(file: BinaryIO, image: RgbImage, *, link: int, reduced: bool, mpp_um: float) -> int:
    """Writes tiles and directory, hangs the directory on `link`, and returns where the next link goes."""
    offsets, sizes = [], []
    for tile in _tiles(image):
        offsets.append(file.tell())
        sizes.append(file.write(tile))
    height, width = image.shape[:2]
    pixels_per_cm = (round(10_000_000 / mpp_um), 1000)
    tags: list[Tag] = [
        (254, _LONG, (int(reduced),)),
        (256, _LONG, (width,)),
        (257, _LONG, (height,)),
        (258, _SHORT, (8, 8, 8)),
        (259, _SHORT, (_JPEG,)),
        (262, _SHORT, (_YCBCR,)),
        (277, _SHORT, (3,)),
        (282, _RATIONAL, pixels_per_cm),
        (283, _RATIONAL, pixels_per_cm),
        (284, _SHORT, (1,)),
        (296, _SHORT, (_CENTIMETRE,)),
        (322, _LONG, (TILE,)),
        (323, _LONG, (TILE,)),
        (324, _LONG8, tuple(offsets)),
        (325, _LONG8, tuple(sizes)),
        (530, _SHORT, (2, 2)),
    ]
    return _write_directory(file, tags, link=link)


def _tiles(image: RgbImage) -> Iterator[bytes]:
    for top in range(0, image.shape[0], TILE):
        for left in range(0, image.shape[1], TILE):
            part = image[top : top + TILE, left : left + TILE]
            if part.shape[:2] != (TILE, TILE):
                part = np.pad(part, ((0, TILE - part.shape[0]), (0, TILE - part.shape[1]), (0, 0)), mode="edge")
            buffer = io.BytesIO()
            Image.fromarray(part).save(buffer, "JPEG", quality=QUALITY, subsampling="4:2:0")
            yield buffer.getvalue()


def _write_directory(file: BinaryIO, tags: list[Tag], *, link: int) -> int:
    entries = [_entry(file, *tag) for tag in tags]
    file.write(b"\0" * (-file.tell() % 8))
    start = file.tell()
    file.write(struct.pack("<Q", len(entries)) + b"".join(entries))
    next_link = file.tell()
    file.write(struct.pack("<Q", 0))
    file.seek(link)
    file.write(struct.pack("<Q", start))
    file.seek(0, io.SEEK_END)
    return next_link


def _entry(file: BinaryIO, tag: int, kind: int, values: tuple[int, ...]) -> bytes:
    """Returns the 20 bytes of a directory entry; values of more than 8 bytes go to the file, their offset here."""
    packed = struct.pack(f"<{len(values)}{_FORMATS[kind]}", *values)
    count = len(values) // 2 if kind == _RATIONAL else len(values)
    if len(packed) > 8:
        file.write(b"\0" * (-file.tell() % 8))
        offset = file.tell()
        file.write(packed)
        packed = struct.pack("<Q", offset)
    return struct.pack("<HHQ", tag, kind, count) + packed.ljust(8, b"\0")
