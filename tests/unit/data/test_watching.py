"""Files of a folder are registered as they settle."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from metadata.errors import InvalidInputError, NotFoundError
from orchestrator import operations
from orchestrator.operations import Sighting, Watch, Workspace
from tests.unit.data.places import names, sites


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """A clock that goes on only when somebody waits."""
    now = [100.0]
    monkeypatch.setattr("orchestrator.operations.data.watching.time.monotonic", lambda: now[0])

    def wait(seconds: float) -> None:
        now[0] += seconds

    return wait


def test_files_are_registered_once_they_have_settled(
    workspace: Workspace, tmp_path: Path, clock: Callable[[float], None]
) -> None:
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    (inbox / "ready.svs").write_bytes(b"ready")
    growing, looks = inbox / "growing.svs", []

    def wait(seconds: float) -> None:
        """The file grows until the fourth look."""
        looks.append(seconds)
        if len(looks) < 4:
            growing.write_bytes(b"x" * len(looks))
        clock(seconds)

    watch = Watch(dataset="scans/new", folder=str(inbox), settle_s=25, interval_s=10, once=True)
    seen = [(row.name, len(looks)) for row in operations.watch_data(workspace, watch, wait=wait)]
    assert seen == [("dataset://scans/new/ready.svs", 3), ("dataset://scans/new/growing.svs", 6)]
    assert set(looks) == {10}
    assert workspace.catalogue.file("scans", "new/growing.svs").size_bytes == 3


def test_hidden_partial_and_other_files_are_passed_over(workspace: Workspace, tmp_path: Path) -> None:
    for name in ("a.svs", ".hidden.svs", "b.part", "deep/c.svs", ".folder/d.svs", "e.txt"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_bytes(name.encode())
    watch = Watch(dataset="scans", folder=f"site://agh{tmp_path}/in", settle_s=0, pattern="*.svs", once=True)
    assert len(list(operations.watch_data(workspace, watch, wait=lambda _: None))) == 2
    assert names(workspace, "scans") == ["a.svs", "deep/c.svs"]
    assert sites(workspace, "scans", "a.svs") == ["agh"]


def test_what_is_registered_is_passed_over_and_what_changed_since_is_told(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a").write_bytes(b"a")
    (tmp_path / "in/b").write_bytes(b"b")
    watch = Watch(dataset="scans", folder=str(tmp_path / "in"), settle_s=0, once=True)

    def look() -> list[Sighting]:
        return list(operations.watch_data(workspace, watch, wait=lambda _: None))

    assert [row.name for row in look()] == ["dataset://scans/a", "dataset://scans/b"]
    assert look() == []
    (tmp_path / "in/b").write_bytes(b"changed")
    (row,) = look()
    assert "content never changes" in row.trouble.lower()
    assert names(workspace, "scans") == ["a", "b"]


def test_a_watch_goes_on_until_it_is_stopped(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    waiting, appeared = threading.Event(), threading.Event()

    def wait(_: float) -> None:
        waiting.set()
        assert appeared.wait(30)

    rows = operations.watch_data(workspace, Watch(dataset="scans", folder=str(tmp_path / "in"), settle_s=0), wait=wait)
    found: list[Sighting] = []
    thread = threading.Thread(target=lambda: found.append(next(rows)))
    thread.start()
    assert waiting.wait(30)
    (tmp_path / "in/late").write_bytes(b"late")
    appeared.set()
    thread.join(30)
    rows.close()
    assert [row.name for row in found] == ["dataset://scans/late"]


def test_a_folder_that_is_not_there_is_a_mistake(workspace: Workspace, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        next(operations.watch_data(workspace, Watch(dataset="scans", folder=str(tmp_path / "none"))))
    with pytest.raises(InvalidInputError):
        next(operations.watch_data(workspace, Watch(dataset="scans", folder="site://agh/../x")))


def test_a_file_that_cannot_be_named_or_read_is_told_once_and_keeps_no_other_out(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in").mkdir()
    for name in ("a", "b\nc", "closed", "y", "z"):
        (tmp_path / "in" / name).write_bytes(name.encode())
    digests = workspace.storages["here"].digests
    monkeypatch.setattr(
        workspace.storages["here"],
        "digests",
        lambda paths: {path: found for path, found in digests(paths).items() if not path.endswith("closed")},
    )
    watch = Watch(dataset="scans", folder=str(tmp_path / "in"), settle_s=0, once=True)
    seen = list(operations.watch_data(workspace, watch, wait=lambda _: None))
    assert names(workspace, "scans") == ["a", "y", "z"]
    assert [row.trouble.partition(":")[0] for row in seen if row.trouble] == [
        r"'b\nc' cannot name a file of a dataset", "here"
    ]  # fmt: skip
