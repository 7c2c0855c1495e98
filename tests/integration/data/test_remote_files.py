"""Files at a site behind SSH are opened where they lie, and only what is looked at travels."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import h5py
import numpy as np
import openslide
import pytest
import tifffile
from PIL import Image

from metadata.policy import Policy
from orchestrator import operations
from orchestrator.faces.filesystem import ConvoyFileSystem
from orchestrator.operations import Workspace
from tests.integration.data.conftest import Behind

MIB = 1 << 20


@pytest.fixture
def files(behind: Behind, workspace: Workspace) -> Iterator[ConvoyFileSystem]:
    """The file system of the home, its reads counted."""
    del workspace
    system = ConvoyFileSystem(home=str(behind.home), skip_instance_cache=True)
    behind.count(system._workspace)
    yield system
    system.close()


def noise(*shape: int) -> Any:
    """Numbers that nothing compresses."""
    return np.random.default_rng(7).integers(0, 256, shape, dtype=np.uint8)


def add(workspace: Workspace, behind: Behind, policy: Policy | None = None) -> None:
    """Everything in the site's folder is the dataset `study`."""
    operations.add_data(workspace, "study", [str(behind.data)], site="far", policy=policy)


def test_h5py_reads_a_table_of_a_remote_file_and_little_else(
    behind: Behind, workspace: Workspace, files: ConvoyFileSystem
) -> None:
    scores = np.arange(1000.0)
    with h5py.File(behind.data / "patches.h5", "w") as made:
        made["patches"] = noise(32, MIB)
        made["scores"] = scores
    add(workspace, behind)
    with files.open("convoy://study/patches.h5") as remote, h5py.File(remote) as found:
        assert (found["scores"][:] == scores).all()
        assert found["patches"].shape == (32, MIB)
        assert (found["patches"][17, :100] == noise(32, MIB)[17, :100]).all()
    assert 0 < behind.travelled <= 2 * MIB


def test_tifffile_reads_a_tile_of_a_remote_slide_and_little_else(
    behind: Behind, workspace: Workspace, files: ConvoyFileSystem
) -> None:
    picture = noise(4096, 4096)
    tifffile.imwrite(behind.data / "slide.tif", picture, tile=(256, 256))
    add(workspace, behind)
    with files.open("study/slide.tif") as remote, tifffile.TiffFile(remote) as slide:
        page = slide.pages[0]
        assert page.shape == (4096, 4096)
        index = 5 * 16 + 3
        remote.seek(page.dataoffsets[index])
        tile = page.decode(remote.read(page.databytecounts[index]), index)[0].squeeze()
    assert (tile == picture[5 * 256 : 6 * 256, 3 * 256 : 4 * 256]).all()
    assert 0 < behind.travelled <= MIB


def test_pillow_opens_a_remote_picture(behind: Behind, workspace: Workspace, files: ConvoyFileSystem) -> None:
    Image.fromarray(noise(64, 64, 3)).save(behind.data / "small.png")
    add(workspace, behind)
    with files.open("study/small.png") as remote, Image.open(remote) as picture:
        assert (np.asarray(picture) == noise(64, 64, 3)).all()


def test_bytes_come_as_they_are_from_any_place(behind: Behind, workspace: Workspace, files: ConvoyFileSystem) -> None:
    """Zero bytes, line ends and the edges of blocks among them."""
    content = noise(700_001).tobytes()
    (behind.data / "it's $(odd) name.bin").write_bytes(content)
    add(workspace, behind)
    name = "study/it's $(odd) name.bin"
    with files.open(name, block_size=65536) as remote:
        for start, size in ((0, 10), (65530, 12), (700_000, 50), (131_072, 65_536), (3, 400_000)):
            remote.seek(start)
            assert remote.read(size) == content[start : start + size]
    assert files.cat_file(name, start=5, end=9) == content[5:9]
    assert operations.open_data(workspace, name).read_range(offset=700_001, size_bytes=5) == b""


def test_the_tree_is_listed_like_a_file_system(behind: Behind, workspace: Workspace, files: ConvoyFileSystem) -> None:
    for name in ("a.tif", "train/b.tif", "train/deep/c.csv"):
        (behind.data / name).parent.mkdir(parents=True, exist_ok=True)
        (behind.data / name).write_text(name)
    add(workspace, behind)
    assert files.ls("", detail=False) == ["study"]
    assert files.ls("convoy://study/train", detail=False) == ["study/train/deep", "study/train/b.tif"]
    assert files.ls("study/a.tif")[0]["size"] == 5
    assert files.glob("study/**/*.tif") == ["study/a.tif", "study/train/b.tif"]
    assert files.find("study") == ["study/a.tif", "study/train/b.tif", "study/train/deep/c.csv"]
    assert (files.isdir("study/train"), files.isfile("study/a.tif")) == (True, True)
    assert not files.exists("study/none")
    assert not files.exists("nothing")
    assert [folder for folder, _, _ in files.walk("study")] == ["study", "study/train", "study/train/deep"]
    assert files.checksum("study/a.tif") == workspace.catalogue.file("study", "a.tif").sha256
    with pytest.raises(FileNotFoundError):
        files.open("study/none")
    with pytest.raises(PermissionError, match="read-only"):
        files.open("study/new", "wb")


def test_a_copy_that_is_nearer_is_read_first(behind: Behind, workspace: Workspace, files: ConvoyFileSystem) -> None:
    (behind.data / "a.bin").write_bytes(noise(MIB).tobytes())
    add(workspace, behind)
    operations.copy_data(workspace, ["study/a.bin"], "near:")
    with files.open("study/a.bin") as remote:
        assert remote.site == "near"
        assert remote.read() == noise(MIB).tobytes()
    assert behind.travelled == 0


def test_the_next_copy_is_read_when_the_first_is_gone_or_changed(
    behind: Behind, workspace: Workspace, files: ConvoyFileSystem
) -> None:
    content = noise(MIB).tobytes()
    (behind.data / "a.bin").write_bytes(content)
    add(workspace, behind)
    (row,) = operations.copy_data(workspace, ["study/a.bin"], "near:")
    Path(row.path).write_bytes(b"x" * MIB)  # type: ignore[union-attr]
    with files.open("study/a.bin") as remote:
        assert remote.read(100) == content[:100]
    assert behind.travelled > 0


def test_reading_goes_on_from_another_copy_when_a_site_falls_silent(
    behind: Behind, workspace: Workspace, files: ConvoyFileSystem
) -> None:
    """Even one that was made after the file was opened; and back again when that goes."""
    content = noise(2 * MIB).tobytes()
    (behind.data / "a.bin").write_bytes(content)
    add(workspace, behind)
    with files.open("study/a.bin", block_size=65536) as remote:
        assert remote.read(100) == content[:100]
        (row,) = operations.copy_data(workspace, ["study/a.bin"], "near:")
        behind.sshd.stop()
        remote.seek(MIB)
        assert remote.read(100) == content[MIB : MIB + 100]
        behind.sshd.start()
        Path(row.path).unlink()  # type: ignore[union-attr]
        remote.seek(MIB + 500_000)
        assert remote.read(100) == content[MIB + 500_000 : MIB + 500_100]
        behind.sshd.stop()
        remote.seek(0, 2)
        remote.seek(-100, 2)
        with pytest.raises(OSError, match="far"):
            remote.read(100)


def test_data_that_must_not_come_here_are_not_read_here(
    behind: Behind, workspace: Workspace, files: ConvoyFileSystem, tmp_path: Path
) -> None:
    (behind.data / "private").write_bytes(b"secret")
    add(workspace, behind, policy=Policy(sites=frozenset({"far"})))
    with pytest.raises(PermissionError, match="must not go to here"):
        files.open("study/private")
    with pytest.raises(PermissionError):
        files.get("study/private", str(tmp_path / "stolen"))
    assert behind.travelled == 0


def test_openslide_which_needs_a_path_gets_a_verified_file(
    behind: Behind, workspace: Workspace, tmp_path: Path
) -> None:
    picture = noise(512, 512, 3)
    tifffile.imwrite(behind.data / "slide.tif", picture, tile=(256, 256), photometric="rgb")
    add(workspace, behind)
    options = {"convoy": {"home": str(behind.home)}, "filecache": {"cache_storage": str(tmp_path / "cache")}}
    path = fsspec.open_local("filecache::convoy://study/slide.tif", mode="rb", **options)
    with openslide.OpenSlide(path) as slide:
        assert (np.asarray(slide.read_region((256, 0), 0, (256, 256)))[..., :3] == picture[:256, 256:]).all()


def test_the_address_is_known_to_fsspec_by_itself(behind: Behind, workspace: Workspace) -> None:
    (behind.data / "a.csv").write_text("n\n1\n")
    add(workspace, behind)
    with fsspec.open("convoy://study/a.csv", "rt", home=str(behind.home)) as text:
        assert text.read() == "n\n1\n"
    with fsspec.open("convoy://study/a.csv", "rb", home=str(behind.home)) as stream:
        assert io.TextIOWrapper(stream).read() == "n\n1\n"
