"""CamNet across two real clusters, each step inside its image: examples/camnet-sandbox.yaml as the README runs it."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from metadata.history import History, RunRecord
from metadata.sessions import open_sessions
from orchestrator.operations.images import import_image, list_images, verify_image
from tests.integration.images.conftest import Centres
from tests.integration.images.recipes import image_file
from tests.integration.images.test_steps_in_images import convoy

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "camnet-sandbox.yaml"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2700)]  # the images may have to be made first


@dataclass(frozen=True, kw_only=True)
class CamNet:
    """A run of the example that is over."""

    centres: Centres
    record: RunRecord
    results: Path

    def native_ids(self, step: str) -> list[str]:
        """SLURM's numbers of a step's tasks, in their order."""
        return [task.last.native_id for row in self.record.steps if row.name == step for task in row.tasks]

    def accounts(self, step: str, site: str, *fields: str) -> list[tuple[str, ...]]:
        """What SLURM itself remembers of a step's jobs, by its accounts."""
        jobs = ",".join(self.native_ids(step))
        argv = ("sacct", "-X", "-n", "-P", f"--jobs={jobs}", f"--format={','.join(fields)}")
        return [tuple(line.split("|")) for line in self.centres.sites[site].execute(*argv).splitlines()]

    def files(self, step: str, name: str) -> list[Path]:
        """A step's results of one name, fetched."""
        found = []
        for position in range(len(self.native_ids(step))):
            folder = self.results / step / str(position)
            address = f"dataset://{self.record.id}/{step}/{position}/{name}"
            assert convoy(self.centres, "data", "get", address, "--output", folder).returncode == 0
            found.append(folder / name)
        return found

    def documents(self, step: str, name: str) -> list[dict[str, Any]]:
        """The same, read."""
        return [json.loads(path.read_text()) for path in self.files(step, name)]


@pytest.fixture(scope="module")
def camnet(module_centres: Centres, tmp_path_factory: pytest.TempPathFactory) -> CamNet:
    """The example, run to its end in images that come from their recipes."""
    module_centres.need_gpus("lrz", a_node=2)
    with module_centres.workspace() as workspace:
        for name in ("camnet-cpu", "camnet-train"):
            import_image(workspace, name, image_file(name, workspace, at="agh"))
    answer = convoy(module_centres, "run", EXAMPLE, timeout_s=1500)
    assert answer.returncode == 0, answer.stderr + answer.stdout
    sessions = open_sessions(f"sqlite:///{module_centres.home / 'convoy.db'}")
    try:
        history = History(sessions)
        record = history.run(history.runs(limit=1)[0].id)
    finally:
        sessions.dispose()
    return CamNet(centres=module_centres, record=record, results=tmp_path_factory.mktemp("results"))


def test_the_slides_are_the_tasks_of_one_array(camnet: CamNet) -> None:
    """By SLURM's own accounts, for the patches and for the heat maps."""
    for step in ("extract", "heatmap"):
        array = camnet.native_ids(step)[0].split("_")[0]
        assert camnet.native_ids(step) == [f"{array}_0", f"{array}_1"]
        rows = camnet.accounts(step, "agh", "JobID", "State", "Cluster")
        cluster = camnet.centres.sites["agh"].name
        assert sorted(rows) == [(f"{array}_{n}", "COMPLETED", cluster) for n in range(2)]


def test_two_processes_with_a_gpu_each_train_one_network(camnet: CamNet) -> None:
    """Each learns half of the patches, and both end with the same weights; the loss falls, and it tells tumour."""
    ((state, granted),) = camnet.accounts("train", "lrz", "State", "AllocTRES")
    assert state == "COMPLETED"
    assert {"gres/gpu=2", "cpu=4"} <= set(granted.split(","))
    (story,) = camnet.documents("train", "training.json")
    ranks = story["ranks"]
    assert [row["rank"] for row in ranks] == [0, 1]
    assert len({row["weights_sha256"] for row in ranks}) == 1
    assert {row["patches_per_epoch"] for row in ranks} == {story["split"]["training_patches"] // 2}
    losses = [epoch["loss"] for epoch in story["history"]]
    assert all(math.isfinite(loss) for loss in losses)
    assert losses[-1] < losses[0] / 2
    assert story["best_val_auc"] > 0.9
    assert "horovod" in story["versions"]


def test_the_heat_maps_find_the_tumour(camnet: CamNet) -> None:
    """The annotated slide is the first one; the other is healthy and has nothing to be measured against."""
    sick, healthy = camnet.documents("heatmap", "heatmap.json")
    assert sick["agreement"]["tile_auc"] > 0.85
    assert healthy["mean_probability"] < sick["agreement"]["mean_inside"]
    for path in camnet.files("heatmap", "overlay.png"):
        with Image.open(path) as picture:
            assert min(picture.size) > 100


def test_the_images_came_once_and_are_what_they_were(camnet: CamNet) -> None:
    """One verified copy of each at every site that runs it, however many tasks there were."""
    images = {"camnet-cpu": ["agh", "here"], "camnet-train": ["agh", "here", "lrz"]}
    with camnet.centres.workspace() as workspace:
        for name, places in images.items():
            copies = verify_image(workspace, name)
            assert [(row.site, row.good) for row in copies] == [(place, True) for place in places]
        digests = {view.image.sha256 for view in list_images(workspace)}
    brought = [row for row in camnet.record.transfers if row.sha256 in digests]
    assert sorted(row.destination_site for row in brought) == ["agh", "agh", "lrz"]
    assert {row.state for row in brought} == {"COMPLETED"}
