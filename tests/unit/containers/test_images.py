"""Images by name and digest, and the files that they come in."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metadata.errors import AdapterUnavailableError, ConflictError, InvalidInputError, NotFoundError, SiteError
from orchestrator.images import ImageRecord, check_name, chosen, definition_sources, image_path
from orchestrator.operations.images import (
    build_image,
    convert_image,
    import_image,
    kind_of,
    list_images,
    push_image,
    verify_image,
)
from orchestrator.operations.workspace import Workspace
from orchestrator.settings import find_settings
from staging.locations import store_path

SIF = b"#!/usr/bin/env run-singularity\n\0SIF_MAGIC\0" + b"01\0" + b"content" * 100


def record(name: str, letter: str, added_at: float) -> ImageRecord:
    """An image whose digest is one letter, many times."""
    return ImageRecord(name=name, sha256=letter * 64, size_bytes=1, added_at=added_at)


IMAGES = [record("cpu", "a", 1.0), record("cpu", "b", 2.0), record("train", "c", 3.0)]


def test_a_name_means_the_image_added_last() -> None:
    """Until a digest says otherwise."""
    assert chosen("cpu", IMAGES).sha256 == "b" * 64
    assert chosen("cpu@sha256:aaaaaa", IMAGES).sha256 == "a" * 64


@pytest.mark.parametrize("reference", ["cpu@sha256:cccccc", "gpu", "cp"])
def test_an_image_that_is_not_there_is_told_with_what_to_do(reference: str) -> None:
    """The message names the command."""
    with pytest.raises(NotFoundError, match="convoy image build"):
        chosen(reference, IMAGES)


@pytest.mark.parametrize("reference", ["", "cpu:latest", "cpu@aaaaaa", "cpu@sha256:xyz", "docker://cpu"])
def test_what_is_no_reference_is_refused(reference: str) -> None:
    """Tags move, so there are none; digests do not."""
    with pytest.raises(InvalidInputError, match="NAME@sha256:DIGEST"):
        chosen(reference, IMAGES)


def test_a_beginning_that_means_two_images_is_refused() -> None:
    """More of the digest is asked for."""
    twins = [
        ImageRecord(name="cpu", sha256="a" * 63 + last, size_bytes=1, added_at=1.0) for last in "12"
    ]  # fmt: skip
    with pytest.raises(InvalidInputError, match="more of the digest"):
        chosen("cpu@sha256:aaaaaa", twins)


@pytest.mark.parametrize("name", ["", "CPU", "a b", "../x", "-x", "a@b", "a/b"])
def test_a_name_is_one_that_registries_take_too(name: str) -> None:
    """Names become parts of paths."""
    with pytest.raises(InvalidInputError):
        check_name(name)


@given(st.text("0123456789abcdef", min_size=64, max_size=64))
def test_an_image_lies_where_the_engine_would_bring_it(sha256: str) -> None:
    """The store is named by content alone."""
    assert store_path(PurePosixPath("/w"), sha256) == f"/w/data/{sha256[:2]}/{sha256}"
    assert image_path("cpu", sha256).startswith("cpu/")


def test_a_definition_says_what_it_takes_from_outside() -> None:
    """Only %files sections do, and not those that copy between stages."""
    text = """Bootstrap: docker
From: debian

%files
    # a remark
    usecases /opt/usecases
    containers/x

%files from build
    /opt/wheel

%post
    usecase
"""
    assert definition_sources(text) == ["usecases", "containers/x"]


def test_every_recipe_of_the_project_finds_what_it_takes() -> None:
    """The definitions and Dockerfiles name the same folders."""
    root = Path(__file__).resolve().parents[3]
    definitions = sorted(root.glob("containers/*/*.def"))
    assert definitions
    for definition in definitions:
        sources = definition_sources(definition.read_text())
        copied = [
            line.split()[1] for line in (definition.parent / "Dockerfile").read_text().splitlines() if "COPY" in line
        ]
        assert sources == copied
        assert all((root / source).exists() for source in sources)


def archive(path: Path, *names: str) -> Path:
    """A tar file with small members."""
    with tarfile.open(path, "w") as tar:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size = 2
            tar.addfile(member, io.BytesIO(b"{}"))
    return path


def test_files_are_known_by_what_they_hold(tmp_path: Path) -> None:
    """Not by their names."""
    sif = tmp_path / "image"
    sif.write_bytes(SIF)
    assert kind_of(sif) == "sif"
    assert kind_of(archive(tmp_path / "a.tar", "blobs", "manifest.json")) == "docker-archive"
    assert kind_of(archive(tmp_path / "b.tar", "./oci-layout", "index.json")) == "oci-archive"


@pytest.mark.parametrize("content", [b"", b"hello", SIF[1:]])
def test_anything_else_is_refused(tmp_path: Path, content: bytes) -> None:
    """A truncated file included."""
    (tmp_path / "x.sif").write_bytes(content)
    with pytest.raises(InvalidInputError, match="neither a SIF"):
        kind_of(tmp_path / "x.sif")
    with pytest.raises(InvalidInputError, match="neither a SIF"):
        kind_of(archive(tmp_path / "y.tar", "etc/passwd"))
    with pytest.raises(NotFoundError):
        kind_of(tmp_path / "nothing")


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A home with one embedded site."""
    home = tmp_path / "home"
    home.mkdir()
    (home / "sites.yaml").write_text("sites:\n  local: {workdir: site}\n")
    with Workspace(find_settings(home=home)) as opened:
        yield opened


def test_a_sif_is_known_by_its_digest_and_pushed_once(workspace: Workspace, tmp_path: Path) -> None:
    """Two contents under one name stand beside each other; the same content twice is one image."""
    file = tmp_path / "cpu.sif"
    file.write_bytes(SIF)
    first = import_image(workspace, "cpu", file)
    assert first.sites == ("here",)
    pushed = push_image(workspace, "cpu", "local")
    assert pushed.sites == ("here", "local")
    lies = workspace.settings.home / "site" / "data" / first.image.sha256[:2] / first.image.sha256
    assert lies.read_bytes() == SIF
    before = lies.stat().st_mtime_ns
    assert push_image(workspace, "cpu", "local") == pushed
    assert lies.stat().st_mtime_ns == before
    assert all(row.good for row in verify_image(workspace, "cpu"))
    other = tmp_path / "other.sif"
    other.write_bytes(SIF + b"!")
    second = import_image(workspace, "cpu", other)
    assert [view.image.sha256 for view in list_images(workspace)] == [second.image.sha256, first.image.sha256]


def test_a_copy_that_rotted_is_found(workspace: Workspace, tmp_path: Path) -> None:
    """Verification reads where the copy lies, and pushing again mends it."""
    file = tmp_path / "cpu.sif"
    file.write_bytes(SIF)
    pushed = push_image(workspace, f"cpu@{import_image(workspace, 'cpu', file).image.digest}", "local")
    lies = workspace.settings.home / "site" / "data" / pushed.image.sha256[:2] / pushed.image.sha256
    lies.write_bytes(SIF[:-1] + b"?")
    assert [row.good for row in verify_image(workspace, "cpu")] == [True, False]
    push_image(workspace, "cpu", "local")
    assert all(row.good for row in verify_image(workspace, "cpu"))


def test_without_apptainer_the_message_says_what_else_can_be_done(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another site may make the image; one that runs programs on the host cannot."""
    monkeypatch.setenv("PATH", str(tmp_path))
    definition = tmp_path / "cpu.def"
    definition.write_text("Bootstrap: scratch\n")
    with pytest.raises(AdapterUnavailableError, match="--at SITE"):
        build_image(workspace, definition)
    with pytest.raises(InvalidInputError, match="makes no images"):
        build_image(workspace, definition, at="local")
    with pytest.raises(NotFoundError, match="ends in"):
        build_image(workspace, tmp_path / "nothing.def")
    assert list_images(workspace) == []


STAND_IN = """#!/bin/sh
[ "$1" = build ] || exit 2
while [ $# -gt 2 ]; do shift; done
case $2 in *broken*) echo 'FATAL:   While performing build: no such thing' >&2; exit 255;; esac
[ -d "$APPTAINER_TMPDIR" ] || exit 3
printf '#!/usr/bin/env run-singularity\\n\\0SIF_MAGIC\\0%s in %s' "$2" "$PWD" >"$1"
"""


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program of Apptainer's name that makes something like a SIF; spython drives it as it would the real one."""
    pytest.importorskip("spython", reason="spython is not installed")
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "apptainer").write_text(STAND_IN)
    (folder / "apptainer").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def test_an_image_is_made_on_this_machine(workspace: Workspace, tmp_path: Path, stand_in: None) -> None:
    """From a definition, in the folder where its relative paths begin; from an archive; nothing else stays."""
    definition = tmp_path / "cpu.def"
    definition.write_text("Bootstrap: scratch\n")
    made = build_image(workspace, definition, context=tmp_path)
    file = workspace.settings.home / "images" / made.image.path
    assert f"{definition} in {tmp_path}".encode() in file.read_bytes()
    converted = import_image(workspace, "train", archive(tmp_path / "a.tar", "manifest.json"))
    file = workspace.settings.home / "images" / converted.image.path
    assert f"docker-archive:{tmp_path / 'a.tar'}".encode() in file.read_bytes()
    assert sorted(path.name for path in (workspace.settings.home / "images").iterdir()) == ["cpu", "train"]


def test_an_archive_is_converted_to_a_file_that_nobody_hears_of(
    workspace: Workspace, tmp_path: Path, stand_in: None
) -> None:
    """The folder is made; what is there stays; a SIF needs no conversion."""
    tar, target = archive(tmp_path / "a.tar", "oci-layout"), tmp_path / "new" / "a.sif"
    assert convert_image(workspace, tar, target) == target
    assert f"oci-archive:{tar}".encode() in target.read_bytes()
    assert list_images(workspace) == []
    assert list((workspace.settings.home / "images").iterdir()) == []
    with pytest.raises(ConflictError, match="is there already"):
        convert_image(workspace, tar, target)
    with pytest.raises(InvalidInputError, match="is a SIF already"):
        convert_image(workspace, target, tmp_path / "b.sif")


def test_a_making_that_failed_tells_apptainers_own_words(workspace: Workspace, tmp_path: Path, stand_in: None) -> None:
    """And leaves nothing behind."""
    definition = tmp_path / "broken.def"
    definition.write_text("Bootstrap: scratch\n")
    with pytest.raises(SiteError, match="no such thing"):
        build_image(workspace, definition)
    assert list((workspace.settings.home / "images").iterdir()) == []
