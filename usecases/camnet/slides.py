"""Whole-slide images, read through OpenSlide."""

import math
import re
import struct
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import NoReturn, final

import numpy as np
import numpy.typing as npt
import openslide
from PIL import Image, ImageColor

from usecases.camnet.errors import SlideError

RgbImage = npt.NDArray[np.uint8]

PATIENTS_PER_CENTRE = 20  # Camelyon17 numbers its patients by centre: 0-19, 20-39, ..., 80-99
STRIP_PIXELS = 16_000_000  # level pixels held at once while an overview is made: 64 MB as RGBA
_NAME = re.compile(r"patient_(\d+)_node_(\d+)", re.IGNORECASE)
_CENTRE = re.compile(r"cent(?:re|er)_(\d+)", re.IGNORECASE)
_MICROMETRES_PER_UNIT = {"centimeter": 10_000.0, "inch": 25_400.0}


@dataclass(frozen=True, kw_only=True)
class SlideIdentity:
    """Whose tissue a slide shows."""

    patient: int
    """Patient number, 0 when unknown."""
    node: int
    """Lymph node number, 0 when unknown."""
    centre: int
    """Hospital number, 0 when unknown."""


def identify(
    path: Path, *, patient: int | None = None, node: int | None = None, centre: int | None = None
) -> SlideIdentity:
    """Returns the identity stated by the caller, else by the file's name and folder, else zeros.

    A folder ``centre_N`` states the centre; without it, Camelyon17's numbering (20 patients a centre) gives it.
    """
    name, folder = _NAME.search(path.name), _CENTRE.fullmatch(path.absolute().parent.name)
    if patient is None:
        patient = int(name[1]) if name else 0
    if node is None:
        node = int(name[2]) if name else 0
    if centre is None:
        centre = int(folder[1]) if folder else patient // PATIENTS_PER_CENTRE
    return SlideIdentity(patient=patient, node=node, centre=centre)


@final
class Slide:
    """An open slide; close it, or use it in a ``with`` block. Reading from several threads is safe."""

    def __init__(self, path: Path) -> None:
        """Opens the slide.

        Raises:
            SlideError: the file is absent, cut short, or in no format that OpenSlide reads.
        """
        self.path = path
        try:
            self._reader = openslide.OpenSlide(path)
        except (openslide.OpenSlideError, OSError) as error:
            why = _why_unreadable(path) or error
            raise SlideError(
                "cannot open the slide", where=path, why=why, advice="Check the path, or copy the file again"
            ) from error
        self.width, self.height = self._reader.dimensions

    def __enter__(self) -> "Slide":
        """Returns the slide itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes the file."""
        self._reader.close()

    @property
    def level_downsamples(self) -> tuple[float, ...]:
        """How many level-0 pixels one pixel of each level spans."""
        return tuple(self._reader.level_downsamples)

    @property
    def mpp_um(self) -> float | None:
        """Micrometres a level-0 pixel, or None when the file does not say."""
        properties = self._reader.properties
        stated = _positive(properties.get(openslide.PROPERTY_NAME_MPP_X))
        if stated is not None:
            return stated
        pixels_per_unit = _positive(properties.get("tiff.XResolution"))
        unit_um = _MICROMETRES_PER_UNIT.get(properties.get("tiff.ResolutionUnit", "").lower())
        return unit_um / pixels_per_unit if pixels_per_unit and unit_um else None

    def require_room_for(self, patch_size: int) -> None:
        """Raises SlideError when the slide is smaller than one patch of `patch_size` level-0 pixels."""
        if min(self.width, self.height) < patch_size:
            raise SlideError(
                "the slide is smaller than a patch",
                where=self.path,
                why=f"it has {self.width} x {self.height} pixels, a patch needs {patch_size} x {patch_size}",
                advice="Choose a smaller --patch-size or a larger slide",
            )

    def read_patch(self, *, x: int, y: int, size: int) -> RgbImage:
        """Returns (size, size, 3) uint8 RGB, whose top-left corner is level-0 pixel (x, y).

        Raises:
            SlideError: the pixels cannot be decoded, as when the file is cut short.
        """
        return self._read(x=x, y=y, level=0, width=size, height=size)

    def overview(self, downsample: float) -> RgbImage:
        """Returns (height // downsample, width // downsample, 3) uint8 RGB: the whole slide, averaged down.

        The slide is read in strips, so that a huge slide of one level needs no more memory than a small one.
        """
        rows, columns = max(1, int(self.height / downsample)), max(1, int(self.width / downsample))
        level = self._reader.get_best_level_for_downsample(downsample + 1e-6)
        scale = downsample / self.level_downsamples[level]
        strip_rows = max(1, int(STRIP_PIXELS / (columns * scale * scale)))
        picture = np.empty((rows, columns, 3), dtype=np.uint8)
        for top in range(0, rows, strip_rows):
            count = min(strip_rows, rows - top)
            width, height = math.ceil(columns * scale), math.ceil(count * scale)
            strip = self._read(x=0, y=round(top * downsample), level=level, width=width, height=height)
            box = (0.0, 0.0, columns * scale, count * scale)
            small = Image.fromarray(strip).resize((columns, count), Image.Resampling.BOX, box=box)
            picture[top : top + count] = np.asarray(small)
        return picture

    def _read(self, *, x: int, y: int, level: int, width: int, height: int) -> RgbImage:
        try:
            region = self._reader.read_region((x, y), level, (width, height))
        except openslide.OpenSlideError as error:
            self._refuse(error, x=x, y=y)
        # Areas that were never scanned are transparent; as black they would pass for very dark tissue.
        colour = self._reader.properties.get(openslide.PROPERTY_NAME_BACKGROUND_COLOR, "ffffff")
        canvas = Image.new("RGB", region.size, ImageColor.getrgb(f"#{colour}"))
        canvas.paste(region, mask=region.getchannel("A"))
        return np.asarray(canvas)

    def _refuse(self, error: Exception, *, x: int, y: int) -> NoReturn:
        raise SlideError(
            "cannot read the slide",
            where=f"{self.path} at ({x}, {y})",
            why=_why_unreadable(self.path) or error,
            advice="The file is probably cut short or damaged: copy it again and compare its checksum",
        ) from error


def _positive(text: str | None) -> float | None:
    try:
        value = float(text) if text else 0.0
    except ValueError:
        return None
    return value if math.isfinite(value) and value > 0 else None


def _why_unreadable(path: Path) -> str | None:
    """Returns a plainer reason than OpenSlide's, when there is one."""
    if not path.is_file():
        return "there is no such file"
    if path.stat().st_size == 0:
        return "the file is empty"
    return _why_cut_short(path)


def _why_cut_short(path: Path) -> str | None:
    """Returns a reason when the file is a TIFF whose first directory lies beyond its end."""
    with path.open("rb") as file:
        head = file.read(16).ljust(16, b"\0")
    order = {b"II": "<", b"MM": ">"}.get(head[:2])
    if order is None:
        return None
    (magic,) = struct.unpack(order + "H", head[2:4])
    layout = {42: ("I", 4), 43: ("Q", 8)}.get(magic)
    if layout is None:
        return None
    (directory,) = struct.unpack_from(order + layout[0], head, layout[1])
    size = path.stat().st_size
    if directory < size:
        return None
    return f"the TIFF is cut short: its directory is at byte {directory} but the file ends at {size}"
