"""Slides are read in RGB at any scale, say who they are, and refuse clearly."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from usecases.camnet.demo_data.pyramid import save_pyramid
from usecases.camnet.errors import SlideError
from usecases.camnet.slides import Slide, SlideIdentity, identify


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    """A smooth picture, which JPEG changes little; its sides are no multiples of a tile."""
    knots = np.random.default_rng(0).integers(0, 255, (6, 8, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(knots).resize((1100, 700), Image.Resampling.BICUBIC))


@pytest.fixture(scope="module")
def slide_path(tmp_path_factory, picture) -> Path:
    """The picture as a slide."""
    path = tmp_path_factory.mktemp("slides") / "s.tif"
    save_pyramid(path, picture, mpp_um=0.25)
    return path


def test_a_written_pyramid_is_read_back(slide_path, picture):
    """Size, levels, micrometres and pixels, within what JPEG loses."""
    with Slide(slide_path) as slide:
        assert (slide.width, slide.height) == (1100, 700)
        assert slide.level_downsamples == (1.0, pytest.approx(2.0, abs=0.01))
        assert slide.mpp_um == pytest.approx(0.25, rel=1e-6)
        patch = slide.read_patch(x=300, y=200, size=64)
    assert np.abs(patch.astype(int) - picture[200:264, 300:364]).mean() < 3


@pytest.mark.parametrize("downsample", [2.0, 7.0, 16.0])
def test_an_overview_is_the_picture_averaged(slide_path, picture, downsample):
    """From whichever level it is made."""
    with Slide(slide_path) as slide:
        overview = slide.overview(downsample)
    rows, columns = int(700 / downsample), int(1100 / downsample)
    box = (0, 0, columns * downsample, rows * downsample)
    expected = Image.fromarray(picture).resize((columns, rows), Image.Resampling.BOX, box=box)
    assert overview.shape == (rows, columns, 3)
    assert np.abs(overview.astype(int) - np.asarray(expected)).mean() < 3


def test_strips_join_without_a_seam(slide_path, monkeypatch):
    """A huge slide is read in strips; they make the same overview."""
    with Slide(slide_path) as slide:
        whole = slide.overview(5.0)
        monkeypatch.setattr("usecases.camnet.slides.STRIP_PIXELS", 60_000)
        np.testing.assert_array_equal(slide.overview(5.0)[:10], whole[:10])
        assert np.abs(slide.overview(5.0).astype(int) - whole).mean() < 1


def test_beyond_the_edge_there_is_white_not_black(slide_path):
    """Black would pass for very dark tissue."""
    with Slide(slide_path) as slide:
        assert slide.read_patch(x=5000, y=5000, size=8).min() == 255


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("patient_004_node_4.tif", (4, 4, 0)),
        ("patient_096_node_0.tif", (96, 0, 4)),
        ("centre_3/patient_004_node_1.tif", (4, 1, 3)),
        ("tumor_101.tif", (0, 0, 0)),
    ],
)
def test_a_camelyon_name_says_whose_slide_it_is(tmp_path, path, expected):
    """A folder centre_N goes before the rule of twenty patients a centre."""
    patient, node, centre = expected
    assert identify(tmp_path / path) == SlideIdentity(patient=patient, node=node, centre=centre)


def test_what_the_caller_states_goes_before_the_name(tmp_path):
    """Zero too."""
    assert identify(tmp_path / "patient_096_node_3.tif", patient=21, node=0) == SlideIdentity(
        patient=21, node=0, centre=1
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file"),
        (b"", "the file is empty"),
        (b"II*\0" + b"\x10\x27\0\0", "cut short"),
        (b"text", "cannot open"),
    ],
)
def test_what_is_no_slide_is_refused(tmp_path, content, message):
    """With the plainest reason there is."""
    path = tmp_path / "s.tif"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SlideError, match=message):
        Slide(path)


def test_a_slide_cut_short_before_its_directory_is_refused(tmp_path, slide_path):
    """As by a full disk or an interrupted copy."""
    path = tmp_path / "s.tif"
    path.write_bytes(slide_path.read_bytes()[:5000])
    with pytest.raises(SlideError, match=r"its directory is at byte \d+ but the file ends at 5000"):
        Slide(path)
