"""What lies where on a drawn slide: outlines and densities, decided before anything is painted."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw
from scipy import ndimage

from usecases.camnet.annotations import Point, Region
from usecases.camnet.demo_data.fields import Field, cloud, smooth_step

SCALE = 16  # level-0 pixels a cell of the plan spans


@dataclass(frozen=True, kw_only=True)
class Gland:
    """A duct in cross-section."""

    x: float
    """Centre, level-0 pixels from the left."""
    y: float
    """Centre, level-0 pixels from the top."""
    radius: float
    """Outer radius in level-0 pixels."""


@dataclass(frozen=True, kw_only=True)
class Anatomy:
    """A slide's plan. All fields are square, 0..1, one cell for `SCALE` x `SCALE` level-0 pixels."""

    tissue: Field
    """Where there is tissue at all."""
    tumour: Field
    """Where tumour grows; its edge follows the outlines, roughly, as a pathologist's line does."""
    nests: Field
    """Where tumour cells lie: the tumour without the strands of stroma that run through it."""
    fat: Field
    """Where there is adipose tissue."""
    lymph: Field
    """Where lymphocytes crowd."""
    fibre: Field
    """Height of a landscape whose contour lines are the collagen fibres; not limited to 0..1."""
    glands: tuple[Gland, ...]
    """Ducts, in healthy stroma only."""
    outlines: tuple[Region, ...]
    """The annotation: tumour outlines and an exclusion, in level-0 pixels."""

    @property
    def side(self) -> int:
        """Level-0 pixels a side."""
        return self.tissue.shape[0] * SCALE


def draw_anatomy(generator: np.random.Generator, *, side: int, tumour: bool) -> Anatomy:
    """Returns the plan of a slide of `side` x `side` level-0 pixels, a multiple of `SCALE`."""
    cells = side // SCALE
    tissue = _tissue(generator, cells)
    outlines = _outlines(generator, side) if tumour else ()
    growth = _tumour(generator, cells, outlines)
    # A line is drawn around tissue, so glass and fat stay clear of it.
    tissue = np.maximum(tissue, smooth_step(_grown(growth, 8), 0.1, 0.5))
    septa = np.abs(cloud(generator, cells, cells=cells / 20, octaves=2))
    free = tissue * (1 - smooth_step(_grown(growth, 10), 0.1, 0.5))
    fat = smooth_step(cloud(generator, cells, cells=2.4, octaves=2), 0.75, 0.85) * free
    lymph = _lymph(generator, cells, amount=7 if tumour else 11) * (free > 0.5) * (1 - fat)
    fibre = 5.0 * cloud(generator, cells, cells=2.2, octaves=3) + np.linspace(0, 9, cells, dtype=np.float32)[None, :]
    room = (free > 0.9) & (fat < 0.05) & (lymph < 0.05)
    return Anatomy(
        tissue=tissue,
        tumour=growth * tissue,
        nests=growth * tissue * smooth_step(septa, 0.10, 0.24),
        fat=fat,
        lymph=np.asarray(lymph, dtype=np.float32),
        fibre=np.asarray(fibre, dtype=np.float32),
        glands=_glands(generator, room),
        outlines=outlines,
    )


def _grown(field: Field, cells: int) -> Field:
    return np.asarray(ndimage.maximum_filter(field, size=2 * cells + 1), dtype=np.float32)


def _tissue(generator: np.random.Generator, cells: int) -> Field:
    """A large ragged piece and a small one that came off it."""
    axis = np.linspace(-1, 1, cells, dtype=np.float32)
    x, y = np.meshgrid(axis, axis)
    rough = 0.085 * cloud(generator, cells, cells=4, octaves=5)
    tilt = generator.uniform(-0.35, 0.35)
    along, across = x * np.cos(tilt) + y * np.sin(tilt), y * np.cos(tilt) - x * np.sin(tilt)
    large = 1 - np.hypot((along + 0.06) / 0.84, (across + 0.07) / 0.73) + rough
    small = 0.22 - np.hypot(x - 0.66, (y - 0.70) * 1.3) + 0.4 * rough
    # A border of glass on every side, rounded as no microtome cuts square.
    frame = 0.93 - (x**8 + y**8) ** 0.125 + 0.3 * rough
    return smooth_step(np.minimum(np.maximum(large, 1.8 * small), 4 * frame), 0.0, 0.03)


def _outlines(generator: np.random.Generator, side: int) -> tuple[Region, ...]:
    """Two tumours, and in the larger one an island of healthy stroma that is annotated as excluded."""
    large = _blob(generator, side, centre=(0.37, 0.44), radius=0.185, roughness=0.16, count=34)
    small = _blob(generator, side, centre=(0.68, 0.60), radius=0.085, roughness=0.15, count=20)
    island = _blob(generator, side, centre=(0.345, 0.47), radius=0.052, roughness=0.12, count=14)
    return (
        Region(name="Tumour 1", group="metastases", vertices=large),
        Region(name="Tumour 2", group="metastases", vertices=small),
        Region(name="Stroma within tumour 1", group="Exclusion", vertices=island),
    )


def _blob(
    generator: np.random.Generator, side: int, *, centre: Point, radius: float, roughness: float, count: int
) -> tuple[Point, ...]:
    turn = 2 * np.pi * (np.arange(count) + generator.uniform(-0.25, 0.25, count)) / count
    waves = sum(
        generator.normal(0, roughness / order**0.6) * np.cos(order * turn + generator.uniform(0, 2 * np.pi))
        for order in range(2, 7)
    )
    reach = side * radius * np.clip(1 + waves, 0.55, 1.5)
    x, y = side * centre[0] + reach * np.cos(turn), side * centre[1] + reach * np.sin(turn)
    return tuple((round(float(a), 1), round(float(b), 1)) for a, b in zip(x, y, strict=True))


def _tumour(generator: np.random.Generator, cells: int, outlines: tuple[Region, ...]) -> Field:
    canvas = Image.new("L", (cells, cells))
    for region in outlines:
        corners = [(x / SCALE, y / SCALE) for x, y in region.vertices]
        ImageDraw.Draw(canvas).polygon(corners, fill=0 if region.excluded else 255)
    inside = np.asarray(canvas, dtype=np.float32) / 255
    edge: npt.NDArray[np.float32] = ndimage.gaussian_filter(inside, 2.0)
    return smooth_step(edge + 0.10 * cloud(generator, cells, cells=40, octaves=2) * (edge > 0.02), 0.42, 0.60)


def _lymph(generator: np.random.Generator, cells: int, *, amount: int) -> Field:
    axis = np.arange(cells, dtype=np.float32)
    x, y = np.meshgrid(axis, axis)
    wobble = 0.18 * cloud(generator, cells, cells=18, octaves=2)
    field = np.zeros((cells, cells), dtype=np.float32)
    for _ in range(amount):
        centre_x, centre_y = generator.uniform(0.18, 0.82, 2) * cells
        radius = generator.uniform(9, 20)
        np.maximum(field, 1 + wobble - np.hypot(x - centre_x, y - centre_y) / radius, out=field)
    return smooth_step(field, 0.0, 0.35)


def _glands(generator: np.random.Generator, room: npt.NDArray[np.bool_]) -> tuple[Gland, ...]:
    """Lobules of ducts: clusters around random centres, none touching another."""
    distance = ndimage.distance_transform_edt(room) * SCALE
    glands: list[Gland] = []
    centres = np.argwhere(distance > 130)
    if not len(centres):
        return ()
    for row, column in generator.permutation(centres)[: max(2, room.size // 6000)]:
        offsets = generator.normal(0, 210, (generator.integers(5, 11), 2))
        for x, y in offsets + np.array([column, row]) * SCALE:
            radius = float(generator.uniform(48, 105))
            cell = (int(np.clip(y // SCALE, 0, len(room) - 1)), int(np.clip(x // SCALE, 0, len(room) - 1)))
            apart = all(np.hypot(x - g.x, y - g.y) > 1.15 * (radius + g.radius) for g in glands)
            if distance[cell] > radius * 1.3 and apart:
                glands.append(Gland(x=float(x), y=float(y), radius=radius))
    return tuple(glands)
