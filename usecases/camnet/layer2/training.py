"""Trains a network, epoch by epoch."""

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from usecases.camnet.backend import tf
from usecases.camnet.console import Progress
from usecases.camnet.layer2.augmentation import augment
from usecases.camnet.layer2.patches import PatchPixels
from usecases.camnet.layer2.plan import OPTIMIZERS, TrainingPlan
from usecases.camnet.layer2.ranks import Ranks
from usecases.camnet.layer2.splits import Indices, PatchTable, Split
from usecases.camnet.networks import Images, Network, predictor, prepare
from usecases.camnet.scores import accuracy, area_under_curve

_MOMENTUM = 0.9


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """What one epoch came to."""

    epoch: int
    """Counted from 1."""
    loss: float
    """Mean training loss over all ranks, classes weighted, while the weights still moved."""
    accuracy: float
    """Share of training patches on the right side of 0.5."""
    auc: float
    """Area under the ROC curve of the training patches."""
    val_loss: float
    """Mean loss on the validation patches."""
    val_accuracy: float
    """Share of validation patches on the right side of 0.5."""
    val_auc: float
    """Area under the ROC curve of the validation patches."""
    seconds: float
    """Time for training, without validation."""
    images_per_second: float
    """Training patches a second, over all processes."""


@dataclass(frozen=True, kw_only=True)
class Training:
    """A finished training; the model then holds the weights of the best epoch."""

    history: tuple[Epoch, ...]
    """All epochs."""
    best: Epoch
    """The epoch of the highest validation AUC; of equal ones, that of the lowest validation loss."""


class Trainer:
    """A network with the way it learns.

    The step is written out rather than left to `fit`, so that it means the same under Keras 2 and 3 and takes any
    optimizer under Horovod.
    """

    def __init__(self, model: Any, network: Network, plan: TrainingPlan, *, ranks: Ranks) -> None:
        """Prepares the step; with several ranks, all start from the weights of the leading one."""
        self._model, self._network, self._plan, self._ranks = model, network, plan, ranks
        self._loss = getattr(tf.keras.losses, plan.loss)
        for layer in model.layers:
            if isinstance(layer, tf.keras.layers.BatchNormalization):
                layer.momentum = plan.batch_norm_momentum
        if ranks.horovod:
            ranks.horovod.broadcast_variables(model.variables, root_rank=0)
        self._predict = predictor(model, network)
        self._optimizer = _optimizer(plan)
        self._optimizer.build(model.trainable_variables)
        side = network.input_size
        images, column = tf.TensorSpec((None, side, side, 3), tf.float32), tf.TensorSpec((None, 1), tf.float32)
        # One signature for all batches: the last, shorter one would otherwise be traced anew.
        self._step = tf.function(self._learn, input_signature=[images, column, tf.TensorSpec((None,), tf.float32)])

    def _learn(self, images: Any, labels: Any, weights: Any) -> tuple[Any, Any]:
        """Moves the weights once; returns the loss and the probabilities from before the move."""
        with tf.GradientTape() as tape:
            guesses = self._model(images, training=True)
            loss = tf.reduce_mean(self._loss(labels, guesses) * weights) + sum(self._model.losses)
        if self._ranks.horovod:
            tape = self._ranks.horovod.DistributedGradientTape(tape)
        variables = self._model.trainable_variables
        self._optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        return loss, guesses[:, 0]

    def train(self, pixels: PatchPixels, table: PatchTable, parts: Split) -> Training:
        """Trains for all epochs, and leaves the weights of the best one in the model."""
        history: list[Epoch] = []
        weights = self._model.get_weights()
        for number in range(self._plan.epochs):
            history.append(self._epoch(number, pixels, table, parts))
            if max(history, key=_merit) is history[-1]:
                weights = self._model.get_weights()
        self._model.set_weights(weights)
        return Training(history=tuple(history), best=max(history, key=_merit))

    def _epoch(self, number: int, pixels: PatchPixels, table: PatchTable, parts: Split) -> Epoch:
        generator = np.random.default_rng((self._plan.seed, number))
        # Every rank draws one and the same order, of which it takes its part.
        order = self._ranks.shard(generator.permutation(parts.train))
        if number == 0:
            self._ranks.check_disjoint(order)
        self._optimizer.learning_rate = self._plan.learning_rate_of(number) * self._ranks.size
        started = time.perf_counter()
        loss, guesses = self._fit(number, order, pixels, table)
        # Gradients are shared at each step; what batch normalisation has seen is each rank's own until now.
        self._ranks.average(_statistics(self._model))
        seconds = time.perf_counter() - started
        losses = self._ranks.gather(loss)
        truth, guesses = self._joined(table.tumour[order], guesses)
        mine = parts.validation[self._ranks.rank :: self._ranks.size]
        val_truth, val_guesses = self._joined(table.tumour[mine], self._predict_all(pixels, mine))
        return Epoch(
            epoch=number + 1,
            loss=float(np.mean(losses)),
            accuracy=accuracy(truth, guesses),
            auc=area_under_curve(truth, guesses) or 0.0,
            val_loss=float(np.mean(self._loss(_column(val_truth), val_guesses[:, None]))),
            val_accuracy=accuracy(val_truth, val_guesses),
            val_auc=area_under_curve(val_truth, val_guesses) or 0.0,
            seconds=seconds,
            images_per_second=len(order) * self._ranks.size / seconds,
        )

    def _joined(self, truth: npt.NDArray[np.bool_], guesses: Images) -> tuple[npt.NDArray[np.bool_], Images]:
        """Returns the truths and the guesses of all ranks: every rank then judges an epoch alike."""
        rows = self._ranks.gather((truth, guesses))
        return np.concatenate([row[0] for row in rows]), np.concatenate([row[1] for row in rows])

    def _fit(self, number: int, order: Indices, pixels: PatchPixels, table: PatchTable) -> tuple[float, Images]:
        """Returns the mean loss, and the probability of each patch in the order in which it was learnt."""
        progress = Progress(f"layer2 epoch {number + 1}/{self._plan.epochs}", total=len(order))
        generator = np.random.default_rng((self._plan.seed, number, self._ranks.rank, 1))
        tumour_weight, normal_weight = _class_weights(table.tumour[order])
        losses, guesses = [], []
        for start in range(0, len(order), self._plan.batch_size):
            chosen = order[start : start + self._plan.batch_size]
            patches = augment(pixels[chosen], generator) if self._plan.augment else pixels[chosen]
            tumour = table.tumour[chosen]
            weights = np.where(tumour, tumour_weight, normal_weight).astype(np.float32)
            loss, batch_guesses = self._step(prepare(patches, self._network), _column(tumour), weights)
            losses.append(float(loss))
            guesses.append(batch_guesses.numpy())
            if self._ranks.leads:
                progress.show(start + len(chosen), f"loss {np.mean(losses):.3f}")
        return float(np.mean(losses)), np.concatenate(guesses)

    def _predict_all(self, pixels: PatchPixels, indices: Indices) -> Images:
        size = self._plan.batch_size
        parts = [indices[start : start + size] for start in range(0, len(indices), size)]
        # There may be more ranks than patches to validate with.
        return np.concatenate([np.empty(0, np.float32), *(self._predict(pixels[part]) for part in parts)])


def _statistics(model: Any) -> list[Any]:
    """Returns the variables that follow the data without being trained."""
    return [row for row in model.non_trainable_variables if tf.as_dtype(row.dtype).is_floating]


def _merit(epoch: Epoch) -> tuple[float, float]:
    return epoch.val_auc, -epoch.val_loss


def _column(tumour: npt.NDArray[np.bool_]) -> Images:
    return tumour.astype(np.float32)[:, None]


def _class_weights(tumour: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """Returns the weights of tumour and normal patches by which both classes count alike."""
    share = min(max(float(np.mean(tumour)), 1e-6), 1 - 1e-6)
    return 0.5 / share, 0.5 / (1 - share)


def _optimizer(plan: TrainingPlan) -> Any:
    optimizer = getattr(tf.keras.optimizers, OPTIMIZERS[plan.optimizer])
    if plan.optimizer == "sgd":
        return optimizer(plan.learning_rate, momentum=_MOMENTUM, nesterov=True)
    return optimizer(plan.learning_rate)
