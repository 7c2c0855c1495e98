"""Many files on their way: in portions, of which one is prepared while another travels."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from metadata.claims import place_of
from metadata.errors import ConflictError, IntegrityError, StagingError
from metadata.holds import ALL, CANCEL
from metadata.records import ReplicaRecord
from orchestrator import operations
from orchestrator.operations import Workspace
from orchestrator.operations.data import portions, putting
from orchestrator.operations.data.carrying import carry
from orchestrator.operations.data.errands import Carried, store_at
from orchestrator.operations.data.removing import claimed_place
from staging.locations import partial_path
from staging.orders import Delivery, Order, Trip, merged
from staging.ports import Direction
from staging.routes import Way
from staging.transfers import Carrier
from tests.unit.data.conftest import SITES
from tests.unit.data.places import stored, yes

FILES = 40


@pytest.fixture
def many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of files, of which eight make a portion."""
    monkeypatch.setattr(portions, "FIRST_FILES", 8)
    monkeypatch.setattr(portions, "MOST_FILES", 8)
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(FILES):
        (folder / f"{number:02}").write_bytes(b"%d" % number)
    return folder


def test_all_of_many_portions_arrive_in_their_order(workspace: Workspace, many: Path) -> None:
    """With one measurement of the link, since they went over it together."""
    told: list[int] = []
    carried = operations.put_data(
        workspace, [str(many)], "study", sites=["agh", "lrz"], progress=lambda _name, done, _total: told.append(done)
    )
    assert sorted(row.name for row in carried) == sorted(2 * [f"dataset://study/{n:02}" for n in range(FILES)])
    assert all(row.good for row in carried)
    assert told[-1] == 2 * sum(len(b"%d" % number) for number in range(FILES))
    assert {(row.destination_site, row.files) for row in workspace.catalogue.measurements()} == {
        ("agh", FILES),
        ("lrz", FILES),
    }


def test_files_are_hashed_while_others_travel(
    workspace: Workspace, many: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first portion's transfer ends only when the last file was hashed."""
    hashed = threading.Event()
    carry, digested = Carrier.carry, putting.digested

    def waiting(self: Carrier, orders: Sequence[Order], **options: object) -> Delivery:
        assert hashed.wait(30)
        return carry(self, orders, **options)  # type: ignore[arg-type]

    def noted(workspace: Workspace, found: Sequence[tuple[str, str]], *, site: str) -> object:
        files = digested(workspace, found, site=site)
        if files[-1].path == f"{FILES - 1:02}":
            hashed.set()
        return files

    monkeypatch.setattr(Carrier, "carry", waiting)
    monkeypatch.setattr(putting, "digested", noted)
    operations.put_data(workspace, [str(many)], "study", sites=["agh"])
    assert len(workspace.catalogue.files("study")) == FILES


@pytest.mark.parametrize(("rule", "most"), [("", 2), ("limit: 8000 Mbit/s", 1), ("at_once: 1", 1), ("at_once: 9", 2)])
def test_two_portions_at_most_use_a_link_and_one_where_its_rate_is_limited(
    workspace: Workspace, many: Path, monkeypatch: pytest.MonkeyPatch, rule: str, most: int
) -> None:
    """A limit is for all of them together."""
    if rule:
        workspace.settings.sites_file.write_text(SITES + f"links:\n  - {{from: here, to: agh, {rule}}}\n")
    together: list[int] = []
    under_way = 0
    lock, met, carry = threading.Lock(), threading.Event(), Carrier.carry

    def counted(self: Carrier, orders: Sequence[Order], **options: object) -> Delivery:
        nonlocal under_way
        with lock:
            under_way += 1
            together.append(under_way)
            if under_way == 2:
                met.set()
        assert met.wait(30 if most == 2 else 0.05) or most == 1
        try:
            return carry(self, orders, **options)  # type: ignore[arg-type]
        finally:
            with lock:
                under_way -= 1

    monkeypatch.setattr(Carrier, "carry", counted)
    operations.put_data(workspace, [str(many)], "study", sites=["agh"])
    assert max(together) == most


def test_a_file_that_changes_meanwhile_ends_it_and_nothing_gets_a_name(
    workspace: Workspace, many: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What had arrived is known as a copy, and no thread is left behind."""
    digested = putting.digested

    def changing(workspace: Workspace, found: Sequence[tuple[str, str]], *, site: str) -> object:
        if found[0][0] == "16":
            raise IntegrityError("here: 16 changed while it was read")
        return digested(workspace, found, site=site)

    monkeypatch.setattr(putting, "digested", changing)
    with pytest.raises(IntegrityError, match="changed while it was read"):
        operations.put_data(workspace, [str(many)], "study", sites=["agh"])
    assert not workspace.catalogue.has_dataset("study")
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("carry")]


def test_a_verb_waits_for_the_window_of_its_link(workspace: Workspace, many: Path) -> None:
    """And can be canceled meanwhile."""
    now = datetime.now()  # noqa: DTZ005 - windows are in the time of this machine
    begin, end = now + timedelta(hours=2), now + timedelta(hours=3)
    workspace.settings.sites_file.write_text(
        SITES + f'links:\n  - {{from: here, to: agh, window: "{begin:%H:%M}-{end:%H:%M}"}}\n'
    )
    told: list[str] = []

    def heard(name: str, _done: int, _total: int) -> None:
        told.append(name)
        if "window opens at" in name:
            [row] = operations.list_transfers(workspace)
            operations.cancel_transfers(workspace, [row.id])

    with pytest.raises(StagingError, match="was canceled"):
        operations.put_data(workspace, [str(many)], "study", sites=["agh"], progress=heard)
    assert f"here -> agh: the window opens at {begin:%H:%M}" in told


def test_what_went_over_a_link_together_is_one_trip_of_it() -> None:
    """Time in which several were under way counts once; pauses do not count at all."""
    way, other = (Way(mover=name, direction=Direction.PUSH) for name in ("tar", "rsync"))

    def trip(begin: float, seconds: float, *, by: Way = way, holes: int = 0) -> Trip:
        return Trip(way=by, files=2, bytes_moved=10, seconds=seconds, began_at=begin, hole_bytes=holes)

    together = [trip(100.0, 4.0), trip(102.0, 4.0), trip(103.0, 1.0), trip(110.0, 1.0)]
    first, second = merged([*together, trip(0.0, 9.0, holes=1), trip(101.0, 2.0, by=other)])
    assert (first.way, first.files, first.bytes_moved, first.seconds) == (way, 8, 40, 7.0)
    assert (second.way, second.files, second.seconds) == (other, 2, 2.0)


def test_what_is_canceled_takes_nothing_from_whoever_brings_the_same(study: Workspace) -> None:
    store = store_at(study, "lrz", study.catalogue.file("study", "a.tif").sha256)
    partial = Path(partial_path(store.path, store.path[-64:]))
    partial.parent.mkdir(parents=True)
    partial.write_bytes(b"a")
    study.holds.hold([ALL], CANCEL)
    with study.claims.held({place_of("lrz", str(partial))}):
        [row] = operations.copy_data(study, ["study/a.tif"], "lrz:")
        assert isinstance(row, Carried)
        assert isinstance(row.error, StagingError)
        assert partial.exists()
    operations.copy_data(study, ["study/a.tif"], "lrz:")
    assert not partial.exists()


def test_what_arrives_is_known_before_anybody_else_may_remove_it(
    study: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[frozenset[str]] = []
    add_replicas = study.catalogue.add_replicas

    def trying(records: Iterable[ReplicaRecord]) -> None:
        brought = list(records)
        with study.claims.held({claimed_place(record) for record in brought}) as claim:
            taken.append(claim.places)
        add_replicas(brought)

    monkeypatch.setattr(study.catalogue, "add_replicas", trying)
    operations.copy_data(study, ["study"], "lrz:")
    assert taken == [frozenset()]


def test_no_name_is_given_to_what_was_taken_away_while_the_rest_travelled(
    study: Workspace, slides: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def carried(*args: Any, **options: Any) -> list[Carried]:
        rows = carry(*args, **options)
        operations.remove_data(study, ["study"], confirm=yes, copies=True, force=True)
        return rows

    monkeypatch.setattr(putting, "carry", carried)
    with pytest.raises(
        ConflictError, match=r"dataset://other/.* was taken away from agh before it had its name; bring it again"
    ):
        operations.put_data(study, [str(slides)], "other", sites=["agh"])
    assert not study.catalogue.has_dataset("other")
    monkeypatch.undo()
    operations.put_data(study, [str(slides)], "other", sites=["agh"])
    assert stored(study, "agh", "other", "a.tif").exists()


def test_the_same_file_on_its_way_to_two_sites_counts_twice(
    workspace: Workspace, many: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both have the same name, and neither ends before the other has told how far it is."""
    told: list[int] = []
    both = threading.Barrier(2, timeout=30)
    carry = Carrier.carry

    def together(self: Carrier, orders: Sequence[Order], **options: Any) -> Delivery:
        delivery = carry(self, orders, **options)
        options["progress"](2)
        both.wait()
        return delivery

    monkeypatch.setattr(Carrier, "carry", together)
    operations.put_data(
        workspace,
        [str(many / "10")],
        "study",
        sites=["agh", "lrz"],
        progress=lambda _name, done, _all: told.append(done),
    )
    assert told == sorted(told)
    assert told[-1] == 4
    assert 4 in told[:-2]
