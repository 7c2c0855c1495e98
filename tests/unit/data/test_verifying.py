"""Wrong and lost copies are found, and brought again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from metadata.errors import SiteUnavailableError
from orchestrator import operations
from orchestrator.operations import Workspace
from orchestrator.operations.data import verifying
from staging.ports import FileDigest
from tests.unit.data.conftest import FILES
from tests.unit.data.places import sites, stored, yes


def test_a_wrong_and_a_lost_copy_are_brought_again(study: Workspace) -> None:
    operations.copy_data(study, ["study"], "lrz:")
    wrong, lost = stored(study, "lrz", "study", "a.tif"), stored(study, "agh", "study", "train/b.tif")
    wrong.write_bytes(b"x" * 1000)
    lost.unlink()
    found = operations.verify_data(study, ["study"])
    assert {(row.site, row.path) for row in found if not row.good} == {("lrz", str(wrong)), ("agh", str(lost))}
    mended = operations.verify_data(study, ["study"], repair=True)
    assert all(row.good for row in mended)
    assert {row.path for row in mended if row.repaired} == {str(wrong), str(lost)}
    assert (wrong.read_bytes(), lost.read_bytes()) == (FILES["a.tif"], FILES["train/b.tif"])


def test_a_persons_changed_file_is_not_overwritten(study: Workspace, slides: Path) -> None:
    (slides / "a.tif").write_bytes(b"edited")
    (slides / "train/same.tif").unlink()
    rows = operations.verify_data(study, "study/a.tif", repair=True)
    assert all(row.good for row in rows)
    assert (slides / "a.tif").read_bytes() == b"edited"
    assert (slides / "train/same.tif").read_bytes() == FILES["a.tif"]
    assert stored(study, "here", "study", "a.tif").read_bytes() == FILES["a.tif"]
    assert sites(study, "study", "a.tif") == ["agh", "here", "here"]
    assert all(row.good for row in operations.verify_data(study, "study"))


def test_what_has_no_right_copy_stays_wrong(study: Workspace, slides: Path) -> None:
    stored(study, "agh", "study", "train/b.tif").unlink()
    (slides / "train/b.tif").write_bytes(b"edited")
    rows = operations.verify_data(study, "study/train/b.tif", repair=True)
    assert [row.good for row in rows] == [False, False]
    assert (slides / "train/b.tif").read_bytes() == b"edited"


def test_one_site_is_verified_alone_and_repaired_from_the_others(study: Workspace) -> None:
    stored(study, "agh", "study", "a.tif").write_bytes(b"x" * 1000)
    rows = operations.verify_data(study, ["study"], site="agh", repair=True)
    assert {row.site for row in rows} == {"agh"}
    assert stored(study, "agh", "study", "a.tif").read_bytes() == FILES["a.tif"]


def test_a_site_that_left_the_site_file_is_told_and_not_repaired(study: Workspace) -> None:
    sites_file = study.settings.sites_file
    sites_file.write_text(sites_file.read_text().replace("agh:", "ago:"))
    with operations.Workspace(study.settings) as later:
        rows = operations.verify_data(later, "study/a.tif", repair=True)
    assert {row.site: row.good for row in rows} == {"agh": False, "here": True}


def test_a_copy_that_goes_while_it_is_read_is_not_known_again(
    study: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    operations.copy_data(study, ["study"], "lrz:")
    digests = study.storages["lrz"].digests

    def slowly(paths: Sequence[str]) -> Mapping[str, FileDigest]:
        found = digests(paths)
        operations.remove_data(study, ["study"], confirm=yes, copies=True, site="lrz")
        return found

    monkeypatch.setattr(study.storages["lrz"], "digests", slowly)
    operations.verify_data(study, "study", site="lrz")
    assert sites(study, "study", "train/b.tif") == ["agh", "here"]


def test_a_persons_file_that_cannot_be_read_is_not_overwritten(
    study: Workspace, slides: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (slides / "train/b.tif").write_bytes(b"changed")
    digests = study.storages["here"].digests
    monkeypatch.setattr(
        study.storages["here"],
        "digests",
        lambda paths: {path: found for path, found in digests(paths).items() if not path.endswith("/b.tif")},
    )
    [row] = [row for row in operations.verify_data(study, "study", repair=True) if row.repaired]
    assert "and the changed file stays" in row.detail
    assert (slides / "train/b.tif").read_bytes() == b"changed"
    assert stored(study, "here", "study", "train/b.tif").read_bytes() == FILES["train/b.tif"]


def test_a_site_that_stays_silent_is_not_asked_for_each_of_thousands(
    study: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def silent(paths: Sequence[str]) -> Mapping[str, FileDigest]:
        asked.extend(paths)
        raise SiteUnavailableError("agh does not answer", site="agh")

    monkeypatch.setattr(verifying, "_BATCH", 1)
    monkeypatch.setattr(study.storages["agh"], "digests", silent)
    found = operations.verify_data(study, "study", site="agh")
    assert [row.detail for row in found] == 4 * ["agh does not answer"]
    assert len(asked) == 2
