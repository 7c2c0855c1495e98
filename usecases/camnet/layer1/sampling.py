"""Which positions of a slide are tried, and which patches are kept. Pure: arrays in, arrays out."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from usecases.camnet.masks import Mask, coverage, intensity
from usecases.camnet.slides import RgbImage

Positions = npt.NDArray[np.int64]

WHITE, BLACK = "white", "black"
REJECTION_REASONS = (WHITE, BLACK)


@dataclass(frozen=True, kw_only=True)
class PatchFilter:
    """Which patches show too little tissue.

    The share of white counts pixels whose grey intensity exceeds the level, as the published description of the
    data set does. (The original program counted colour values instead, by which plain pink stroma, whose red
    channel exceeds 200, is a third white.)
    """

    white_level: int = 200
    """Grey intensity above which a pixel is white."""
    white_share: float = 0.6
    """Largest share 0..1 of white pixels in a patch that is kept."""
    black_level: int = 10
    """Grey intensity up to which a pixel is black: scanner padding, pen, folds."""
    black_share: float = 0.2
    """Largest share 0..1 of black pixels in a patch that is kept."""

    def rejection(self, patch: RgbImage) -> str | None:
        """Returns why the patch is dropped, or None when it is kept."""
        grey = intensity(patch)
        if np.mean(grey <= self.black_level) > self.black_share:
            return BLACK
        if np.mean(grey > self.white_level) > self.white_share:
            return WHITE
        return None


@dataclass(frozen=True, kw_only=True)
class LabelMasks:
    """The two masks of a slide, on one grid."""

    tissue: Mask
    """True where there is tissue."""
    tumour: Mask
    """True inside the annotated tumour, exclusions taken out; all False for a slide without annotation."""


def tumour_positions(masks: LabelMasks, *, window: int, overlap: float) -> Positions:
    """Returns (n, 2) (row, column) of the windows whose annotated share is at least `overlap`."""
    return np.argwhere(coverage(masks.tumour, window) >= overlap)


def normal_positions(masks: LabelMasks, *, window: int, overlap: float) -> Positions:
    """Returns (n, 2) (row, column) of the windows with enough tissue and not one annotated pixel.

    A window with some tumour in it is neither: as normal it would teach the network that tumour is normal.
    """
    free_of_tumour = coverage(masks.tumour, window) == 0
    return np.argwhere((coverage(masks.tissue, window) >= overlap) & free_of_tumour)


def drawing_order(count: int, *, trials: int, generator: np.random.Generator) -> npt.NDArray[np.int64]:
    """Returns at most `trials` different numbers below `count`, in random order.

    Drawing without replacement gives no duplicates, and ends even when no patch passes the filter.
    """
    return np.asarray(generator.permutation(count)[:trials], dtype=np.int64)


def window_in_mask(patch_size: int, downsample: float) -> int:
    """Returns how many mask pixels a patch spans, at least one."""
    return max(1, round(patch_size / downsample))


def level0_corner(position: tuple[int, int], downsample: float) -> tuple[int, int]:
    """Returns the level-0 (x, y) of a mask position (row, column)."""
    row, column = position
    return round(column * downsample), round(row * downsample)
