"""``python -m usecases.camnet.layer2``: from patch files to a trained tumour classifier."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from usecases.camnet.console import integer_from, number_within
from usecases.camnet.layer2.plan import ACTIVATIONS, COSINE, LOSSES, OPTIMIZERS, SCHEDULES, Experiment, TrainingPlan
from usecases.console import exit_code_of, parser_for


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the layer and returns its exit code."""
    options = _parser().parse_args(arguments)
    return exit_code_of("layer2", lambda: _run(options))


def _parser() -> argparse.ArgumentParser:
    parser = parser_for("camnet.layer2", "Trains a network of keras.applications to tell tumour from normal patches.")
    parser.add_argument("--patches", type=Path, nargs="+", required=True, help="patch files that layer1 wrote")
    parser.add_argument("--model", default="resnet50", help="a network of keras.applications, in any spelling of case")
    parser.add_argument("--weights", default="none", help="none, imagenet (downloaded), or a file")
    parser.add_argument("--initial-weights", type=Path, help="the same as --weights FILE, and goes before it")
    parser.add_argument("--epochs", type=integer_from(1), default=10, help="passes over the training patches")
    parser.add_argument("--batch-size", type=integer_from(1), default=32, help="patches a step and process")
    parser.add_argument("--input-size", type=integer_from(32), default=224, help="side to which patches are resized")
    parser.add_argument("--learning-rate", type=number_within(0, 10), default=0.001, help="of one process")
    parser.add_argument("--schedule", choices=SCHEDULES, default=COSINE, help="how the learning rate goes on")
    parser.add_argument("--optimizer", choices=tuple(OPTIMIZERS), default="adam", help="how weights are updated")
    parser.add_argument("--loss", choices=LOSSES, default="binary_crossentropy", help="what is made small")
    parser.add_argument("--activation", choices=ACTIVATIONS, default="sigmoid", help="of the last neuron")
    parser.add_argument(
        "--batch-norm-momentum", type=number_within(0, 0.9999), default=0.99, help="lower it for short trainings"
    )
    parser.add_argument(
        "--augment", action=argparse.BooleanOptionalAction, default=True, help="turn, flip and tint patches at random"
    )
    parser.add_argument("--validation-share", type=number_within(0.01, 0.9), default=0.2, help="share kept to validate")
    parser.add_argument("--seed", type=integer_from(0), default=0, help="seed of weights, split and order")
    return parser


def _run(options: argparse.Namespace) -> None:
    # TensorFlow takes seconds to import; here --help and wrong usage do not wait for it.
    from usecases.camnet.layer2.experiment import run

    run(_experiment(options))


def _experiment(options: argparse.Namespace) -> Experiment:
    plan = TrainingPlan(
        epochs=options.epochs,
        batch_size=options.batch_size,
        learning_rate=options.learning_rate,
        schedule=options.schedule,
        optimizer=options.optimizer,
        loss=options.loss,
        augment=options.augment,
        batch_norm_momentum=options.batch_norm_momentum,
        seed=options.seed,
    )
    return Experiment(
        patches=tuple(options.patches),
        model=options.model,
        weights=str(options.initial_weights or options.weights),
        input_size=options.input_size,
        activation=options.activation,
        validation_share=options.validation_share,
        output_dir=options.output_dir,
        plan=plan,
    )


if __name__ == "__main__":
    sys.exit(main())
