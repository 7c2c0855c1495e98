"""What a training is to do. Light to import, so that the command line need not wait for TensorFlow."""

import math
from dataclasses import dataclass
from pathlib import Path

OPTIMIZERS = {"adam": "Adam", "sgd": "SGD", "rmsprop": "RMSprop"}
CONSTANT, COSINE = "constant", "cosine"
ACTIVATIONS = ("sigmoid", "hard_sigmoid")
SCHEDULES = (COSINE, CONSTANT)
LOSSES = ("binary_crossentropy", "binary_focal_crossentropy", "mean_squared_error")


@dataclass(frozen=True, kw_only=True)
class TrainingPlan:
    """How to train."""

    epochs: int
    """Passes over the training patches."""
    batch_size: int
    """Patches a step and process."""
    learning_rate: float
    """Of one process; it is multiplied by the number of processes, whose gradients are averaged."""
    schedule: str
    """One of `SCHEDULES`: whether the learning rate stays, or falls to nearly nothing along half a cosine."""
    optimizer: str
    """One of `OPTIMIZERS`."""
    loss: str
    """One of `LOSSES`."""
    augment: bool
    """Whether patches are turned, flipped and tinted."""
    batch_norm_momentum: float
    """Share of the running mean that batch normalisation keeps each step."""
    seed: int
    """Seed of the order and of the augmentation."""

    def learning_rate_of(self, epoch: int) -> float:
        """Returns the learning rate of an epoch, counted from 0."""
        fall = 0.5 * (1 + math.cos(math.pi * epoch / self.epochs)) if self.schedule == COSINE else 1.0
        return self.learning_rate * fall


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """One run of layer 2."""

    patches: tuple[Path, ...]
    """The patch files."""
    model: str
    """Name in keras.applications, in any spelling of case."""
    weights: str
    """"none", "imagenet" or the path of weights."""
    input_size: int
    """Side in pixels of the images that the network sees."""
    activation: str
    """Activation of the last neuron."""
    validation_share: float
    """Share of the patches that validate."""
    output_dir: Path
    """Where the results go."""
    plan: TrainingPlan
    """How to train."""
