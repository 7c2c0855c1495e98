"""The verbs on data at a site behind SSH."""

from __future__ import annotations

from pathlib import Path

import pytest

from metadata.errors import ConflictError
from orchestrator import operations
from orchestrator.operations import Watch, Workspace
from tests.integration.data.conftest import Behind

NAMES = ("a.tif", "train/it's $(b).tif", "train/-c d.csv")


@pytest.fixture
def study(behind: Behind, workspace: Workspace, tmp_path: Path) -> Workspace:
    """The home with files of odd names at the site, and no longer on this machine."""
    folder = tmp_path / "slides"
    for number, name in enumerate(NAMES):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(bytes([number]) * 10_000)
    operations.put_data(workspace, [str(folder)], "study", sites=["far"])
    operations.remove_data(workspace, [f"site://here{folder}"], confirm=lambda _: True)
    return workspace


def stored(behind: Behind, workspace: Workspace, path: str) -> Path:
    """The file in the site's store."""
    sha256 = workspace.catalogue.file("study", path).sha256
    return behind.sshd.home / "convoy/data" / sha256[:2] / sha256


def test_data_are_put_listed_and_fetched(behind: Behind, study: Workspace, tmp_path: Path) -> None:
    assert [entry.name for entry in operations.list_folder(study, "study", recursive=True)] == sorted(NAMES)
    assert [entry.files for entry in operations.list_folder(study, f"site://far{behind.sshd.home}/convoy")] == [3]
    (total,) = operations.measure_usage(study, ["study"])
    assert total.sites == {"far": 30_000}
    operations.get_data(study, ["study"], tmp_path / "out")
    assert [(tmp_path / "out" / name).read_bytes()[:1] for name in NAMES] == [b"\0", b"\1", b"\2"]


def test_wrong_and_lost_copies_at_the_site_are_repaired_from_another(behind: Behind, study: Workspace) -> None:
    operations.copy_data(study, ["study"], "near:")
    stored(behind, study, NAMES[0]).write_bytes(b"x" * 10_000)
    stored(behind, study, NAMES[1]).unlink()
    rows = operations.verify_data(study, ["study"], repair=True)
    assert [row.repaired for row in rows if row.site == "far"].count(True) == 2
    assert all(row.good for row in rows)
    assert stored(behind, study, NAMES[1]).read_bytes() == b"\1" * 10_000


def test_files_at_the_site_move_and_go(behind: Behind, study: Workspace) -> None:
    place = f"site://far{behind.sshd.home}/out"
    operations.copy_data(study, ["study/train"], place)
    operations.move_data(study, [f"{place}/it's $(b).tif"], f"{place}/deep/x.tif")
    assert (behind.sshd.home / "out/deep/x.tif").read_bytes() == b"\1" * 10_000
    assert all(row.good for row in operations.verify_data(study, "study"))
    operations.remove_data(study, [place], confirm=lambda _: True)
    assert [path for path in (behind.sshd.home / "out").rglob("*") if path.is_file()] == []
    with pytest.raises(ConflictError, match="last copy"):
        operations.remove_data(study, ["study"], confirm=lambda _: True, copies=True, site="far")


def test_rules_are_carried_out_between_sites_and_a_silent_site_keeps_its_copies(
    behind: Behind, study: Workspace
) -> None:
    operations.add_rule(study, "study", at=["near"])
    assert len(operations.apply_rules(study, confirm=lambda _: True).carried) == 3
    operations.add_rule(study, "study", keep_s=0)
    behind.sshd.stop()
    silent = operations.apply_rules(study, confirm=lambda _: True)
    assert (silent.removed, silent.carried) == ((), ())
    behind.sshd.start()
    assert [copy.site for copy in operations.apply_rules(study, confirm=lambda _: True).removed] == ["far"] * 3
    assert not stored(behind, study, NAMES[0]).exists()


def test_a_folder_of_the_site_is_watched(behind: Behind, workspace: Workspace) -> None:
    for name in NAMES:
        (behind.data / name).parent.mkdir(exist_ok=True)
        (behind.data / name).write_bytes(name.encode())
    watch = Watch(dataset="scans", folder=f"site://far{behind.data}", settle_s=0, once=True)
    assert len(list(operations.watch_data(workspace, watch, wait=lambda _: None))) == 3
    assert all(row.good for row in operations.verify_data(workspace, "scans"))
    assert list(operations.watch_data(workspace, watch, wait=lambda _: None)) == []
