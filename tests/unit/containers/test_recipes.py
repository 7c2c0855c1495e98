"""The recipes of containers/: three ways to one image, and the program that carries a Dockerfile out."""

from __future__ import annotations

import json
import re
import tarfile
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

from tests.integration.images.recipes import PROGRAM, load_program

FOLDER = PROGRAM.parent
RECIPES = sorted(path.parent.name for path in FOLDER.glob("*/Dockerfile"))


@pytest.fixture
def archive() -> ModuleType:
    """containers/archive.py."""
    return load_program()


def sections(definition: str) -> dict[str, list[str]]:
    """The lines of each %section of a definition."""
    found: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in definition.splitlines():
        if line.startswith("%"):
            lines = found.setdefault(line[1:].strip(), [])
        elif line.strip():
            lines.append(line.strip())
    return found


def locked(name: str) -> dict[str, str]:
    """Package -> version in a lock file."""
    lines = (FOLDER / name / "requirements.lock").read_text().splitlines()
    return dict(re.findall(r"^([a-z0-9-]+)==([^ ]+) \\$", "\n".join(lines), re.MULTILINE))


@pytest.mark.parametrize("name", RECIPES)
def test_dockerfile_and_definition_do_the_same(archive: ModuleType, name: str) -> None:
    """The same base, files, commands and variables."""
    steps = archive.recipe(name)
    definition = (FOLDER / name / f"{name}.def").read_text()
    parts = sections(definition)
    assert f"From: {dict(steps)['FROM']}" in definition.splitlines()
    assert sorted(parts["files"]) == sorted(rest for word, rest in steps if word == "COPY")
    assert parts["post"] == [rest for word, rest in steps if word == "RUN"]
    assert parts["environment"] == [f"export {rest}" for word, rest in steps if word == "ENV"]


def test_transforms_run_in_the_image_for_processors() -> None:
    """It has what their extra of the project names, and all of `usecases/`, with what these share."""
    project = tomllib.loads((FOLDER.parent / "pyproject.toml").read_text())
    wanted = {re.split(r"[<>=]", name)[0] for name in project["project"]["optional-dependencies"]["transforms"]}
    assert "pydicom" in wanted
    assert wanted <= locked("camnet-cpu").keys()
    assert "COPY usecases /opt/convoy/usecases" in (FOLDER / "camnet-cpu/Dockerfile").read_text()


@pytest.mark.parametrize("name", RECIPES)
def test_every_package_is_locked_by_its_hash(name: str) -> None:
    """And everything that is asked for is locked."""
    text = (FOLDER / name / "requirements.lock").read_text()
    packages = re.split(r"\n(?=[a-z])", text.strip())
    assert all(re.search(r"--hash=sha256:[0-9a-f]{64}", package) for package in packages)
    assert len(packages) == len(locked(name))
    wanted = re.findall(r"^([a-z0-9][a-z0-9-]*)", (FOLDER / name / "requirements.in").read_text(), re.MULTILINE)
    assert set(wanted) <= set(locked(name))


def test_both_images_have_the_same_libraries() -> None:
    """What reads a slide in one must read it in the other. Only transforms read DICOM, and they need no GPU."""
    cpu, train = locked("camnet-cpu"), locked("camnet-train")
    del cpu["pydicom"]
    assert {name: train.get(name) for name in cpu} == cpu


def test_what_is_copied_last_is_a_layer_of_its_own_and_always_the_same(archive: ModuleType, tmp_path: Path) -> None:
    """Programs change daily and what is installed does not; byte code is left out."""
    first, rest = archive.halves(archive.recipe("camnet-cpu"))
    assert [word for word, _ in first] == ["FROM", "COPY", "COPY", "RUN"]
    for name in ("a.tar", "b.tar"):
        archive.write_copies(tmp_path / name, rest)
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()
    with tarfile.open(tmp_path / "a.tar") as layer:
        names = layer.getnames()
        assert {(row.uid, row.mtime) for row in layer} == {(0, 0)}
    assert "opt/convoy/usecases/camnet/layer1/__main__.py" in names
    assert not [name for name in names if "__pycache__" in name]
    assert names.index("opt/convoy/usecases") < names.index("opt/convoy/usecases/camnet")


def test_the_archive_names_its_layers_by_their_digests(archive: ModuleType, tmp_path: Path) -> None:
    """As `docker load` checks them."""
    steps = archive.recipe("camnet-train")
    layer = tmp_path / "layer.tar"
    archive.write_copies(layer, archive.halves(steps)[1])
    archive.write_archive("camnet-train", steps, [layer], tmp_path / "image.tar")
    with tarfile.open(tmp_path / "image.tar") as made:
        (manifest,) = json.loads(made.extractfile("manifest.json").read())
        config = json.loads(made.extractfile(manifest["Config"]).read())
        assert made.extractfile(manifest["Layers"][0]).read() == layer.read_bytes()
    assert config["rootfs"]["diff_ids"] == [f"sha256:{manifest['Layers'][0].removesuffix('.tar')}"]
    assert "PYTHONPATH=/opt/convoy" in config["config"]["Env"]
    assert config["config"]["Cmd"] == ["python"]


def test_a_changed_program_or_recipe_has_another_key(
    archive: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What is kept under a key is never out of date."""
    (tmp_path / "programs" / "inner").mkdir(parents=True)
    program = tmp_path / "programs" / "inner" / "x.py"
    program.write_text("1")
    monkeypatch.setattr(archive, "PROJECT", tmp_path)
    steps = [("FROM", "debian:bookworm-slim"), ("COPY", "programs /opt/programs")]
    keys = {archive.content_key(steps), archive.content_key([*steps, ("RUN", "true")])}
    program.write_text("2")
    keys.add(archive.content_key(steps))
    program.rename(program.with_name("y.py"))
    keys.add(archive.content_key(steps))
    assert len(keys) == 4
    (tmp_path / "programs" / "__pycache__").mkdir()
    (tmp_path / "programs" / "__pycache__" / "x.pyc").write_text("3")
    assert archive.content_key(steps) in keys


def test_a_recipe_that_is_not_there_is_told_with_those_that_are(archive: ModuleType) -> None:
    """Instead of a traceback."""
    with pytest.raises(SystemExit, match="there are: camnet-cpu, camnet-train"):
        archive.recipe("camnet-gpu")
