"""The drawing that the pictures of all layers share: a slide on an axis, outlines, a scale bar.

Figures are made without pyplot, so that nothing global is touched and no display is needed.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Polygon, Rectangle

from usecases.camnet.annotations import Region
from usecases.camnet.slides import RgbImage, Slide
from usecases.console import complete_file

PICTURE_SIDE = 1600  # longest side of a thumbnail in pixels: sharp on a screen, about 3 MB as PNG
INK, PAPER, OUTLINE = "#1f2933", "#ffffff", "#101418"
NORMAL_COLOUR, TUMOUR_COLOUR, EXCLUDED_COLOUR = "#1b7fbd", "#d7301f", "#ffffff"
_NICE_STEPS = (1, 2, 5)

mpl.rcParams["svg.fonttype"] = "none"


@dataclass(frozen=True, kw_only=True)
class Thumbnail:
    """A slide small enough to be drawn."""

    image: RgbImage
    """(rows, columns, 3) uint8 RGB."""
    downsample: float
    """Level-0 pixels a thumbnail pixel spans."""
    mpp_um: float | None
    """Micrometres a level-0 pixel; None when unknown."""

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """Left, right, bottom, top in level-0 pixels, as matplotlib's imshow wants them."""
        rows, columns = self.image.shape[:2]
        return 0.0, columns * self.downsample, rows * self.downsample, 0.0


def thumbnail_of(slide: Slide) -> Thumbnail:
    """Returns the slide at no more than `PICTURE_SIDE` pixels a side, never enlarged."""
    downsample = max(1.0, max(slide.width, slide.height) / PICTURE_SIDE)
    return Thumbnail(image=slide.overview(downsample), downsample=downsample, mpp_um=slide.mpp_um)


def new_figure(width_in: float, height_in: float) -> Figure:
    """Returns an empty figure on white paper."""
    figure = Figure(figsize=(width_in, height_in), facecolor=PAPER, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save_figure(figure: Figure, path: Path, *, dpi: int = 160) -> None:
    """Writes the figure as PNG, without a date in it, so that equal figures are equal files."""
    with complete_file(path) as partial:
        figure.savefig(partial, dpi=dpi, format="png", metadata={"Software": "CamNet"})


def draw_slide(axes: Axes, thumbnail: Thumbnail) -> None:
    """Draws the slide in level-0 coordinates, with a scale bar where the pixel size is known."""
    axes.imshow(thumbnail.image, extent=thumbnail.extent, interpolation="antialiased")
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_edgecolor("#b8c0c8")
    if thumbnail.mpp_um:
        _draw_scale_bar(axes, thumbnail, mpp_um=thumbnail.mpp_um)


def draw_outlines(axes: Axes, regions: Iterable[Region], *, width: float = 1.8) -> None:
    """Draws tumour outlines as solid lines and exclusions as dashed ones, with a halo that any ground lets show."""
    for region in regions:
        outline = Polygon(
            list(region.vertices),
            closed=True,
            fill=False,
            edgecolor=EXCLUDED_COLOUR if region.excluded else OUTLINE,
            linestyle=(0, (3, 2)) if region.excluded else "-",
            linewidth=width,
        )
        halo = OUTLINE if region.excluded else PAPER
        outline.set_path_effects([patheffects.withStroke(linewidth=width + 1.6, foreground=halo)])
        axes.add_patch(outline)


def nice_length(longest: float) -> float:
    """Returns the largest of 1, 2, 5, 10, 20, 50... that does not exceed `longest`.

    >>> nice_length(730.0), nice_length(0.3)
    (500.0, 0.2)
    """
    power = 10.0**-6
    best = power
    while power <= longest:
        best = max(best, *(step * power for step in _NICE_STEPS if step * power <= longest))
        power *= 10
    return float(f"{best:.3g}")


def _draw_scale_bar(axes: Axes, thumbnail: Thumbnail, *, mpp_um: float) -> None:
    _, right, bottom, _ = thumbnail.extent
    length_um = nice_length(right * mpp_um / 4)
    length, margin, height = length_um / mpp_um, right * 0.025, bottom * 0.008
    x, y = right - margin - length, bottom - margin - height
    label = f"{length_um / 1000:g} mm" if length_um >= 1000 else f"{length_um:g} µm"
    axes.add_patch(Rectangle((x, y), length, height, facecolor=INK, edgecolor=PAPER, linewidth=0.8))
    text = axes.text(x + length / 2, y - height, label, ha="center", va="bottom", color=INK, fontsize=9, weight="bold")
    text.set_path_effects([patheffects.withStroke(linewidth=2.5, foreground=PAPER)])
