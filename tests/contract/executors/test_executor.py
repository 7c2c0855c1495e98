"""What every executor promises: jobs start once, end as they should, and are told truly."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path, PurePosixPath

import pytest

from metadata.errors import InvalidJobError, SiteError
from orchestrator.jobs import ExpectedOutput, JobSpec, JobState, NativeId, StagedLink, Token
from tests.contract.executors.conftest import Centre, wait_until
from tests.contract.storages.small_disk import small_disk


def with_outputs(spec: JobSpec, *outputs: ExpectedOutput, links: tuple[StagedLink, ...] = ()) -> JobSpec:
    """The same job, with outputs."""
    return JobSpec(**{**vars(spec), "stage_out": outputs, "stage_in": links})


def test_a_job_runs_in_its_directory_and_leaves_its_words_there(centre: Centre) -> None:
    """Standard output and error are two files."""
    status = centre.run("pwd; echo err >&2; cat")
    folder = centre.folder / "jobs/run.step.0.1"
    assert (status.state, status.exit_code) == (JobState.COMPLETED, 0)
    assert (folder / "stdout.txt").read_text() == f"{folder}\n"
    assert (folder / "stderr.txt").read_text() == "err\n"
    assert status.node
    assert status.started_at <= status.ended_at <= time.time() + 1


@pytest.mark.parametrize("code", [1, 2, 74, 75, 126, 255])
def test_a_program_that_fails_is_failed_with_its_code(centre: Centre, code: int) -> None:
    """Whatever the code may mean to others."""
    status = centre.run(f"exit {code}")
    assert (status.state, status.exit_code) == (JobState.FAILED, code)


def test_a_program_that_kills_itself_is_failed(centre: Centre) -> None:
    """By the shell's word for it."""
    status = centre.run("kill -SEGV $$")
    assert (status.state, status.exit_code) == (JobState.FAILED, 139)


def test_a_program_that_is_not_there_is_failed(centre: Centre) -> None:
    """As from any shell."""
    spec = centre.job("")
    [native_id] = centre.submit(JobSpec(**{**vars(spec), "executable": "/nowhere/program"}))
    status = centre.ended(native_id)
    assert (status.state, status.exit_code) == (JobState.FAILED, 127)


def test_outputs_are_told_with_size_and_hash_and_inputs_are_linked(centre: Centre) -> None:
    """They are hashed where they lie."""
    source = centre.folder / "so'urce"
    source.write_text("content")
    link = StagedLink(source=PurePosixPath(source), target=PurePosixPath("in/x/a b"))
    outputs = (ExpectedOutput(name="one", path="o.txt"), ExpectedOutput(name="many", path="*.csv", many=True))
    [native_id] = centre.submit(
        with_outputs(centre.job("cat 'in/x/a b' > o.txt; touch 1.csv 2.csv"), *outputs, links=(link,))
    )
    made = centre.ended(native_id).outputs
    assert [(row.output, row.path.name, row.size_bytes) for row in made or ()] == [
        ("one", "o.txt", 7),
        ("many", "1.csv", 0),
        ("many", "2.csv", 0),
    ]
    assert made[0].sha256 == "ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73"


@pytest.mark.parametrize("name", ["a\nb", "a\\nb", "a\x0cb", "a\u2028b", "a\rb", " end ", "é"])
def test_an_output_of_any_name_is_told_and_harms_no_other_job(centre: Centre, name: str) -> None:
    """The site goes on whatever a job leaves."""
    spec = with_outputs(centre.job(f"mkdir d; touch 'd/{name}'"), ExpectedOutput(name="o", path="d/*", many=True))
    [native_id] = centre.submit(spec)
    assert [row.path.name for row in centre.ended(native_id).outputs] == [name]
    assert centre.run("true", token="run.step.1.1").state is JobState.COMPLETED


def test_an_output_whose_name_is_no_text_fails_its_job_alone(centre: Centre) -> None:
    """Nothing could be registered under that name."""
    spec = with_outputs(centre.job("touch $(printf '\\377').txt"), ExpectedOutput(name="o", path="*.txt", many=True))
    [native_id] = centre.submit(spec)
    status = centre.ended(native_id)
    assert status.state is JobState.FAILED
    assert status.message
    assert centre.run("true", token="run.step.1.1").state is JobState.COMPLETED


def test_secrets_of_this_process_are_not_given_to_jobs(centre: Centre, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what a login would have."""
    monkeypatch.setenv("TOY_TOKEN", "hunter2")
    monkeypatch.setenv("SSH_AUTH_SOCK", "/agent")
    spec = centre.job("env; tr '\\0' '\\n' < /proc/$PPID/environ")
    [native_id] = centre.submit(JobSpec(**{**vars(spec), "environment": {"MINE": "a b\n'c'"}}))
    assert centre.ended(native_id).exit_code == 0
    told = Path(spec.stdout_path).read_text()
    assert "MINE=a b\n'c'\n" in told
    assert "hunter2" not in told
    assert "SSH_AUTH_SOCK" not in told


def test_an_unknown_job_is_absent_from_every_answer(centre: Centre) -> None:
    """Not failed, not completed: absent."""
    unknown = NativeId("run.step.99.1")
    assert centre.executor.status([unknown]) == {}
    assert centre.executor.find([Token(unknown)]) == {}
    centre.executor.cancel([unknown])
    assert centre.executor.status([]) == {}
    assert centre.executor.submit([]) == {}


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        ({"cpu_cores_per_process": 3}, "wants 3 CPU cores, the site has 2"),
        ({"process_count": 3}, "wants 3 CPU cores"),
        ({"gpu_cores_per_process": 3}, "wants 3 GPUs, the site has 2"),
        ({"memory": 1 << 40}, "memory"),
        ({"node_count": 2}, "wants 2 nodes, the site has 1"),
    ],
)
def test_a_job_that_the_site_can_never_run_is_refused_and_nothing_of_it_is_known(
    centre: Centre, wish: dict, message: str
) -> None:
    """Neither is anything of the jobs beside it."""
    big, small = centre.job("true", token="run.step.0.1", **wish), centre.job("true", token="run.step.1.1")
    with pytest.raises(InvalidJobError, match=message):
        centre.executor.submit([small, big])
    assert centre.executor.find([big.token]) == {}


# -- exactly once


def counting(centre: Centre, token: str = "run.step.0.1") -> JobSpec:
    """A job that notes each of its starts."""
    return centre.job(f"echo x >> {centre.folder}/starts-{token}; sleep 0.2", token=token)


def starts(centre: Centre, token: str = "run.step.0.1") -> int:
    """How often it started."""
    return (centre.folder / f"starts-{token}").read_text().count("x")


def test_a_token_that_is_submitted_twice_starts_once(centre: Centre) -> None:
    """While it runs, and after it ended."""
    spec = counting(centre)
    assert centre.submit(spec) == centre.submit(spec)
    native_id = centre.submit(spec)[0]
    centre.ended(native_id)
    assert centre.submit(spec) == [native_id]
    assert centre.ended(native_id).state is JobState.COMPLETED
    assert starts(centre) == 1


def test_two_executors_of_one_site_start_a_token_once(centre: Centre) -> None:
    """Even where both are given it."""
    specs = [counting(centre, f"run.step.{n}.1") for n in range(6)]
    other = centre.another()
    ids = centre.submit(*specs)
    other.submit(specs)
    for spec, native_id in zip(specs, ids, strict=True):
        assert centre.ended(native_id).state is JobState.COMPLETED
        wait_until(
            lambda spec=spec: other.status([NativeId(spec.token)])[NativeId(spec.token)].state.final,
            what="the other's word",
        )
        assert starts(centre, spec.token) == 1


def test_two_executors_may_be_given_a_token_at_the_same_instant(centre: Centre) -> None:
    """Neither stumbles over the other's half-made job."""
    other = centre.another()
    specs = [counting(centre, f"run.step.{n}.1") for n in range(8)]
    ready, faults = threading.Barrier(2), []

    def give(executor) -> None:
        ready.wait()
        for spec in specs:
            try:
                executor.submit([spec])
            except Exception as error:  # noqa: BLE001 - a thread's own errors would vanish
                faults.append(error)

    threads = [threading.Thread(target=give, args=(executor,)) for executor in (centre.executor, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    for spec in specs:
        centre.ended(centre.executor.find([spec.token])[spec.token])
        assert starts(centre, spec.token) == 1


def test_another_executor_finds_jobs_that_wait_run_and_have_ended(centre: Centre) -> None:
    """And sees them to their end."""
    done = centre.submit(counting(centre, "run.step.0.1"))[0]
    centre.ended(done)
    running = centre.job(
        f"echo x >> {centre.folder}/starts-r; {centre.gate}; exit 5", token="run.step.1.1", cpu_cores_per_process=2
    )
    waiting = centre.job(f"echo x >> {centre.folder}/starts-w", token="run.step.2.1")
    centre.submit(running, waiting)
    centre.active(NativeId(running.token))
    centre.take_over()
    tokens = [Token(done), running.token, waiting.token]
    assert list(centre.executor.find(tokens)) == tokens
    centre.open_gate()
    assert centre.status(done).state is JobState.COMPLETED
    status = centre.ended(NativeId(running.token))
    assert (status.state, status.exit_code) == (JobState.FAILED, 5)
    assert centre.ended(NativeId(waiting.token)).state is JobState.COMPLETED
    assert (starts(centre, "r"), starts(centre, "w")) == (1, 1)


def test_a_job_that_ended_while_nobody_looked_is_told_truly(centre: Centre) -> None:
    """With its code and its outputs."""
    spec = with_outputs(
        centre.job(f"{centre.gate}; echo x > o; echo x > {centre.folder}/done"), ExpectedOutput(name="o", path="o")
    )
    [native_id] = centre.submit(spec)
    centre.active(native_id)
    centre.executor.close()
    centre.open_gate()
    centre.written("done")
    centre.executor = centre.another()
    status = centre.ended(native_id)
    assert (status.state, status.exit_code, len(status.outputs)) == (JobState.COMPLETED, 0, 1)


def test_a_job_whose_shell_was_killed_is_failed_and_not_completed(centre: Centre) -> None:
    """The message says that somebody killed it."""
    [native_id] = centre.submit(centre.job(f"echo $PPID > {centre.folder}/shell; exec sleep 60"))
    os.kill(int(centre.written("shell")), 9)
    status = centre.ended(native_id)
    assert status.state is JobState.FAILED
    assert "kill" in status.message.lower()


def test_changes_are_told_without_being_asked_for(centre: Centre) -> None:
    """Where the executor says that it can."""
    if not hasattr(centre.executor, "subscribe"):
        pytest.skip("it does not tell by itself")
    told = threading.Event()
    centre.executor.subscribe(told.set)
    centre.submit(centre.job("true"))
    assert told.wait(60)


def test_an_executor_that_is_closed_keeps_no_descriptors_and_no_threads(centre: Centre) -> None:
    """A portal opens thousands in its life."""
    threads = threading.active_count()
    before = len(os.listdir("/proc/self/fd"))
    for number in range(5):
        executor = centre.another()
        spec = centre.job("true", token=f"run.close.{number}.1")
        executor.submit([spec])
        executor.close()
        executor.close()
    assert len(os.listdir("/proc/self/fd")) <= before
    assert threading.active_count() <= threads


def test_a_closed_executor_writes_to_no_descriptor_that_belongs_to_others(centre: Centre) -> None:
    """A number that was its own may be any file's by now."""
    executor = centre.another()
    executor.submit([centre.job("sleep 0.1", cpu_cores_per_process=2), centre.job("true", token="run.step.1.1")])
    executor.close()
    opened = [(centre.folder / f"file-{n}").open("w") for n in range(20)]
    executor.status([NativeId("run.step.1.1")])
    executor.cancel([NativeId("run.step.1.1")])
    for file in opened:
        file.close()
    assert {path.stat().st_size for path in centre.folder.glob("file-*")} == {0}


def test_a_full_disk_is_the_sites_error(centre: Centre) -> None:
    """The job is not known then."""
    with small_disk(centre.folder / "work", size_bytes=64 << 10) as disk:
        (disk / "ballast").write_bytes(bytes(64 << 10))
        with pytest.raises(SiteError, match="agh"):
            centre.executor.submit([centre.job("true")])
        assert centre.executor.find([Token("run.step.0.1")]) == {}
        (disk / "ballast").unlink()
        assert centre.run("true").state is JobState.COMPLETED
        centre.executor.close()
