"""``python -m usecases.camnet.layer3``: from a slide and weights to a heat map of tumour probability."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from usecases.camnet.console import integer_from, number_within
from usecases.camnet.layer3.request import MappingRequest
from usecases.console import exit_code_of, parser_for


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the layer and returns its exit code."""
    options = _parser().parse_args(arguments)
    return exit_code_of("layer3", lambda: _run(options))


def _parser() -> argparse.ArgumentParser:
    parser = parser_for("camnet.layer3", "Maps the probability of tumour over one whole-slide image.")
    parser.add_argument("--slide", type=Path, required=True, help="whole-slide image that OpenSlide reads")
    parser.add_argument("--weights", type=Path, required=True, help="weights that layer2 wrote")
    parser.add_argument("--training", type=Path, required=True, help="the training.json beside those weights")
    parser.add_argument("--annotation", type=Path, help="tumour outlines to draw and to measure against")
    parser.add_argument("--stride", type=integer_from(1), default=112, help="level-0 pixels from tile to tile")
    parser.add_argument("--batch-size", type=integer_from(1), default=32, help="tiles predicted at once")
    parser.add_argument(
        "--mask-downsample", type=number_within(1, 1024), default=32.0, help="level-0 pixels a heat-map pixel spans"
    )
    parser.add_argument("--tissue-share", type=number_within(0, 1), default=0.2, help="least share of tissue in a tile")
    return parser


def _run(options: argparse.Namespace) -> None:
    # TensorFlow takes seconds to import; here --help and wrong usage do not wait for it.
    from usecases.camnet.layer3.mapping import map_slide

    map_slide(
        MappingRequest(
            slide=options.slide,
            weights=options.weights,
            training=options.training,
            annotation=options.annotation,
            stride=options.stride,
            batch_size=options.batch_size,
            mask_downsample=options.mask_downsample,
            tissue_share=options.tissue_share,
            output_dir=options.output_dir,
        )
    )


if __name__ == "__main__":
    sys.exit(main())
