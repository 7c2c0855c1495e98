"""The map of what was sampled."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.collections import PatchCollection
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from usecases.camnet.annotations import Region
from usecases.camnet.figures import (
    INK,
    NORMAL_COLOUR,
    OUTLINE,
    TUMOUR_COLOUR,
    Thumbnail,
    draw_outlines,
    draw_slide,
    new_figure,
    save_figure,
)
from usecases.camnet.layer1.extraction import LabelOutcome
from usecases.camnet.layer1.sampling import level0_corner
from usecases.camnet.patch_store import LABELS

COLOURS = dict(zip(LABELS, (NORMAL_COLOUR, TUMOUR_COLOUR), strict=True))


def save_sampling_map(
    path: Path,
    *,
    title: str,
    thumbnail: Thumbnail,
    outcomes: Mapping[str, LabelOutcome],
    regions: Sequence[Region],
    patch_size: int,
    downsample: float,
) -> None:
    """Writes a PNG of the slide with a square for each patch that was kept, coloured by label."""
    rows, columns = thumbnail.image.shape[:2]
    figure = new_figure(8.0, 8.0 * rows / columns + 0.75)
    axes = figure.subplots()
    draw_slide(axes, thumbnail)
    for label, outcome in outcomes.items():
        corners = (level0_corner(position, downsample) for position in outcome.kept)
        squares = [Rectangle(corner, patch_size, patch_size) for corner in corners]
        colour = COLOURS[label]
        axes.add_collection(PatchCollection(squares, facecolor=colour, edgecolor="none", alpha=0.05))
        axes.add_collection(PatchCollection(squares, facecolor="none", edgecolor=colour, linewidth=0.8, alpha=0.75))
    draw_outlines(axes, regions)
    axes.set_title(title, fontsize=12, weight="bold", color=INK, loc="left")
    keys: list[Patch | Line2D] = [
        Patch(facecolor=COLOURS[label], label=f"{len(outcome.kept)} {label} patches")
        for label, outcome in outcomes.items()
    ]
    if regions:
        keys.append(Line2D([], [], color=OUTLINE, linewidth=1.8, label="annotation"))
    figure.legend(handles=keys, loc="outside lower center", ncols=3, frameon=False, fontsize=10)
    save_figure(figure, path)
