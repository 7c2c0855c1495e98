"""Which squares of a slide are predicted, and how their probabilities become a map. Pure."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from usecases.camnet.masks import Mask, coverage

Grid = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Tiling:
    """A regular grid of tiles over a slide; tile (row, column) starts at level-0 (column, row) x stride."""

    size: int
    """Side of a tile in level-0 pixels."""
    stride: int
    """Level-0 pixels from one tile to the next."""
    rows: int
    """Tiles from top to bottom."""
    columns: int
    """Tiles from left to right."""

    def corners(self, cells: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Returns (n, 2) level-0 (x, y) of the top-left corners of (n, 2) tiles (row, column)."""
        return cells[:, ::-1] * self.stride


def tile(*, width: int, height: int, size: int, stride: int) -> Tiling:
    """Returns all tiles that lie wholly on a slide of `width` x `height` pixels, which holds at least one."""
    return Tiling(size=size, stride=stride, rows=(height - size) // stride + 1, columns=(width - size) // stride + 1)


def share_by_tile(mask: Mask, tiling: Tiling, downsample: float) -> npt.NDArray[np.float64]:
    """Returns (rows, columns): the share 0..1 of each tile that the mask covers."""
    window = max(1, round(tiling.size / downsample))
    shares = coverage(mask, min(window, *mask.shape))
    rows = np.rint(np.arange(tiling.rows) * tiling.stride / downsample).astype(np.int64)
    columns = np.rint(np.arange(tiling.columns) * tiling.stride / downsample).astype(np.int64)
    # Rounding can push the last tiles one mask pixel too far.
    chosen = np.ix_(np.minimum(rows, shares.shape[0] - 1), np.minimum(columns, shares.shape[1] - 1))
    return np.asarray(shares[chosen])


def interpolate(grid: Grid, tiling: Tiling, *, tissue: Mask, downsample: float) -> Grid:
    """Returns the probability at every pixel of the mask: bilinear between tile centres, and 0 outside the tissue.

    Tiles that were not predicted (NaN) take the value of the nearest one that was, so that tissue at an edge is not
    pulled towards zero by the glass beside it.

    Args:
        grid: (rows, columns) probabilities of the tiles, NaN where there is none; at least one is a number.
        tiling: where the tiles lie.
        tissue: mask that the result is shaped like.
        downsample: level-0 pixels that a mask pixel spans.
    """
    nearest = ndimage.distance_transform_edt(np.isnan(grid), return_distances=False, return_indices=True)
    filled = grid[tuple(nearest)]
    places = [((np.arange(length) + 0.5) * downsample - tiling.size / 2) / tiling.stride for length in tissue.shape]
    rows, columns = np.meshgrid(*places, indexing="ij")
    smooth = ndimage.map_coordinates(filled, [rows, columns], order=1, mode="nearest")
    return np.asarray(np.where(tissue, smooth, 0), dtype=np.float32)
