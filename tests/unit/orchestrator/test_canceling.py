"""A run that somebody cancels ends, and so does everything that it has at its sites."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

from metadata.errors import SiteUnavailableError
from metadata.history import RunRecord
from metadata.journal import RUNS, Page
from orchestrator import operations
from orchestrator.jobs import JobSpec, NativeId, Token
from orchestrator.registry import load
from tests.unit.orchestrator.homes import Home, wait_until

LocalExecutor = load("executors", "local")

SLEEPER = "steps: {a: {command: 'echo $$ > {home}/pid; exec sleep 60', at: agh}}"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(folder=tmp_path / "home")


def canceled_when(home: Home, text: str, due: Callable[[], Any]) -> RunRecord:
    """How a run ends that somebody cancels as soon as `due` is true."""
    plan = home.plan(text)
    with home.open() as workspace:
        run = operations.create_run(workspace, plan)

        def watch(_: object) -> None:
            if due():
                page = Page()
                page.update(RUNS, run, wanted="cancel")
                with home.open() as other:
                    other.journal.commit(page)

        return home.record(workspace, operations.resume(workspace, run, watch=watch).id)


def check_gone(home: Home) -> None:
    """The program that wrote down its number has ended."""
    pid = int((home.folder / "pid").read_text())
    wait_until(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == "zombie", what="the job to end")


@pytest.mark.timeout(60)
def test_a_task_that_fails_while_its_run_is_canceled_is_not_tried_again(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It came to its own end an instant before it could be told to."""
    monkeypatch.setattr(LocalExecutor, "cancel", lambda _, ids: (home.folder / "go").touch() if ids else None)
    text = "echo x >> {home}/a; until [ -e {home}/go ]; do sleep 0.05; done; exit 3"
    record = canceled_when(home, f"steps: {{a: {{command: '{text}', at: agh, retries: 3}}}}", lambda: home.lines("a"))
    (task,) = record.steps[0].tasks
    assert (record.state, task.state, len(task.attempts)) == ("CANCELED", "FAILED", 1)


@pytest.mark.timeout(60)
def test_a_site_that_is_silent_is_told_to_end_the_jobs_once_it_answers(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    really, left = LocalExecutor.cancel, [None] * 2

    def cancel(self: Any, ids: Sequence[NativeId]) -> None:
        if left:
            left.pop()
            raise SiteUnavailableError("agh does not answer", retry_after_s=0.1)
        really(self, ids)

    monkeypatch.setattr(LocalExecutor, "cancel", cancel)
    record = canceled_when(home, SLEEPER, lambda: home.lines("pid"))
    assert (record.state, left) == ("CANCELED", [])
    kinds = [event.kind for event in record.events if event.subject == "agh"]
    assert (kinds[0], kinds[-1]) == ("site.silent", "site.answers")
    check_gone(home)


@pytest.mark.timeout(60)
def test_a_job_that_a_silent_site_may_have_is_looked_for_before_the_run_ends(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was accepted, the answer got lost, and then nobody could be asked for a while."""
    submit, find, left = LocalExecutor.submit, LocalExecutor.find, [None] * 3

    def accept(self: Any, specs: Sequence[JobSpec]) -> Mapping[Token, NativeId]:
        submit(self, specs)
        raise SiteUnavailableError("Socket timed out", retry_after_s=0.1)

    def look(self: Any, tokens: Sequence[Token]) -> Mapping[Token, NativeId]:
        if left:
            left.pop()
            raise SiteUnavailableError("agh does not answer", retry_after_s=0.1)
        return find(self, tokens)

    monkeypatch.setattr(LocalExecutor, "submit", accept)
    monkeypatch.setattr(LocalExecutor, "find", look)
    record = canceled_when(home, SLEEPER, lambda: home.lines("pid"))
    assert record.state == "CANCELED"
    check_gone(home)
