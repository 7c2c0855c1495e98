"""Names and copies go; never what is pinned, needed, or the last."""

from __future__ import annotations

from pathlib import Path

import pytest

from metadata.errors import ConflictError, InvalidInputError, SiteError
from orchestrator import operations
from orchestrator.operations import Unwanted, Workspace
from orchestrator.operations.data.removing import claimed_place
from tests.unit.data.places import names, no, sites, stored, yes
from tests.unit.metadata.keeping_suite import add_run


def test_names_go_and_bytes_stay(study: Workspace) -> None:
    file = stored(study, "agh", "study", "train/b.tif")
    gone = operations.remove_data(study, ["study/train"], confirm=yes)
    assert gone is not None
    assert gone.names == tuple(f"dataset://study/train/{name}" for name in ("b.tif", "deep/c.csv", "same.tif"))
    assert names(study, "study") == ["a.tif"]
    assert file.exists()


def test_nothing_goes_after_a_no(study: Workspace) -> None:
    shown: list[Unwanted] = []
    operations.copy_data(study, ["study"], "lrz:")
    for options in ({}, {"copies": True, "site": "lrz"}, {"copies": True}):
        assert operations.remove_data(study, ["study"], confirm=lambda it: bool(shown.append(it)), **options) is None
    assert [(len(it.names), len(it.copies)) for it in shown] == [(5, 0), (0, 3), (5, 6)]
    assert len(names(study, "study")) == 4
    assert stored(study, "lrz", "study", "a.tif").exists()


def test_bytes_at_one_site_go_and_names_stay(study: Workspace) -> None:
    operations.copy_data(study, ["study"], "lrz:")
    operations.remove_data(study, ["study"], confirm=yes, copies=True, site="lrz")
    assert not stored(study, "lrz", "study", "a.tif").exists()
    assert len(names(study, "study")) == 4
    assert sites(study, "study", "train/b.tif") == ["agh", "here"]


def test_the_last_copy_goes_only_by_force(study: Workspace, slides: Path) -> None:
    for path in slides.rglob("*.tif"):
        path.unlink()
    with pytest.raises(ConflictError, match="the last copy that can be seen"):
        operations.remove_data(study, ["study/a.tif"], confirm=yes, copies=True, site="agh")
    assert stored(study, "agh", "study", "a.tif").exists()
    operations.remove_data(study, ["study/a.tif"], confirm=yes, copies=True, site="agh", force=True)
    assert not stored(study, "agh", "study", "a.tif").exists()
    assert names(study, "study")[0] == "a.tif"


def test_everything_of_convoys_goes_by_force_and_the_persons_own_files_stay(study: Workspace, slides: Path) -> None:
    files = [stored(study, "agh", "study", name) for name in names(study, "study")]
    gone = operations.remove_data(study, ["study"], confirm=yes, copies=True, force=True)
    assert gone is not None
    assert not study.catalogue.has_dataset("study")
    assert not any(file.exists() for file in files)
    assert len([path for path in slides.rglob("*") if path.is_file()]) == 4
    assert len(gone.kept) == 4


def test_content_with_another_name_keeps_its_bytes(study: Workspace) -> None:
    operations.copy_data(study, ["study/a.tif"], "other")
    operations.remove_data(study, ["study"], confirm=yes, copies=True, force=True)
    assert stored(study, "agh", "other", "a.tif").exists()


def test_what_is_pinned_stays(study: Workspace) -> None:
    operations.pin_data(study, ["study/a.tif"], site="agh")
    for options in ({}, {"copies": True, "site": "agh"}, {"copies": True, "force": True}):
        with pytest.raises(ConflictError, match="pinned"):
            operations.remove_data(study, ["study"], confirm=yes, **options)
    operations.copy_data(study, ["study/a.tif"], "lrz:")
    operations.remove_data(study, ["study/a.tif"], confirm=yes, copies=True, site="lrz")
    with pytest.raises(ConflictError, match="pinned"):
        operations.remove_data(study, [f"site://agh{stored(study, 'agh', 'study', 'a.tif')}"], confirm=yes, force=True)
    assert len(names(study, "study")) == 4


def test_what_a_run_needs_or_fills_stays(study: Workspace) -> None:
    add_run(study.database, "busy", "ACTIVE", read=1)
    study.catalogue.add_files("busy", [])
    with pytest.raises(ConflictError, match="the run busy has not ended"):
        operations.remove_data(study, ["busy"], confirm=yes)
    with pytest.raises(ConflictError, match="the run busy has not ended"):
        operations.move_data(study, ["busy"], "calm")


def test_a_file_of_a_site_goes_by_its_place(study: Workspace, slides: Path) -> None:
    (slides / "unknown").write_bytes(b"?")
    gone = operations.remove_data(study, [f"site://here{slides}"], confirm=yes)
    assert gone is not None
    assert (len(gone.copies), len(gone.paths)) == (4, 1)
    assert [path for path in slides.rglob("*") if path.is_file()] == []
    assert sites(study, "study", "a.tif") == ["agh"]
    with pytest.raises(ConflictError, match="last copy"):
        operations.remove_data(study, [f"site://agh{stored(study, 'agh', 'study', 'a.tif')}"], confirm=yes)


def test_a_site_without_copies_is_a_mistake(study: Workspace) -> None:
    with pytest.raises(InvalidInputError, match="add --copies"):
        operations.remove_data(study, ["study"], confirm=no, site="agh")


def test_names_and_places_go_separately(study: Workspace) -> None:
    with pytest.raises(InvalidInputError, match="two commands"):
        operations.remove_data(study, ["study", "site://agh/tmp"], confirm=no)


def test_a_name_that_was_given_while_somebody_was_asked_keeps_its_bytes(study: Workspace, slides: Path) -> None:
    def name_again(_: Unwanted) -> bool:
        return bool(operations.copy_data(study, ["study/train/b.tif"], "keep/b.tif"))

    (slides / "train/b.tif").unlink()
    with pytest.raises(ConflictError, match=r"stays: since you were asked, it was pinned, named"):
        operations.remove_data(study, ["study/train"], confirm=name_again, copies=True, force=True)
    assert stored(study, "agh", "keep", "b.tif").exists()
    assert sites(study, "keep", "b.tif")[0] == "agh"
    operations.remove_data(study, ["study/train"], confirm=yes, copies=True, force=True)
    assert names(study, "study") == ["a.tif"]
    assert stored(study, "agh", "keep", "b.tif").exists()


def test_a_name_that_came_into_the_dataset_while_somebody_was_asked_stays(study: Workspace, tmp_path: Path) -> None:
    def put_more(_: Unwanted) -> bool:
        (tmp_path / "new.txt").write_text("new")
        return bool(operations.put_data(study, [str(tmp_path / "new.txt")], "study", sites=["agh"]))

    operations.remove_data(study, ["study"], confirm=put_more, copies=True, force=True)
    assert names(study, "study") == ["new.txt"]
    assert stored(study, "agh", "study", "new.txt").exists()


def test_what_is_pinned_while_somebody_is_asked_stays(study: Workspace) -> None:
    operations.copy_data(study, ["study"], "lrz:")
    with pytest.raises(ConflictError, match="and 2 more stay"):
        operations.remove_data(
            study, ["study"], confirm=lambda _: bool(operations.pin_data(study, ["study"])), copies=True, site="lrz"
        )
    assert stored(study, "lrz", "study", "a.tif").exists()


def test_what_is_brought_just_now_stays(study: Workspace) -> None:
    operations.copy_data(study, ["study"], "lrz:")
    known = study.catalogue.replicas_at("lrz", [str(stored(study, "lrz", "study", "a.tif"))])
    with (
        study.claims.held({claimed_place(copy) for copy in known.values()}),
        pytest.raises(ConflictError, match=r"brought again, or the only copy left"),
    ):
        operations.remove_data(study, ["study"], confirm=yes, copies=True, site="lrz")
    assert stored(study, "lrz", "study", "a.tif").exists()
    assert sites(study, "study", "train/b.tif") == ["agh", "here"]


def test_a_site_that_lets_nothing_go_does_not_hide_what_another_has(
    study: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: object) -> None:
        raise SiteError("agh: no", site="agh")

    operations.copy_data(study, ["study"], "lrz:")
    file = stored(study, "lrz", "study", "a.tif")
    monkeypatch.setattr(study.storages["agh"], "remove_all", refuse)
    with pytest.raises(SiteError, match="agh: no"):
        operations.remove_data(study, ["study"], confirm=yes, copies=True, force=True)
    assert not file.exists()
    assert sites(study, "study", "a.tif") == ["agh", "here", "here"]
