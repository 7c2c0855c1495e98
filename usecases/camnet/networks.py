"""The networks of keras.applications as classifiers of patches.

`prepare` is the only way from pixels to a network, in training as in prediction.
"""

import difflib
import hashlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from usecases.camnet.backend import tf
from usecases.camnet.errors import NetworkError
from usecases.camnet.slides import RgbImage

NO_WEIGHTS, IMAGENET = "none", "imagenet"
Images = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Network:
    """A classifier's shape: all that is needed to build it again for its weights."""

    model: str
    """Name in keras.applications, spelled as there."""
    input_size: int
    """Side in pixels of the images it sees."""
    activation: str = "sigmoid"
    """Activation of its last neuron."""


def find_model(name: str) -> str:
    """Returns the name as keras.applications spells it; case, hyphens and underscores do not matter.

    Raises:
        NetworkError: there is no such network; the message names the closest ones.
    """
    known = {_plain(found): found for found in dir(tf.keras.applications) if found[0].isupper()}
    if _plain(name) in known:
        return known[_plain(name)]
    close = [known[match] for match in difflib.get_close_matches(_plain(name), known, n=3, cutoff=0.5)]
    advice = f"Did you mean {' or '.join(close)}?" if close else f"Known are {', '.join(sorted(known.values()))}"
    raise NetworkError(
        "unknown network", where=repr(name), why="keras.applications has none of that name", advice=advice
    )


def _plain(name: str) -> str:
    return name.replace("-", "").replace("_", "").lower()


def build(network: Network, *, weights: str = NO_WEIGHTS) -> Any:
    """Returns a tf.keras.Model: the network without its top, average pooling, and one neuron.

    Args:
        network: the network; its name as `find_model` returns it.
        weights: "none", "imagenet" (downloaded by Keras into its cache), or the path of weights saved by layer 2.

    Raises:
        NetworkError: the input size is too small, the download fails, or the file does not fit.
    """
    start = "imagenet" if weights == IMAGENET else None
    size = network.input_size
    try:
        body = getattr(tf.keras.applications, network.model)(
            include_top=False, weights=start, input_shape=(size, size, 3), pooling="avg"
        )
    except Exception as error:  # Keras raises a bare Exception when a download fails, a ValueError on a bad size.
        raise NetworkError(
            "cannot build the network",
            where=f"{network.model} at {size} x {size} with weights {weights}",
            why=error,
            advice="Use another --input-size, or --weights none or a file where there is no Internet",
        ) from error
    output = tf.keras.layers.Dense(1, activation=network.activation, dtype="float32", name="tumour")(body.output)
    model = tf.keras.Model(body.input, output)
    if weights not in (NO_WEIGHTS, IMAGENET):
        load_weights(model, Path(weights), network)
    return model


def load_weights(model: Any, path: Path, network: Network) -> None:
    """Loads weights into a built network.

    Raises:
        NetworkError: the file is absent, damaged, or of another network.
    """
    try:
        if not path.is_file():
            raise FileNotFoundError("there is no such file")
        model.load_weights(str(path))
    except Exception as error:  # h5py and Keras between them raise OSError, KeyError, ValueError and more.
        raise NetworkError(
            "the weights do not fit the network",
            where=path,
            why=f"{network.model} at {network.input_size} x {network.input_size}: {error}",
            advice="Give the weights and the training.json of one and the same training",
        ) from error


def predictor(model: Any, network: Network) -> Callable[[RgbImage], Images]:
    """Returns a function from (n, height, width, 3) uint8 RGB patches to their n probabilities of tumour.

    Keras's own predict_on_batch makes a data pipeline for every batch, which costs more than a small network.
    """
    side = network.input_size
    call = tf.function(
        lambda images: model(images, training=False), input_signature=[tf.TensorSpec((None, side, side, 3), tf.float32)]
    )

    def predict(patches: RgbImage) -> Images:
        return np.asarray(call(prepare(patches, network)).numpy()[:, 0], dtype=np.float32)

    return predict


def save_weights(model: Any, path: Path) -> None:
    """Writes the weights alone: a bare model around the same layers leaves the optimizer's state behind."""
    tf.keras.Model(model.inputs, model.outputs).save_weights(str(path))


def prepare(patches: RgbImage, network: Network) -> Images:
    """Returns (n, input_size, input_size, 3) float32, scaled as the network's authors did; patches are RGB uint8."""
    scale: ModuleType = sys.modules[getattr(tf.keras.applications, network.model).__module__]
    pixels = resize(patches, network.input_size).astype(np.float32)
    return np.asarray(scale.preprocess_input(pixels), dtype=np.float32)


def resize(patches: RgbImage, size: int) -> RgbImage:
    """Returns (n, size, size, 3) uint8; doing it twice is doing it once, so resized patches may be kept."""
    if patches.shape[1:3] == (size, size):
        return patches
    smooth = tf.image.resize(patches, (size, size), method="bilinear", antialias=True).numpy()
    return np.asarray(np.clip(np.rint(smooth), 0, 255), dtype=np.uint8)


def digest(path: Path) -> str:
    """Returns the SHA-256 of a file, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
