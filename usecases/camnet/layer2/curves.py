"""The course of a training as a picture and as a table."""

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from usecases.camnet.figures import INK, NORMAL_COLOUR, TUMOUR_COLOUR, new_figure, save_figure
from usecases.camnet.layer2.training import Epoch, Training

_PANELS = (("loss", "Loss"), ("accuracy", "Accuracy"), ("auc", "Area under the ROC curve"))
_GRID = "#e4e7eb"


def render_csv(history: Sequence[Epoch]) -> str:
    """Returns one line an epoch, with a header."""
    text = io.StringIO()
    rows = csv.DictWriter(text, [field.name for field in fields(Epoch)], lineterminator="\n")
    rows.writeheader()
    rows.writerows({name: round(value, 6) for name, value in asdict(epoch).items()} for epoch in history)
    return text.getvalue()


def save_curves(path: Path, training: Training, *, title: str, remark: str) -> None:
    """Writes a PNG of loss, accuracy and AUC by epoch; the best epoch is marked."""
    figure = new_figure(11.0, 3.9)
    figure.suptitle(title, x=0.012, ha="left", fontsize=13, weight="bold", color=INK)
    for axes, (name, label) in zip(figure.subplots(1, 3), _PANELS, strict=True):
        _draw_panel(axes, training, name=name, label=label)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower left", ncols=3, frameon=False, fontsize=9.5)
    figure.text(0.988, 0.012, remark, ha="right", va="bottom", fontsize=8.5, color="#616e7c")
    save_figure(figure, path)


def _draw_panel(axes: Axes, training: Training, *, name: str, label: str) -> None:
    epochs = [epoch.epoch for epoch in training.history]
    for key, colour, legend in ((name, NORMAL_COLOUR, "training"), (f"val_{name}", TUMOUR_COLOUR, "validation")):
        values = [getattr(epoch, key) for epoch in training.history]
        axes.plot(epochs, values, color=colour, marker="o", markersize=4, linewidth=2, label=legend)
    axes.axvline(training.best.epoch, color="#9aa5b1", linestyle=(0, (4, 3)), linewidth=1.1, label="best epoch")
    axes.set_title(label, fontsize=10.5, loc="left", color=INK)
    axes.set_xlabel("epoch", fontsize=9, color=INK)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.tick_params(labelsize=8.5, colors=INK, length=0)
    axes.grid(color=_GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left", "bottom"]].set_visible(False)
    best = getattr(training.best, f"val_{name}")
    axes.annotate(
        f"{best:.3f}",
        (training.best.epoch, best),
        textcoords="offset points",
        xytext=(-6, -13 if name != "loss" else 8),
        ha="right",
        fontsize=9,
        weight="bold",
        color=TUMOUR_COLOUR,
    )
