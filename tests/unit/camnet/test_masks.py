"""Masks are boolean, exclusions are holes, and coverage is a true share."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from usecases.camnet.annotations import Region, load_annotation
from usecases.camnet.masks import coverage, intensity, otsu_threshold, tissue_mask, tumour_mask


def square(left: float, top: float, side: float, group: str = "") -> Region:
    corners = ((left, top), (left + side, top), (left + side, top + side), (left, top + side))
    return Region(name="", group=group, vertices=corners)


@pytest.mark.parametrize("group", ["_2", "Exclusion", "normal"])
@pytest.mark.parametrize("reverse", [False, True])
def test_exclusions_are_subtracted_whatever_their_order(group, reverse):
    """A hole listed before its tumour is a hole all the same."""
    regions = [square(0, 0, 400), square(100, 100, 100, group)]
    mask = tumour_mask(reversed(regions) if reverse else regions, shape=(50, 50), downsample=10)
    assert mask.sum() == 40 * 40 - 10 * 10
    assert not mask[15, 15]


def test_coordinates_are_level_0_pixels():
    """A square of 320 pixels at (640, 320) is 10 x 10 mask pixels at row 10, column 20, at a downsample of 32."""
    mask = tumour_mask([square(640, 320, 320)], shape=(40, 60), downsample=32)
    rows, columns = np.nonzero(mask)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (10, 19, 20, 29)


@given(
    st.integers(4, 20).flatmap(
        lambda count: st.tuples(
            st.lists(st.floats(0.5, 1), min_size=count, max_size=count), st.just(count), st.floats(20, 90)
        )
    )
)
@settings(max_examples=50)
def test_a_filled_polygon_has_the_polygons_area(drawn):
    """Within half its outline's length, whatever the shape, as pixels are whole."""
    shares, count, radius = drawn
    turn = 2 * np.pi * np.arange(count) / count
    x, y = 100 + radius * np.array(shares) * np.cos(turn), 100 + radius * np.array(shares) * np.sin(turn)
    area = abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2
    outline = np.hypot(np.diff(x, append=x[0]), np.diff(y, append=y[0])).sum()
    region = Region(name="", group="", vertices=tuple(zip(x.tolist(), y.tolist(), strict=True)))
    mask = tumour_mask([region], shape=(200, 200), downsample=1)
    assert abs(mask.sum() - area) <= 0.75 * outline + 4


def test_a_real_annotation_lands_where_it_was_drawn(camelyon):
    """Patient 4, node 4: three small metastases, at the usual downsample of 32."""
    regions = load_annotation(camelyon / "patient_004_node_4.xml")
    mask = tumour_mask(regions, shape=(3000, 600), downsample=32)
    rows, columns = np.nonzero(mask)
    points = np.array([vertex for region in regions for vertex in region.vertices]) / 32
    assert 50 < mask.sum() < 500
    assert np.abs([columns.min(), rows.min()] - points.min(axis=0)).max() < 2
    assert np.abs([columns.max(), rows.max()] - points.max(axis=0)).max() < 2


@given(arrays.arrays(np.bool_, st.tuples(st.integers(1, 14), st.integers(1, 14))), st.integers(1, 6))
def test_coverage_is_the_mean_of_each_window(mask, window):
    """Against the plain definition."""
    rows, columns = max(0, mask.shape[0] - window + 1), max(0, mask.shape[1] - window + 1)
    expected = [[mask[r : r + window, c : c + window].mean() for c in range(columns)] for r in range(rows)]
    np.testing.assert_allclose(coverage(mask, window), np.reshape(expected, (rows, columns)), atol=1e-12)


def test_a_single_tumour_pixel_is_not_sixty_percent():
    """The trap of masks of 0 and 255: one pixel of 49 made a sum of 255/49, which passed for full coverage."""
    mask = np.zeros((7, 7), dtype=np.bool_)
    mask[3, 3] = True
    assert coverage(mask, 7)[0, 0] == pytest.approx(1 / 49)


def test_otsu_parts_two_greys():
    """Any threshold from the dark grey up to the bright one is right."""
    values = np.array([80] * 50 + [240] * 200, dtype=np.uint8)
    assert 80 <= otsu_threshold(values) < 240


def test_otsu_leaves_padding_out():
    """A black and white frame does not move the threshold."""
    values = np.array([80] * 50 + [240] * 200, dtype=np.uint8)
    padded = np.concatenate([values, np.zeros(5000, np.uint8), np.full(5000, 255, np.uint8)])
    assert otsu_threshold(padded) == otsu_threshold(values)


@pytest.mark.parametrize("grey", [0, 130, 255])
def test_a_slide_of_one_grey_has_nothing_to_part(grey):
    """And it does not divide by zero."""
    assert otsu_threshold(np.full((8, 8), grey, dtype=np.uint8)) == 0


def test_clean_glass_is_not_tissue():
    """Otsu always finds two groups; two greys of glass must not become tissue."""
    overview = np.full((40, 40, 3), 246, dtype=np.uint8)
    overview[10:30, 10:30] = 241
    assert not tissue_mask(overview).any()


def test_tissue_is_found_without_its_specks():
    """A block of pink is tissue, a single dark pixel is dust."""
    overview = np.full((40, 40, 3), 245, dtype=np.uint8)
    overview[10:30, 10:30] = (220, 140, 180)
    overview[35, 5] = 30
    expected = np.zeros((40, 40), dtype=np.bool_)
    expected[10:30, 10:30] = True
    np.testing.assert_array_equal(tissue_mask(overview), expected)


def test_intensity_weighs_green_most():
    """White stays 255, and the channels are taken as RGB."""
    pixels = np.array([[255, 255, 255], [255, 0, 0], [0, 255, 0], [0, 0, 255]], dtype=np.uint8)
    assert intensity(pixels).tolist() == [255, 76, 150, 29]
