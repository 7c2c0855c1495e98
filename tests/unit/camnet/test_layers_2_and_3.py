"""Layers 2 and 3 refuse what cannot work, each with one line, before they spend time on it."""

import json
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest

from usecases.camnet.errors import LaunchError, NetworkError
from usecases.camnet.layer2.__main__ import main as layer2
from usecases.camnet.layer3.__main__ import main as layer3
from usecases.camnet.patch_store import PatchOrigin, PatchWriter
from usecases.camnet.slides import SlideIdentity

pytest.importorskip("tensorflow", reason="NOT TESTED: TensorFlow is absent; install the extra 'train'")

# Keras 2.15 draws its seeds in a way that Python calls old; that is not ours to mend.
pytestmark = pytest.mark.filterwarnings("ignore:non-integer arguments to randrange:DeprecationWarning")

from usecases.camnet.layer2.augmentation import augment  # noqa: E402
from usecases.camnet.layer2.plan import TrainingPlan  # noqa: E402
from usecases.camnet.layer2.ranks import Ranks, find_ranks  # noqa: E402
from usecases.camnet.networks import Network, find_model, prepare, resize  # noqa: E402


def patch_file(path: Path, labels: str, *, size: int = 32) -> Path:
    """Writes a patch for each letter n or t."""
    origin = PatchOrigin(
        slide="s", identity=SlideIdentity(patient=1, node=1, centre=0), level=4, downsample=16.0, mpp_um=0.5, seed=0
    )
    generator = np.random.default_rng(0)
    with PatchWriter(path, origin, patch_size=size) as writer:
        for number, letter in enumerate(labels):
            patch = generator.integers(0, 256, (size, size, 3), dtype=np.uint8)
            writer.append("tumor" if letter == "t" else "normal", patch, location=(number * 10, 0))
    return path


def failure(capsys: pytest.CaptureFixture[str], layer: str, code: int) -> str:
    """Checks that the layer failed with one line, and returns the line."""
    captured = capsys.readouterr()
    lines = captured.err.splitlines()
    assert (code, captured.out, len(lines)) == (1, "", 1)
    assert lines[0].startswith(f"{layer}: error: ")
    return lines[0]


@pytest.mark.parametrize("name", ["resnet50", "ResNet50", "mobilenet-v3-small", "inception_v3", "DENSENET121"])
def test_networks_are_found_in_any_spelling(name):
    """Case, hyphens and underscores do not matter."""
    assert find_model(name).lower() == name.replace("-", "").replace("_", "").lower()


def test_an_unknown_network_is_told_with_the_closest_names(capsys, tmp_path):
    """Through the whole command."""
    patches = patch_file(tmp_path / "p.h5", "nt")
    line = failure(capsys, "layer2", layer2(["--patches", str(patches), "--model", "restnet50"]))
    assert "unknown network: 'restnet50'" in line
    assert "Did you mean ResNet50" in line


def test_one_class_only_is_told(capsys, tmp_path):
    """A classifier of one class learns nothing."""
    patches = patch_file(tmp_path / "p.h5", "nnn")
    assert "all patches are normal" in failure(capsys, "layer2", layer2(["--patches", str(patches)]))


def test_too_few_patches_to_validate_are_told(capsys, tmp_path):
    """With their numbers."""
    patches = patch_file(tmp_path / "p.h5", "nnt")
    assert "1 tumor and 2 normal patches are too few" in failure(capsys, "layer2", layer2(["--patches", str(patches)]))


def test_an_empty_patch_file_is_told(capsys, tmp_path):
    """As when all patches were white."""
    patches = patch_file(tmp_path / "p.h5", "")
    assert "not a single patch" in failure(capsys, "layer2", layer2(["--patches", str(patches)]))


def test_an_input_too_small_for_the_network_is_told(capsys, tmp_path):
    """Keras knows the bound of each network."""
    argv = ["--patches", str(patch_file(tmp_path / "p.h5", "nnnttt")), "--model", "inceptionv3", "--input-size", "32"]
    assert "InceptionV3 at 32 x 32" in failure(capsys, "layer2", layer2(argv))


def test_initial_weights_of_another_network_are_told(capsys, tmp_path):
    """And not loaded in part."""
    with h5py.File(tmp_path / "w.weights.h5", "w") as file:
        file["nonsense"] = 1
    argv = ["--patches", str(patch_file(tmp_path / "p.h5", "nnnttt")), "--model", "mobilenet", "--input-size", "32"]
    line = failure(capsys, "layer2", layer2([*argv, "--initial-weights", str(tmp_path / "w.weights.h5")]))
    assert "the weights do not fit the network" in line


def test_layer_2_with_wrong_usage_exits_with_2(capsys):
    """Without waiting for TensorFlow."""
    with pytest.raises(SystemExit) as caught:
        layer2(["--patches", "p.h5", "--epochs", "none"])
    assert caught.value.code == 2
    assert "--epochs" in capsys.readouterr().err


@pytest.fixture
def trained(tmp_path) -> list[str]:
    """Options for a training.json of a small network, and for weights that do not belong to it."""
    (tmp_path / "w.weights.h5").write_bytes(b"weights")
    training = {"model": "MobileNet", "input_size": 32, "activation": "sigmoid", "patch_size": 64, "mpp_um": 0.5}
    (tmp_path / "training.json").write_text(json.dumps(training | {"weights_sha256": "0" * 64}))
    return ["--weights", str(tmp_path / "w.weights.h5"), "--training", str(tmp_path / "training.json")]


def test_weights_of_another_training_are_told(capsys, drawn, trained):
    """Although they might load, and then predict nonsense."""
    line = failure(capsys, "layer3", layer3(["--slide", str(drawn / "patient_004_node_4.tif"), *trained]))
    assert "their SHA-256 is not the one in" in line


def test_missing_weights_are_told(capsys, drawn, trained):
    """By their name."""
    trained[1] += ".absent"
    line = failure(capsys, "layer3", layer3(["--slide", str(drawn / "patient_004_node_4.tif"), *trained]))
    assert "w.weights.h5.absent: MobileNet at 32 x 32: there is no such file" in line


@pytest.mark.parametrize(
    ("content", "message"), [(None, "No such file"), ("{}", "no training.json"), ("[", "no training.json")]
)
def test_a_wrong_training_file_is_told(capsys, drawn, trained, content, message):
    """Absent, incomplete, or no JSON."""
    Path(trained[3]).unlink()
    if content is not None:
        Path(trained[3]).write_text(content)
    assert message in failure(capsys, "layer3", layer3(["--slide", str(drawn / "patient_004_node_4.tif"), *trained]))


def test_preparing_resized_patches_is_preparing_the_originals():
    """Layer 2 keeps patches resized and layer 3 does not; the network sees the same."""
    patches = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)
    for model in ("ResNet50", "MobileNetV2", "MobileNetV3Small"):
        network = Network(model=model, input_size=32)
        np.testing.assert_array_equal(prepare(patches, network), prepare(resize(patches, 32), network))


def test_each_network_gets_its_authors_scale():
    """ResNet wants BGR less the mean of ImageNet, MobileNet -1 to 1; and the patches stay as they were."""
    patches = np.full((1, 32, 32, 3), (255, 0, 0), dtype=np.uint8)
    assert prepare(patches, Network(model="MobileNet", input_size=32))[0, 0, 0].tolist() == [1, -1, -1]
    expected = [-103.939, -116.779, 255 - 123.68]
    np.testing.assert_allclose(prepare(patches, Network(model="ResNet50", input_size=32))[0, 0, 0], expected, rtol=1e-5)
    assert patches[0, 0, 0].tolist() == [255, 0, 0]


def test_augmentation_repeats_with_its_seed_and_leaves_glass_white():
    """White has no stain to change."""
    patches = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3), dtype=np.uint8)
    first, second = (augment(patches, np.random.default_rng(1)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    white = np.full_like(patches, 255)
    np.testing.assert_array_equal(augment(white, np.random.default_rng(1)), white)


def test_the_parts_of_all_ranks_are_disjoint_and_equally_long():
    """A rank that is short of a step would leave the others waiting for ever."""
    indices = np.arange(23)
    parts = [Ranks(rank=rank, size=4).shard(indices) for rank in range(4)]
    assert [len(part) for part in parts] == [5] * 4
    assert len({index for part in parts for index in part.tolist()}) == 20


def test_ranks_that_learn_the_same_patch_are_refused():
    """They were started with different patches or seeds, and the result would be of neither."""
    horovod = SimpleNamespace(allgather_object=lambda part: [np.array([4, 7]), part])
    Ranks(rank=1, size=2, horovod=horovod).check_disjoint(np.array([1, 2]))
    with pytest.raises(LaunchError, match="1 patches are in the parts of several ranks"):
        Ranks(rank=1, size=2, horovod=horovod).check_disjoint(np.array([7, 2]))


def test_a_lone_process_needs_no_horovod():
    """Whatever the launcher says of itself."""
    assert find_ranks({"PMI_SIZE": "1"}) == Ranks(rank=0, size=1)


def test_several_processes_without_horovod_are_refused(monkeypatch):
    """They would each train alone and overwrite each other's results."""
    monkeypatch.setitem(__import__("sys").modules, "horovod", None)
    with pytest.raises(LaunchError, match="2 processes: Horovod cannot be imported"):
        find_ranks({"OMPI_COMM_WORLD_SIZE": "2"})


def test_the_learning_rate_falls_along_a_cosine_or_stays():
    """From its full value to nearly nothing."""
    values = {"epochs": 4, "batch_size": 1, "learning_rate": 0.1, "optimizer": "adam", "loss": "", "augment": False}
    rates = {
        schedule: [
            TrainingPlan(**values, schedule=schedule, batch_norm_momentum=0, seed=0).learning_rate_of(epoch)
            for epoch in range(4)
        ]
        for schedule in ("cosine", "constant")
    }
    assert rates["constant"] == [0.1] * 4
    assert rates["cosine"][0] == 0.1
    assert sorted(rates["cosine"], reverse=True) == rates["cosine"]
    assert rates["cosine"][-1] < 0.02


def test_an_unknown_network_with_no_likeness_lists_what_there_is():
    """So that the reader need not search."""
    with pytest.raises(NetworkError, match="Known are ConvNeXtBase, "):
        find_model("zzzz")
