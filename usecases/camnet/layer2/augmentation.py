"""Random changes that leave a patch's label as it is: tissue has no top, and stains differ."""

import numpy as np

from usecases.camnet.slides import RgbImage

TINT = 0.08  # relative deviation of each colour channel


def augment(patches: RgbImage, generator: np.random.Generator) -> RgbImage:
    """Returns (n, size, size, 3) uint8: each patch turned by quarters, maybe flipped, and slightly tinted."""
    turned = np.empty_like(patches)
    for index, (quarters, flip) in enumerate(zip(*generator.integers(0, (4, 2), (len(patches), 2)).T, strict=True)):
        patch = np.rot90(patches[index], int(quarters))
        turned[index] = patch[:, ::-1] if flip else patch
    gains = generator.normal(1, TINT, (len(patches), 1, 1, 3)).astype(np.float32)
    # The distance from white is scaled, not the brightness, as more stain darkens tissue and not glass.
    return np.asarray(np.clip(255 - (255 - turned.astype(np.float32)) * gains, 0, 255), dtype=np.uint8)
