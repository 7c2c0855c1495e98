"""Takes patches out of one slide and writes them to a patch file."""

import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from usecases.camnet.console import Progress
from usecases.camnet.errors import SamplingError
from usecases.camnet.layer1.sampling import (
    LabelMasks,
    PatchFilter,
    Positions,
    drawing_order,
    level0_corner,
    normal_positions,
    tumour_positions,
    window_in_mask,
)
from usecases.camnet.patch_store import LABELS, PatchOrigin, PatchReader, PatchWriter, find_groups
from usecases.camnet.slides import Slide
from usecases.console import complete_file


@dataclass(frozen=True, kw_only=True)
class SamplingPlan:
    """How many patches of what kind are wanted."""

    patches: int
    """Most patches of each label."""
    patch_size: int
    """Side of a patch in level-0 pixels."""
    overlap: float
    """Smallest share 0..1 of a patch that its label's mask must cover."""
    trials_per_patch: int
    """At most this many positions are read for each wanted patch."""
    seed: int
    """Seed of the random order."""
    patch_filter: PatchFilter = field(default_factory=PatchFilter)
    """Which patches are dropped after reading."""


@dataclass(frozen=True, kw_only=True)
class LabelOutcome:
    """What became of one label."""

    candidates: int
    """Positions with enough of the label's mask."""
    tried: int
    """Positions that were read."""
    kept: tuple[tuple[int, int], ...]
    """(row, column) on the mask grid of each patch kept, in the order of the file."""
    rejected: dict[str, int]
    """Number of patches dropped, by reason."""
    seconds: float
    """Time spent reading, filtering and writing."""


def extract(
    slide: Slide, masks: LabelMasks, plan: SamplingPlan, *, origin: PatchOrigin, path: Path
) -> dict[str, LabelOutcome]:
    """Writes the patches of both labels to `path` and returns, by label, what became of them.

    Raises:
        SlideError: pixels of the slide cannot be decoded.
        SamplingError: not one patch passed; no file is left.
    """
    window = window_in_mask(plan.patch_size, origin.downsample)
    finders: dict[str, Callable[..., Positions]] = dict(zip(LABELS, (normal_positions, tumour_positions), strict=True))
    outcomes = {}
    with complete_file(path) as partial, PatchWriter(partial, origin, patch_size=plan.patch_size) as writer:
        for number, (label, find) in enumerate(finders.items()):
            candidates = _inside(slide, find(masks, window=window, overlap=plan.overlap), plan, origin)
            # Each label has its own stream: the number of tumour candidates does not change the normal draws.
            generator = np.random.default_rng((plan.seed, number))
            order = drawing_order(len(candidates), trials=plan.patches * plan.trials_per_patch, generator=generator)
            outcomes[label] = _extract_label(
                slide, candidates[order], plan, label=label, origin=origin, writer=writer, candidates=len(candidates)
            )
        if not any(outcome.kept for outcome in outcomes.values()):
            raise _nothing_kept(slide.path, outcomes.values())
    return outcomes


def _inside(slide: Slide, positions: Positions, plan: SamplingPlan, origin: PatchOrigin) -> Positions:
    """Drops windows that the rounding of the mask grid pushes over the slide's edge, where there are no pixels."""
    corners = np.rint(positions * origin.downsample) + plan.patch_size
    return np.asarray(positions[(corners <= (slide.height, slide.width)).all(axis=1)])


def _nothing_kept(slide: Path, outcomes: Iterable[LabelOutcome]) -> SamplingError:
    counts = [(outcome.candidates, sum(outcome.rejected.values())) for outcome in outcomes]
    candidates, rejected = (sum(column) for column in zip(*counts, strict=True))
    return SamplingError(
        "no patch was kept",
        where=slide,
        why=f"{candidates} positions had enough tissue and {rejected} patches were rejected as white or black",
        advice="Look at the slide; then lower --area-overlap, raise --white-share or choose a finer --mask-downsample",
    )


def _extract_label(
    slide: Slide,
    positions: Positions,
    plan: SamplingPlan,
    *,
    label: str,
    origin: PatchOrigin,
    writer: PatchWriter,
    candidates: int,
) -> LabelOutcome:
    progress = Progress(f"layer1 {origin.slide} {label}", total=plan.patches)
    kept: list[tuple[int, int]] = []
    rejected: Counter[str] = Counter()
    started = time.perf_counter()
    for row, column in positions.tolist():
        if len(kept) == plan.patches:
            break
        x, y = level0_corner((row, column), origin.downsample)
        patch = slide.read_patch(x=x, y=y, size=plan.patch_size)
        reason = plan.patch_filter.rejection(patch)
        if reason:
            rejected[reason] += 1
            continue
        writer.append(label, patch, location=(row, column))
        kept.append((row, column))
        progress.show(len(kept))
    if len(kept) < plan.patches:
        progress.close(f"{len(kept)} patches; the slide has no more" if candidates else "none on this slide")
    return LabelOutcome(
        candidates=candidates,
        tried=len(kept) + rejected.total(),
        kept=tuple(kept),
        rejected=dict(rejected),
        seconds=time.perf_counter() - started,
    )


def loading_seconds(path: Path) -> float:
    """Returns how long it takes to read every patch of the file back, which also proves that it is readable."""
    started = time.perf_counter()
    groups = find_groups([path])
    with PatchReader(groups) as reader:
        for group in groups:
            for start in range(0, group.count, 64):
                reader.patches(group, slice(start, start + 64))
    return time.perf_counter() - started
