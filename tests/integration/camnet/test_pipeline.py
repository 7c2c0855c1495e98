"""The three layers one after the other, as their users run them, on real tissue.

The tissue is OpenSlide's CMU-1-Small-Region, made into a pyramid here; the annotation over it is invented, so the
accuracy that comes out means nothing and is not looked at.
"""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from usecases.camnet.annotations import Region
from usecases.camnet.demo_data.__main__ import render_asap
from usecases.camnet.demo_data.pyramid import save_pyramid
from usecases.camnet.layer1.__main__ import main as layer1
from usecases.camnet.layer2.__main__ import main as layer2
from usecases.camnet.layer3.__main__ import main as layer3
from usecases.camnet.slides import Slide

pytest.importorskip("tensorflow", reason="NOT TESTED: TensorFlow is absent; install the extra 'train'")

# Keras 2.15 draws its seeds in a way that Python calls old; that is not ours to mend.
pytestmark = pytest.mark.filterwarnings("ignore:non-integer arguments to randrange:DeprecationWarning")


@pytest.fixture(scope="module")
def slide_path(fixtures_folder: Path, tmp_path_factory) -> Path:
    """A pyramid of real tissue, with an invented annotation beside it."""
    with Slide(fixtures_folder / "wsi" / "CMU-1-Small-Region.svs") as original:
        assert original.mpp_um == pytest.approx(0.499)
        pixels = original.overview(1)
    path = tmp_path_factory.mktemp("slides") / "patient_010_node_2.tif"
    save_pyramid(path, pixels, mpp_um=0.499)
    corners = ((200.0, 300.0), (1500.0, 250.0), (1600.0, 1500.0), (250.0, 1400.0))
    hole = ((700.0, 700.0), (1000.0, 700.0), (1000.0, 1000.0), (700.0, 1000.0))
    regions = [Region(name="T", group="_0", vertices=corners), Region(name="H", group="_2", vertices=hole)]
    path.with_suffix(".xml").write_text(render_asap(regions))
    return path


@pytest.fixture(scope="module")
def extracted(slide_path, tmp_path_factory) -> Path:
    """Layer 1's results."""
    output = tmp_path_factory.mktemp("layer1")
    argv = [
        "--slide",
        str(slide_path),
        "--annotation",
        str(slide_path.with_suffix(".xml")),
        "--output-dir",
        str(output),
    ]
    assert layer1([*argv, "--patches", "16", "--patch-size", "96", "--mask-downsample", "8", "--seed", "1"]) == 0
    return output


@pytest.fixture(scope="module")
def trained(extracted, tmp_path_factory) -> Path:
    """Layer 2's results."""
    output = tmp_path_factory.mktemp("layer2")
    argv = ["--patches", str(extracted / "patches.h5"), "--model", "vgg16", "--input-size", "32", "--epochs", "1"]
    assert layer2([*argv, "--batch-size", "8", "--no-augment", "--output-dir", str(output)]) == 0
    return output


def test_layer_1_reads_a_slide_of_one_level(fixtures_folder, tmp_path):
    """The SVS as it is, without a pyramid, as normal tissue."""
    slide = fixtures_folder / "wsi" / "CMU-1-Small-Region.svs"
    assert layer1(["--slide", str(slide), "--patches", "5", "--output-dir", str(tmp_path)]) == 0
    statistics = json.loads((tmp_path / "layer1.json").read_text())
    assert (statistics["patches"], statistics["mpp_um"]) == (5, pytest.approx(0.499))


def test_layer_1_finds_both_labels_in_real_tissue(extracted):
    """The annotation is shifted by nothing: its mask begins where the polygon does."""
    labels = json.loads((extracted / "layer1.json").read_text())["labels"]
    assert (labels["normal"]["kept"], labels["tumor"]["kept"]) == (16, 16)
    with Image.open(extracted / "tumour_mask.png") as picture:
        mask = np.asarray(picture) > 0
    assert np.nonzero(mask)[1].min() == pytest.approx(200 / 8, abs=1)
    assert not mask[100, 100]


def test_layer_2_leaves_weights_and_their_story(trained):
    """What layer 3 and a reader need."""
    assert sorted(path.name for path in trained.iterdir()) == [
        "training.csv",
        "training.json",
        "training.png",
        "weights.weights.h5",
    ]
    story = json.loads((trained / "training.json").read_text())
    assert (story["model"], story["input_size"], story["patch_size"], story["processes"]) == ("VGG16", 32, 96, 1)
    assert story["split"]["training_patches"] > 0
    assert story["parameters"] > 14_000_000
    assert len((trained / "training.csv").read_text().splitlines()) == 2


def test_training_goes_on_from_earlier_weights(extracted, trained, tmp_path):
    """Fine-tuning: the first epoch starts where the last one ended."""
    argv = ["--patches", str(extracted / "patches.h5"), "--model", "vgg16", "--input-size", "32", "--epochs", "1"]
    weights = ["--initial-weights", str(trained / "weights.weights.h5"), "--learning-rate", "0"]
    more = ["--batch-size", "8", "--output-dir", str(tmp_path)]
    assert layer2([*argv, *weights, *more]) == 0
    first, second = (json.loads((folder / "training.json").read_text()) for folder in (trained, tmp_path))
    assert second["history"][0]["val_loss"] == pytest.approx(first["history"][-1]["val_loss"], abs=0.02)


def test_layer_3_maps_the_slide(slide_path, trained, tmp_path):
    """Pictures, arrays and figures agree with each other."""
    argv = [
        "--slide",
        str(slide_path),
        "--annotation",
        str(slide_path.with_suffix(".xml")),
        "--output-dir",
        str(tmp_path),
    ]
    weights = ["--weights", str(trained / "weights.weights.h5"), "--training", str(trained / "training.json")]
    assert layer3([*argv, *weights, "--stride", "96", "--mask-downsample", "16"]) == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["heatmap.json", "heatmap.npz", "heatmap.png", "overlay.png"]
    statistics = json.loads((tmp_path / "heatmap.json").read_text())
    with np.load(tmp_path / "heatmap.npz") as arrays:
        assert np.isfinite(arrays["probability"]).sum() == statistics["tiles"] > 100
        assert arrays["probability"].shape == (len(arrays["y"]), len(arrays["x"]))
        assert (arrays["heatmap"][~arrays["tissue"]] == 0).all()
    assert set(statistics["agreement"]) == {"tile_auc", "pixel_auc", "dice", "mean_inside", "mean_outside"}
    with Image.open(tmp_path / "overlay.png") as overlay:
        assert min(overlay.size) > 1000


def test_weights_of_another_network_are_refused(slide_path, trained, tmp_path, capsys):
    """One line, exit code 1, no results."""
    story = json.loads((trained / "training.json").read_text())
    del story["weights_sha256"]
    (tmp_path / "training.json").write_text(json.dumps(story | {"model": "VGG19"}))
    weights = ["--weights", str(trained / "weights.weights.h5"), "--training", str(tmp_path / "training.json")]
    assert layer3(["--slide", str(slide_path), "--output-dir", str(tmp_path / "out"), *weights]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert "layer3: error: the weights do not fit the network" in lines[0]
    assert not (tmp_path / "out").exists()
