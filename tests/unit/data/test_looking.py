"""Listing, counting and finding data."""

from __future__ import annotations

from pathlib import Path

import pytest

from metadata.errors import InvalidInputError, NotFoundError
from orchestrator import operations
from orchestrator.operations import Workspace


def test_a_dataset_lists_like_a_folder(study: Workspace) -> None:
    folder, file = operations.list_folder(study, "study")
    assert (folder.name, folder.type, folder.files, folder.size_bytes) == ("train/", "folder", 3, 3004)
    assert folder.sites == {"agh": 3, "here": 3}
    assert (file.name, file.type, file.size_bytes, file.sites) == ("a.tif", "file", 1000, {"agh": 1, "here": 1})


def test_a_folder_a_pattern_and_a_file_list_from_where_they_are_named(study: Workspace) -> None:
    def listed(name: str, **options: bool) -> list[str]:
        return [entry.name for entry in operations.list_folder(study, name, **options)]

    assert listed("dataset://study/train") == ["deep/", "b.tif", "same.tif"]
    assert listed("study/train/", recursive=True) == ["b.tif", "deep/c.csv", "same.tif"]
    assert listed("study/**/*.csv", recursive=True) == ["train/deep/c.csv"]
    assert listed("study/train/b.tif") == ["b.tif"]
    assert listed("st*/a.tif") == ["a.tif"]


def test_a_folder_of_a_site_is_listed_past_the_catalogue(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "there/deep").mkdir(parents=True)
    (tmp_path / "there/x").write_bytes(b"123")
    (tmp_path / "there/deep/y").write_bytes(b"4567")
    entries = operations.list_folder(workspace, f"site://agh{tmp_path}/there")
    assert [(entry.name, entry.size_bytes) for entry in entries] == [("deep/", 4), ("x", 3)]
    assert operations.list_folder(workspace, f"site://agh{tmp_path}/there/x")[0].name == "x"


def test_a_missing_name_is_told_with_the_nearest(study: Workspace) -> None:
    with pytest.raises(NotFoundError, match=r"did you mean a\.tif"):
        operations.list_folder(study, "study/b.tif")
    with pytest.raises(NotFoundError, match="no dataset fits"):
        operations.list_folder(study, "x*/a")
    with pytest.raises(NotFoundError, match="did you mean agh"):
        operations.list_folder(study, "site://ahg/tmp")
    with pytest.raises(InvalidInputError, match="store"):
        operations.list_folder(study, "agh:")


def test_usage_counts_names_contents_and_sites(study: Workspace) -> None:
    rows = {row.name: row for row in operations.measure_usage(study, ["study"], depth=2)}
    assert list(rows) == ["dataset://study", "dataset://study/train", "dataset://study/train/deep"]
    top = rows["dataset://study"]
    assert (top.files, top.size_bytes, top.unique_bytes) == (4, 4004, 3004)
    assert top.sites == {"agh": 3004, "here": 3004}
    assert rows["dataset://study/train/deep"].size_bytes == 4
    assert [row.name for row in operations.measure_usage(study)] == ["dataset://study"]


def test_one_name_is_told_as_a_line(study: Workspace) -> None:
    assert operations.stat_data(study, "study/train").type == "folder"
    assert operations.stat_data(study, "study/a.tif").size_bytes == 1000
    assert operations.stat_data(study, "study").files == 4
    with pytest.raises(NotFoundError):
        operations.stat_data(study, "study/*.tif")


def test_files_whose_names_look_like_patterns_are_found_by_them(workspace: Workspace, slides: Path) -> None:
    (slides / "scan[1].tif").write_bytes(b"odd")
    operations.add_data(workspace, "odd", [str(slides)])
    assert operations.stat_data(workspace, "odd/scan[1].tif").size_bytes == 3
    assert [entry.name for entry in operations.list_folder(workspace, "odd/scan[1].tif")] == ["scan[1].tif"]
