"""The heat map alone, and over its slide."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from usecases.camnet.annotations import Region
from usecases.camnet.figures import INK, OUTLINE, Thumbnail, draw_outlines, draw_slide, new_figure, save_figure
from usecases.camnet.layer3.tiling import Grid
from usecases.camnet.masks import Mask

COLOUR_MAP = "turbo"
FAINT, STRONG = 0.18, 0.52  # opacity of the overlay at a probability of 0 and of 1
_QUIET = "#52606d"


@dataclass(frozen=True, kw_only=True)
class MappedSlide:
    """A slide and its heat map, ready to be drawn."""

    thumbnail: Thumbnail
    """The slide."""
    heatmap: Grid
    """(rows, columns) probability of tumour."""
    tissue: Mask
    """Of the shape of the heat map, True where there is tissue."""
    downsample: float
    """Level-0 pixels a heat-map pixel spans."""
    regions: Sequence[Region]
    """The annotation; empty when there is none."""

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """Left, right, bottom, top of the heat map in level-0 pixels."""
        rows, columns = self.heatmap.shape
        return 0.0, columns * self.downsample, rows * self.downsample, 0.0


def save_map(path: Path, mapped: MappedSlide, *, title: str) -> None:
    """Writes the heat map alone, glass in white."""
    rows, columns = mapped.heatmap.shape
    figure = new_figure(7.4, 6.4 * rows / columns + 0.5)
    axes = figure.subplots()
    shown = np.where(mapped.tissue, mapped.heatmap, np.nan)
    axes.imshow(shown, cmap=COLOUR_MAP, vmin=0, vmax=1, extent=mapped.extent, interpolation="nearest")
    axes.set_xlabel("level-0 pixels", fontsize=9, color=INK)
    axes.tick_params(labelsize=8, colors=_QUIET)
    axes.set_title(title, fontsize=12, weight="bold", color=INK, loc="left")
    _draw_colour_bar(figure, [axes])
    save_figure(figure, path)


def save_overlay(path: Path, mapped: MappedSlide, *, title: str, remark: str) -> None:
    """Writes two pictures side by side: the slide with its annotation, and the slide under its heat map."""
    rows, columns = mapped.thumbnail.image.shape[:2]
    figure = new_figure(14.6, 6.6 * rows / columns + 1.35)
    left, right = figure.subplots(1, 2)
    for axes in (left, right):
        draw_slide(axes, mapped.thumbnail)
        draw_outlines(axes, mapped.regions)
    right.imshow(_tinted(mapped), extent=mapped.extent, interpolation="bilinear", zorder=0.5)
    right.set(xlim=left.get_xlim(), ylim=left.get_ylim())
    drawn = "with the annotation" if mapped.regions else "not annotated"
    for axes, text in ((left, f"H&E, {drawn}"), (right, "Predicted probability of tumour")):
        axes.set_title(text, fontsize=11, color=INK, loc="left", pad=7)
    _draw_colour_bar(figure, [left, right])
    figure.suptitle(title, x=0.004, ha="left", fontsize=15, weight="bold", color=INK)
    if mapped.regions:
        figure.legend(handles=_keys(mapped.regions), loc="lower left", ncols=2, frameon=False, fontsize=9.5)
    # The layout leaves a strip for these two lines, whether there is an annotation to explain or not.
    figure.set_layout_engine("constrained", rect=(0, 0.05, 1, 0.95))
    figure.text(0.992, 0.012, remark, ha="right", va="bottom", fontsize=9.5, color=_QUIET)
    save_figure(figure, path)


def _tinted(mapped: MappedSlide) -> npt.NDArray[np.float64]:
    """Returns RGBA whose opacity rises with the probability, so that healthy tissue stays readable."""
    colours = np.asarray(mpl.colormaps[COLOUR_MAP](mapped.heatmap), dtype=np.float64)
    colours[..., 3] = (FAINT + (STRONG - FAINT) * mapped.heatmap) * mapped.tissue
    return colours


def _keys(regions: Sequence[Region]) -> list[Line2D]:
    keys = [Line2D([], [], color=OUTLINE, linewidth=2, label="annotated tumour")]
    if any(region.excluded for region in regions):
        keys.append(Line2D([], [], color=_QUIET, linewidth=2, linestyle=(0, (3, 2)), label="excluded from it"))
    return keys


def _draw_colour_bar(figure: Figure, axes: list[Axes]) -> None:
    scale = ScalarMappable(norm=Normalize(0, 1), cmap=COLOUR_MAP)
    bar = figure.colorbar(scale, ax=axes, fraction=0.025, pad=0.012, aspect=32, shrink=0.94)
    bar.set_label("probability of tumour", fontsize=9.5, color=INK)
    bar.ax.tick_params(labelsize=8.5, colors=INK, length=0)
    bar.outline.set_visible(False)
