"""What names and retention must do on every database. The tests of each database subclass these."""

from __future__ import annotations

import threading
import time

import pytest
from sqlalchemy import Engine, insert

from metadata.catalogue import Catalogue
from metadata.errors import ConflictError, InvalidInputError, NotFoundError
from metadata.namespace import Rename
from metadata.policy import ANYWHERE
from metadata.records import ReplicaRecord, RuleRecord
from metadata.retention import Release, Retention
from metadata.sessions import Sessions
from metadata.tables import RUNS, STEPS, TASKS
from tests.unit.metadata.catalogue_suite import AGH, new_file, paths, replica, sha256


class NamespaceTests:
    def test_a_dataset_keeps_everything_under_its_new_name(self, catalogue: Catalogue, database: Sessions):
        catalogue.add_files("old", [new_file("a")], policy=AGH, description="Slides.")
        catalogue.set_attributes("old", {"centre": 2})
        rule = Retention(database).add_rule(RuleRecord(id=0, target="old/a", copies=2))
        catalogue.rename_dataset("old", "new")
        found = catalogue.dataset("new")
        assert (found.policy, found.description, found.attributes) == (AGH, "Slides.", {"centre": 2})
        assert paths(catalogue.files("new")) == ["a"]
        assert [(row.id, row.target) for row in Retention(database).rules()] == [(rule.id, "new/a")]
        with pytest.raises(NotFoundError):
            catalogue.dataset("old")

    def test_a_name_that_is_taken_or_cannot_be_is_refused(self, catalogue: Catalogue):
        catalogue.add_files("a", [])
        catalogue.add_files("b", [])
        with pytest.raises(ConflictError, match="there is a dataset b already"):
            catalogue.rename_dataset("a", "b")
        with pytest.raises(InvalidInputError, match="cannot name a dataset"):
            catalogue.rename_dataset("a", "b/c")
        with pytest.raises(NotFoundError):
            catalogue.rename_dataset("c", "d")

    def test_files_take_attributes_policies_and_pins_to_another_dataset(self, catalogue: Catalogue, database: Sessions):
        catalogue.add_files("private", [new_file("a", 1), new_file("b", 2)], policy=AGH)
        catalogue.set_attributes("private", {"mpp": 0.25}, path="a")
        Retention(database).pin("private", site="agh")
        catalogue.rename_files({"private": [Rename(path="a", new_path="deep/x")]}, into="public")
        assert catalogue.attributes("public", "deep/x") == {"mpp": 0.25}
        assert catalogue.find(["mpp=0.25"])[0].path == "deep/x"
        assert catalogue.policies([sha256(1)])[sha256(1)] == AGH
        assert catalogue.dataset("public").policy == ANYWHERE
        assert [(pin.dataset, pin.path, pin.site) for pin in Retention(database).pins()] == [
            ("private", "", "agh"),
            ("public", "deep/x", "agh"),
        ]
        assert paths(catalogue.files("private")) == ["b"]

    def test_nothing_is_overwritten_and_nothing_half_renamed(self, catalogue: Catalogue):
        catalogue.add_files("a", [new_file("1", 1), new_file("2", 2)])
        catalogue.add_files("b", [new_file("2", 3)])
        renames = [Rename(path="1", new_path="1"), Rename(path="2", new_path="2")]
        with pytest.raises(ConflictError, match="dataset://b/2 is already there"):
            catalogue.rename_files({"a": renames}, into="b")
        with pytest.raises(ConflictError, match="two files would both be"):
            catalogue.rename_files({"a": [Rename(path=path, new_path="x") for path in "12"]}, into="c")
        with pytest.raises(NotFoundError, match="no file or folder '3'"):
            catalogue.rename_files({"a": [*renames, Rename(path="3", new_path="3")]}, into="c")
        with pytest.raises(InvalidInputError, match="cannot name a file"):
            catalogue.rename_files({"a": [Rename(path="1", new_path="../1")]}, into="c")
        assert paths(catalogue.files("a")) == ["1", "2"]
        assert not catalogue.has_dataset("c")

    def test_names_go_and_copies_stay_known(self, catalogue: Catalogue):
        catalogue.add_files("a", [new_file("1", 1), new_file("2", 2)])
        catalogue.add_replicas([replica("agh", "/1", 1)])
        catalogue.set_attributes("a", {"mpp": 1}, path="1")
        catalogue.remove_files("a", ["1"])
        assert paths(catalogue.files("a")) == ["2"]
        assert catalogue.find(["mpp=1"]) == []
        assert len(catalogue.replicas([sha256(1)])[sha256(1)]) == 1
        catalogue.remove_dataset("a", paths=["2"])
        assert catalogue.datasets() == []

    def test_a_dataset_stays_with_a_name_that_came_meanwhile(self, catalogue: Catalogue):
        catalogue.add_files("a", [new_file("1", 1), new_file("2", 2)])
        catalogue.remove_dataset("a", paths=["1", "gone"])
        assert paths(catalogue.files("a")) == ["2"]

    def test_pinned_names_do_not_go(self, catalogue: Catalogue, database: Sessions):
        catalogue.add_files("a", [new_file("1", 1), new_file("2", 2)])
        Retention(database).pin("a", "1")
        with pytest.raises(ConflictError, match="dataset://a/1 is pinned"):
            catalogue.remove_files("a", ["1", "2"])
        with pytest.raises(ConflictError, match="pinned"):
            catalogue.remove_dataset("a", paths=["1", "2"])
        catalogue.remove_files("a", ["2"])
        Retention(database).unpin("a", "1")
        catalogue.remove_dataset("a", paths=["1"])

    def test_a_content_knows_whether_it_has_another_name(self, catalogue: Catalogue):
        catalogue.add_files("a", [new_file("1", 1), new_file("2", 2)])
        catalogue.add_files("b", [new_file("x", 1)])
        wanted = [sha256(1), sha256(2)]
        assert catalogue.named_elsewhere(wanted, outside=[("a", "1"), ("a", "2")]) == {sha256(1)}

    def test_copies_follow_their_files_at_a_site(self, catalogue: Catalogue):
        catalogue.add_replicas([replica("agh", "/old", 1), replica("agh", "/new", 2), replica("lrz", "/old", 1)])
        catalogue.move_replicas("agh", [("/old", "/new")])
        assert [(copy.site, copy.path) for copy in catalogue.replicas([sha256(1)])[sha256(1)]] == [
            ("agh", "/new"),
            ("lrz", "/old"),
        ]
        assert catalogue.replicas([sha256(2)])[sha256(2)] == []


def add_run(engine: Engine, run_id: str, state: str, *, read: int, site: str = "agh", ended_at: float = 50.0) -> None:
    """A run with one task that read a content, and the plan to read the next one."""
    with engine.execution_options(writing=True).begin() as connection:
        values = {"id": run_id, "name": "toy", "state": state, "created_at": 40.0, "fresh": False, "wanted": "run"}
        ended = ended_at if state == "COMPLETED" else None
        planned = {"steps": [{"inputs": {"x": {"files": [{"sha256": sha256(read + 1)}]}}}]}
        connection.execute(insert(RUNS).values(**values, plan=planned, message="", ended_at=ended))
        step = insert(STEPS).values(run_id=run_id, position=0, name="s", site=site, expanded=True, skipped="")
        step_id = connection.execute(step).inserted_primary_key[0]
        task = {"run_id": run_id, "step_id": step_id, "position": 0, "label": "", "state": state, "message": ""}
        task |= {"inputs": {"x": {"sha256": sha256(read)}}, "outputs": {"y": [{"sha256": sha256(read + 2)}]}}
        task |= {"parameters": {}, "content_key": "", "reused_from": "", "attempts": 1, "not_before": 0.0}
        connection.execute(insert(TASKS).values(**task))


class RetentionTests:
    def test_rules_come_back_as_they_were_added_and_go(self, database: Sessions):
        retention = Retention(database)
        first = retention.add_rule(RuleRecord(id=0, target="a", copies=2, at=("tape", "agh")))
        second = retention.add_rule(RuleRecord(id=0, target="b*", keep_s=5.5, site="agh"))
        assert retention.rules() == [first, second]
        assert (first.copies, first.at, second.keep_s, second.site) == (2, ("tape", "agh"), 5.5, "agh")
        retention.remove_rule(first.id)
        with pytest.raises(NotFoundError, match="no rule"):
            retention.remove_rule(first.id)
        assert retention.rules() == [second]

    def test_a_pin_is_there_once_and_is_told_by_content(self, catalogue: Catalogue, database: Sessions):
        catalogue.add_files("a", [new_file("x/1", 1), new_file("x/2", 2), new_file("3", 3)])
        catalogue.add_files("b", [new_file("same", 3)])
        retention = Retention(database)
        for _ in range(2):
            retention.pin("a", "x", site="agh")
            retention.pin("b")
        assert [(pin.dataset, pin.path) for pin in retention.pins()] == [("a", "x/1"), ("a", "x/2"), ("b", "")]
        assert retention.pinned_sites([sha256(n) for n in (1, 3, 9)]) == {
            sha256(1): frozenset({"agh"}),
            sha256(3): frozenset({""}),
        }
        assert [pin.path for pin in retention.pins("b")] == [""]
        assert retention.unpin("a", "x", site="agh") == 2
        assert retention.unpin("a", "x", site="agh") == 0

    def test_a_pinned_dataset_holds_what_is_added_later(self, catalogue: Catalogue, database: Sessions):
        catalogue.add_files("a", [])
        Retention(database).pin("a")
        catalogue.add_files("a", [new_file("1", 1)])
        assert Retention(database).pinned_sites([sha256(1)]) == {sha256(1): frozenset({""})}

    def test_a_missing_name_cannot_be_pinned(self, catalogue: Catalogue, database: Sessions):
        catalogue.add_files("a", [])
        with pytest.raises(NotFoundError):
            Retention(database).pin("a", "1")
        with pytest.raises(NotFoundError):
            Retention(database).pin("b")

    def test_the_newest_use_counts(self, database: Sessions):
        retention = Retention(database)
        retention.note_uses([(sha256(1), "agh")], used_at=10.0)
        retention.note_uses([(sha256(1), "agh"), (sha256(2), "lrz")], used_at=20.0)
        assert retention.last_uses(since=15.0) == {(sha256(1), "agh"): 20.0, (sha256(2), "lrz"): 20.0}
        assert retention.last_uses(since=25.0) == {}

    def test_runs_use_what_they_read_and_make(self, engine: Engine, database: Sessions):
        add_run(engine, "done", "COMPLETED", read=1)
        assert Retention(database).last_uses(since=30.0) == {(sha256(n), "agh"): 40.0 for n in (1, 3)}
        assert Retention(database).last_uses(since=60.0) == {}

    def test_a_name_is_a_use_where_its_content_lies(self, catalogue: Catalogue, database: Sessions):
        begin = time.time()
        catalogue.add_files("a", [new_file("1", 1)])
        catalogue.add_replicas([replica("agh", "/1", 1)])
        assert Retention(database).last_uses(since=begin)[sha256(1), "agh"] >= begin

    def test_only_runs_that_have_not_ended_need_their_data(self, engine: Engine, database: Sessions):
        add_run(engine, "done", "COMPLETED", read=1)
        add_run(engine, "busy", "ACTIVE", read=4)
        assert Retention(database).needed() == {sha256(n) for n in (4, 5, 6)}
        assert Retention(database).active_runs() == {"busy"}

    def test_a_copy_goes_while_another_is_known(self, catalogue: Catalogue, database: Sessions):
        here, there = replica("agh", "/1"), replica("lrz", "/1")
        catalogue.add_replicas([here, there])
        assert Retention(database).let_go([Release(copy=here, survivors=(there,))]) == [here]
        assert Retention(database).let_go([Release(copy=there, survivors=(here,))]) == []
        assert catalogue.replicas([sha256(1)])[sha256(1)] == [there]
        assert Retention(database).let_go([Release(copy=there, survivors=())]) == [there]

    def test_a_copy_that_a_run_needs_stays(self, catalogue: Catalogue, engine: Engine, database: Sessions):
        here, there = replica("agh", "/1"), replica("lrz", "/1")
        catalogue.add_replicas([here, there])
        add_run(engine, "busy", "ACTIVE", read=1)
        assert Retention(database).let_go([Release(copy=here, survivors=(there,))]) == []

    def test_a_copy_that_is_pinned_by_now_stays(self, catalogue: Catalogue, database: Sessions):
        here, there = replica("agh", "/1"), replica("lrz", "/1")
        catalogue.add_replicas([here, there])
        catalogue.add_files("a", [new_file("x", 1)])
        Retention(database).pin("a", site="agh")
        assert Retention(database).let_go([Release(copy=here, survivors=(there,))]) == []
        assert Retention(database).let_go([Release(copy=there, survivors=(here,))]) == [there]

    def test_a_copy_whose_content_has_another_name_by_now_stays(self, catalogue: Catalogue, database: Sessions):
        copy = replica("agh", "/1")
        catalogue.add_replicas([copy])
        catalogue.add_files("a", [new_file("x", 1), new_file("y", 1)])
        release = Release(copy=copy, survivors=())
        assert Retention(database).let_go([release], names=[("a", "x")]) == []
        assert Retention(database).let_go([release], names=[("a", "x"), ("a", "y")]) == [copy]

    def test_two_who_let_go_at_once_leave_one_copy(self, catalogue: Catalogue, database: Sessions):
        """Each takes the other's copy for the one that stays."""
        for number in range(20):
            pair = replica("agh", f"/{number}", number), replica("lrz", f"/{number}", number)
            catalogue.add_replicas(pair)
            gone: list[ReplicaRecord] = []
            start = threading.Barrier(2)

            def let_go(mine: ReplicaRecord, other: ReplicaRecord, start=start, gone=gone) -> None:
                start.wait()
                gone.extend(Retention(database).let_go([Release(copy=mine, survivors=(other,))]))

            threads = [threading.Thread(target=let_go, args=(pair[at], pair[1 - at])) for at in (0, 1)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert len(gone) == 1
            assert len(catalogue.replicas([sha256(number)])[sha256(number)]) == 1
