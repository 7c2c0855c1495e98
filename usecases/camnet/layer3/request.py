"""What layer 3 is asked to do. Light to import, so that the command line need not wait for TensorFlow."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class MappingRequest:
    """One run of layer 3."""

    slide: Path
    """The slide to map."""
    weights: Path
    """Weights that layer 2 wrote."""
    training: Path
    """The training.json beside them."""
    annotation: Path | None
    """Tumour outlines, if there are any."""
    stride: int
    """Level-0 pixels from tile to tile."""
    batch_size: int
    """Tiles predicted at once."""
    mask_downsample: float
    """Level-0 pixels a heat-map pixel spans."""
    tissue_share: float
    """Least share 0..1 of tissue in a tile that is predicted."""
    output_dir: Path
    """Where the results go."""
