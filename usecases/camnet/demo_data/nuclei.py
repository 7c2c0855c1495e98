"""Cell nuclei: a stock of drawn ones for each kind of cell, and their scattering over a slide."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from usecases.camnet.demo_data.fields import Field, cloud, smooth_step

DIRECTIONS = 16  # rotations kept in stock, over half a turn


@dataclass(frozen=True, kw_only=True)
class NucleusKind:
    """How the nuclei of one kind of cell look, in pixels of 0.5 micrometres."""

    radius: float
    """Mean radius."""
    spread: float
    """Relative deviation of the radius from nucleus to nucleus."""
    elongation: float
    """Long axis over short axis."""
    raggedness: float
    """Relative unevenness of the outline."""
    darkness: float
    """Haematoxylin in the body of the nucleus."""
    rim: float
    """Additional haematoxylin at its membrane."""
    nucleoli: int
    """Most nucleoli that it shows."""


FIBROBLAST = NucleusKind(radius=5.6, spread=0.15, elongation=3.4, raggedness=0.03, darkness=0.80, rim=0.1, nucleoli=0)
LYMPHOCYTE = NucleusKind(radius=6.2, spread=0.08, elongation=1.08, raggedness=0.02, darkness=1.10, rim=0.15, nucleoli=0)
EPITHELIAL = NucleusKind(
    radius=7.6, spread=0.10, elongation=1.45, raggedness=0.025, darkness=0.72, rim=0.25, nucleoli=1
)
TUMOUR = NucleusKind(radius=11.0, spread=0.22, elongation=1.28, raggedness=0.055, darkness=0.72, rim=0.40, nucleoli=3)


@dataclass(frozen=True, kw_only=True)
class Stock:
    """Drawn nuclei of one kind: shapes times directions."""

    stamps: tuple[tuple[Field, ...], ...]
    """stamps[shape][direction]: square arrays of haematoxylin."""


def draw_stock(generator: np.random.Generator, kind: NucleusKind, *, shapes: int = 12) -> Stock:
    """Returns `shapes` different nuclei, each in every direction."""
    return Stock(stamps=tuple(_draw_shape(generator, kind) for _ in range(shapes)))


def _draw_shape(generator: np.random.Generator, kind: NucleusKind) -> tuple[Field, ...]:
    size = kind.radius * float(np.clip(generator.normal(1, kind.spread), 0.6, 1.7))
    tint = float(np.clip(generator.normal(1, kind.spread), 0.65, 1.4))
    phases, weights = generator.uniform(0, 2 * np.pi, 3), generator.normal(0, kind.raggedness, 3)
    half = int(size * np.sqrt(kind.elongation) * 1.5) + 3
    chromatin = cloud(generator, 2 * half + 1, cells=half / 3.0, octaves=2)
    spots = generator.uniform(-0.45, 0.45, (generator.integers(0, kind.nucleoli + 1), 2)) * size
    axis = np.arange(-half, half + 1, dtype=np.float32)
    across, down = np.meshgrid(axis, axis)
    stamps = []
    for angle in np.pi * np.arange(DIRECTIONS) / DIRECTIONS:
        along = (across * np.cos(angle) + down * np.sin(angle)) / np.sqrt(kind.elongation)
        aside = (down * np.cos(angle) - across * np.sin(angle)) * np.sqrt(kind.elongation)
        turn = np.arctan2(aside, along)
        uneven = sum(w * np.cos((k + 2) * turn + p) for k, (w, p) in enumerate(zip(weights, phases, strict=True)))
        edge = size * (1 + uneven)
        depth = edge - np.hypot(along, aside)
        body = kind.darkness * (1 + 0.16 * chromatin) + kind.rim * np.exp(-((depth - 1.2) ** 2) / 2.5)
        for x, y in spots:
            body += 0.5 * np.exp(-((along - x) ** 2 + (aside - y) ** 2) / 4.5)
        stamps.append(np.asarray(smooth_step(depth, -0.8, 1.0) * body * tint, dtype=np.float32))
    return tuple(stamps)


def scatter(generator: np.random.Generator, density: Field, *, pitch: float, scale: int) -> npt.NDArray[np.float64]:
    """Returns (n, 2) points (x, y), on a shaken grid of `pitch` pixels, kept with the probability `density`.

    A shaken grid keeps nuclei apart, as cells do; `density` is 0..1 on a grid `scale` times coarser.
    """
    size = density.shape[0] * scale
    axis = np.arange(pitch / 2, size - pitch / 2, pitch)
    points = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    points += generator.uniform(-0.42 * pitch, 0.42 * pitch, points.shape)
    cells = np.clip(points // scale, 0, density.shape[0] - 1).astype(np.int64)
    return np.asarray(points[generator.random(len(points)) < density[cells[:, 1], cells[:, 0]]])


def stamp(
    canvas: Field,
    points: npt.NDArray[np.float64],
    stock: Stock,
    *,
    generator: np.random.Generator,
    angles: npt.NDArray[np.float64] | None = None,
) -> None:
    """Draws a nucleus at each point into the haematoxylin canvas; `angles` in radians, at random when left out."""
    if angles is None:
        angles = generator.uniform(0, np.pi, len(points))
    directions = np.rint(angles / np.pi * DIRECTIONS).astype(np.int64) % DIRECTIONS
    shapes = generator.integers(0, len(stock.stamps), len(points))
    for (x, y), shape, direction in zip(np.rint(points).astype(int).tolist(), shapes, directions, strict=True):
        nucleus = stock.stamps[shape][direction]
        half = nucleus.shape[0] // 2
        if x < half or y < half or x + half >= canvas.shape[1] or y + half >= canvas.shape[0]:
            continue
        box = canvas[y - half : y + half + 1, x - half : x + half + 1]
        np.maximum(box, nucleus, out=box)
