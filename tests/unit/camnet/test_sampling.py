"""Sampling is repeatable, has no duplicates, always ends, and keeps classes pure."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from usecases.camnet.layer1.sampling import (
    LabelMasks,
    PatchFilter,
    drawing_order,
    level0_corner,
    normal_positions,
    tumour_positions,
    window_in_mask,
)


def flat(*colour: int) -> np.ndarray:
    return np.full((16, 16, 3), colour, dtype=np.uint8)


@pytest.fixture
def masks() -> LabelMasks:
    """Tissue everywhere but in the first ten columns; tumour in a block of 20 x 20."""
    tissue = np.ones((60, 60), dtype=np.bool_)
    tissue[:, :10] = False
    tumour = np.zeros_like(tissue)
    tumour[20:40, 20:40] = True
    return LabelMasks(tissue=tissue, tumour=tumour)


@given(st.integers(0, 300), st.integers(1, 400), st.integers(0, 2**32))
def test_a_drawing_has_no_duplicates_and_ends(count, trials, seed):
    """However many trials are allowed, each position comes at most once."""
    order = drawing_order(count, trials=trials, generator=np.random.default_rng(seed))
    assert len(order) == len(set(order.tolist())) == min(count, trials)
    assert all(0 <= index < count for index in order)


@given(st.integers(0, 2**32))
def test_equal_seeds_draw_equal_positions(seed):
    """And that is what makes a task repeatable."""
    first, second = (drawing_order(99, trials=50, generator=np.random.default_rng(seed)) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_other_seeds_draw_other_positions():
    """One in 99! would be equal by chance."""
    first, second = (drawing_order(99, trials=99, generator=np.random.default_rng(seed)) for seed in (1, 2))
    assert first.tolist() != second.tolist()


def test_tumour_patches_are_covered_as_asked(masks):
    """Every window has at least the share, and no window that has it is missing."""
    found = tumour_positions(masks, window=7, overlap=0.6)
    shares = [masks.tumour[row : row + 7, column : column + 7].mean() for row, column in found]
    assert min(shares) >= 0.6
    assert [20, 20] in found.tolist()
    assert [12, 12] not in found.tolist()


def test_normal_patches_have_tissue_and_no_tumour(masks):
    """Not one annotated pixel."""
    found = normal_positions(masks, window=7, overlap=0.6)
    assert all(not masks.tumour[row : row + 7, column : column + 7].any() for row, column in found)
    assert min(masks.tissue[row : row + 7, column : column + 7].mean() for row, column in found) >= 0.6
    assert [0, 0] not in found.tolist()


@pytest.mark.parametrize(
    ("colour", "reason"),
    [
        ((245, 245, 245), "white"),
        ((201, 201, 201), "white"),
        ((199, 199, 199), None),
        ((0, 0, 0), "black"),
        ((220, 140, 180), None),
        ((90, 60, 130), None),
    ],
)
def test_glass_and_padding_are_rejected_and_stained_tissue_is_kept(colour, reason):
    """Pink stroma is kept although its red channel exceeds 200: intensity counts, not colour values."""
    assert PatchFilter().rejection(flat(*colour)) == reason


def test_the_share_of_white_is_a_share_of_pixels():
    """Six tenths may be white, and not one pixel more."""
    patch = np.full((10, 10, 3), 120, dtype=np.uint8)
    patch[:6] = 250
    assert PatchFilter(white_share=0.6).rejection(patch) is None
    patch[6, 0] = 250
    assert PatchFilter(white_share=0.6).rejection(patch) == "white"


def test_positions_are_scaled_to_level_0():
    """Row and column become y and x."""
    assert level0_corner((3, 5), 32.0) == (160, 96)
    assert window_in_mask(224, 32.0) == 7
    assert window_in_mask(32, 128.0) == 1
