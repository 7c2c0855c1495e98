"""History against the real tables, in a database of its own."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest
from sqlalchemy import Engine, event

from metadata.database import open_database
from metadata.errors import NotFoundError
from metadata.history import History
from metadata.progress import progress_of
from metadata.sessions import AlchemySessions
from orchestrator.plans import Plan
from tests.unit.history.sample_run import (
    PATCHES_BYTES,
    SLIDE_BYTES,
    WEIGHTS_BYTES,
    active_run,
    camnet_plan,
    camnet_run,
    failed_run,
    planned_run,
)


@pytest.fixture
def engine(tmp_path):
    engine = open_database(f"sqlite:///{tmp_path}/convoy.db")
    yield engine
    engine.dispose()


@pytest.fixture
def history(engine):
    return History(AlchemySessions(engine))


def test_an_empty_database_has_no_runs(history):
    assert history.runs() == ()


def test_a_run_tells_its_tasks_by_state_and_the_bytes_that_travelled(engine, history):
    camnet_run(engine)
    (summary,) = history.runs()
    assert summary.counts == {"COMPLETED": 5}
    assert summary.bytes_moved == 2 * SLIDE_BYTES + 2 * PATCHES_BYTES + WEIGHTS_BYTES


def test_runs_are_told_newest_first_and_chosen_by_state_and_name(engine, history):
    done, failed = camnet_run(engine), failed_run(engine)
    camnet_run(engine, run_id="20251012-other-1", name="other", slides=1)
    assert [run.id for run in history.runs(state="FAILED")] == [failed]
    assert {run.id for run in history.runs(name="camnet")} == {done, failed}
    assert len(history.runs(limit=1)) == 1


def test_a_run_without_tasks_counts_nothing(engine, history):
    planned_run(engine)
    (summary,) = history.runs()
    assert (summary.counts, summary.bytes_moved) == ({}, 0)


def test_a_record_holds_steps_tasks_and_attempts_in_order(engine, history):
    record = history.run(camnet_run(engine))
    assert [step.name for step in record.steps] == ["extract", "train", "heatmap"]
    assert [task.position for task in record.steps[0].tasks] == [0, 1]
    retried = record.steps[2].tasks[1]
    assert [(attempt.number, attempt.exit_code) for attempt in retried.attempts] == [(1, 137), (2, 0)]
    assert retried.last.number == 2


def test_files_are_lists_whether_the_journal_wrote_one_or_many(engine, history):
    record = history.run(camnet_run(engine))
    assert [file.size_bytes for file in record.steps[0].tasks[0].inputs["slide"]] == [SLIDE_BYTES]
    assert len(record.steps[1].tasks[0].inputs["patches"]) == 2
    assert record.steps[1].tasks[0].outputs["weights"][0].path == "weights.h5"


def test_a_transfer_knows_the_step_that_asked_for_it(engine, history):
    record = history.run(camnet_run(engine))
    assert [transfer.step for transfer in record.transfers] == ["extract", "extract", "train", "train", "heatmap"]


def test_the_plan_of_a_record_can_be_read_back(engine, history):
    record = history.run(camnet_run(engine))
    assert Plan.model_validate(record.plan).digest == camnet_plan().digest


def test_a_record_is_ready_for_json(engine, history):
    record = history.run(camnet_run(engine))
    assert json.loads(json.dumps(asdict(record)))["steps"][0]["tasks"][0]["attempts"][0]["site"] == "agh"


def test_the_beginning_of_an_id_is_enough(engine, history):
    run_id = camnet_run(engine)
    assert history.run(run_id[:-2]).id == run_id


def test_an_id_that_is_the_beginning_of_another_names_its_own_run(engine, history):
    camnet_run(engine, run_id="r1")
    camnet_run(engine, run_id="r10")
    assert history.run("r1").id == "r1"


def test_a_beginning_that_two_runs_share_is_refused_with_both(engine, history):
    camnet_run(engine, run_id="r1a")
    camnet_run(engine, run_id="r1b")
    with pytest.raises(NotFoundError, match="more than one run begins with 'r1': r1a, r1b"):
        history.run("r1")


def test_a_percent_sign_is_no_wildcard(engine, history):
    camnet_run(engine)
    with pytest.raises(NotFoundError, match="there is no run '%'"):
        history.run("%")


def test_an_unknown_id_is_refused_with_the_nearest_one(engine, history):
    run_id = camnet_run(engine)
    with pytest.raises(NotFoundError, match=f"did you mean {run_id}"):
        history.run(run_id[:-1] + "x")


def test_a_workflows_name_in_place_of_an_id_points_to_its_newest_run(engine, history):
    run_id = camnet_run(engine)
    with pytest.raises(NotFoundError, match=f"did you mean {run_id}, the newest run of the workflow camnet"):
        history.run("camnet")


def test_where_nothing_was_run_the_refusal_says_so(history):
    with pytest.raises(NotFoundError, match="nothing has been run yet"):
        history.run("7f3a")


def test_progress_counts_tasks_a_step_and_shows_what_is_on_its_way(engine, history):
    progress = progress_of(AlchemySessions(engine), active_run(engine))
    assert [(step.name, step.site, step.counts) for step in progress.steps] == [
        ("extract", "agh", {"COMPLETED": 1, "ACTIVE": 1}), ("train", "hes-so", {}), ("heatmap", "uva", {}),
    ]  # fmt: skip
    assert [(moving.destination_site, moving.bytes_done) for moving in progress.transfers] == [
        ("agh", SLIDE_BYTES // 4)
    ]
    assert (progress.bytes_done, progress.bytes_total) == (SLIDE_BYTES + SLIDE_BYTES // 4, 2 * SLIDE_BYTES)


def test_a_finished_run_has_no_transfer_under_way(engine, history):
    progress = progress_of(AlchemySessions(engine), camnet_run(engine))
    assert progress.transfers == ()
    assert progress.transfer_counts == {"COMPLETED": 5}


def test_progress_of_a_thousand_tasks_takes_five_questions(engine, history):
    run_id = active_run(engine, slides=1000)
    asked = questions(engine)
    progress = progress_of(AlchemySessions(engine), run_id)
    assert len([each for each in asked if each.lstrip().startswith("SELECT")]) == 5
    assert progress.steps[0].total == 1000


def questions(engine: Engine) -> list[str]:
    """The statements that are executed from now on."""
    asked: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *arguments: asked.append(arguments[2]))
    return asked


def test_events_behind_an_id_come_in_order_and_only_once(engine, history):
    run_id = camnet_run(engine)
    everything = history.events(run_id)
    assert [event.id for event in everything] == sorted(event.id for event in everything)
    assert history.events(run_id, after_id=everything[2].id) == everything[3:]


def test_the_attempts_of_one_task_are_told(engine, history):
    attempts = history.attempts_of(camnet_run(engine), step="heatmap", position=1)
    assert [attempt.state for attempt in attempts] == ["FAILED", "COMPLETED"]


def test_an_unknown_step_or_task_is_refused(engine, history):
    run_id = camnet_run(engine)
    with pytest.raises(NotFoundError, match="has no step 'heatmaps'; did you mean heatmap"):
        history.attempts_of(run_id, step="heatmaps")
    with pytest.raises(NotFoundError, match="has no task 9"):
        history.attempts_of(run_id, step="heatmap", position=9)
