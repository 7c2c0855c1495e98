"""One run of layer 3, from a slide to its heat map, pictures and statistics."""

import time
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from usecases.camnet.annotations import Region, load_annotation
from usecases.camnet.errors import SamplingError
from usecases.camnet.figures import thumbnail_of
from usecases.camnet.layer3.agreement import Agreement, compare
from usecases.camnet.layer3.inference import predict_tiles
from usecases.camnet.layer3.pictures import MappedSlide, save_map, save_overlay
from usecases.camnet.layer3.request import MappingRequest
from usecases.camnet.layer3.tiling import Grid, Tiling, interpolate, share_by_tile, tile
from usecases.camnet.layer3.trained import TrainedNetwork, load_trained
from usecases.camnet.masks import Mask, tissue_mask, tumour_mask
from usecases.camnet.networks import build
from usecases.camnet.outputs import save_json
from usecases.camnet.slides import Slide
from usecases.console import complete_file

HEATMAP, MAP, OVERLAY, STATISTICS = "heatmap.npz", "heatmap.png", "overlay.png", "heatmap.json"


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What the network says of a slide."""

    tiling: Tiling
    """Where the tiles lie."""
    tiles: Grid
    """(rows, columns) probabilities, NaN for tiles without enough tissue."""
    tissue: Mask
    """True where there is tissue."""
    heatmap: Grid
    """Probabilities on the grid of `tissue`, 0 outside it."""
    seconds: float
    """Time for reading and predicting the tiles."""

    @property
    def count(self) -> int:
        """Number of tiles predicted."""
        return int((~np.isnan(self.tiles)).sum())


def map_slide(request: MappingRequest) -> None:
    """Predicts the slide and writes the four result files.

    Raises:
        CamnetError: the slide, the annotation, the training or the weights cannot be used; see its subclasses.
    """
    regions = load_annotation(request.annotation) if request.annotation else ()
    trained = load_trained(request.training, request.weights)
    with Slide(request.slide) as slide:
        slide.require_room_for(trained.patch_size)
        model = build(trained.network, weights=str(request.weights))
        prediction = _predict(request, slide, trained, model)
        agreement = _agreement(request, prediction, regions) if regions else None
        mapped = MappedSlide(
            thumbnail=thumbnail_of(slide),
            heatmap=prediction.heatmap,
            tissue=prediction.tissue,
            downsample=request.mask_downsample,
            regions=regions,
        )
    _save_arrays(request, prediction)
    save_map(request.output_dir / MAP, mapped, title=f"{request.slide.stem}: probability of tumour")
    remark = _remark(trained, prediction, agreement)
    save_overlay(request.output_dir / OVERLAY, mapped, title=f"Tumour probability, {request.slide.stem}", remark=remark)
    save_json(request.output_dir / STATISTICS, _statistics(request, trained, prediction, agreement))


def _predict(request: MappingRequest, slide: Slide, trained: TrainedNetwork, model: Any) -> Prediction:
    tissue = tissue_mask(slide.overview(request.mask_downsample))
    tiling = tile(width=slide.width, height=slide.height, size=trained.patch_size, stride=request.stride)
    shares = share_by_tile(tissue, tiling, request.mask_downsample)
    cells = np.argwhere((shares >= request.tissue_share) & (shares > 0))
    if not len(cells):
        raise SamplingError(
            "there is no tissue to map",
            where=request.slide,
            why=f"no tile has a share of {request.tissue_share} of tissue",
            advice="Look at the slide; then lower --tissue-share or choose a finer --mask-downsample",
        )
    started = time.perf_counter()
    tiles = np.full((tiling.rows, tiling.columns), np.nan, dtype=np.float32)
    tiles[tuple(cells.T)] = predict_tiles(
        model,
        trained.network,
        slide,
        tiling.corners(cells),
        size=tiling.size,
        batch_size=request.batch_size,
    )
    seconds = time.perf_counter() - started
    heatmap = interpolate(tiles, tiling, tissue=tissue, downsample=request.mask_downsample)
    return Prediction(tiling=tiling, tiles=tiles, tissue=tissue, heatmap=heatmap, seconds=seconds)


def _agreement(request: MappingRequest, prediction: Prediction, regions: tuple[Region, ...]) -> Agreement:
    rows, columns = prediction.tissue.shape
    tumour = tumour_mask(regions, shape=(rows, columns), downsample=request.mask_downsample)
    shares = share_by_tile(tumour, prediction.tiling, request.mask_downsample)
    return compare(
        tiles=prediction.tiles,
        tile_shares=shares.astype(np.float32),
        heatmap=prediction.heatmap,
        tissue=prediction.tissue,
        tumour=tumour,
    )


def _save_arrays(request: MappingRequest, prediction: Prediction) -> None:
    tiling = prediction.tiling
    with complete_file(request.output_dir / HEATMAP) as partial:
        np.savez_compressed(
            partial,
            probability=prediction.tiles,
            x=np.arange(tiling.columns) * tiling.stride,
            y=np.arange(tiling.rows) * tiling.stride,
            tile_size=tiling.size,
            heatmap=prediction.heatmap,
            tissue=prediction.tissue,
            downsample=request.mask_downsample,
        )


def _remark(trained: TrainedNetwork, prediction: Prediction, agreement: Agreement | None) -> str:
    parts = [f"{trained.network.model}, {prediction.count:,} tiles in {prediction.seconds:.0f} s"]
    if agreement and agreement.tile_auc is not None:
        parts.append(f"tile AUC {agreement.tile_auc:.3f}")
    if agreement and agreement.dice is not None:
        parts.append(f"Dice at 0.5 {agreement.dice:.3f}")
    return "   |   ".join(parts)


def _statistics(
    request: MappingRequest, trained: TrainedNetwork, prediction: Prediction, agreement: Agreement | None
) -> dict[str, object]:
    inside = prediction.heatmap[prediction.tissue]
    figures = asdict(agreement) if agreement else {}
    return {
        "slide": request.slide.stem,
        "model": trained.network.model,
        "tiles": prediction.count,
        "tile_size": prediction.tiling.size,
        "stride": prediction.tiling.stride,
        "seconds": round(prediction.seconds, 3),
        "milliseconds_per_tile": round(1000 * prediction.seconds / prediction.count, 3),
        "mean_probability": round(float(inside.mean()), 4),
        "tissue_share_above_half": round(float((inside >= 0.5).mean()), 4),
        "agreement": {name: None if value is None else round(value, 4) for name, value in figures.items()} or None,
    }
