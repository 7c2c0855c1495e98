"""The written-out training step learns, keeps the best epoch, and shares its gradients where there are several ranks."""

from types import SimpleNamespace

import numpy as np
import pytest

from usecases.camnet.patch_store import PatchOrigin, PatchReader, PatchWriter, find_groups
from usecases.camnet.slides import SlideIdentity

pytest.importorskip("tensorflow", reason="NOT TESTED: TensorFlow is absent; install the extra 'train'")

# Keras 2.15 draws its seeds in a way that Python calls old; that is not ours to mend.
pytestmark = pytest.mark.filterwarnings("ignore:non-integer arguments to randrange:DeprecationWarning")

from usecases.camnet.backend import tf  # noqa: E402
from usecases.camnet.layer2 import patches as patches_module  # noqa: E402
from usecases.camnet.layer2.patches import PatchPixels, tabulate  # noqa: E402
from usecases.camnet.layer2.plan import TrainingPlan  # noqa: E402
from usecases.camnet.layer2.ranks import Ranks  # noqa: E402
from usecases.camnet.layer2.splits import RANDOM, Split  # noqa: E402
from usecases.camnet.layer2.training import Trainer  # noqa: E402
from usecases.camnet.networks import Network  # noqa: E402

NETWORK = Network(model="MobileNet", input_size=32)  # says how pixels are scaled; the layers are those of `tiny`


@pytest.fixture(scope="module")
def groups(tmp_path_factory):
    """Forty patches: light ones are normal, dark ones are tumour."""
    path = tmp_path_factory.mktemp("training") / "p.h5"
    origin = PatchOrigin(
        slide="s", identity=SlideIdentity(patient=1, node=1, centre=0), level=4, downsample=16.0, mpp_um=0.5, seed=0
    )
    generator = np.random.default_rng(0)
    with PatchWriter(path, origin, patch_size=48) as writer:
        for number in range(40):
            label, grey = (("normal", 190), ("tumor", 90))[number % 2]
            patch = generator.normal(grey, 25, (48, 48, 3)).clip(0, 255).astype(np.uint8)
            writer.append(label, patch, location=(number, 0))
    return find_groups([path])


def tiny():
    """A network that is built in milliseconds, with the batch normalisation that trips training loops."""
    tf.keras.utils.set_random_seed(1)
    layers = [tf.keras.layers.Conv2D(4, 5, strides=4, input_shape=(32, 32, 3)), tf.keras.layers.BatchNormalization()]
    top = [tf.keras.layers.GlobalAveragePooling2D(), tf.keras.layers.Dense(1, activation="sigmoid")]
    return tf.keras.Sequential(layers + top)


def trained(groups, *, ranks: Ranks, epochs: int = 4, **changes: object):
    """Returns the model and what its training came to."""
    values = {"batch_size": 8, "learning_rate": 0.05, "schedule": "cosine", "optimizer": "adam", "augment": True}
    plan = TrainingPlan(
        **(values | {"loss": "binary_crossentropy", "batch_norm_momentum": 0.5, "seed": 0} | changes), epochs=epochs
    )
    number = np.arange(40)
    parts = Split(method=RANDOM, train=number[number % 10 < 7], validation=number[number % 10 >= 7])
    model = tiny()
    with PatchReader(groups) as reader:
        pixels = PatchPixels(groups, reader, size=32)
        training = Trainer(model, NETWORK, plan, ranks=ranks).train(pixels, tabulate(groups, reader), parts)
    return model, training


@pytest.mark.parametrize("optimizer", ["adam", "sgd", "rmsprop"])
@pytest.mark.parametrize("loss", ["binary_crossentropy", "binary_focal_crossentropy", "mean_squared_error"])
def test_every_optimizer_learns_with_every_loss(groups, optimizer, loss):
    """Light from dark, in a few steps; and the history has the best epoch in it."""
    _, training = trained(groups, ranks=Ranks(rank=0, size=1), optimizer=optimizer, loss=loss)
    assert training.best.val_auc > 0.95
    assert training.best in training.history
    assert [epoch.epoch for epoch in training.history] == [1, 2, 3, 4]


def test_batch_normalisation_gets_the_momentum_that_was_asked_for(groups):
    """The default of Keras is too slow for a training of a hundred steps."""
    model, _ = trained(groups, ranks=Ranks(rank=0, size=1), epochs=1, batch_norm_momentum=0.8)
    assert model.layers[1].momentum == 0.8


def test_several_ranks_share_weights_and_gradients(groups):
    """The weights of rank 0 are broadcast once, and every gradient goes through Horovod's tape."""
    broadcasts, tapes, averaged = [], [], []
    horovod = SimpleNamespace(
        broadcast_variables=lambda variables, root_rank: broadcasts.append((len(variables), root_rank)),
        DistributedGradientTape=lambda tape: tapes.append(tape) or tape,
        Average="mean",
        grouped_allreduce=lambda rows, op: averaged.append((len(rows), op)) or [row + 1.0 for row in rows],
        # Rank 0 learns what this rank does not.
        allgather_object=lambda value: [value + 100 if isinstance(value, np.ndarray) else value, value],
    )
    model, training = trained(groups, ranks=Ranks(rank=1, size=2, horovod=horovod), epochs=1)
    assert averaged == [(2, "mean")]
    assert model.layers[1].moving_variance.numpy().min() > 1
    assert broadcasts == [(8, 0)]
    assert tapes
    assert training.history[0].images_per_second == pytest.approx(28 / training.history[0].seconds)


def test_patches_too_many_for_memory_are_read_when_asked_for(groups, monkeypatch):
    """With the same pixels, in the order asked for, which HDF5 itself does not offer."""
    order = np.array([33, 2, 39, 0, 21])
    with PatchReader(groups) as reader:
        kept = PatchPixels(groups, reader, size=32)
        monkeypatch.setattr(patches_module, "MEMORY_LIMIT_BYTES", 0)
        read = PatchPixels(groups, reader, size=32)
        np.testing.assert_array_equal(kept[order], read[order])
        stored = np.concatenate([reader.patches(group) for group in groups])
    assert (kept[order].mean(axis=(1, 2, 3)).round() - stored[order].mean(axis=(1, 2, 3)).round() < 2).all()
