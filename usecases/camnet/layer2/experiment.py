"""One run of layer 2, from patch files to weights and statistics."""

import hashlib
import platform
from dataclasses import asdict
from importlib import metadata
from typing import Any

import numpy as np

from usecases.camnet.backend import tf
from usecases.camnet.errors import LaunchError, PatchStoreError
from usecases.camnet.layer2.curves import render_csv, save_curves
from usecases.camnet.layer2.patches import PatchPixels, tabulate
from usecases.camnet.layer2.plan import Experiment
from usecases.camnet.layer2.ranks import Ranks, find_ranks
from usecases.camnet.layer2.splits import EXPLANATIONS, PatchTable, Split, split
from usecases.camnet.layer2.training import Trainer, Training
from usecases.camnet.networks import Network, build, digest, find_model, save_weights
from usecases.camnet.outputs import save_json, save_text
from usecases.camnet.patch_store import PatchGroup, PatchReader, find_groups
from usecases.console import complete_file

WEIGHTS, STATISTICS, HISTORY, CURVES = "weights.weights.h5", "training.json", "training.csv", "training.png"
_PACKAGES = ("tensorflow", "tensorflow-cpu", "keras", "horovod", "h5py", "numpy")


def run(experiment: Experiment) -> None:
    """Trains, and writes the four result files on the leading rank.

    Raises:
        NetworkError: the network is unknown or cannot be built.
        PatchStoreError: the patches cannot be read, or cannot be split with both classes in both parts.
        LaunchError: several processes were started without Horovod, or did not train the same network.
    """
    network = Network(
        model=find_model(experiment.model), input_size=experiment.input_size, activation=experiment.activation
    )
    groups = find_groups(experiment.patches)
    ranks = find_ranks()
    tf.keras.utils.set_random_seed(experiment.plan.seed)
    with PatchReader(groups) as reader:
        table = tabulate(groups, reader)
        parts = _split(experiment, table)
        model = build(network, weights=experiment.weights)
        pixels = PatchPixels(groups, reader, size=network.input_size)
        training = Trainer(model, network, experiment.plan, ranks=ranks).train(pixels, table, parts)
    together = _ranks_report(ranks, model, len(parts.train))
    if ranks.leads:
        figures = _statistics(experiment, network, groups, table, parts, training)
        figures["parameters"] = int(model.count_params())
        figures["loading_seconds_per_patch"] = round(pixels.loading_seconds / pixels.count, 6)
        figures["ranks"] = together
        _save(experiment, model, training, parts, figures | _circumstances(ranks))


def _split(experiment: Experiment, table: PatchTable) -> Split:
    found = split(table, share=experiment.validation_share, generator=np.random.default_rng(experiment.plan.seed))
    if found is None:
        raise PatchStoreError(
            "cannot split the patches",
            where=", ".join(str(path) for path in experiment.patches),
            why=f"{int(table.tumour.sum())} tumor and {int((~table.tumour).sum())} normal patches are too few",
            advice="Extract at least two patches of each class",
        )
    return found


def _ranks_report(ranks: Ranks, model: Any, training_patches: int) -> list[dict[str, object]]:
    """Returns a line for each rank. Raises LaunchError where their weights have come apart."""
    digest_of_weights = hashlib.sha256(b"".join(row.tobytes() for row in model.get_weights())).hexdigest()
    mine: dict[str, object] = {
        "rank": ranks.rank,
        "host": platform.node(),
        "patches_per_epoch": training_patches // ranks.size,
        "weights_sha256": digest_of_weights,
    }
    found = ranks.gather(mine)
    if len({row["weights_sha256"] for row in found}) > 1:
        raise LaunchError(
            "the training is worth nothing",
            where=", ".join(f"rank {row['rank']} at {row['host']}" for row in found),
            why="the ranks ended with different weights",
            advice="Start all ranks with the same program on processors of one kind",
        )
    return found


def _statistics(
    experiment: Experiment,
    network: Network,
    groups: tuple[PatchGroup, ...],
    table: PatchTable,
    parts: Split,
    training: Training,
) -> dict[str, object]:
    mpp_um = {group.origin.mpp_um for group in groups}
    return {
        **asdict(network),
        "patch_size": table.patch_size,
        "mpp_um": mpp_um.pop() if len(mpp_um) == 1 else None,
        "weights_from": experiment.weights,
        "plan": asdict(experiment.plan),
        "slides": sorted({group.origin.slide for group in groups}),
        "split": {
            "method": parts.method,
            "meaning": EXPLANATIONS[parts.method],
            "training_patches": len(parts.train),
            "training_tumour": int(table.tumour[parts.train].sum()),
            "validation_patches": len(parts.validation),
            "validation_tumour": int(table.tumour[parts.validation].sum()),
        },
        "best_epoch": training.best.epoch,
        "best_val_auc": round(training.best.val_auc, 6),
        "seconds_per_epoch": round(float(np.mean([epoch.seconds for epoch in training.history])), 3),
        "history": [_rounded(asdict(epoch)) for epoch in training.history],
    }


def _rounded(figures: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 6) for name, value in figures.items()}


def _circumstances(ranks: Ranks) -> dict[str, object]:
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return {"processes": ranks.size, "gpus": len(tf.config.list_physical_devices("GPU")), "versions": versions}


def _save(experiment: Experiment, model: Any, training: Training, parts: Split, figures: dict[str, object]) -> None:
    target = experiment.output_dir
    with complete_file(target / WEIGHTS) as partial:
        save_weights(model, partial)
    save_text(target / HISTORY, render_csv(training.history))
    save_curves(
        target / CURVES,
        training,
        title=f"{figures['model']}: {len(parts.train)} training patches, {len(parts.validation)} for validation",
        remark=f"split {parts.method}: {EXPLANATIONS[parts.method]}",
    )
    save_json(target / STATISTICS, figures | {"weights_sha256": digest(target / WEIGHTS)})
