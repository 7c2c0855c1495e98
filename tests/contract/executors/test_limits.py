"""What every executor promises of limits: slots are honoured, and a job ends with all that it started."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from orchestrator.jobs import JobState, NativeId
from tests.contract.executors.conftest import Centre, lives, wait_until

MARKED = """
echo "$(date +%s.%N) start {token} {cores} $CUDA_VISIBLE_DEVICES" >> {folder}/log
sleep 0.2
echo "$(date +%s.%N) stop {token} {cores} $CUDA_VISIBLE_DEVICES" >> {folder}/log
"""


def marked(centre: Centre, token: str, **wish: int):
    """A job that notes when it starts and stops, and what it holds."""
    text = MARKED.format(token=token, cores=wish.get("cpu_cores_per_process", 1), folder=centre.folder)
    return centre.job(text, token=token, **wish)


def log(centre: Centre) -> list[list[str]]:
    """The notes of all jobs, in order of time."""
    return sorted(line.split(" ") for line in (centre.folder / "log").read_text().splitlines())


def most_in_use(centre: Centre) -> int:
    """The most cores that were held at one time."""
    changes = [int(cores) * (1 if word == "start" else -1) for _, word, _, cores, _ in log(centre)]
    return max(itertools.accumulate(changes))


def test_never_more_cores_are_in_use_than_there_are(centre: Centre) -> None:
    """And all of them are used where there is work."""
    sizes = [1, 2, 1, 1, 2, 1, 1, 1]
    specs = [marked(centre, f"run.step.{n}.1", cpu_cores_per_process=cores) for n, cores in enumerate(sizes)]
    for native_id in centre.submit(*specs):
        assert centre.ended(native_id).state is JobState.COMPLETED
    assert most_in_use(centre) == 2


def test_cores_of_jobs_that_another_executor_left_running_are_not_given_away(centre: Centre) -> None:
    """Though nobody asked about them yet."""
    centre.submit(*(marked(centre, f"old.step.{n}.1") for n in range(2)))
    wait_until(lambda: (centre.folder / "log").exists() and len(log(centre)) >= 2, what="both to start")
    centre.take_over()
    for native_id in centre.submit(*(marked(centre, f"new.step.{n}.1") for n in range(2))):
        centre.ended(native_id)
    assert most_in_use(centre) == 2


def test_jobs_wait_for_memory_as_they_wait_for_cores(centre: Centre) -> None:
    """Two of 600 MiB do not fit into a GiB."""
    specs = [marked(centre, f"run.step.{n}.1", memory=600 << 20) for n in range(3)]
    for native_id in centre.submit(*specs):
        centre.ended(native_id)
    assert most_in_use(centre) == 1


def gpus(centre: Centre) -> dict[str, list[str]]:
    """The GPUs that each job saw."""
    return {row[2]: [gpu for gpu in row[4].split(",") if gpu] for row in log(centre)}


def test_a_gpu_belongs_to_one_job_at_a_time(centre: Centre) -> None:
    """A job without one sees none."""
    specs = [marked(centre, f"run.step.{n}.1", gpu_cores_per_process=n % 2) for n in range(6)]
    for native_id in centre.submit(*specs):
        centre.ended(native_id)
    assert {len(found) for token, found in gpus(centre).items() if int(token.split(".")[2]) % 2 == 0} == {0}
    held: set[str] = set()
    for _, word, _, _, visible in log(centre):
        for gpu in filter(None, visible.split(",")):
            assert (gpu in held) == (word == "stop")
            held ^= {gpu}


def test_a_gpu_of_a_job_that_another_executor_left_running_is_not_given_away(centre: Centre) -> None:
    """Nor would the new job be told the same number."""
    old = marked(centre, "old.step.0.1", gpu_cores_per_process=1)
    centre.submit(replace(old, arguments=("-c", old.arguments[1].replace("sleep 0.2", centre.gate))))
    wait_until((centre.folder / "log").exists, what="the old job to start")
    centre.take_over()
    for native_id in centre.submit(marked(centre, "new.step.0.1", gpu_cores_per_process=1)):
        centre.ended(native_id)
    centre.open_gate()
    seen = gpus(centre)
    assert seen["old.step.0.1"] != seen["new.step.0.1"]


def test_a_job_that_takes_too_long_is_ended(centre: Centre) -> None:
    """The message says why."""
    status = centre.run("sleep 60", seconds=0.3)
    assert (status.state, status.native_state) == (JobState.FAILED, "TIMEOUT")
    assert "time" in status.message


def test_a_job_that_takes_too_much_memory_is_ended_and_its_neighbour_is_not(centre: Centre) -> None:
    """What its children take counts too."""
    greedy = centre.job(
        """python -c "import time; x = bytearray(300 << 20); time.sleep(60)" """, token="run.step.0.1", memory=150 << 20
    )
    modest = centre.job("sleep 2", token="run.step.1.1", memory=150 << 20)
    first, second = centre.submit(greedy, modest)
    status = centre.ended(first)
    assert (status.state, status.native_state) == (JobState.FAILED, "OUT_OF_MEMORY")
    assert "memory" in status.message
    assert centre.ended(second).state is JobState.COMPLETED


TREE = {
    "a child": "sleep 60 & echo $! > {pid}; wait",
    "a grandchild": "sh -c 'sleep 60 & echo $! > {pid}; wait; true'; true",
    "one that ignores SIGTERM": "sh -c 'trap \"\" TERM; echo $$ > {pid}; while :; do sleep 1; done'; true",
    "one in a session of its own": "setsid sh -c 'echo $$ > {pid}; sleep 60' & wait",
    "one in its own session that ignores SIGTERM": "setsid sh -c 'trap \"\" TERM; echo $$ > {pid}; while :; do sleep 1; done' & wait",
    "one that was stopped": "sleep 60 & echo $! > {pid}; kill -STOP $!; wait",
}


@pytest.mark.parametrize("kind", TREE)
def test_a_canceled_job_ends_with_every_process_that_it_started(centre: Centre, kind: str) -> None:
    """Whatever they do against it."""
    [native_id] = centre.submit(centre.job(TREE[kind].format(pid=centre.folder / "pid")))
    pid = int(centre.written("pid"))
    assert lives(pid)
    centre.executor.cancel([native_id])
    assert centre.ended(native_id).state is JobState.CANCELED
    wait_until(lambda: not lives(pid), what="the process to end")


def test_a_job_that_another_executor_left_running_can_be_canceled(centre: Centre) -> None:
    """By whoever came after it."""
    [native_id] = centre.submit(centre.job(f"echo $$ > {centre.folder}/pid; exec sleep 60"))
    pid = int(centre.written("pid"))
    centre.take_over()
    centre.executor.cancel([native_id])
    assert centre.ended(native_id).state is JobState.CANCELED
    assert not lives(pid)


def test_a_canceled_job_that_waits_never_starts(centre: Centre) -> None:
    """Not even under another executor."""
    first, second = centre.submit(
        centre.job(centre.gate, token="run.step.0.1", cpu_cores_per_process=2),
        centre.job(f"echo x > {centre.folder}/started", token="run.step.1.1"),
    )
    centre.executor.cancel([second])
    assert centre.status(second).state is JobState.CANCELED
    centre.take_over()
    centre.open_gate()
    centre.ended(first)
    assert centre.status(second).state is JobState.CANCELED
    assert centre.run("true", token="run.step.2.1").state is JobState.COMPLETED
    assert not (centre.folder / "started").exists()


def test_a_job_that_has_ended_cannot_be_canceled_any_more(centre: Centre) -> None:
    """Its results stay."""
    status = centre.run("true")
    centre.executor.cancel([NativeId("run.step.0.1")])
    assert centre.status(NativeId("run.step.0.1")) == status


def test_what_a_job_leaves_in_the_background_ends_with_it(centre: Centre) -> None:
    """It would take cores that others were promised."""
    assert centre.run(f"sleep 60 & echo $! > {centre.folder}/pid").state is JobState.COMPLETED
    pid = int(centre.written("pid"))
    wait_until(lambda: not lives(pid), what="the process to end")
