"""The invented slides are repeatable, annotated where they should be, and not mistaken for tissue elsewhere."""

import numpy as np

from usecases.camnet.annotations import load_annotation
from usecases.camnet.demo_data.__main__ import main
from usecases.camnet.figures import nice_length
from usecases.camnet.masks import tissue_mask, tumour_mask
from usecases.camnet.slides import Slide


def test_the_first_slide_has_tumour_and_the_second_is_healthy(drawn):
    """Only the first has an annotation, with two tumours and one exclusion."""
    assert sorted(path.name for path in drawn.iterdir()) == [
        "patient_004_node_4.tif",
        "patient_004_node_4.xml",
        "patient_024_node_1.tif",
    ]
    assert [r.excluded for r in load_annotation(drawn / "patient_004_node_4.xml")] == [False, False, True]


def test_equal_seeds_draw_equal_slides(tmp_path, drawn):
    """To the byte, so that a checksum of the demo means something."""
    assert main(["--output", str(tmp_path), "--size", "1024", "--slides", "1"]) == 0
    for name in ("patient_004_node_4.tif", "patient_004_node_4.xml"):
        assert (tmp_path / name).read_bytes() == (drawn / name).read_bytes()


def test_the_annotation_lies_on_tissue_and_tumour_is_darker(drawn):
    """The picture is true: what is outlined is dense with nuclei."""
    with Slide(drawn / "patient_004_node_4.tif") as slide:
        overview = slide.overview(8)
        assert slide.mpp_um == 0.5
    tissue = tissue_mask(overview)
    tumour = tumour_mask(load_annotation(drawn / "patient_004_node_4.xml"), shape=tissue.shape, downsample=8)
    assert 0.2 < tissue.mean() < 0.8
    assert tissue[tumour].mean() > 0.95
    assert overview[tumour].mean() < overview[tissue & ~tumour].mean() - 20


def test_a_scale_bar_has_a_round_length():
    """1, 2 or 5 times a power of ten, and never longer than asked."""
    assert [nice_length(length) for length in (1.0, 1.99, 49, 730, 12_000)] == [1, 1, 20, 500, 10_000]
    assert np.isclose(nice_length(0.3), 0.2)
