"""How well a heat map agrees with an annotation. Pure."""

from dataclasses import dataclass

import numpy as np

from usecases.camnet.layer3.tiling import Grid
from usecases.camnet.masks import Mask
from usecases.camnet.scores import area_under_curve, dice


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Heat map against annotation; None where the slide has only one of the two classes."""

    tile_auc: float | None
    """Area under the ROC curve of tiles, a tile being tumour when at least half of it is annotated."""
    pixel_auc: float | None
    """Area under the ROC curve of tissue pixels of the mask grid."""
    dice: float | None
    """Dice coefficient of tissue pixels at a probability of 0.5."""
    mean_inside: float | None
    """Mean probability of annotated tissue."""
    mean_outside: float | None
    """Mean probability of the other tissue."""


def compare(*, tiles: Grid, tile_shares: Grid, heatmap: Grid, tissue: Mask, tumour: Mask) -> Agreement:
    """Returns the agreement.

    Args:
        tiles: probabilities by tile, NaN where there is none.
        tile_shares: annotated share 0..1 by tile.
        heatmap: probabilities on the mask grid.
        tissue: True where there is tissue; nothing else is compared.
        tumour: True where tumour is annotated.
    """
    predicted = ~np.isnan(tiles)
    truth, probabilities = tumour[tissue], heatmap[tissue]
    return Agreement(
        tile_auc=area_under_curve(tile_shares[predicted] >= 0.5, tiles[predicted]),
        pixel_auc=area_under_curve(truth, probabilities),
        dice=dice(truth, probabilities),
        mean_inside=float(probabilities[truth].mean()) if truth.any() else None,
        mean_outside=float(probabilities[~truth].mean()) if (~truth).any() else None,
    )
