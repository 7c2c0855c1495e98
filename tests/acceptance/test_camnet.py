"""CamNet across three sites, as the README's first command runs it, and on real tissue."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from tests.acceptance.conftest import Convoy

pytest.importorskip("tensorflow", reason="NOT TESTED: TensorFlow is absent; install the extra 'train'")

SITES = """\
sites:
  agh: {workdir: sites/agh, labels: [cpu], slots: {cpus: 2, memory: 4GiB}}
  lrz: {workdir: sites/lrz, labels: [cpu, gpu], slots: {cpus: 2, memory: 8GiB, gpus: 1}}
  uva: {workdir: sites/uva, labels: [cpu], slots: {cpus: 2, memory: 4GiB}}
"""


@pytest.fixture
def three_sites(home: Path) -> Path:
    """A home with the demo's sites."""
    (home / "sites.yaml").write_text(SITES)
    return home


@pytest.fixture
def real_slide(fixtures_folder: Path, tmp_path: Path) -> Path:
    """OpenSlide's CMU-1-Small-Region as a pyramid, with an invented annotation beside it: real tissue, no truth."""
    from usecases.camnet.annotations import Region
    from usecases.camnet.demo_data.__main__ import render_asap
    from usecases.camnet.demo_data.pyramid import save_pyramid
    from usecases.camnet.slides import Slide

    with Slide(fixtures_folder / "wsi" / "CMU-1-Small-Region.svs") as original:
        pixels = original.overview(1)
    path = tmp_path / "patient_010_node_2.tif"
    save_pyramid(path, pixels, mpp_um=0.499)
    corners = ((200.0, 300.0), (1500.0, 250.0), (1600.0, 1500.0), (250.0, 1400.0))
    path.with_suffix(".xml").write_text(render_asap([Region(name="T", group="_0", vertices=corners)]))
    return path


def shown_pictures(home: Path) -> dict[str, Path]:
    """The pictures of the one report in the home, by name."""
    return {path.name: path for path in home.glob("reports/*/pictures/*.png")}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_demo_learns_the_tumour_and_shows_it(three_sites: Path, convoy: Convoy) -> None:
    """Validation AUC above 0.9, and a heat map that agrees with the annotation."""
    answer = convoy("usecase", "run", "camnet", timeout_s=580)
    assert answer.returncode == 0, answer.stderr
    training = json.loads(next(three_sites.glob("sites/lrz/runs/*/train/0/1/training.json")).read_text())
    assert training["best_val_auc"] > 0.9
    found = [json.loads(path.read_text()) for path in three_sites.glob("sites/uva/runs/*/heatmap/*/1/heatmap.json")]
    agreement = next(row["agreement"] for row in found if row.get("agreement"))
    assert agreement["pixel_auc"] > 0.9
    assert agreement["mean_inside"] > 0.5 > agreement["mean_outside"]
    assert "report.html" in answer.stdout
    assert "heatmap-patient_004_node_4-overlay.png" in shown_pictures(three_sites)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_same_workflow_runs_on_a_real_slide(three_sites: Path, convoy: Convoy, real_slide: Path) -> None:
    """On the user's own slide and annotation."""
    parameters = ["patches=12", "epochs=1", "input_size=32", "stride=224"]
    words = [word for parameter in parameters for word in ("--param", parameter)]
    answer = convoy(
        "usecase",
        "run",
        "camnet",
        "--slide",
        real_slide,
        "--annotation",
        real_slide.with_suffix(".xml"),
        *words,
        timeout_s=500,
    )
    assert answer.returncode == 0, answer.stderr
    picture = shown_pictures(three_sites)["heatmap-patient_010_node_2-overlay.png"]
    with Image.open(picture) as image:
        assert min(image.size) > 500
    moved = {path.name for path in three_sites.glob("sites/uva/data/*/*")}
    assert len(moved) >= 4  # the slide, its annotation, the weights and the training's story
