"""Restricted slides leave their site without their labels, and in no other way."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.acceptance.conftest import Convoy

TRAIN = """\
name: private
inputs: {slides: dataset://private}
steps:
  train:
    command: "cat {{inputs.slides}} | wc -c > size.txt"
    in: {slides: inputs.slides}
    outputs: {size: size.txt}
    at: lrz
"""
THROUGH = TRAIN + "    through: {slides: transforms/deidentify-slide}\n"


@pytest.fixture
def slides(fixtures_folder: Path, tmp_path: Path) -> Path:
    """Two real slides with labels, one of them with another last byte."""
    folder = tmp_path / "clinic"
    folder.mkdir()
    for name in ("a.svs", "b.svs"):
        shutil.copyfile(fixtures_folder / "wsi/CMU-1-Small-Region.svs", folder / name)
    with (folder / "b.svs").open("ab") as slide:
        slide.write(b"\0")
    return folder


def test_restricted_slides_leave_only_through_a_declared_transform(
    convoy: Convoy, home: Path, slides: Path, workflow: Callable[[str], Path]
) -> None:
    """The planner refuses the slides themselves, and takes what the owner releases."""
    restricted = ("--only-at", "here", "--only-at", "agh", "--release", "deidentified_slide")
    added = convoy("data", "add", "private", slides, *restricted)
    assert added.returncode == 0, added.stderr
    refused = convoy("run", workflow(TRAIN))
    assert refused.returncode != 0
    assert "may lie only at: agh, here" in refused.stderr
    ended = convoy("run", "--no-report", workflow(THROUGH))
    assert ended.returncode == 0, ended.stderr
    steps = {step["name"]: step for step in json.loads(convoy("show", "--json").stdout)["steps"]}
    assert {name: step["site"] for name, step in steps.items()} == {
        "train-slides-1-deidentify-slide": "agh", "train": "lrz",
    }  # fmt: skip
    assert len(steps["train-slides-1-deidentify-slide"]["tasks"]) == 2
    brought = [path for path in (home / "sites/lrz/data").rglob("*") if path.is_file()]
    assert len(brought) == 2
    assert not [path for path in brought if b"macro 1280x431" in path.read_bytes() or b"b414003d" in path.read_bytes()]


def test_an_owners_word_for_another_output_lets_nothing_out(
    convoy: Convoy, slides: Path, workflow: Callable[[str], Path]
) -> None:
    """Packing them is no way out."""
    convoy("data", "add", "private", slides, "--only-at", "here", "--only-at", "agh", "--release", "deidentified_slide")
    packed = THROUGH.replace("transforms/deidentify-slide", "transforms/pack")
    refused = convoy("run", workflow(packed))
    assert refused.returncode != 0
    assert "train-slides-1-pack.packed" in refused.stderr


def test_restricted_slides_are_copied_only_through_a_transform(
    convoy: Convoy, home: Path, slides: Path, tmp_path: Path
) -> None:
    """To a site's store, and to a folder of one's own."""
    restricted = ("--only-at", "here", "--only-at", "agh", "--release", "deidentified_slide")
    assert convoy("data", "add", "private", slides, *restricted).returncode == 0
    refused = convoy("data", "cp", "private", "lrz:", "--json")
    assert refused.returncode != 0
    assert "may lie only at" in refused.stdout
    through = ("--through", "transforms/deidentify-slide")
    copied = convoy("data", "cp", "private", "lrz:", *through, "--json")
    assert copied.returncode == 0, copied.stderr
    rows = json.loads(copied.stdout)
    assert [row["site"] for row in rows] == ["lrz", "lrz"]
    brought = [path for path in (home / "sites/lrz/data").rglob("*") if path.is_file()]
    assert sorted(str(path) for path in brought) == sorted(row["path"] for row in rows)
    assert not [path for path in brought if b"macro 1280x431" in path.read_bytes() or b"b414003d" in path.read_bytes()]
    folder = tmp_path / "out"
    again = convoy("data", "cp", "private/a.svs", f"site://lrz{folder}/", *through)
    assert again.returncode == 0, again.stderr
    assert [path.name for path in folder.iterdir()] == ["a.svs"]
    packed = convoy("data", "cp", "private", "lrz:", "--through", "transforms/pack", "--json")
    assert packed.returncode != 0
    assert "may lie only at" in packed.stdout
