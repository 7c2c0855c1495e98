"""What a site breaks costs its tasks time and nothing else."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import psutil
import pytest

from metadata.errors import LoginNeededError, SiteUnavailableError
from orchestrator.command_line import CommandLineExecutor
from orchestrator.engine import completions
from orchestrator.engine.loop import Engine
from orchestrator.jobs import JobState, JobStatus, NativeId
from orchestrator.ports import CommandResult, SiteSettings
from orchestrator.registry import load
from tests.unit.orchestrator.homes import Home, Killed, wait_until


def die() -> None:
    """The engine's last word."""
    raise Killed


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(folder=tmp_path / "home")


@pytest.fixture
def break_jobs(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[NativeId], bool]], None]:
    """Jobs that are chosen so are told to have ended because their node failed."""

    def choose(broken: Callable[[NativeId], bool]) -> None:
        executor = load("executors", "local")
        really = executor.status

        def status(self: Any, ids: Sequence[NativeId]) -> Mapping[NativeId, JobStatus]:
            failure = {"state": JobState.FAILED, "native_state": "NODE_FAIL", "exit_code": None, "interrupted": True}
            return {
                name: replace(found, **failure) if found.state.final and broken(name) else found
                for name, found in really(self, ids).items()
            }

        monkeypatch.setattr(executor, "status", status)

    return choose


def test_a_task_whose_node_failed_is_tried_again_at_no_cost_to_its_author(home: Home, break_jobs: Any) -> None:
    """The one retry that the author granted is there for the program's own failure."""
    break_jobs(lambda name: name.endswith(".1"))
    record = home.run("steps: {a: {command: 'echo x >> {home}/a; [ $(wc -l < {home}/a) -ge 3 ]', at: agh, retries: 1}}")
    (task,) = record.steps[0].tasks
    assert [attempt.native_state for attempt in task.attempts] == ["NODE_FAIL", "FAILED", "COMPLETED"]
    kinds = [event.kind for event in record.events if event.kind in ("task.interrupted", "task.retrying")]
    assert kinds == ["task.interrupted", "task.retrying", "task.retrying"]


def test_a_site_that_breaks_a_task_again_and_again_is_given_up(home: Home, break_jobs: Any) -> None:
    break_jobs(lambda _: True)
    record = home.run("steps: {a: {command: 'true', at: agh}}")
    (task,) = record.steps[0].tasks
    assert (record.state, len(task.attempts)) == ("FAILED", 6)
    assert "NODE_FAIL" in task.message


def test_a_task_whose_machine_went_down_is_tried_again_at_no_cost_to_its_author(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This machine: the engine went down with it."""
    text = "steps: {a: {command: 'echo x >> {home}/a; [ $(wc -l < {home}/a) -gt 1 ] || exec sleep 60', at: agh}}"
    with monkeypatch.context() as patch:
        turn = Engine._turn
        patch.setattr(Engine, "_turn", lambda engine: die() if home.lines("a") else turn(engine))
        with pytest.raises(Killed):
            home.run(text)
    [pid] = home.folder.glob("sites/agh/jobs/*/pid")
    os.killpg(int(pid.read_text()), signal.SIGKILL)
    wait_until(lambda: psutil.Process(int(pid.read_text())).status() == "zombie", what="the job to end")
    before = psutil.boot_time() - 100
    os.utime(pid, (before, before))
    record = home.resume()
    (task,) = record.steps[0].tasks
    assert [attempt.native_state for attempt in task.attempts] == ["NODE_FAIL", "COMPLETED"]


@pytest.mark.parametrize(("error", "kind"), [(SiteUnavailableError, "site.silent"), (LoginNeededError, "site.login")])
def test_a_site_that_does_not_say_what_it_has_is_waited_for(
    home: Home, monkeypatch: pytest.MonkeyPatch, error: type[SiteUnavailableError], kind: str
) -> None:
    """The second step's input lies there; nothing of it fails, and the journal tells the silence once."""
    storage = load("storages", "posix")
    really, left = storage.stats, [None] * 3

    def stats(self: Any, paths: Sequence[str]) -> Any:
        if left:
            left.pop()
            raise error("agh does not answer", retry_after_s=0.1)
        return really(self, paths)

    monkeypatch.setattr(storage, "stats", stats)
    record = home.run(
        "steps: {a: {command: 'echo 1 > o', outputs: {o: o}, at: agh}, "
        "b: {command: 'cat {{inputs.o}}', in: {o: a.o}, at: agh}}"
    )
    assert (record.state, record.message) == ("COMPLETED", "")
    assert [event.kind for event in record.events if event.subject == "agh" and event.kind.startswith("site.")] == [
        kind,
        "site.answers",
    ]


@pytest.mark.parametrize(("late_s", "state"), [(30.0, "COMPLETED"), (0.0, "FAILED")])
def test_what_a_job_left_is_waited_for_when_its_site_tells_of_it_late(
    home: Home, monkeypatch: pytest.MonkeyPatch, late_s: float, state: str
) -> None:
    """The scheduler knew of the end before the login node saw the receipt. One that does not come is a failure."""
    executor = load("executors", "local")
    really, left = executor.status, [None] * 3
    monkeypatch.setattr(completions, "_LATE_S", late_s)

    def status(self: Any, ids: Sequence[NativeId]) -> Mapping[NativeId, JobStatus]:
        found = really(self, ids)
        if left and any(each.state.final for each in found.values()):
            left.pop()
            self._notify()
            return {name: replace(each, outputs=None) for name, each in found.items()}
        return found

    monkeypatch.setattr(executor, "status", status)
    record = home.run("steps: {a: {command: 'echo 1 > o', outputs: {o: o}, at: agh}}")
    (task,) = record.steps[0].tasks
    assert (record.state, "does not tell" in task.message) == (state, state == "FAILED")


def test_accounts_that_call_a_forgotten_job_running_are_not_believed() -> None:
    """After a crash nobody has told them otherwise."""
    rows = {"RUNNING": "RUNNING|0:0|100|Unknown|n1|None", "COMPLETED": "COMPLETED|0:0|100|200|n1|None"}

    class Site:
        word = "RUNNING"

        def run(self, argv: tuple[str, ...], **_: Any) -> CommandResult:
            out = "slurm 24.11.5" if "--version" in argv else ""
            if "sacct" in argv:
                out = f"7|{rows[self.word]}\n"
            lost = "squeue" in argv or "scontrol" in argv
            return CommandResult(
                argv=argv,
                exit_code=int(lost),
                stdout=out,
                stderr="slurm_load_jobs error: Invalid job id" if lost else "",
            )

    scheduler = load("schedulers", "slurm")(json=frozenset())
    settings = SiteSettings(name="agh", workdir=PurePosixPath("/w"))
    site = Site()
    executor = CommandLineExecutor(settings, scheduler, site)
    executor._probed = True
    assert executor.status([NativeId("7")]) == {}
    site.word = "COMPLETED"
    assert executor.status([NativeId("7")])[NativeId("7")].state is JobState.COMPLETED
