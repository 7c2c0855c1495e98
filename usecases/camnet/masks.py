"""Which parts of a slide are tissue and which are tumour, as boolean grids at a low resolution.

Masks are boolean on purpose: a mask of 0 and 255 summed over a window says 0.24 % coverage where 60 % was meant.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

from usecases.camnet.annotations import Region
from usecases.camnet.slides import RgbImage

Mask = npt.NDArray[np.bool_]

# Brighter than this, a threshold no longer parts tissue from glass but clean glass from dusty glass.
BRIGHTEST_THRESHOLD = 229
_NEIGHBOURS = np.ones((3, 3))
_LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601, the weights of Pillow's and OpenCV's grey


def intensity(image: RgbImage) -> npt.NDArray[np.uint8]:
    """Returns the grey value 0..255 of each pixel: (..., 3) RGB becomes (...)."""
    return np.asarray(image @ _LUMA + 0.5, dtype=np.uint8)


def otsu_threshold(values: npt.NDArray[np.uint8]) -> int:
    """Returns the grey value that parts `values` into two groups with the most variance between them.

    Pure black and pure white are left out, as they are padding rather than slide. Values up to the threshold are
    the dark group. With fewer than two distinct values there is nothing to part, and 0 is returned.
    """
    histogram = np.bincount(values.ravel(), minlength=256).astype(np.float64)
    histogram[[0, 255]] = 0
    weight = np.cumsum(histogram)
    moment = np.cumsum(histogram * np.arange(256))
    rest = weight[-1] - weight
    split = (weight > 0) & (rest > 0)
    if not split.any():
        return 0
    variance = np.zeros(256)
    difference = moment[split] / weight[split] - (moment[-1] - moment[split]) / rest[split]
    variance[split] = weight[split] * rest[split] * difference**2
    return int(np.argmax(variance))


def tissue_mask(overview: RgbImage) -> Mask:
    """Returns True where a (rows, columns, 3) overview shows tissue.

    Tissue is what is darker than Otsu's threshold; specks are removed and clefts closed.
    """
    grey = intensity(overview)
    threshold = min(otsu_threshold(grey), BRIGHTEST_THRESHOLD)
    dark = (grey <= threshold) & (grey > 0)
    solid = ndimage.binary_opening(dark, structure=_NEIGHBOURS)
    # Clefts between fibres are a pixel wide; closing them leaves larger holes, such as fat, open.
    return np.asarray(ndimage.binary_closing(solid, structure=_NEIGHBOURS), dtype=np.bool_)


def tumour_mask(regions: Iterable[Region], *, shape: tuple[int, int], downsample: float) -> Mask:
    """Returns True inside the tumour polygons and outside the excluded ones.

    Exclusions are subtracted last, whatever the order in the file, so that a hole stays a hole.
    """
    inside = np.zeros(shape, dtype=np.bool_)
    holes = np.zeros(shape, dtype=np.bool_)
    for region in regions:
        target = holes if region.excluded else inside
        target |= _filled(region, shape=shape, downsample=downsample)
    return inside & ~holes


def _filled(region: Region, *, shape: tuple[int, int], downsample: float) -> Mask:
    """Returns True for each mask pixel whose centre lies inside the polygon, by the even-odd rule.

    Pillow's polygon would add the outline, half a mask pixel on every side: too much for small metastases.
    """
    rows, columns = shape
    corners = np.asarray(region.vertices, dtype=np.float64) / downsample
    crossings = np.zeros((rows, columns + 1), dtype=np.int32)
    for (x, y), (next_x, next_y) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        low, high = np.clip(np.rint(sorted((y, next_y))).astype(np.int64), 0, rows)
        crossed = np.arange(low, high)
        along = x + (crossed + 0.5 - y) * (next_x - x) / (next_y - y) if len(crossed) else crossed
        crossings[crossed, np.clip(np.rint(along).astype(np.int64), 0, columns)] += 1
    return np.asarray(crossings[:, :columns].cumsum(axis=1) % 2 == 1)


def coverage(mask: Mask, window: int) -> npt.NDArray[np.float64]:
    """Returns, for each window of `window` x `window` mask pixels that fits, the share 0..1 of it that is True.

    Entry (row, column) speaks of the window whose top-left corner is there; the result is smaller than the mask by
    window - 1 on each side, and empty when the window does not fit.
    """
    rows, columns = (max(0, length - window + 1) for length in mask.shape)
    if not rows or not columns:
        return np.zeros((rows, columns))
    sums = np.zeros((mask.shape[0] + 1, mask.shape[1] + 1), dtype=np.int64)
    sums[1:, 1:] = mask.astype(np.int64).cumsum(axis=0).cumsum(axis=1)
    inside = sums[window:, window:] - sums[:-window, window:] - sums[window:, :-window] + sums[:-window, :-window]
    return np.asarray(inside / (window * window), dtype=np.float64)


def save_mask(mask: Mask, path: Path) -> None:
    """Writes the mask as a black and white PNG (0 and 255)."""
    Image.fromarray(mask.astype(np.uint8) * 255).save(path, format="PNG")
