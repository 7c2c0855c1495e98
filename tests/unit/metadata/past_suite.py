"""What the database must tell of the past, whatever it is. The tests of each database subclass these."""

from collections.abc import Sequence
from itertools import zip_longest

import pytest
from sqlalchemy import Engine
from sqlmodel import Session

from metadata.catalogue import Catalogue, Measurement
from metadata.errors import InvalidInputError, NotFoundError
from metadata.history import History
from metadata.jobs import JobBook
from metadata.records import QueueWait
from metadata.rows import Attempt, Run, Step, Task
from metadata.sessions import AlchemySessions, Sessions
from metadata.timings import Timings
from tests.unit.metadata.catalogue_suite import sha256


class PastTests:
    def test_the_newest_forty_measurements_of_each_way_are_told(self, catalogue: Catalogue):
        for i in reversed(range(50)):
            catalogue.add_measurement(_measurement(measured_at=float(i)))
        others = [
            _measurement(source_site="lrz", destination_site="agh", measured_at=100.0),
            _measurement(streams=4, files=7, measured_at=101.0),
            _measurement(direction="pull", measured_at=102.0),
        ]
        for measurement in others:
            catalogue.add_measurement(measurement)
        found = catalogue.measurements()
        assert found[:3] == others[::-1]
        assert [row.measured_at for row in found[3:]] == [float(i) for i in range(49, 9, -1)]

    @pytest.mark.parametrize("fields", [{"seconds": 0.0}, {"seconds": -1.0}, {"size_bytes": 0}])
    def test_a_measurement_without_bytes_or_time_is_refused(self, catalogue: Catalogue, fields):
        with pytest.raises(InvalidInputError, match="tell no rate"):
            catalogue.add_measurement(_measurement(**fields))

    def test_durations_are_medians_of_completed_attempts(self, engine: Engine):
        _run(engine, "r1", [(10.0, "COMPLETED"), (30.0, "COMPLETED"), (1.0, "FAILED"), (None, "COMPLETED")])
        _run(engine, "r2", [(20.0, "COMPLETED"), (None, "ACTIVE")])
        assert timings_of(engine).durations() == {("camnet", "extract", "agh"): 20.0}

    def test_a_step_waits_at_a_site_until_its_first_task_starts(self, engine: Engine):
        _run(engine, "r1", [(1.0, "COMPLETED"), (1.0, "FAILED")], waits=[500.0, 40.0])
        _run(engine, "r2", [(None, "ACTIVE")], waits=[60.0])
        _run(engine, "r3", [(None, "QUEUED"), (1.0, "COMPLETED")], waits=[None, 100.0])
        _run(engine, "r4", [(1.0, "COMPLETED")], waits=[None])
        assert timings_of(engine).queue_waits() == {"agh": QueueWait(seconds=60.0, steps=3)}

    def test_a_start_that_seems_to_lie_before_its_submission_is_no_wait(self, engine: Engine):
        _run(engine, "r1", [(1.0, "COMPLETED")], waits=[-3.0])
        assert timings_of(engine).queue_waits() == {"agh": QueueWait(seconds=0.0, steps=1)}

    def test_only_the_newest_hundred_steps_tell_how_long_a_queue_is(self, engine: Engine):
        for number in range(160):
            _run(engine, f"r{number}", [(1.0, "COMPLETED")], waits=[7.0 if number >= 60 else 9000.0])
        assert timings_of(engine).queue_waits() == {"agh": QueueWait(seconds=7.0, steps=100)}

    def test_output_sizes_are_medians_over_tasks(self, engine: Engine):
        _run(engine, "r1", [(1.0, "COMPLETED"), (1.0, "COMPLETED"), (1.0, "FAILED")])
        assert timings_of(engine).output_sizes() == {("camnet", "extract"): {"patches": 150.0, "log": 1.0}}

    def test_nothing_is_known_of_the_past_at_first(self, engine: Engine, catalogue: Catalogue):
        assert (catalogue.measurements(), timings_of(engine).durations(), timings_of(engine).output_sizes()) == (
            [],
            {},
            {},
        )
        assert timings_of(engine).queue_waits() == {}

    def test_a_run_is_told_whole_and_by_the_beginning_of_its_id(self, engine: Engine, database: Sessions):
        _run(engine, "r1-long", [(10.0, "COMPLETED"), (1.0, "FAILED")])
        _run(engine, "r2", [(1.0, "COMPLETED")])
        history = History(database)
        found = history.run("r1")
        assert (found.id, found.counts, found.plan) == ("r1-long", {"COMPLETED": 1, "FAILED": 1}, {})
        assert [task.outputs["log"][0].size_bytes for task in found.steps[0].tasks] == [1, 1]
        assert [run.id for run in history.runs(state="COMPLETED", limit=1)] == ["r2"]
        assert [row.state for row in history.attempts_of("r1", step="extract", position=1)] == ["FAILED"]
        assert (history.transfers(ended=5), history.events("r1")) == ((), ())
        with pytest.raises(NotFoundError, match="more than one run begins"):
            history.run("r")

    def test_a_job_is_claimed_once_and_its_end_stays(self, database: Sessions):
        book = JobBook(database)
        fields = {"site": "agh", "directory": "/d", "folder": "/f", "state": "NEW", "resources": {"cpus": 2}}
        for job_id, created_at in (("job-1", 1.0), ("job-2", 2.0)):
            book.add(id=job_id, owner="ann", attributes={}, created_at=created_at, **fields)
        assert [row["id"] for row in book.jobs("ann", site="agh")] == ["job-2", "job-1"]
        assert (book.jobs("bob"), book.jobs("ann", tag="x")) == ([], [])
        assert [book.claim("job-1", now=3.0, until=9.0) for _ in range(2)] == [True, False]
        book.keep_usage("job-1", {"cpu_s": 1.5})
        book.keep_usage("job-1", {"cpu_s": 9.5})
        assert [book.change("job-1", state=state) for state in ("COMPLETED", "FAILED")] == [True, False]
        found = book.job("ann", "job-1")
        assert (found["state"], found["resources"], found["usage"]) == ("COMPLETED", {"cpus": 2}, {"cpu_s": 1.5})
        with pytest.raises(NotFoundError, match="more than one job begins"):
            book.job("ann", "job")
        book.remove("job-2")
        assert book.job("ann", "job")["id"] == "job-1"


def timings_of(engine: Engine) -> Timings:
    """What the database's runs tell of the past."""
    return Timings(AlchemySessions(engine))


MANY_BYTES = 10 << 20
"""Enough for a transfer to tell the rate of its link."""


def _measurement(**fields) -> Measurement:
    known = {"source_site": "agh", "destination_site": "lrz", "mover": "scp", "size_bytes": MANY_BYTES}
    return Measurement(**{**known, "seconds": 1.0, "measured_at": 0.0, **fields})


def _run(
    engine: Engine, run_id: str, attempts: list[tuple[float | None, str]], *, waits: Sequence[float | None] = ()
) -> None:
    """A run of one step, with one task an attempt; the i-th leaves two files of 50 * (i + 1) bytes.

    `waits` tells how long each was in the queue; None: nobody knows when it was submitted.
    """
    with Session(engine) as session:
        session.add(Run(id=run_id, name="camnet", state="COMPLETED", plan={}, created_at=0.0))
        session.flush()
        step = Step(run_id=run_id, position=0, name="extract", site="agh")
        session.add(step)
        session.flush()
        for position, ((seconds, state), wait_s) in enumerate(zip_longest(attempts, waits)):
            patch = {"name": "p", "sha256": sha256(1), "size_bytes": 50 * (position + 1), "path": "/p"}
            outputs = {"patches": [patch, patch], "log": [{**patch, "size_bytes": 1}]}
            key = {"run_id": run_id, "state": state}
            task = Task(**key, step_id=step.id, position=position, inputs={}, parameters={}, outputs=outputs)
            session.add(task)
            session.flush()
            session.add(_attempt(task, seconds, state=state, wait_s=wait_s))
        session.commit()


def _attempt(task: Task, seconds: float | None, *, state: str, wait_s: float | None) -> Attempt:
    ended = None if seconds is None else 100.0 + seconds
    submitted = None if wait_s is None else 100.0 - wait_s
    started = None if state == "QUEUED" else 100.0
    token = f"{task.run_id}.{task.position}"
    named = {"run_id": task.run_id, "task_id": task.id, "number": 1, "token": token, "site": "agh"}
    times = {"created_at": 0.0, "submitted_at": submitted, "started_at": started, "ended_at": ended}
    return Attempt(**named, **times, directory="/d", state=state, resources={})
