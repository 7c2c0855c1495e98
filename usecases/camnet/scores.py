"""How well probabilities agree with the truth. Pure."""

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

Truth = npt.NDArray[np.bool_]
Probabilities = npt.NDArray[np.float32]


def area_under_curve(truth: Truth, probabilities: Probabilities) -> float | None:
    """Returns the area under the ROC curve, exactly, ties counted half; None when one class is absent.

    >>> area_under_curve(np.array([False, True, True]), np.array([0.1, 0.9, 0.1]))
    0.75
    """
    positives, negatives = int(truth.sum()), int((~truth).sum())
    if not positives or not negatives:
        return None
    ranks = rankdata(probabilities)[truth].sum()
    return float((ranks - positives * (positives + 1) / 2) / (positives * negatives))


def accuracy(truth: Truth, probabilities: Probabilities) -> float:
    """Returns the share of cases on the right side of 0.5."""
    return float(np.mean((probabilities >= 0.5) == truth))


def dice(truth: Truth, probabilities: Probabilities) -> float | None:
    """Returns twice the overlap over the sum of both areas, at 0.5; None when both are empty."""
    found = probabilities >= 0.5
    total = int(truth.sum()) + int(found.sum())
    return float(2 * (truth & found).sum() / total) if total else None
