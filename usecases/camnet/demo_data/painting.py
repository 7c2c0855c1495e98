"""Paints a plan with haematoxylin and eosin: two maps of dye, turned into light by Beer and Lambert's law."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.spatial import cKDTree

from usecases.camnet.demo_data.anatomy import SCALE, Anatomy, Gland
from usecases.camnet.demo_data.fields import Field, band, cloud, resized, smooth_step, thread
from usecases.camnet.demo_data.nuclei import (
    EPITHELIAL,
    FIBROBLAST,
    LYMPHOCYTE,
    TUMOUR,
    draw_stock,
    scatter,
    stamp,
)
from usecases.camnet.slides import RgbImage

# Optical density of one unit of each dye in red, green, blue, chosen by eye against real H&E.
HAEMATOXYLIN = np.array([0.92, 1.14, 0.52], dtype=np.float32)
EOSIN = np.array([0.085, 0.56, 0.285], dtype=np.float32)
GLASS = np.array([244.0, 243.0, 245.0], dtype=np.float32)
BAND_ROWS = 128  # small enough that the arrays of one band stay in the cache of the processor
FAT_GRID = 4  # adipose walls are drawn on a grid this much coarser
_GRAIN = 509  # side of the tile of fine noise; prime, so that its repeats do not line up with anything


def paint(generator: np.random.Generator, anatomy: Anatomy) -> RgbImage:
    """Returns (side, side, 3) uint8 RGB."""
    haematoxylin, eosin = _paint_ground(generator, anatomy)
    _paint_glands(generator, anatomy.glands, haematoxylin, eosin)
    _paint_nuclei(generator, anatomy, haematoxylin)
    return _light(generator, haematoxylin, eosin)


def _paint_ground(generator: np.random.Generator, anatomy: Anatomy) -> tuple[Field, Field]:
    """Paints stroma, tumour cytoplasm, fat and lymphoid ground, without nuclei."""
    cells, side = anatomy.tissue.shape[0], anatomy.side
    fine, coarse = thread(generator, 8192), thread(generator, 8192)
    shade = cloud(generator, cells, cells=9, octaves=3)
    breaks = cloud(generator, cells, cells=cells / 9, octaves=2)
    fray = cloud(generator, cells, cells=cells / 5, octaves=1)
    walls = _fat_walls(generator, anatomy)
    haematoxylin = np.empty((side, side), dtype=np.float32)
    eosin = np.empty((side, side), dtype=np.float32)

    def paint_band(top: int) -> None:
        rows = min(BAND_ROWS, side - top)

        def at(field: Field) -> Field:
            return band(field, top=top, rows=rows, scale=SCALE)

        height, clouds = at(anatomy.fibre) + 0.004 * at(fray), at(shade)
        strand = 0.65 * _looked_up(fine, height * 560) + 0.35 * _looked_up(coarse, height * 170 + 40 * clouds)
        nest = at(anatomy.nests)
        lymph = at(anatomy.lymph)
        fat = at(anatomy.fat) * (1 - band(walls, top=top, rows=rows, scale=FAT_GRID))
        present = smooth_step(at(anatomy.tissue) + 0.06 * at(fray), 0.35, 0.65) * (1 - 0.97 * fat)
        # Collagen parts into clefts where strands are thin, which lets the glass shine through.
        cleft = smooth_step(strand + 0.13 * at(breaks), 0.02, 0.24)
        stroma = (0.40 + 0.75 * strand + 0.10 * clouds) * (0.30 + 0.70 * cleft)
        pink = stroma * (1 - nest) * (1 - 0.55 * lymph) + nest * (0.56 + 0.07 * clouds)
        purple = 0.03 + 0.15 * nest + 0.10 * lymph
        eosin[top : top + rows] = pink * present
        haematoxylin[top : top + rows] = purple * present

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(paint_band, range(0, side, BAND_ROWS)))
    return haematoxylin, eosin


def _looked_up(profile: Field, position: npt.NDArray[Any]) -> Field:
    return np.asarray(profile[position.astype(np.int32) % len(profile)], dtype=np.float32)


def _fat_walls(generator: np.random.Generator, anatomy: Anatomy) -> Field:
    """Returns, on a grid `FAT_GRID` times coarser than level 0, 1 on the walls between fat cells and 0 inside them."""
    cells = anatomy.side // FAT_GRID
    fat = resized(anatomy.fat, cells, cells) > 0.02
    pitch = 112 / FAT_GRID
    axis = np.arange(0, cells + pitch, pitch)
    seeds = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    seeds += generator.uniform(-0.38 * pitch, 0.38 * pitch, seeds.shape)
    places = np.argwhere(fat)
    walls = np.ones((cells, cells), dtype=np.float32)
    if len(places):
        distances, _ = cKDTree(seeds).query(places, k=2)
        gap = (distances[:, 1] - distances[:, 0]).astype(np.float32)
        walls[fat] = 1 - smooth_step(gap, 0.7, 2.6)
    return np.asarray(ndimage.gaussian_filter(walls, 0.5), dtype=np.float32)


def _paint_glands(generator: np.random.Generator, glands: Sequence[Gland], haematoxylin: Field, eosin: Field) -> None:
    stock = draw_stock(generator, EPITHELIAL)
    for gland in glands:
        _paint_duct(generator, gland, haematoxylin, eosin)
        ring = gland.radius - 19
        count = max(6, int(2 * np.pi * ring / 17))
        turn = 2 * np.pi * (np.arange(count) + generator.uniform(-0.2, 0.2, count)) / count
        reach = ring * _wobble(turn, gland) + generator.normal(0, 2.5, count)
        points = np.stack([gland.x + reach * np.cos(turn), gland.y + reach * np.sin(turn)], axis=1)
        stamp(haematoxylin, points, stock, generator=generator, angles=turn % np.pi)


def _wobble(turn: npt.NDArray[np.float64], gland: Gland) -> npt.NDArray[np.float64]:
    """Relative radius of a duct in direction `turn`; the gland's place serves as its phase."""
    return np.asarray(1 + 0.09 * np.cos(2 * turn + gland.x) + 0.06 * np.cos(3 * turn + gland.y))


def _paint_duct(generator: np.random.Generator, gland: Gland, haematoxylin: Field, eosin: Field) -> None:
    half = int(gland.radius * 1.35)
    left, top = round(gland.x) - half, round(gland.y) - half
    if left < 0 or top < 0 or left + 2 * half >= eosin.shape[1] or top + 2 * half >= eosin.shape[0]:
        return
    axis = np.arange(-half, half, dtype=np.float64)
    x, y = np.meshgrid(axis, axis)
    depth = np.asarray(gland.radius * _wobble(np.arctan2(y, x), gland) - np.hypot(x, y), dtype=np.float32)
    depth += 1.5 * cloud(generator, 2 * half, cells=half / 9, octaves=1)
    box = np.s_[top : top + 2 * half, left : left + 2 * half]
    wall, lumen = smooth_step(depth, 0, 3), smooth_step(depth, 33, 37)
    membrane = np.exp(-((depth + 2) ** 2) / 14)
    secretion = 0.16 * generator.random()
    eosin[box] = eosin[box] * (1 - wall) + wall * (0.62 * (1 - lumen) + secretion * lumen) + 0.35 * membrane
    haematoxylin[box] = haematoxylin[box] * (1 - wall) + 0.17 * wall * (1 - lumen)


def _paint_nuclei(generator: np.random.Generator, anatomy: Anatomy, haematoxylin: Field) -> None:
    ducts = _duct_field(anatomy)
    free = anatomy.tissue * (1 - ducts) * (1 - 0.93 * anatomy.fat)
    stroma = free * (1 - anatomy.nests)
    lymphocytes = scatter(generator, 0.95 * stroma * anatomy.lymph, pitch=15.5, scale=SCALE)
    stamp(haematoxylin, lymphocytes, draw_stock(generator, LYMPHOCYTE), generator=generator)
    strays = scatter(generator, 0.10 * stroma, pitch=42, scale=SCALE)
    stamp(haematoxylin, strays, draw_stock(generator, LYMPHOCYTE), generator=generator)
    spindles = scatter(generator, 0.62 * stroma * (1 - anatomy.lymph), pitch=40, scale=SCALE)
    stamp(
        haematoxylin,
        spindles,
        draw_stock(generator, FIBROBLAST),
        generator=generator,
        angles=_fibre_angles(generator, anatomy, spindles),
    )
    malignant = scatter(generator, 0.93 * free * anatomy.nests, pitch=26, scale=SCALE)
    stamp(haematoxylin, malignant, draw_stock(generator, TUMOUR, shapes=40), generator=generator)


def _duct_field(anatomy: Anatomy) -> Field:
    field = np.zeros_like(anatomy.tissue)
    axis = (np.arange(len(field), dtype=np.float32) + 0.5) * SCALE
    x, y = np.meshgrid(axis, axis)
    for gland in anatomy.glands:
        field[np.hypot(x - gland.x, y - gland.y) < gland.radius * 1.12] = 1
    return field


def _fibre_angles(
    generator: np.random.Generator, anatomy: Anatomy, points: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Returns the direction of the fibres at each point: along the contour lines, across the slope."""
    down, across = np.gradient(anatomy.fibre)
    cells = np.clip(points // SCALE, 0, len(down) - 1).astype(np.int64)
    slope = np.arctan2(down[cells[:, 1], cells[:, 0]], across[cells[:, 1], cells[:, 0]])
    return np.asarray((slope + np.pi / 2 + generator.normal(0, 0.15, len(points))) % np.pi)


def _light(generator: np.random.Generator, haematoxylin: Field, eosin: Field) -> RgbImage:
    """Turns dye into RGB, with the unevenness of a section's thickness and the grain of a camera."""
    side = haematoxylin.shape[0]
    strength = generator.uniform(0.93, 1.07, 2).astype(np.float32)
    grain = generator.standard_normal((_GRAIN, _GRAIN)).astype(np.float32)
    grain = np.asarray(ndimage.gaussian_filter(grain, 0.8, mode="wrap") * 2.2, dtype=np.float32)
    columns = np.arange(side) % _GRAIN
    picture = np.empty((side, side, 3), dtype=np.uint8)

    def light_band(top: int) -> None:
        rows = np.arange(top, min(top + BAND_ROWS, side))
        speckle = grain[(rows % _GRAIN)[:, None], columns]
        purple = haematoxylin[rows] * strength[0]
        pink = eosin[rows] * strength[1] * (1 + 0.10 * speckle)
        for channel in range(3):
            density = purple * HAEMATOXYLIN[channel] + pink * EOSIN[channel]
            picture[rows, :, channel] = np.clip(GLASS[channel] * np.exp(-density) + 1.2 * speckle, 0, 255)

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(light_band, range(0, side, BAND_ROWS)))
    return picture
