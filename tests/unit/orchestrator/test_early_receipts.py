"""A batch system is asked seldom while receipts tell enough."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest

from adapters.runners.local import LocalRunner
from metadata.errors import SiteError
from orchestrator import command_line
from orchestrator.command_line import CommandLineExecutor
from orchestrator.jobs import JobState, JobStatus, NativeId
from orchestrator.ports import Argv, CommandResult, SiteSettings
from orchestrator.receipts import parse_receipt

FIRST, SECOND = NativeId("1"), NativeId("2")


class Cluster:
    """A scheduler whose answers are set here, and which counts the questions."""

    parse_receipt = staticmethod(parse_receipt)

    def __init__(self) -> None:
        self.states: dict[NativeId, JobState] = {}
        self.questions = 0

    def status_command(self, ids: Sequence[NativeId]) -> Argv:
        return ("true", *ids)

    def parse_status(self, _: CommandResult) -> Mapping[NativeId, JobStatus]:
        self.questions += 1
        return {name: JobStatus(state=state, native_state=f"its {state}") for name, state in self.states.items()}


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


@pytest.fixture
def executor(cluster: Cluster, tmp_path: Path) -> CommandLineExecutor:
    (tmp_path / "receipts").mkdir()
    settings = SiteSettings(name="agh", workdir=PurePosixPath(tmp_path))
    return CommandLineExecutor(settings, cluster, LocalRunner())  # type: ignore[arg-type]


def write_receipt(folder: Path, name: NativeId, exit_code: int = 0) -> None:
    subject = json.dumps({"token": f"t{name}", "directory": "/d"})
    (folder / "receipts" / name).write_text(f"{subject}\nended\t{exit_code}\t1.0\t2.0\tnode\t\n")


def states(answer: Mapping[NativeId, JobStatus]) -> list[str]:
    return [answer[name].native_state for name in (FIRST, SECOND)]


def test_a_receipt_of_success_is_believed_between_two_questions(executor, cluster, tmp_path):
    cluster.states = dict.fromkeys((FIRST, SECOND), JobState.ACTIVE)
    assert states(executor.status((FIRST, SECOND))) == ["its ACTIVE", "its ACTIVE"]
    write_receipt(tmp_path, FIRST)
    answer = executor.status((FIRST, SECOND))
    assert (states(answer), answer[FIRST].token, answer[FIRST].state) == (
        ["receipt", "its ACTIVE"],
        "t1",
        JobState.COMPLETED,
    )
    assert cluster.questions == 1
    executor.status((SECOND,))  # nothing new in the receipts
    assert cluster.questions == 2


def test_the_scheduler_is_asked_every_few_seconds_all_the_same(executor, cluster, tmp_path, monkeypatch):
    monkeypatch.setattr(command_line, "_ASK_EVERY_S", 0.0)
    cluster.states = dict.fromkeys((FIRST, SECOND), JobState.ACTIVE)
    executor.status((FIRST, SECOND))
    write_receipt(tmp_path, FIRST)
    executor.status((FIRST, SECOND))
    assert cluster.questions == 2


def test_of_a_failure_the_scheduler_has_the_word(executor, cluster, tmp_path):
    cluster.states = dict.fromkeys((FIRST, SECOND), JobState.ACTIVE)
    executor.status((FIRST, SECOND))
    write_receipt(tmp_path, FIRST, exit_code=9)
    assert states(executor.status((FIRST, SECOND))) == ["its ACTIVE", "its ACTIVE"]
    assert cluster.questions == 2


def test_a_job_of_which_the_scheduler_cannot_say_where_it_stands_says_so_itself(executor, cluster, tmp_path):
    """Another cluster took it over, perhaps, and ran it."""
    cluster.states = {FIRST: JobState.UNKNOWN, SECOND: JobState.UNKNOWN}
    write_receipt(tmp_path, FIRST, exit_code=9)
    answer = executor.status((FIRST, SECOND))
    assert (answer[FIRST].state, answer[FIRST].exit_code) == (JobState.FAILED, 9)
    assert answer[SECOND].state is JobState.UNKNOWN


def test_an_older_jobs_receipt_under_the_same_id_is_not_believed(executor, cluster, tmp_path):
    write_receipt(tmp_path, FIRST)
    cluster.states = dict.fromkeys((FIRST, SECOND), JobState.ACTIVE)
    for _ in range(2):
        assert states(executor.status((FIRST, SECOND))) == ["its ACTIVE", "its ACTIVE"]
    assert cluster.questions == 2


def test_a_job_that_was_never_asked_about_is_asked_about(executor, cluster, tmp_path):
    cluster.states = dict.fromkeys((FIRST, SECOND), JobState.ACTIVE)
    executor.status((FIRST,))
    write_receipt(tmp_path, FIRST)
    assert states(executor.status((FIRST, SECOND))) == ["its ACTIVE", "its ACTIVE"]
    assert cluster.questions == 2


@pytest.mark.parametrize("known", [{}, {FIRST: JobState.COMPLETED}])
def test_a_receipt_that_cannot_be_read_is_the_trouble_of_its_own_job(executor, cluster, tmp_path, known):
    """The disk was full when it was written, perhaps. All the others are told of."""
    cluster.states = {SECOND: JobState.ACTIVE, **known}
    (tmp_path / "receipts" / FIRST).write_text("half")
    answer = executor.status((FIRST, SECOND))
    assert (answer[FIRST].state, answer[SECOND].state) == (JobState.FAILED, JobState.ACTIVE)
    assert "half" in answer[FIRST].message


def test_an_answer_that_was_cut_short_is_none(executor, cluster, tmp_path, monkeypatch):
    """What reads the receipts was killed at the site: half a list of outputs looks like a whole one."""
    write_receipt(tmp_path, FIRST)
    run = LocalRunner.run
    monkeypatch.setattr(
        LocalRunner, "run", lambda *words, **named: replace(run(*words, **named), exit_code=137, stderr="Killed")
    )
    with pytest.raises(SiteError, match="Killed"):
        executor.status((FIRST,))
