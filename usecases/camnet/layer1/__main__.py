"""``python -m usecases.camnet.layer1``: from one slide to a file of labelled patches."""

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from usecases.camnet.annotations import Region, load_annotation
from usecases.camnet.console import integer_from, number_within
from usecases.camnet.errors import SlideError
from usecases.camnet.figures import thumbnail_of
from usecases.camnet.layer1.extraction import LabelOutcome, SamplingPlan, extract, loading_seconds
from usecases.camnet.layer1.pictures import save_sampling_map
from usecases.camnet.layer1.sampling import REJECTION_REASONS, LabelMasks, PatchFilter
from usecases.camnet.masks import save_mask, tissue_mask, tumour_mask
from usecases.camnet.outputs import save_json
from usecases.camnet.patch_store import PatchOrigin
from usecases.camnet.slides import Slide, identify
from usecases.console import complete_file, exit_code_of, parser_for

PATCHES, STATISTICS = "patches.h5", "layer1.json"
TISSUE_MASK, TUMOUR_MASK, SAMPLING_MAP = "tissue_mask.png", "tumour_mask.png", "sampling.png"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the layer and returns its exit code."""
    options = _parser().parse_args(arguments)
    return exit_code_of("layer1", lambda: _run(options))


def _parser() -> argparse.ArgumentParser:
    parser = parser_for("camnet.layer1", "Cuts patches labelled normal or tumor out of one whole-slide image.")
    parser.add_argument("--slide", type=Path, required=True, help="whole-slide image that OpenSlide reads")
    parser.add_argument(
        "--annotation",
        type=Path,
        help="tumour outlines: ASAP .xml, .csv with header name,x,y[,group], or NCRF .json; level-0 pixels; "
        "without it the whole slide is taken for normal tissue",
    )
    parser.add_argument("--patches", type=integer_from(1), default=500, help="most patches of each label")
    parser.add_argument("--sampling", choices=["random"], default="random", help="how positions are chosen")
    parser.add_argument("--seed", type=integer_from(0), default=0, help="seed of the random positions")
    parser.add_argument("--patch-size", type=integer_from(8), default=224, help="side of a patch in level-0 pixels")
    grid = parser.add_mutually_exclusive_group()
    grid.add_argument("--mask-level", type=integer_from(0), help="pyramid level on which the masks are made")
    grid.add_argument(
        "--mask-downsample", type=number_within(1, 1024), default=32.0, help="level-0 pixels a mask pixel spans"
    )
    parser.add_argument("--area-overlap", type=number_within(0, 1), default=0.6, help="least share of the label's mask")
    parser.add_argument("--white-level", type=integer_from(0), default=200, help="grey above which a pixel is white")
    parser.add_argument("--white-share", type=number_within(0, 1), default=0.6, help="largest share of white pixels")
    parser.add_argument("--trials-per-patch", type=integer_from(1), default=20, help="cap on positions read per patch")
    for name in ("patient", "node", "centre"):
        parser.add_argument(f"--{name}", type=integer_from(0), help=f"{name} number; by default from the path, else 0")
    return parser


def _run(options: argparse.Namespace) -> None:
    regions = load_annotation(options.annotation) if options.annotation else ()
    with Slide(options.slide) as slide:
        slide.require_room_for(options.patch_size)
        origin = _origin(slide, options)
        masks = _masks(slide, regions, origin)
        plan = _plan(options)
        target: Path = options.output_dir
        outcomes = extract(slide, masks, plan, origin=origin, path=target / PATCHES)
        for name, mask in ((TISSUE_MASK, masks.tissue), (TUMOUR_MASK, masks.tumour)):
            with complete_file(target / name) as partial:
                save_mask(mask, partial)
        save_sampling_map(
            target / SAMPLING_MAP,
            title=f"{origin.slide}: sampled patches",
            thumbnail=thumbnail_of(slide),
            outcomes=outcomes,
            regions=regions,
            patch_size=plan.patch_size,
            downsample=origin.downsample,
        )
        save_json(target / STATISTICS, _statistics(slide, masks, plan, outcomes, origin, target / PATCHES))


def _origin(slide: Slide, options: argparse.Namespace) -> PatchOrigin:
    downsample = float(options.mask_downsample)
    if options.mask_level is not None:
        levels = slide.level_downsamples
        if options.mask_level >= len(levels):
            raise SlideError(
                "the slide lacks the mask level",
                where=slide.path,
                why=f"level {options.mask_level} was asked for, its levels are 0 to {len(levels) - 1}",
                advice="Choose a lower --mask-level, or give --mask-downsample instead",
            )
        downsample = levels[options.mask_level]
    return PatchOrigin(
        slide=slide.path.stem,
        identity=identify(slide.path, patient=options.patient, node=options.node, centre=options.centre),
        level=round(math.log2(downsample)),
        downsample=downsample,
        mpp_um=slide.mpp_um,
        seed=options.seed,
    )


def _plan(options: argparse.Namespace) -> SamplingPlan:
    return SamplingPlan(
        patches=options.patches,
        patch_size=options.patch_size,
        overlap=options.area_overlap,
        trials_per_patch=options.trials_per_patch,
        seed=options.seed,
        patch_filter=PatchFilter(white_level=options.white_level, white_share=options.white_share),
    )


def _masks(slide: Slide, regions: Sequence[Region], origin: PatchOrigin) -> LabelMasks:
    tissue = tissue_mask(slide.overview(origin.downsample))
    tumour = tumour_mask(regions, shape=(tissue.shape[0], tissue.shape[1]), downsample=origin.downsample)
    return LabelMasks(tissue=tissue, tumour=tumour)


def _statistics(
    slide: Slide,
    masks: LabelMasks,
    plan: SamplingPlan,
    outcomes: dict[str, LabelOutcome],
    origin: PatchOrigin,
    patches: Path,
) -> dict[str, object]:
    kept = sum(len(outcome.kept) for outcome in outcomes.values())
    sampling_s = sum(outcome.seconds for outcome in outcomes.values())
    return {
        "slide": origin.slide,
        "patient": origin.identity.patient,
        "node": origin.identity.node,
        "centre": origin.identity.centre,
        "width": slide.width,
        "height": slide.height,
        "mpp_um": origin.mpp_um,
        "mask_downsample": origin.downsample,
        "patch_size": plan.patch_size,
        "seed": plan.seed,
        "tissue_share": round(float(np.mean(masks.tissue)), 4),
        "tumour_share": round(float(np.mean(masks.tumour)), 4),
        "patches": kept,
        "labels": {label: _label_statistics(outcome) for label, outcome in outcomes.items()},
        "sampling_seconds": round(sampling_s, 3),
        "sampling_seconds_per_patch": round(sampling_s / kept, 6),
        "loading_seconds_per_patch": round(loading_seconds(patches) / kept, 6),
    }


def _label_statistics(outcome: LabelOutcome) -> dict[str, object]:
    return {
        "kept": len(outcome.kept),
        "candidates": outcome.candidates,
        "tried": outcome.tried,
        "rejected": {reason: outcome.rejected.get(reason, 0) for reason in REJECTION_REASONS},
    }


if __name__ == "__main__":
    sys.exit(main())
