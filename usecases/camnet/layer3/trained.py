"""A training's result, as layer 3 needs it."""

import json
from dataclasses import dataclass
from pathlib import Path

from usecases.camnet.errors import NetworkError
from usecases.camnet.networks import Network, digest, find_model


@dataclass(frozen=True, kw_only=True)
class TrainedNetwork:
    """What training.json says of a network."""

    network: Network
    """The network."""
    patch_size: int
    """Side in level-0 pixels of the patches it was trained with."""
    mpp_um: float | None
    """Micrometres a pixel of those patches; None when unknown."""


def load_trained(training: Path, weights: Path) -> TrainedNetwork:
    """Returns the network that training.json describes, after checking that the weights belong to it.

    Raises:
        NetworkError: training.json is absent or incomplete, or the weights are those of another training.
    """
    try:
        figures = json.loads(training.read_text(encoding="utf-8"))
        trained = TrainedNetwork(
            network=Network(
                model=find_model(figures["model"]),
                input_size=int(figures["input_size"]),
                activation=str(figures["activation"]),
            ),
            patch_size=int(figures["patch_size"]),
            mpp_um=figures.get("mpp_um"),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        why = error if isinstance(error, OSError) else f"it is no training.json of layer 2 ({error!r})"
        raise NetworkError(
            "cannot read the training", where=training, why=why, advice="Give the training.json that layer2 wrote"
        ) from error
    _check_digest(figures.get("weights_sha256"), training, weights)
    return trained


def _check_digest(expected: str | None, training: Path, weights: Path) -> None:
    """Other weights might load without complaint, and predict nonsense."""
    if expected is None or not weights.is_file() or digest(weights) == expected:
        return
    raise NetworkError(
        "the weights do not fit the training",
        where=weights,
        why=f"their SHA-256 is not the one in {training}",
        advice="Give the weights and the training.json of one and the same training",
    )
