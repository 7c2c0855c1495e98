"""Pins and rules, and what carrying the rules out does to real files."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from metadata.errors import InvalidInputError, NotFoundError
from metadata.policy import Policy
from orchestrator import operations
from orchestrator.operations import Upkeep, Workspace
from tests.unit.data.places import sites, stored
from tests.unit.metadata.keeping_suite import add_run

DAY_S = 86400.0


def applied(workspace: Workspace, *, consent: bool = True) -> Upkeep:
    """What carrying the rules out did."""
    return operations.apply_rules(workspace, confirm=lambda _: consent)


def age(workspace: Workspace, monkeypatch: pytest.MonkeyPatch, days: float) -> None:
    """So many days go by."""
    now = time.time() + days * DAY_S
    monkeypatch.setattr("orchestrator.operations.data.keeping.time.time", lambda: now)


@pytest.fixture
def elsewhere(study: Workspace, slides: Path) -> Workspace:
    """The study at agh and lrz, and no longer on this machine."""
    operations.copy_data(study, ["study"], "lrz:")
    operations.remove_data(study, [f"site://here{slides}"], confirm=lambda _: True)
    return study


def test_two_copies_with_one_at_a_tape_site(elsewhere: Workspace) -> None:
    operations.add_rule(elsewhere, "study", copies=2, at=["tape"])
    planned = applied(elsewhere, consent=False)
    assert (len(planned.plan.copies), planned.done) == (3, False)
    assert sites(elsewhere, "study", "a.tif") == ["agh", "lrz"]
    found = applied(elsewhere)
    assert (found.good, len(found.carried), found.removed) == (True, 3, ())
    assert sites(elsewhere, "study", "a.tif") == ["agh", "lrz", "vault"]
    assert stored(elsewhere, "vault", "study", "train/b.tif").is_file()
    assert applied(elsewhere).plan == operations.Upkeep(plan=type(found.plan)()).plan


def test_unused_copies_go_and_used_ones_stay(elsewhere: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    operations.add_rule(elsewhere, "study/train/*", keep_s=30 * DAY_S, site="agh")
    assert applied(elsewhere).removed == ()
    sha256 = elsewhere.catalogue.file("study", "train/b.tif").sha256
    elsewhere.retention.note_uses([(sha256, "agh")], used_at=time.time() + 20 * DAY_S)
    age(elsewhere, monkeypatch, 40)
    found = applied(elsewhere)
    assert [(copy.site, copy.size_bytes) for copy in found.removed] == [("agh", 1000)]
    assert not stored(elsewhere, "agh", "study", "train/same.tif").exists()
    assert stored(elsewhere, "agh", "study", "train/b.tif").exists()
    assert stored(elsewhere, "agh", "study", "train/deep/c.csv").exists()


def test_a_rule_moves_data_to_tape_in_one_go(elsewhere: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Copies first, and then everything else goes."""
    operations.add_rule(elsewhere, "study", copies=1, at=["tape"])
    operations.add_rule(elsewhere, "study", keep_s=DAY_S, site="cpu")
    age(elsewhere, monkeypatch, 2)
    found = applied(elsewhere)
    assert (len(found.carried), len(found.removed)) == (3, 3)
    assert sites(elsewhere, "study", "a.tif")[-1] == "vault"
    found = applied(elsewhere)
    assert len(found.removed) == 3
    assert sites(elsewhere, "study", "a.tif") == ["vault"]
    assert applied(elsewhere).removed == ()


def test_a_copy_stays_when_the_other_one_is_broken(elsewhere: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    operations.add_rule(elsewhere, "study", keep_s=DAY_S)
    stored(elsewhere, "lrz", "study", "a.tif").write_bytes(b"x" * 1000)
    stored(elsewhere, "lrz", "study", "train/b.tif").unlink()
    age(elsewhere, monkeypatch, 2)
    applied(elsewhere)
    assert stored(elsewhere, "agh", "study", "a.tif").exists()
    assert stored(elsewhere, "agh", "study", "train/b.tif").exists()


def test_pins_runs_and_peoples_files_hold(study: Workspace, slides: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    operations.add_rule(study, "study", keep_s=DAY_S)
    operations.pin_data(study, ["study/a.tif"])
    age(study, monkeypatch, 2)
    with monkeypatch.context() as patch:
        hashes = {file.sha256 for file in study.catalogue.files("study")}
        patch.setattr(study.retention, "needed", lambda: frozenset(hashes))
        assert applied(study).removed == ()
    found = applied(study)
    assert {copy.size_bytes for copy in found.removed} == {2000, 4}
    assert all((slides / name).is_file() for name in ("a.tif", "train/b.tif", "train/deep/c.csv"))


def test_a_copy_that_a_run_began_to_need_after_the_plan_stays(
    elsewhere: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    operations.add_rule(elsewhere, "study", keep_s=DAY_S, site="agh")
    age(elsewhere, monkeypatch, 2)

    def begin_a_run(_: Any) -> bool:
        add_run(elsewhere.database, "busy", "ACTIVE", read=1)
        sha256 = elsewhere.catalogue.file("study", "a.tif").sha256
        with elsewhere.database.execution_options(writing=True).begin() as connection:
            document = f'{{"x": {{"sha256": "{sha256}"}}}}'
            connection.exec_driver_sql("UPDATE tasks SET inputs = ?", (document,))
        return True

    found = operations.apply_rules(elsewhere, confirm=begin_a_run)
    assert (len(found.plan.removals), len(found.removed)) == (3, 2)
    assert stored(elsewhere, "agh", "study", "a.tif").exists()


def test_residency_is_honoured_and_told(elsewhere: Workspace) -> None:
    elsewhere.catalogue.set_policy("study", Policy(sites=frozenset({"agh", "lrz"})))
    operations.add_rule(elsewhere, "study", copies=3)
    found = applied(elsewhere)
    assert (found.good, found.carried) == (False, ())
    assert sites(elsewhere, "study", "a.tif") == ["agh", "lrz"]


def test_a_copy_that_does_not_arrive_takes_no_other_one_with_it(
    elsewhere: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    operations.add_rule(elsewhere, "study", at=["tape"])
    operations.add_rule(elsewhere, "study", keep_s=DAY_S)
    age(elsewhere, monkeypatch, 2)
    blocked = elsewhere.settings.home / "sites/vault"
    blocked.parent.mkdir(exist_ok=True)
    blocked.write_text("no folder")
    found = applied(elsewhere)
    assert (found.good, found.removed) == (False, ())
    assert sites(elsewhere, "study", "a.tif") == ["agh", "lrz"]


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ({}, "asks for copies"),
        ({"copies": 2, "site": "agh"}, "belongs to how long"),
        ({"at": ["tapes"]}, "did you mean tape"),
        ({"keep_s": 5.0, "site": "nowhere"}, "no site is named or labelled"),
        ({"copies": 0}, "one copy or more"),
    ],
)
def test_a_rule_that_means_nothing_is_refused(workspace: Workspace, rule: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidInputError, match=says):
        operations.add_rule(workspace, "study", **rule)


def test_pins_are_listed_and_taken_away(study: Workspace) -> None:
    operations.pin_data(study, ["study"])
    operations.pin_data(study, ["study/train"], site="agh")
    assert len(operations.list_pins(study)) == 4
    assert [pin.path for pin in operations.unpin_data(study, ["study/train"], site="agh")] == [""]
    with pytest.raises(NotFoundError, match="is not pinned at agh"):
        operations.unpin_data(study, ["study"], site="agh")
