"""The patches of several files as one numbered set, kept in memory where they fit."""

import time
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from usecases.camnet.console import Progress
from usecases.camnet.errors import PatchStoreError
from usecases.camnet.layer2.splits import Indices, PatchTable
from usecases.camnet.networks import resize
from usecases.camnet.patch_store import PatchGroup, PatchReader
from usecases.camnet.slides import RgbImage

MEMORY_LIMIT_BYTES = 2 * 1024**3
_READ_AT_ONCE = 128


def tabulate(groups: Sequence[PatchGroup], reader: PatchReader) -> PatchTable:
    """Returns one row a patch, in the order of the groups.

    Raises:
        PatchStoreError: the patches are all of one class.
    """
    if len({group.tumour for group in groups}) < 2:
        raise PatchStoreError(
            "cannot train on one class",
            where=", ".join(sorted({str(group.path) for group in groups})),
            why=f"all patches are {groups[0].label}",
            advice="Add patches of an annotated slide as well as of normal tissue",
        )
    counts = [group.count for group in groups]
    corners = [reader.locations(group)[:, ::-1] * group.origin.downsample for group in groups]
    return PatchTable(
        patient=np.repeat(_numbered([_patient_key(group) for group in groups]), counts),
        slide=np.repeat(_numbered([_slide_key(group) for group in groups]), counts),
        tumour=np.repeat([group.tumour for group in groups], counts),
        corner=np.concatenate(corners).astype(np.float64),
        patch_size=groups[0].patch_size,
    )


def _patient_key(group: PatchGroup) -> str:
    """Unknown patients (number 0 and no Camelyon name) are told apart by their slides."""
    patient = group.origin.identity.patient
    return f"patient {patient}" if patient else _slide_key(group)


def _slide_key(group: PatchGroup) -> str:
    identity = group.origin.identity
    return f"{group.origin.slide} {identity.centre} {identity.patient} {identity.node}"


def _numbered(keys: Sequence[str]) -> npt.NDArray[np.int64]:
    return np.asarray(np.unique(keys, return_inverse=True)[1], dtype=np.int64)


class PatchPixels:
    """Pixels by patch number, at the network's input size."""

    def __init__(self, groups: Sequence[PatchGroup], reader: PatchReader, *, size: int) -> None:
        """Reads all patches at once when they fit into `MEMORY_LIMIT_BYTES`; else each is read when asked for."""
        self._reader, self._groups, self._size = reader, groups, size
        self._starts = np.cumsum([0, *(group.count for group in groups)])
        self.count = int(self._starts[-1])
        self.loading_seconds = 0.0
        self._kept: RgbImage | None = None
        if self.count * size * size * 3 <= MEMORY_LIMIT_BYTES:
            self._kept = self._load()

    def __getitem__(self, indices: Indices) -> RgbImage:
        """Returns (n, size, size, 3) uint8 RGB, in the order asked for."""
        return self._kept[indices] if self._kept is not None else self._read(indices)

    def _load(self) -> RgbImage:
        progress = Progress("layer2 loading patches", total=self.count)
        kept = np.empty((self.count, self._size, self._size, 3), dtype=np.uint8)
        started = time.perf_counter()
        for start in range(0, self.count, _READ_AT_ONCE):
            chosen = np.arange(start, min(start + _READ_AT_ONCE, self.count))
            kept[chosen] = self._read(chosen)
            progress.show(int(chosen[-1]) + 1)
        self.loading_seconds = time.perf_counter() - started
        return kept

    def _read(self, indices: Indices) -> RgbImage:
        pixels = np.empty((len(indices), self._size, self._size, 3), dtype=np.uint8)
        owner = np.searchsorted(self._starts, indices, side="right") - 1
        for number in np.unique(owner):
            places = np.flatnonzero(owner == number)
            # HDF5 reads rows in increasing order only, so they are sorted here and put back in place.
            places = places[np.argsort(indices[places])]
            rows = indices[places] - self._starts[number]
            pixels[places] = resize(self._reader.patches(self._groups[number], rows), self._size)
        return pixels
