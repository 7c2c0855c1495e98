"""Which patches train and which validate. Pure."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

Indices = npt.NDArray[np.int64]

BY_PATIENT, SPATIAL, RANDOM = "by patient", "spatial", "random"
EXPLANATIONS = {
    BY_PATIENT: "no patient is in both parts",
    SPATIAL: "one end of each slide validates, and training patches that overlap it are left out",
    RANDOM: "patches may overlap across the parts, so validation flatters",
}
_ATTEMPTS = 200
_LARGEST_SHARE = 0.5


@dataclass(frozen=True, kw_only=True)
class PatchTable:
    """What a split needs to know of each patch; all arrays have one entry a patch."""

    patient: npt.NDArray[np.int64]
    """Number that is equal for patches of one patient."""
    slide: npt.NDArray[np.int64]
    """Number that is equal for patches of one slide."""
    tumour: npt.NDArray[np.bool_]
    """True for tumour."""
    corner: npt.NDArray[np.float64]
    """(n, 2) top-left corners in level-0 pixels."""
    patch_size: int
    """Side of a patch in level-0 pixels."""


@dataclass(frozen=True, kw_only=True)
class Split:
    """The two parts, as indices into the table."""

    method: str
    """One of the keys of `EXPLANATIONS`."""
    train: Indices
    """Patches to train with."""
    validation: Indices
    """Patches to validate with."""


def split(table: PatchTable, *, share: float, generator: np.random.Generator) -> Split | None:
    """Returns the most honest split whose parts both have both classes, or None when there is none.

    Patients are kept apart where that is possible; else slides are cut; else patches are drawn at random.
    """
    for attempt in (_by_patient, _spatial, _random):
        found = attempt(table, share, generator)
        if found is not None and _has_both(table, found.train) and _has_both(table, found.validation):
            return found
    return None


def _has_both(table: PatchTable, indices: Indices) -> bool:
    return len(np.unique(table.tumour[indices])) == 2


def _by_patient(table: PatchTable, share: float, generator: np.random.Generator) -> Split | None:
    """Tries random orders of the patients, and keeps the one whose validation share is nearest to `share`."""
    patients, sizes = np.unique(table.patient, return_counts=True)
    best, best_miss = None, _LARGEST_SHARE
    for _ in range(_ATTEMPTS if len(patients) > 1 else 0):
        order = generator.permutation(len(patients))
        taken = np.cumsum(sizes[order]) / sizes.sum()
        count = int(np.argmin(np.abs(taken[:-1] - share))) + 1
        miss = abs(float(taken[count - 1]) - share)
        chosen = np.isin(table.patient, patients[order[:count]])
        candidate = _from_mask(BY_PATIENT, chosen)
        fits = taken[count - 1] <= _LARGEST_SHARE and miss < best_miss
        if fits and _has_both(table, candidate.train) and _has_both(table, candidate.validation):
            best, best_miss = candidate, miss
    return best


def _spatial(table: PatchTable, share: float, _: np.random.Generator) -> Split:
    chosen = np.zeros(len(table.tumour), dtype=np.bool_)
    dropped = np.zeros_like(chosen)
    for slide in np.unique(table.slide):
        here = np.flatnonzero(table.slide == slide)
        for label in (False, True):
            members = here[table.tumour[here] == label]
            chosen[_far_end(table.corner[members], members, share)] = True
        inside, outside = here[chosen[here]], here[~chosen[here]]
        if len(inside) and len(outside):
            distance, _ = cKDTree(table.corner[inside]).query(table.corner[outside], p=np.inf)
            dropped[outside[distance < table.patch_size]] = True
    return Split(method=SPATIAL, train=np.flatnonzero(~chosen & ~dropped), validation=np.flatnonzero(chosen))


def _far_end(corners: npt.NDArray[np.float64], members: Indices, share: float) -> Indices:
    """Returns the members at one end of the direction in which they spread most."""
    if not len(members):
        return members
    axis = int(np.argmax(np.ptp(corners, axis=0)))
    order = np.argsort(corners[:, axis], kind="stable")
    return np.asarray(members[order[len(members) - round(len(members) * share) :]])


def _random(table: PatchTable, share: float, generator: np.random.Generator) -> Split:
    chosen = np.zeros(len(table.tumour), dtype=np.bool_)
    for label in (False, True):
        members = generator.permutation(np.flatnonzero(table.tumour == label))
        chosen[members[: max(1, round(len(members) * share))]] = True
    return _from_mask(RANDOM, chosen)


def _from_mask(method: str, chosen: npt.NDArray[np.bool_]) -> Split:
    return Split(method=method, train=np.flatnonzero(~chosen), validation=np.flatnonzero(chosen))
