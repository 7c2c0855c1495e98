"""Putting, fetching, copying and renaming."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from metadata.errors import ConflictError, IntegrityError, InvalidInputError, NotFoundError, PolicyError, SiteError
from metadata.policy import Policy
from orchestrator import operations
from orchestrator.operations import Carried, Workspace
from orchestrator.operations.digests import local_files
from staging import manifest
from staging.ports import FileDigest
from tests.unit.data.conftest import FILES
from tests.unit.data.places import names, sites, stored, yes

AGH = Policy(sites=frozenset({"agh", "here"}))


def test_put_brings_each_content_once_and_gives_every_name(study: Workspace) -> None:
    assert names(study, "study") == sorted(FILES)
    for name, content in FILES.items():
        assert stored(study, "agh", "study", name).read_bytes() == content
        assert sites(study, "study", name)[0] == "agh"
    assert len([path for path in stored(study, "agh", "study", "a.tif").parents[1].rglob("*") if path.is_file()]) == 3


def test_put_into_a_folder_of_several_sites(workspace: Workspace, slides: Path) -> None:
    carried = operations.put_data(workspace, [str(slides / "a.tif")], "study/new", sites=["agh", "vault"])
    assert [row.site for row in carried] == ["agh", "vault"]
    assert names(workspace, "study") == ["new/a.tif"]


def test_put_gives_no_name_to_what_did_not_arrive(workspace: Workspace, slides: Path) -> None:
    with pytest.raises(PolicyError):
        operations.put_data(workspace, [str(slides)], "study", sites=["lrz"], policy=AGH)
    assert not workspace.catalogue.has_dataset("study")


def test_put_refuses_a_taken_name_before_a_byte_moves(study: Workspace, slides: Path) -> None:
    (slides / "a.tif").write_bytes(b"other")
    with pytest.raises(ConflictError, match=r"dataset://study/a.tif is there with other content"):
        operations.put_data(study, [str(slides)], "study", sites=["lrz"])
    assert not (study.settings.home / "sites/lrz/data").exists()


@pytest.mark.parametrize("refused", [{"name": "a b"}, {"attributes": {"a b": 1}}, {"policy": AGH}, {"file": "a\nb"}])
def test_put_refuses_what_the_catalogue_cannot_hold_before_a_byte_moves(
    study: Workspace, tmp_path: Path, refused: dict[str, Any]
) -> None:
    file = tmp_path / refused.get("file", "new.txt")
    file.write_text("new")
    with pytest.raises((InvalidInputError, ConflictError)):
        operations.put_data(
            study, [str(file)], refused.get("name", "study"), sites=["agh"], attributes=refused.get("attributes"),
            policy=refused.get("policy"),
        )  # fmt: skip
    assert sum(path.is_file() for path in (study.settings.home / "sites/agh/data").rglob("*")) == 3


def test_add_gives_no_names_without_their_attributes(workspace: Workspace, slides: Path) -> None:
    with pytest.raises(InvalidInputError, match="'a b' cannot name an attribute"):
        operations.add_data(workspace, "study", [str(slides)], attributes={"a b": 1})
    assert not workspace.catalogue.has_dataset("study")


def test_add_makes_no_dataset_of_an_empty_folder(workspace: Workspace, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    for site in ("here", "agh"):
        with pytest.raises(NotFoundError, match="there is no file"):
            operations.add_data(workspace, "study", [str(empty)], site=site)
    assert not workspace.catalogue.has_dataset("study")


def test_get_takes_names_patterns_and_paths_of_sites(study: Workspace, tmp_path: Path) -> None:
    out = tmp_path / "out"
    place = f"site://agh{stored(study, 'agh', 'study', 'train/b.tif')}"
    paths = operations.get_data(study, ["study/a.tif", "study/train/deep", place], out)
    assert [path.read_bytes() for path in paths] == [FILES["a.tif"], FILES["train/deep/c.csv"], FILES["train/b.tif"]]
    assert [path.relative_to(out).as_posix() for path in paths][:2] == ["a.tif", "c.csv"]


def test_get_refuses_two_files_for_one_name(study: Workspace, tmp_path: Path) -> None:
    operations.copy_data(study, ["study/train/b.tif"], "other/a.tif")
    with pytest.raises(ConflictError, match=r"would both be a\.tif"):
        operations.get_data(study, ["study/a.tif", "other/a.tif"], tmp_path / "out")


def test_get_falls_back_to_a_copy_that_is_right(study: Workspace, slides: Path, tmp_path: Path) -> None:
    (slides / "a.tif").write_bytes(b"x" * 1000)
    (slides / "train/same.tif").unlink()
    assert operations.get_data(study, "study/a.tif", tmp_path)[0].read_bytes() == FILES["a.tif"]


def test_a_copy_that_was_found_wrong_is_none_any_longer(study: Workspace, slides: Path) -> None:
    (slides / "a.tif").write_bytes(b"x" * 1000)
    (slides / "train/same.tif").unlink()
    stored(study, "agh", "study", "a.tif").unlink()
    [row] = operations.copy_data(study, ["study/a.tif"], "lrz:")
    assert "convoy data add" in str(row.error)
    assert sites(study, "study", "a.tif") == []
    [lost] = operations.verify_data(study, "study/a.tif")
    assert (lost.good, lost.detail) == (False, "it lies at no site")


def test_get_respects_where_data_may_lie(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    only = Policy(sites=frozenset({"agh"}))
    operations.add_data(workspace, "private", [f"{tmp_path}/secret"], site="agh", policy=only)
    for name in ("private", f"site://agh{tmp_path}/secret"):
        with pytest.raises(PolicyError, match="must not go to here"):
            operations.get_data(workspace, name, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_cp_to_a_store_moves_what_is_not_there_and_says_what_was(study: Workspace) -> None:
    first = operations.copy_data(study, ["study/train", "study/a.tif"], "lrz:")
    again = operations.copy_data(study, ["study"], "lrz:")
    assert sum(row.bytes_moved for row in first) == 3004
    assert [(row.good, row.bytes_moved) for row in again] == [(True, 0)] * 3
    assert stored(study, "lrz", "study", "train/b.tif").read_bytes() == FILES["train/b.tif"]


def test_cp_to_a_store_brings_again_what_was_lost_there(study: Workspace) -> None:
    operations.copy_data(study, ["study/a.tif"], "lrz:")
    stored(study, "lrz", "study", "a.tif").unlink()
    assert [row.bytes_moved for row in operations.copy_data(study, ["study/a.tif"], "lrz:")] == [1000]


def test_cp_to_a_folder_keeps_ways_and_registers_the_copies(study: Workspace, tmp_path: Path) -> None:
    operations.copy_data(study, ["study/train"], f"site://lrz{tmp_path}/out")
    assert (tmp_path / "out/deep/c.csv").read_bytes() == FILES["train/deep/c.csv"]
    assert sites(study, "study", "train/b.tif") == ["agh", "here", "lrz"]
    operations.copy_data(study, ["study/a.tif"], f"site://lrz{tmp_path}/one.tif")
    operations.copy_data(study, ["study/a.tif"], f"site://lrz{tmp_path}/out")
    assert (tmp_path / "one.tif").read_bytes() == (tmp_path / "out/a.tif").read_bytes() == FILES["a.tif"]


def test_cp_overwrites_no_file_of_other_content(study: Workspace, tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(b"mine")
    with pytest.raises(ConflictError, match="nothing is overwritten"):
        operations.copy_data(study, ["study/a.tif"], f"site://lrz{tmp_path}/a.tif")
    assert (tmp_path / "a.tif").read_bytes() == b"mine"


def test_cp_of_restricted_content_is_refused_whatever_it_is_called(study: Workspace, slides: Path) -> None:
    study.catalogue.set_policy("study", AGH)
    for source in ("study/a.tif", f"site://here{slides}/a.tif"):
        (row,) = operations.copy_data(study, [source], "lrz:")
        assert isinstance(row, Carried)
        assert isinstance(row.error, PolicyError)
    assert sites(study, "study", "a.tif") == ["agh", "here", "here"]


def test_cp_between_datasets_gives_names_and_moves_nothing(study: Workspace) -> None:
    study.catalogue.set_policy("study", AGH)
    operations.copy_data(study, ["study/train"], "other/sets")
    assert names(study, "other") == ["sets/b.tif", "sets/deep/c.csv", "sets/same.tif"]
    operations.copy_data(study, ["study/a.tif"], "other/one.tif")
    operations.copy_data(study, ["study/a.tif"], "other/sets")
    assert names(study, "other")[:2] == ["one.tif", "sets/a.tif"]
    assert not stored(study, "lrz", "other", "one.tif").exists()
    operations.remove_data(study, ["study"], confirm=lambda _: True)
    sha256 = study.catalogue.file("other", "one.tif").sha256
    assert study.catalogue.policies([sha256])[sha256] == AGH


def test_cp_from_a_site_into_a_dataset_registers_files_where_they_lie(workspace: Workspace, slides: Path) -> None:
    operations.copy_data(workspace, [f"site://lrz{slides}"], "found")
    assert names(workspace, "found") == sorted(FILES)
    assert sites(workspace, "found", "train/b.tif") == ["lrz"]
    operations.copy_data(workspace, [f"site://lrz{slides}/a.tif"], "found/one.tif")
    assert "one.tif" in names(workspace, "found")


def test_mv_renames_datasets_files_and_folders(study: Workspace) -> None:
    operations.move_data(study, ["study"], "work")
    operations.move_data(study, ["work/train"], "work/sets")
    operations.move_data(study, ["work/a.tif"], "work/first.tif")
    operations.move_data(study, ["work/**/*.csv"], "tables/2026/")
    assert names(study, "work") == ["first.tif", "sets/b.tif", "sets/same.tif"]
    assert names(study, "tables") == ["2026/sets/deep/c.csv"]


def test_mv_into_a_dataset_that_is_there_merges_and_overwrites_nothing(study: Workspace) -> None:
    operations.copy_data(study, ["study/train/b.tif"], "other/a.tif")
    with pytest.raises(ConflictError, match="nothing is overwritten"):
        operations.move_data(study, ["study"], "other")
    operations.move_data(study, ["study/train"], "other")
    assert names(study, "other") == ["a.tif", "b.tif", "deep/c.csv", "same.tif"]


def test_mv_at_a_site_renames_files_and_their_copies(study: Workspace, slides: Path) -> None:
    operations.move_data(study, [f"site://here{slides}/train"], f"site://here{slides}/sets")
    assert (slides / "sets/deep/c.csv").is_file()
    assert all(row.good for row in operations.verify_data(study, "study"))
    with pytest.raises(ConflictError, match="nothing is overwritten"):
        operations.move_data(study, [f"site://here{slides}/a.tif"], f"site://here{slides}/sets/b.tif")


@pytest.mark.parametrize("destination", ["agh:", "site://agh/tmp/x"])
def test_mv_takes_no_bytes_elsewhere(study: Workspace, destination: str) -> None:
    with pytest.raises(InvalidInputError, match="convoy data cp"):
        operations.move_data(study, ["study"], destination)


def test_an_unknown_site_is_told_before_anything_is_done(study: Workspace) -> None:
    with pytest.raises(NotFoundError, match="did you mean vault"):
        operations.copy_data(study, ["study"], "valt:")


def test_mv_of_several_gives_all_names_or_none(study: Workspace) -> None:
    for source, name in (("train/b.tif", "x/b.tif"), ("train/b.tif", "y/same.tif"), ("a.tif", "goal/same.tif")):
        operations.copy_data(study, [f"study/{source}"], name)
    with pytest.raises(ConflictError, match="nothing was renamed"):
        operations.move_data(study, ["x/b.tif", "y/same.tif"], "goal/")
    assert (names(study, "x"), names(study, "goal")) == (["b.tif"], ["same.tif"])
    operations.move_data(study, ["x/b.tif", "y/same.tif"], "goal/new/")
    assert names(study, "goal") == ["new/b.tif", "new/same.tif", "same.tif"]


def test_get_overwrites_no_file_of_other_content_and_fetches_nothing_then(study: Workspace, tmp_path: Path) -> None:
    own, folder = tmp_path / "out/a.tif", tmp_path / "out/train/b.tif"
    own.parent.mkdir()
    for harm in (lambda: own.write_bytes(b"x" * 1000), lambda: folder.mkdir(parents=True)):
        harm()
        with pytest.raises(ConflictError, match="nothing is overwritten"):
            operations.get_data(study, ["study"], tmp_path / "out")
        assert [path for path in (tmp_path / "out").rglob("*") if path.is_file()] == [own]
        own.write_bytes(FILES["a.tif"])
    folder.rmdir()
    assert len(operations.get_data(study, ["study"], tmp_path / "out")) == 4
    assert folder.read_bytes() == FILES["train/b.tif"]


def test_files_whose_names_begin_with_a_dot_go_with_their_folder(workspace: Workspace, tmp_path: Path) -> None:
    for name in ("slide.zarr/.zarray", "slide.zarr/0.0", ".hidden/x", ".convoy-0123456789abcdef.part"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_bytes(name.encode())
    operations.put_data(workspace, [str(tmp_path / "in")], "study", sites=["agh"])
    assert names(workspace, "study") == [".hidden/x", "slide.zarr/.zarray", "slide.zarr/0.0"]
    assert [Path(path).name for path in local_files(str(tmp_path / "in"))] == ["x", "0.0"]


def test_a_name_that_no_catalogue_can_note_is_told_before_a_byte_moves(workspace: Workspace, tmp_path: Path) -> None:
    odd = tmp_path / "in" / os.fsdecode(b"x\xff")
    odd.parent.mkdir()
    odd.write_bytes(b"x")
    with pytest.raises(InvalidInputError, match=r"'site://agh/.*/t/x\\udcff'.*rename the file"):
        operations.copy_data(workspace, [f"site://here{odd.parent}"], f"site://agh{tmp_path}/t/")
    assert not (tmp_path / "t").exists()
    operations.move_data(workspace, [f"site://here{odd}"], f"site://here{tmp_path}/plain")
    assert (tmp_path / "plain").exists()


def test_a_file_whose_name_is_no_text_can_be_removed(workspace: Workspace, tmp_path: Path) -> None:
    odd = tmp_path / os.fsdecode(b"x\xff")
    odd.write_bytes(b"x")
    operations.remove_data(workspace, [f"site://here{odd}"], confirm=yes)
    assert not odd.exists()


def test_mv_at_a_site_that_breaks_off_leaves_every_copy_known_where_it_is(
    workspace: Workspace, slides: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    operations.add_data(workspace, "study", [str(slides)])
    rename_all = workspace.storages["here"].rename_all

    def broken(pairs: Sequence[tuple[str, str]]) -> None:
        rename_all(pairs[:2])
        raise SiteError("here: broke")

    monkeypatch.setattr(workspace.storages["here"], "rename_all", broken)
    with pytest.raises(SiteError):
        operations.move_data(workspace, [f"site://here{slides}"], f"site://here{tmp_path}/new/")
    assert all(row.good for row in operations.verify_data(workspace, "study"))


def test_a_path_that_no_catalogue_can_note_is_told(workspace: Workspace, tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"x\xff")
    folder.mkdir()
    (folder / "a").write_bytes(b"a")
    with pytest.raises(InvalidInputError, match=r"x\\udcff/a': the catalogue notes no name that is no UTF-8"):
        operations.put_data(workspace, [str(folder)], "study", sites=["agh"])


def test_what_was_hashed_before_a_file_that_changes_is_not_hashed_again(
    workspace: Workspace, slides: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hundred thousand files that are added take hours, and one of them may change meanwhile."""
    read: list[str] = []
    digests = workspace.storages["here"].digests

    def disturbed(paths: Sequence[str]) -> Mapping[str, FileDigest]:
        read.extend(paths)
        if any(path.endswith("c.csv") for path in paths) and len(read) == 3:
            (slides / "train/deep/c.csv").write_bytes(b"longer")
        return digests(paths)

    monkeypatch.setattr(manifest, "_MOST_FILES", 1)
    monkeypatch.setattr(workspace.storages["here"], "digests", disturbed)
    with pytest.raises(IntegrityError, match="changed while it was read"):
        operations.add_data(workspace, "study", [str(slides)])
    read.clear()
    operations.add_data(workspace, "study", [str(slides)])
    assert [Path(path).name for path in read] == ["c.csv", "same.tif"]
