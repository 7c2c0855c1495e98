"""Labelled patches in HDF5.

Written: ``<normal|tumor>/l<level>/c<centre>/p<patient>/n<node>/<batch>/{patches,locations}``, RGB, with attributes.
Read too: the older ``<normal|tumor>/level<level>/centre<centre>/patient<patient>/node<node>/`` without a batch, and
Camelyon16's ``.../patient042_Mask.tif/``. Those have no attributes, and their pixels are BGR.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import final

import h5py
import numpy as np
import numpy.typing as npt

from usecases.camnet.errors import PatchStoreError
from usecases.camnet.slides import RgbImage, SlideIdentity

LABELS = ("normal", "tumor")
CHANNEL_ORDER = "RGB"
_LEVEL = re.compile(r"l(?:evel)?(\d+)")
_CENTRE = re.compile(r"c(?:entre)?(\d+)")
_PATIENT = re.compile(r"p(?:atient)?(\d+)")
_NODE = re.compile(r"n(?:ode)?(\d+)")


@dataclass(frozen=True, kw_only=True)
class PatchOrigin:
    """Where the patches of one slide come from."""

    slide: str
    """The slide's file name without its suffix."""
    identity: SlideIdentity
    """Whose tissue it is."""
    level: int
    """The pyramid level whose grid the locations use: the rounded log2 of `downsample`."""
    downsample: float
    """Level-0 pixels one location step spans."""
    mpp_um: float | None
    """Micrometres a level-0 pixel; None when the slide does not say."""
    seed: int
    """Seed of the sampling; it names the draw, so that another seed is another batch of the same slide."""


@dataclass(frozen=True, kw_only=True)
class PatchGroup:
    """Patches of one slide and one label, as they lie in a file."""

    path: Path
    """The HDF5 file."""
    group: str
    """The HDF5 group that holds `patches` and `locations`."""
    label: str
    """"normal" or "tumor"."""
    origin: PatchOrigin
    """Where the patches come from."""
    count: int
    """Number of patches."""
    patch_size: int
    """Side of a patch in pixels."""
    bgr: bool
    """True when the pixels are stored blue first."""

    @property
    def tumour(self) -> bool:
        """True when the patches show tumour."""
        return self.label == LABELS[1]


def group_name(label: str, origin: PatchOrigin, *, batch: int = 0) -> str:
    """Returns the HDF5 group for one label of one slide."""
    who = origin.identity
    return f"{label}/l{origin.level}/c{who.centre}/p{who.patient:03d}/n{who.node}/{batch}"


@final
class PatchWriter:
    """Adds patches to a new HDF5 file, one by one, in bounded memory."""

    def __init__(self, path: Path, origin: PatchOrigin, *, patch_size: int) -> None:
        """Creates the file; groups appear with their first patch."""
        self._file = h5py.File(path, "w")
        self._origin = origin
        self._patch_size = patch_size
        self._file.attrs.update(_attributes(origin), channel_order=CHANNEL_ORDER, patch_size=patch_size)

    def __enter__(self) -> "PatchWriter":
        """Returns the writer itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes the file."""
        self._file.close()

    def append(self, label: str, patch: RgbImage, *, location: tuple[int, int]) -> None:
        """Adds one (size, size, 3) RGB patch whose top-left corner is `location` = (row, column) on the level."""
        name = group_name(label, self._origin)
        group = self._file[name] if name in self._file else self._new_group(name, label)
        for dataset, value in ((group["patches"], patch), (group["locations"], location)):
            dataset.resize(len(dataset) + 1, axis=0)
            dataset[-1] = value

    def _new_group(self, name: str, label: str) -> h5py.Group:
        group = self._file.create_group(name)
        group.attrs.update(_attributes(self._origin), label=label, channel_order=CHANNEL_ORDER)
        side = self._patch_size
        # A chunk is a patch, so that shuffled reading decodes no byte in vain; level 1 is nearly as small as 9 here.
        group.create_dataset(
            "patches",
            shape=(0, side, side, 3),
            maxshape=(None, side, side, 3),
            chunks=(1, side, side, 3),
            dtype=np.uint8,
            compression="gzip",
            compression_opts=1,
        )
        group.create_dataset("locations", shape=(0, 2), maxshape=(None, 2), chunks=(1024, 2), dtype=np.int64)
        return group


def _attributes(origin: PatchOrigin) -> dict[str, str | int | float]:
    who = origin.identity
    return {
        "slide": origin.slide,
        "patient": who.patient,
        "node": who.node,
        "centre": who.centre,
        "level": origin.level,
        "downsample": origin.downsample,
        "mpp": origin.mpp_um if origin.mpp_um is not None else float("nan"),
        "seed": origin.seed,
    }


def find_groups(paths: Sequence[Path]) -> tuple[PatchGroup, ...]:
    """Returns every non-empty group of the files, sorted by file order and name.

    Raises:
        PatchStoreError: a file cannot be read, or there is no patch in any of them, or sizes differ.
    """
    groups = tuple(group for path in paths for group in _groups_in(path))
    where = ", ".join(str(path) for path in paths)
    if not groups:
        raise _refusal(where, "there is not a single patch in it", "Run layer1 again with other thresholds")
    sizes = sorted({group.patch_size for group in groups})
    if len(sizes) > 1:
        raise _refusal(where, f"the patch sizes differ: {sizes}", "Give files of one --patch-size")
    return groups


def _refusal(where: object, why: object, advice: str) -> PatchStoreError:
    return PatchStoreError("cannot use the patches", where=where, why=why, advice=advice)


def _groups_in(path: Path) -> list[PatchGroup]:
    found: list[PatchGroup] = []

    def visit(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset) and name.endswith("/patches") and len(item):
            found.append(_described(path, item))

    try:
        with h5py.File(path, "r") as file:
            file.visititems(visit)
    except OSError as error:
        why = error if path.is_file() else "there is no such file"
        raise _refusal(path, why, "Give the patches.h5 that layer1 wrote, or copy it again") from error
    return sorted(found, key=lambda group: group.group)


def _described(path: Path, patches: h5py.Dataset) -> PatchGroup:
    name = patches.parent.name.strip("/")
    label = name.split("/")[0]
    if label not in LABELS or patches.ndim != 4 or patches.shape[3] != 3 or patches.shape[1] != patches.shape[2]:
        why = f"{name} has label {label!r} and shape {patches.shape}"
        raise _refusal(path, why, "Expected normal/... or tumor/... of square RGB patches")
    attributes = dict(patches.parent.attrs)
    return PatchGroup(
        path=path,
        group=name,
        label=label,
        origin=_origin(name, attributes),
        count=len(patches),
        patch_size=int(patches.shape[1]),
        bgr=attributes.get("channel_order") != CHANNEL_ORDER,
    )


def _origin(group: str, attributes: dict[str, object]) -> PatchOrigin:
    """Reads the origin from the group's name, and from its attributes where it has them."""
    parts = group.split("/")[1:]
    identity = SlideIdentity(
        patient=_number(_PATIENT, parts), node=_number(_NODE, parts), centre=_number(_CENTRE, parts)
    )
    level = _number(_LEVEL, parts)
    mpp_um = float(str(attributes.get("mpp", "nan")))
    return PatchOrigin(
        slide=str(attributes.get("slide", f"patient_{identity.patient:03d}_node_{identity.node}")),
        identity=identity,
        level=level,
        downsample=float(str(attributes.get("downsample", 2.0**level))),
        mpp_um=None if math.isnan(mpp_um) else mpp_um,
        seed=int(str(attributes.get("seed", 0))),
    )


def _number(pattern: re.Pattern[str], parts: Sequence[str]) -> int:
    return next((int(match[1]) for part in parts if (match := pattern.match(part))), 0)


@final
class PatchReader:
    """Open patch files; use it in a ``with`` block. Not for several threads at once."""

    def __init__(self, groups: Sequence[PatchGroup]) -> None:
        """Opens each file of the groups once."""
        self._files = {path: h5py.File(path, "r") for path in {group.path for group in groups}}

    def __enter__(self) -> "PatchReader":
        """Returns the reader itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes the files."""
        for file in self._files.values():
            file.close()

    def patches(self, group: PatchGroup, rows: slice | npt.NDArray[np.int64] = slice(None)) -> RgbImage:
        """Returns (n, size, size, 3) uint8 RGB, whatever the order in the file. Row numbers must increase."""
        stored = np.asarray(self._dataset(group, "patches")[rows], dtype=np.uint8)
        return stored[..., ::-1] if group.bgr else stored

    def locations(self, group: PatchGroup) -> npt.NDArray[np.int64]:
        """Returns (n, 2) int64: (row, column) of the top-left corners on the group's level."""
        return np.asarray(self._dataset(group, "locations")[:], dtype=np.int64)

    def _dataset(self, group: PatchGroup, name: str) -> h5py.Dataset:
        return self._files[group.path][f"{group.group}/{name}"]
