"""Copies of what transforms make."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from metadata.errors import InvalidInputError, NotFoundError, StagingError
from orchestrator import operations
from orchestrator.operations import Workspace

TRANSFORM = "transforms/compress"


def test_what_several_transforms_make_one_after_the_other_is_copied(study: Workspace, tmp_path: Path) -> None:
    """Each file by itself, under its own name; the parameter goes to the transform that knows it."""
    out = tmp_path / "out"
    carried = operations.copy_through(
        study, ["study/train/b.tif", "study/train/deep"], f"site://lrz{out}/", [TRANSFORM], parameters={"level": 1}
    )
    assert [row.site for row in carried] == ["lrz", "lrz"]
    assert {path.name: gzip.decompress(path.read_bytes()) for path in out.iterdir()} == {
        "b.tif.gz": b"b" * 2000,
        "c.csv.gz": b"c,1\n",
    }
    back = tmp_path / "back"
    operations.copy_through(study, ["study/train/b.tif"], f"site://lrz{back}/", [TRANSFORM, "transforms/expand"])
    assert [path.read_bytes() for path in back.iterdir()] == [b"b" * 2000]


def test_files_of_one_name_are_kept_apart(study: Workspace, tmp_path: Path) -> None:
    """By the numbers of their tasks."""
    operations.copy_data(study, ["study/train/b.tif"], "study/other/b.tif")
    out = tmp_path / "out"
    operations.copy_through(study, ["study/train/b.tif", "study/other/b.tif"], f"site://lrz{out}/", [TRANSFORM])
    assert sorted(path.relative_to(out).as_posix() for path in out.rglob("*.gz")) == ["0/b.tif.gz", "1/b.tif.gz"]


@pytest.mark.parametrize(
    ("words", "error", "match"),
    [
        ((["study/a.tif"], "copies/x", [TRANSFORM]), InvalidInputError, "goes to a place"),
        ((["site://agh/tmp/x"], "lrz:", [TRANSFORM]), InvalidInputError, "convoy data add --site"),
        ((["study/a.tif"], "lrz:", ["camnet/layer3"]), InvalidInputError, "is no transform"),
        ((["study/a.tif"], "lrz:", ["transforms/compres"]), NotFoundError, "compress"),
        ((["study/nothing"], "lrz:", [TRANSFORM]), NotFoundError, "nothing"),
        ((["study/a.tif"], "nowhere:", [TRANSFORM]), NotFoundError, "nowhere"),
    ],
)
def test_what_cannot_be_is_told_and_nothing_is_done(
    study: Workspace, words: tuple[list[str], str, list[str]], error: type[Exception], match: str
) -> None:
    """Before a run begins."""
    with pytest.raises(error, match=match):
        operations.copy_through(study, *words)
    assert operations.list_runs(study) == ()


def test_an_unknown_parameter_is_told(study: Workspace) -> None:
    """Of all transforms none declares it."""
    with pytest.raises(InvalidInputError, match="no transform has a parameter 'leveel'"):
        operations.copy_through(study, ["study/a.tif"], "lrz:", [TRANSFORM], parameters={"leveel": 1})


def test_a_transform_that_fails_copies_nothing(study: Workspace, tmp_path: Path) -> None:
    """Its run tells how."""
    out = tmp_path / "out"
    with pytest.raises(StagingError, match=r"convoy show copy-through-"):
        operations.copy_through(study, ["study/a.tif"], f"site://lrz{out}/", ["transforms/deidentify-slide"])
    assert not out.exists()
