"""Tiles become a map that is zero outside the tissue, and scores are exact."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from usecases.camnet.layer3.agreement import compare
from usecases.camnet.layer3.tiling import interpolate, share_by_tile, tile
from usecases.camnet.scores import area_under_curve, dice


@given(st.integers(64, 900), st.integers(64, 900), st.integers(1, 64), st.integers(1, 90))
def test_every_tile_lies_on_the_slide_and_no_further_one_would(width, height, size, stride):
    """Whatever the sizes."""
    tiling = tile(width=width, height=height, size=size, stride=stride)
    last = tiling.corners(np.array([[tiling.rows - 1, tiling.columns - 1]]))[0]
    assert (last + size <= (width, height)).all()
    assert (last + size + stride > (width, height)).all()


def test_a_ramp_is_interpolated_exactly():
    """Between tile centres the map is linear."""
    tiling = tile(width=1024, height=512, size=128, stride=64)
    centres = (np.arange(tiling.columns) * 64 + 64) / 1024
    grid = np.tile(centres.astype(np.float32), (tiling.rows, 1))
    heatmap = interpolate(grid, tiling, tissue=np.ones((32, 64), dtype=np.bool_), downsample=16)
    expected = (np.arange(64) + 0.5) * 16 / 1024
    np.testing.assert_allclose(heatmap[16, 4:60], expected[4:60], atol=1e-6)


def test_outside_the_tissue_the_map_is_zero_and_inside_it_never_fades():
    """Tiles without a prediction take their neighbour's value, not the glass's."""
    tiling = tile(width=512, height=512, size=64, stride=64)
    grid = np.full((8, 8), np.nan, dtype=np.float32)
    grid[2:5, 2:5] = 0.9
    tissue = np.zeros((32, 32), dtype=np.bool_)
    tissue[6:22, 6:22] = True
    heatmap = interpolate(grid, tiling, tissue=tissue, downsample=16)
    assert (heatmap[~tissue] == 0).all()
    np.testing.assert_allclose(heatmap[tissue], 0.9, rtol=1e-6)


def test_the_tissue_share_of_a_tile_is_that_of_its_window():
    """The left half of the slide is tissue."""
    mask = np.zeros((32, 32), dtype=np.bool_)
    mask[:, :16] = True
    shares = share_by_tile(mask, tile(width=512, height=512, size=128, stride=128), 16)
    assert shares.tolist() == [[1, 1, 0, 0]] * 4


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 9)), min_size=1, max_size=40))
def test_the_area_under_the_curve_is_the_share_of_pairs_in_order(cases):
    """Against its definition, ties counted half."""
    truth = np.array([label for label, _ in cases])
    scores = np.array([score for _, score in cases], dtype=np.float32)
    pairs = [(s > o) + 0.5 * (s == o) for s in scores[truth] for o in scores[~truth]]
    expected = None if not pairs else pytest.approx(np.mean(pairs))
    assert area_under_curve(truth, scores) == expected


def test_dice_counts_what_both_call_tumour():
    """Twice the overlap over the sum; nothing against nothing has none."""
    truth = np.array([True, True, False, False])
    assert dice(truth, np.array([0.9, 0.1, 0.8, 0.2], dtype=np.float32)) == 0.5
    assert dice(~(truth | True), np.zeros(4, dtype=np.float32)) is None


def test_agreement_of_a_perfect_map_is_perfect():
    """And glass is not compared."""
    tumour = np.zeros((16, 16), dtype=np.bool_)
    tumour[:, :8] = True
    tissue = np.ones_like(tumour)
    tissue[:4] = False
    heatmap = (tumour & tissue).astype(np.float32)
    tiles = np.array([[1, 0], [np.nan, 0]], dtype=np.float32)
    shares = np.array([[1, 0], [1, 0]], dtype=np.float32)
    found = compare(tiles=tiles, tile_shares=shares, heatmap=heatmap, tissue=tissue, tumour=tumour)
    assert (found.tile_auc, found.pixel_auc, found.dice, found.mean_inside, found.mean_outside) == (1, 1, 1, 1, 0)
