"""Short like jobs share others: each runs once, and each is told of by itself."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path, PurePosixPath

import psutil
import pytest

from metadata.errors import InvalidJobError, MiddlewareError, SiteUnavailableError, TransientError
from orchestrator.bundles import is_member
from orchestrator.jobs import ExpectedOutput, JobState, NativeId, ResourceSpec, Token
from tests.testbed.fixtures import wait_until
from tests.unit.bundles.conftest import RUNNING, Site, ended, like

DONE = "COMPLETED"


def begun(site: Site, worker: str) -> subprocess.Popen[bytes]:
    """A worker whose member says so by the file `at`."""
    job = site.queue.begin(worker)
    wait_until((site.folder / "at").exists)
    return job


def test_one_worker_runs_all_its_time_allows(site: Site) -> None:
    """Each member in its own folder, with its own words, code and results."""
    specs = [
        like(
            site.job(number, f"echo out{number}; echo err >&2; echo x{number} > o; exit {number}"),
            environment={"WHO": f"it's {number}"},
            stage_out=(ExpectedOutput(name="o", path="o"),),
        )
        for number in range(3)
    ]
    ids = list(site.executor.submit(specs).values())
    assert all(map(is_member, ids))
    assert len(site.queue.specs) == 3
    site.queue.run("0")
    answer = site.executor.status(ids)
    assert [answer[native_id].exit_code for native_id in ids] == [0, 1, 2]
    assert [str(answer[native_id].state) for native_id in ids] == [DONE, "FAILED", "FAILED"]
    assert [str(file.path.name) for file in answer[ids[0]].outputs] == ["o"]
    assert {answer[native_id].native_state for native_id in ids} == {"in 0"}
    assert (site.folder / "jobs/2/stdout.txt").read_text() == "out2\n"
    assert (answer[ids[0]].ended_at or 0) >= (answer[ids[0]].started_at or 1)


def test_workers_that_are_left_without_work_are_taken_back(site: Site) -> None:
    """Once, and only those that have not begun."""
    ids = site.submit(5)
    site.queue.run("0")
    assert site.states(ids) == [DONE] * 5
    assert site.queue.canceled == ["1", "2", "3", "4"]


def test_a_worker_that_begins_while_the_site_is_read_is_not_taken_back(site: Site) -> None:
    """It took the last member after the look at those who had begun, and before the look at the claims."""
    ids = site.submit(2, f"touch {site.folder}/at; exec sleep 60")
    [bundle] = site.folder.glob("work's place/bundles/*")
    for worker in ("0", "1"):
        (site.folder / "at").unlink(missing_ok=True)
        site.queue.begin(worker)
        wait_until((site.folder / "at").exists)
    (bundle / "started/1").rmdir()
    assert site.states(ids) == ["ACTIVE", "ACTIVE"]
    assert site.queue.canceled == []


def test_a_member_whose_worker_was_taken_back_by_mistake_runs_again(site: Site) -> None:
    """Nobody waits for ever for one that is told to be gone."""
    ids = site.submit(2, f"[ -e {site.folder}/at ] || {{ touch {site.folder}/at; exec sleep 60; }}")
    job = site.queue.begin("0")
    wait_until((site.folder / "at").exists)
    [bundle] = site.folder.glob("work's place/bundles/*")
    (bundle / "retired").mkdir()
    (bundle / "retired/0").touch()
    os.killpg(job.pid, signal.SIGTERM)
    job.wait(timeout=10)
    site.queue.states[NativeId("0")] = ended(JobState.CANCELED, "CANCELLED")
    assert site.states(ids) == ["QUEUED", "QUEUED"]
    site.queue.run("1")
    assert site.states(ids) == [DONE, DONE]


def test_while_receipts_arrive_the_scheduler_is_not_asked(site: Site) -> None:
    """It is when nothing changes."""
    ids = site.submit(4)
    site.queue.run("0")
    site.executor.status(ids)
    assert site.queue.questions == 0
    other = site.executor.submit([site.job(number, run="r2") for number in range(2)])
    site.executor.status(list(other.values()))
    assert site.queue.questions == 1


def test_many_workers_share_without_running_anything_twice(site: Site) -> None:
    """All at the same time."""
    ids = site.submit(60, "true")
    jobs = [site.queue.begin(str(number)) for number in range(6)]
    assert [job.wait(timeout=60) for job in jobs] == [0] * 6
    assert site.states(ids) == [DONE] * 60
    assert sorted(site.ran()) == list(range(60))


def test_known_to_be_short_needs_few_workers_and_known_to_be_long_none(site: Site) -> None:
    """By what earlier runs took."""
    site.submit(100, expected=timedelta(seconds=0.1))
    assert len(site.queue.specs) == 4
    sent = site.executor.submit([site.job(number, run="r2", expected=timedelta(seconds=20)) for number in range(30)])
    assert len(site.queue.specs) == 4 + 13
    assert all(map(is_member, sent.values()))
    sent = site.executor.submit([site.job(number, run="r3", expected=timedelta(hours=1)) for number in range(3)])
    assert not any(map(is_member, sent.values()))


@pytest.mark.parametrize(
    "facts",
    [{"launcher": "multiple"}, {"resources": ResourceSpec(process_count=2)}, {"resources": ResourceSpec(node_count=2)}],
)
def test_parallel_programs_never_share(site: Site, facts: dict) -> None:
    """Their launcher is the scheduler's affair."""
    sent = site.executor.submit([like(site.job(number), **facts) for number in range(3)])
    assert not any(map(is_member, sent.values()))


def test_sharing_can_be_turned_off_and_a_lone_job_never_shares(site: Site) -> None:
    """Each has a job of its own then."""
    off = site.executor.submit([site.job(number, bundle=None) for number in range(3)])
    lone = site.executor.submit([site.job(7, run="r2")])
    assert not any(map(is_member, [*off.values(), *lone.values()]))


def test_a_worker_asks_for_what_one_member_asks_for(site: Site) -> None:
    """And for the time until it takes its last one."""
    specs = [
        like(site.job(number, duration=timedelta(minutes=30)), resources=ResourceSpec(gpu_cores_per_process=1))
        for number in range(2)
    ]
    site.executor.submit(specs)
    worker = site.queue.specs[NativeId("0")]
    assert worker.resources == specs[0].resources
    assert worker.attributes.duration == timedelta(minutes=31)


def test_jobs_that_are_not_alike_do_not_share(site: Site) -> None:
    """They ask for different things."""
    specs = [site.job(0), site.job(1), like(site.job(2), resources=ResourceSpec(memory=1 << 30))]
    sent = site.executor.submit(specs)
    assert [is_member(native_id) for native_id in (sent[spec.token] for spec in specs)] == [True, True, False]


def test_a_worker_stops_at_its_target_and_others_go_on(site: Site) -> None:
    """Its siblings took longer than thought, so a further one comes."""
    ids = site.submit(5, "sleep 1.1", bundle=timedelta(seconds=1), expected=timedelta(seconds=0.1))
    assert len(site.queue.specs) == 4
    for number in range(4):
        site.queue.run(str(number))
    assert site.states(ids) == [DONE] * 4 + ["QUEUED"]
    wait_until(lambda: site.executor.status(ids) and len(site.queue.specs) == 5)
    site.take_over()
    site.queue.run("4")
    assert site.states(ids) == [DONE] * 5
    assert site.ran() == [0, 1, 2, 3, 4]


def test_a_member_that_waits_is_queued_and_one_that_runs_is_active(site: Site) -> None:
    """Each by itself."""
    ids = site.submit(2, f"echo $$ > {site.folder}/pid; exec sleep 60")
    site.queue.begin("0")
    wait_until((site.folder / "pid").exists)
    assert site.states(ids) == ["ACTIVE", "QUEUED"]


def test_a_worker_that_starts_again_runs_nothing_twice_but_what_it_was_at(site: Site) -> None:
    """Its node failed, and its scheduler put it back into the queue."""
    text = f"[ -e {site.folder}/again ] || {{ [ $WHO != 2 ] || {{ touch {site.folder}/at2; exec sleep 60; }}; }}"
    specs = [like(site.job(number, text), environment={"WHO": str(number)}) for number in range(4)]
    ids = list(site.executor.submit(specs).values())
    job = site.queue.begin("0")
    wait_until((site.folder / "at2").exists)
    os.killpg(job.pid, signal.SIGKILL)
    job.wait()
    (site.folder / "again").touch()
    assert site.queue.run("0") == 0
    assert site.states(ids) == [DONE] * 4
    assert Counter(site.ran()) == {0: 1, 1: 1, 2: 2, 3: 1}


@pytest.mark.parametrize(
    ("state", "word"),
    [(JobState.FAILED, "OUT_OF_MEMORY"), (JobState.FAILED, "TIMEOUT"), (JobState.CANCELED, "CANCELLED")],
)
def test_the_schedulers_word_counts_for_the_member_that_a_worker_was_at(site: Site, state: JobState, word: str) -> None:
    """Those with a receipt stay as they are, and the others wait for the other workers."""
    ids = site.submit(3, f"[ $(wc -l < {site.folder}/ran) -lt 2 ] || {{ touch {site.folder}/at; exec sleep 60; }}")
    job = site.queue.begin("0")
    wait_until((site.folder / "at").exists)
    os.killpg(job.pid, signal.SIGTERM)  # as a scheduler does: to all its processes
    assert job.wait(timeout=10) == 143
    site.queue.states[NativeId("0")] = ended(state, word, message="so it says")
    assert site.states(ids) == [DONE, str(state), "QUEUED"]
    status = site.executor.status(ids)[ids[1]]
    assert (status.native_state, status.message) == (f"{word} in 0", "so it says")


def test_a_worker_that_hears_of_its_end_after_its_program_did_tells_no_lie(site: Site) -> None:
    """A scheduler signals one process after the other."""
    ids = site.submit(2, f"echo $$ > {site.folder}/pid; exec sleep 60")
    job = site.queue.begin("0")
    wait_until(lambda: (site.folder / "pid").exists() and (site.folder / "pid").read_text().endswith("\n"))
    program = int((site.folder / "pid").read_text())
    os.kill(program, signal.SIGTERM)
    wait_until(lambda: not psutil.pid_exists(program), what="the program's end")
    os.kill(job.pid, signal.SIGTERM)
    assert job.wait(timeout=10) == 143
    site.queue.states[NativeId("0")] = ended(JobState.FAILED, "PREEMPTED")
    assert site.states(ids) == ["FAILED", "QUEUED"]
    assert site.executor.status(ids)[ids[0]].native_state == "PREEMPTED in 0"


def test_a_program_that_dies_of_a_signal_by_itself_fails_alone(site: Site) -> None:
    """Its worker goes on."""
    ids = site.submit(2, "kill -s KILL $$")
    assert site.queue.run("0") == 0
    assert site.states(ids) == ["FAILED", "FAILED"]
    assert site.executor.status(ids)[ids[0]].exit_code == 137


def test_a_worker_that_fails_before_it_takes_anything_costs_one_member(site: Site) -> None:
    """When nobody else is left; the last one is not submitted for ever."""
    ids = site.submit(2)
    for number in ("0", "1"):
        site.queue.states[NativeId(number)] = ended(JobState.FAILED, "NODE_FAIL")
    assert site.states(ids) == ["FAILED", "FAILED"]
    assert len(site.queue.specs) == 2


def test_a_worker_of_whom_nobody_knows_is_lost_after_some_answers(site: Site) -> None:
    """Never completed."""
    ids = site.submit(2)
    site.queue.states.clear()
    assert site.states(ids) == ["QUEUED", "QUEUED"]  # three answers; the third is believed at the next
    assert site.states(ids) == ["FAILED", "FAILED"]


def test_a_submission_that_was_accepted_but_not_answered_is_found(site: Site) -> None:
    """By each member's own token; and by another engine too."""
    site.queue.lies = 1
    specs = [site.job(number) for number in range(3)]
    with pytest.raises(SiteUnavailableError):
        site.executor.submit(specs)
    site.take_over()
    found = site.executor.find([specs[2].token, specs[0].token, site.job(9).token])
    assert set(found) == {specs[0].token, specs[2].token}
    site.queue.run("0")
    ids = list(site.executor.find([spec.token for spec in specs]).values())
    assert site.states(ids) == [DONE] * 3


def test_all_workers_of_such_a_submission_are_found_when_one_has_begun(site: Site) -> None:
    """The others would wait in the queue for ever, perhaps, and nobody would take them back."""
    site.queue.lies = 1
    specs = [site.job(number, f"touch {site.folder}/at; exec sleep 60") for number in range(3)]
    with pytest.raises(SiteUnavailableError):
        site.executor.submit(specs)
    begun(site, "1")
    site.take_over()
    site.executor.cancel(list(site.executor.find([spec.token for spec in specs]).values()))
    assert sorted(site.queue.canceled) == ["0", "1", "2"]


def test_a_bundle_that_never_reached_the_queue_is_not_found(site: Site) -> None:
    """Its folder alone is no job."""
    specs = [site.job(number) for number in range(2)]
    site.executor.submit(specs)
    site.queue.specs.clear()
    for path in site.folder.glob("work's place/bundles/*/workers"):
        path.unlink()
    assert site.executor.find([spec.token for spec in specs]) == {}


def test_members_that_another_engine_submitted_twice_run_once(site: Site) -> None:
    """Two sets of workers for the same bundle: the claims count."""
    ids = site.submit(3)
    site.submit(3)
    assert len(site.queue.specs) == 6
    jobs = [site.queue.begin(str(number)) for number in range(6)]
    assert [job.wait(timeout=60) for job in jobs] == [0] * 6
    assert site.states(ids) == [DONE] * 3
    assert sorted(site.ran()) == [0, 1, 2]


def test_a_lone_job_passes_straight_through(site: Site) -> None:
    """Found, told of and canceled under its own number."""
    spec = site.job(0)
    [native_id] = site.executor.submit([spec]).values()
    assert site.executor.find([spec.token]) == {spec.token: native_id}
    assert site.states([native_id]) == ["QUEUED"]
    site.executor.cancel([native_id])
    assert site.queue.canceled == [native_id]


def test_one_member_that_waits_is_canceled_and_the_others_run(site: Site) -> None:
    """Nobody is told to end."""
    ids = site.submit(3)
    site.executor.cancel([ids[1]])
    assert site.queue.canceled == []
    site.queue.run("0")
    assert site.states(ids) == [DONE, "CANCELED", DONE]
    assert site.ran() == [0, 2]


def test_one_member_that_runs_is_canceled_and_the_others_run(site: Site) -> None:
    """Its worker is told to end, and others take the rest."""
    ids = site.submit(3, f"[ $(wc -l < {site.folder}/ran) -ne 2 ] || {{ touch {site.folder}/at; exec sleep 60; }}")
    job = site.queue.begin("0")
    wait_until((site.folder / "at").exists)
    site.executor.cancel([ids[1]])
    assert site.queue.canceled == ["0"]
    os.killpg(job.pid, signal.SIGTERM)
    job.wait(timeout=10)
    site.queue.states[NativeId("0")] = ended(JobState.CANCELED, "CANCELLED")
    site.queue.run("1")
    assert site.states(ids) == [DONE, "CANCELED", DONE]


def test_a_member_that_was_hit_in_its_siblings_place_runs_again(site: Site) -> None:
    """Its worker went on between the look at it and the word to end it."""
    ids = site.submit(2, f"[ $(wc -l < {site.folder}/ran) -ne 2 ] || {{ touch {site.folder}/at; exec sleep 60; }}")
    job = site.queue.begin("0")
    wait_until((site.folder / "at").exists)
    [bundle] = site.folder.glob("work's place/bundles/*")
    (bundle / "canceled").mkdir()
    (bundle / "canceled/0").touch()
    os.killpg(job.pid, signal.SIGTERM)
    job.wait(timeout=10)
    site.queue.states[NativeId("0")] = ended(JobState.CANCELED, "CANCELLED")
    assert site.states([ids[1]]) == ["QUEUED"]
    site.queue.run("1")
    assert site.states(ids) == [DONE, DONE]


def test_canceling_all_ends_all(site: Site) -> None:
    """Those that run, and those that wait in the queue."""
    ids = site.submit(3, f"touch {site.folder}/at; exec sleep 60")
    job = site.queue.begin("1")
    wait_until((site.folder / "at").exists)
    site.executor.cancel(ids)
    assert sorted(site.queue.canceled) == ["0", "1", "2"]
    os.killpg(job.pid, signal.SIGTERM)
    job.wait(timeout=10)
    site.queue.states[NativeId("1")] = ended(JobState.CANCELED, "CANCELLED")
    assert site.states(ids) == ["CANCELED"] * 3


def test_canceling_all_ends_a_worker_that_is_at_no_member(site: Site) -> None:
    """It may not see for a while what was written down at another machine, and would begin the next one."""
    ids = site.submit(3)
    [bundle] = site.folder.glob("work's place/bundles/*")
    site.queue.states[NativeId("0")] = RUNNING
    (bundle / "started/0").mkdir(parents=True)
    for part in ("claims", "receipts"):
        (bundle / part).mkdir()
    (bundle / "claims/0").symlink_to("0")
    (bundle / "receipts/0").write_text(json.dumps({"token": "t", "directory": "/d"}) + "\nended\t0\t1\t2\tn\t\n")
    site.executor.cancel(ids[1:])
    assert sorted(site.queue.canceled) == ["0", "1", "2"]


def test_canceling_some_leaves_the_worker_of_another_alone(site: Site) -> None:
    """Although nothing is left to take."""
    ids = site.submit(3, f"touch {site.folder}/at; exec sleep 60")
    site.queue.begin("1")
    wait_until((site.folder / "at").exists)
    site.executor.cancel(ids[1:])
    assert sorted(site.queue.canceled) == ["0", "2"]


def test_a_worker_whose_number_became_another_jobs_is_lost(site: Site) -> None:
    """The site crashed; how the other one ended says nothing of the member that was under way."""
    ids = site.submit(2, f"touch {site.folder}/at; exec sleep 60")
    os.killpg(begun(site, "0").pid, signal.SIGKILL)
    site.queue.states[NativeId("0")] = ended(JobState.COMPLETED, "COMPLETED", token=Token("run.other.0.1"))
    assert site.states(ids) == ["ACTIVE", "QUEUED"]
    site.states(ids)
    lost = site.executor.status(ids)[ids[0]]
    assert (str(lost.state), lost.interrupted) == ("FAILED", True)


def test_new_workers_whose_submission_was_not_answered_are_found(site: Site) -> None:
    """Nobody would know of them otherwise, and of more each time."""
    ids = site.submit(2)
    for number in ("0", "1"):
        site.queue.states[NativeId(number)] = ended(JobState.COMPLETED, "COMPLETED")
    site.queue.lies = 1
    assert site.states(ids) == ["QUEUED", "QUEUED"]
    assert (site.queue.lies, len(site.queue.specs)) == (0, 4)
    site.executor.cancel(ids)
    assert sorted(site.queue.canceled) == ["2", "3"]


def test_a_canceled_member_is_not_begun_by_a_worker_that_had_just_taken_it(site: Site) -> None:
    """Whoever looks last sees the other."""
    ids = site.submit(2)
    site.executor.cancel(ids)
    site.queue.run("0")
    assert site.states(ids) == ["CANCELED", "CANCELED"]
    assert site.ran() == []


def test_a_directory_that_cannot_be_made_fails_its_member_alone(site: Site) -> None:
    """With the shell's words."""
    (site.folder / "jobs").mkdir()
    (site.folder / "jobs/1").write_text("a file")
    ids = site.submit(3)
    site.queue.run("0")
    assert site.states(ids) == [DONE, "FAILED", DONE]
    assert "jobs/1" in site.executor.status(ids)[ids[1]].message


@pytest.mark.parametrize(
    ("refusal", "state", "times"),
    [
        (InvalidJobError("your budget is spent"), "FAILED", None),
        (TransientError("the queue is full", retry_after_s=60.0), "QUEUED", 1),
        (SiteUnavailableError("Socket timed out", retry_after_s=0.0), "QUEUED", None),
    ],
)
def test_a_site_that_takes_no_more_workers_tells_of_all_else(
    site: Site, refusal: MiddlewareError, state: str, times: int | None
) -> None:
    """What has ended is known, and what cannot be begun fails with the site's words."""
    [ran, left] = site.submit(2, "sleep 1", bundle=timedelta(seconds=1))
    site.queue.run("0")
    site.queue.states[NativeId("1")] = ended(JobState.COMPLETED, "COMPLETED")
    site.queue.refusal = refusal
    assert site.states([ran, left]) == [DONE, state]
    assert site.states([ran, left]) == [DONE, state]
    assert site.queue.refused == (times or site.queue.refused) > 0
    assert (site.executor.status([left])[left].message == refusal.message) == (state == "FAILED")


@pytest.mark.parametrize("lose", [Path.unlink, lambda script: script.write_text("")])
def test_members_of_a_bundle_that_the_site_lost_are_lost(site: Site, lose: Callable[[Path], object]) -> None:
    """Its power went before all of the script was on disk, perhaps: no worker can carry them out any more."""
    ids = site.submit(2)
    [script] = site.folder.glob("work's place/bundles/*/work.sh")
    lose(script)
    for number in ("0", "1"):
        site.queue.states[NativeId(number)] = ended(JobState.COMPLETED, "COMPLETED")
    assert site.states(ids) == ["FAILED", "FAILED"]
    assert {status.interrupted for status in site.executor.status(ids).values()} == {True}


def test_a_receipt_that_cannot_be_read_is_the_trouble_of_its_own_member(site: Site) -> None:
    """The others are told of."""
    ids = site.submit(3)
    site.queue.run("0")
    [receipt] = site.folder.glob("work's place/bundles/*/receipts/1")
    receipt.write_text("half")
    assert site.states(ids) == [DONE, "FAILED", DONE]
    assert "half" in site.executor.status(ids)[ids[1]].message


def test_a_result_whose_name_is_no_utf_8_is_told_as_a_failure(site: Site) -> None:
    """Under any other name nobody would find it."""
    specs = [
        like(site.job(n, r"touch o $(printf 'o\377')"), stage_out=(ExpectedOutput(name="o", path="o*", many=True),))
        for n in range(2)
    ]
    ids = list(site.executor.submit(specs).values())
    site.queue.run("0")
    assert site.states(ids) == ["FAILED"] * 2
    assert "UTF-8" in site.executor.status(ids)[ids[0]].message


def test_odd_tokens_and_folders_do_no_harm(site: Site) -> None:
    """They are words, not shell text."""
    run = "it's $(touch pwned)\nrm -rf x;é"
    specs = [site.job(number, run=run) for number in range(2)]
    specs = [like(spec, directory=PurePosixPath(f"{site.folder}/o'd $(d)/{n}")) for n, spec in enumerate(specs)]
    site.executor.submit(specs)
    assert site.queue.run("0") == 0
    ids = list(site.executor.find([spec.token for spec in specs]).values())
    assert site.states(ids) == [DONE, DONE]
