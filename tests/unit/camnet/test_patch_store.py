"""Patches come back as they went in, and the older layouts are read as RGB."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from usecases.camnet.errors import PatchStoreError
from usecases.camnet.patch_store import PatchOrigin, PatchReader, PatchWriter, find_groups
from usecases.camnet.slides import SlideIdentity


def origin(**changes: object) -> PatchOrigin:
    values = {
        "slide": "patient_004_node_4",
        "identity": SlideIdentity(patient=4, node=2, centre=1),
        "level": 5,
        "downsample": 32.0,
        "mpp_um": 0.25,
        "seed": 7,
    }
    return PatchOrigin(**(values | changes))  # type: ignore[arg-type]


def filled(path: Path, labels: str, *, size: int = 8, **changes: object) -> np.ndarray:
    """Writes one random patch for each letter n or t, and returns them."""
    patches = np.random.default_rng(0).integers(0, 256, (len(labels), size, size, 3), dtype=np.uint8)
    with PatchWriter(path, origin(**changes), patch_size=size) as writer:
        for number, letter in enumerate(labels):
            label = {"n": "normal", "t": "tumor"}[letter]
            writer.append(label, patches[number], location=(number, 2 * number))
    return patches


def test_patches_come_back_as_they_went_in(tmp_path):
    """Pixels, locations, order, label and origin."""
    patches = filled(tmp_path / "p.h5", "ntt")
    normal, tumour = find_groups([tmp_path / "p.h5"])
    with PatchReader([normal, tumour]) as reader:
        np.testing.assert_array_equal(reader.patches(tumour), patches[1:])
        np.testing.assert_array_equal(reader.patches(tumour, np.array([1])), patches[2:])
        assert reader.locations(tumour).tolist() == [[1, 2], [2, 4]]
    assert (normal.tumour, tumour.tumour, tumour.count, tumour.patch_size) == (False, True, 2, 8)
    assert tumour.origin == origin()


def test_the_layout_is_the_original_one(tmp_path):
    """With the batch, chunked by patch, and with the channel order said."""
    filled(tmp_path / "p.h5", "t", mpp_um=None)
    with h5py.File(tmp_path / "p.h5") as file:
        group = file["tumor/l5/c1/p004/n2/0"]
        assert sorted(group) == ["locations", "patches"]
        assert group["patches"].chunks == (1, 8, 8, 3)
        assert dict(group.attrs) | {"mpp": 0} == {
            "slide": "patient_004_node_4",
            "patient": 4,
            "node": 2,
            "centre": 1,
            "level": 5,
            "downsample": 32.0,
            "mpp": 0,
            "seed": 7,
            "label": "tumor",
            "channel_order": "RGB",
        }
    assert find_groups([tmp_path / "p.h5"])[0].origin.mpp_um is None


def test_the_older_camelyon17_layout_is_read(camelyon):
    """level7/centre/patient/node without a batch; BGR becomes RGB."""
    groups = find_groups([camelyon / "cam17_patches.hdf5"])
    who = [(g.label, g.origin.identity.centre, g.origin.identity.patient, g.origin.identity.node) for g in groups]
    assert who == [("normal", 0, 10, 4), ("normal", 1, 30, 4), ("tumor", 0, 10, 4), ("tumor", 1, 30, 4)]
    assert {(g.count, g.patch_size, g.origin.level, g.origin.downsample) for g in groups} == {(5, 224, 7, 128.0)}
    with PatchReader(groups) as reader, h5py.File(groups[0].path) as file:
        stored = file[f"{groups[0].group}/patches"][:]
        np.testing.assert_array_equal(reader.patches(groups[0]), stored[..., ::-1])
        assert reader.locations(groups[0])[0].tolist() == [804, 514]


def test_real_tissue_read_as_rgb_is_pink(camelyon):
    """In H&E red exceeds green, and blue lies between: the proof that the channels are not swapped."""
    group = find_groups([camelyon / "cam17_patches.hdf5"])[0]
    with PatchReader([group]) as reader:
        red, green, blue = reader.patches(group).reshape(-1, 3).mean(axis=0)
    assert red > blue > green


def test_the_camelyon16_layout_is_read(camelyon):
    """Its patients are named by their mask files, and have no node."""
    groups = find_groups([camelyon / "cam16_patches.hdf5"])
    assert [(g.label, g.origin.identity.patient, g.origin.identity.node) for g in groups] == [
        ("normal", 42, 0),
        ("tumor", 42, 0),
    ]


def test_a_file_without_patches_is_refused(tmp_path):
    """As is a list of them."""
    with PatchWriter(tmp_path / "p.h5", origin(), patch_size=8):
        pass
    with pytest.raises(PatchStoreError, match="not a single patch"):
        find_groups([tmp_path / "p.h5"])


def test_files_of_different_patch_sizes_are_refused(tmp_path):
    """They cannot be one batch."""
    filled(tmp_path / "a.h5", "n", size=8)
    filled(tmp_path / "b.h5", "n", size=9)
    with pytest.raises(PatchStoreError, match=r"patch sizes differ: \[8, 9\]"):
        find_groups([tmp_path / "a.h5", tmp_path / "b.h5"])


@pytest.mark.parametrize(("content", "message"), [(None, "no such file"), (b"not HDF5", "cannot use the patches")])
def test_an_unreadable_file_is_refused(tmp_path, content, message):
    """With its name."""
    path = tmp_path / "p.h5"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(PatchStoreError, match=message) as caught:
        find_groups([path])
    assert str(path) in str(caught.value)
