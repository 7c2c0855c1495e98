"""Programs that know a site's files: as many as are asked at once, and none that is of no use."""

from __future__ import annotations

import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from adapters._openssh.sides import Side
from adapters.storages._agent import agents, conversation
from adapters.storages._agent.agents import Agents
from adapters.storages._agent.conversation import Conversation, RefusedError
from metadata.errors import SiteUnavailableError

HERE = Side(site="toy", door=None)


_before: set[psutil.Process] = set()


@pytest.fixture(autouse=True)
def apart() -> None:
    """Programs of earlier tests, which end when somebody collects garbage, are none of these tests'."""
    _before.clear()
    _before.update(children())


def children() -> list[psutil.Process]:
    """The programs that the test started."""
    found = psutil.Process().children()
    return [row for row in found if row not in _before and "sys.stdin.buffer" in _words(row)]


def _words(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:  # it ends just now, or waits for whoever started it
        return ""


def test_one_program_answers_one_question_after_the_other(tmp_path: Path) -> None:
    """And ends with whoever had it."""
    asked = Agents(HERE)
    (tmp_path / "file").write_bytes(b"content")
    for _ in range(5):
        assert [row.size_bytes for row in asked.stats([str(tmp_path / "file"), "/nowhere/x"]).values()] == [7]
    [process] = children()
    del asked
    process.wait(10)
    assert children() == []


def test_a_long_answer_keeps_nobody_waiting(tmp_path: Path) -> None:
    """A named pipe that nobody writes to is read for ever; another question is answered meanwhile."""
    asked = Agents(HERE)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    (tmp_path / "file").write_bytes(b"content")
    with ThreadPoolExecutor(1) as other:
        hashed = other.submit(asked.digests, [str(pipe)])
        with pipe.open("wb") as writing:  # opens once the program reads
            assert len(asked.stats([str(tmp_path / "file")])) == 1
            assert len(children()) == 2
            writing.write(b"now")
        assert hashed.result(30)[str(pipe)].size_bytes == 3


def test_long_answers_leave_a_program_for_short_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many of them are asked for."""
    monkeypatch.setattr(agents, "_WAIT_S", 0.0)
    asked = Agents(HERE)
    pipes = [tmp_path / str(number) for number in range(agents._MOST)]
    for pipe in pipes:
        os.mkfifo(pipe)
    with ThreadPoolExecutor(len(pipes)) as others:
        hashed = [others.submit(asked.digests, [str(pipe)]) for pipe in pipes]
        while len(children()) < agents._MOST - 1:
            pass
        assert len(asked.stats([str(tmp_path)])) == 1
        for pipe in pipes:
            pipe.write_bytes(b"end")
        assert [len(row.result(30)) for row in hashed] == [1] * len(pipes)


def test_there_are_no_more_than_a_connection_can_bear(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Movers need sessions, too."""
    monkeypatch.setattr(agents, "_WAIT_S", 0.0)
    asked = Agents(HERE)
    together = threading.Barrier(10)

    def ask(_: int) -> int:
        together.wait(30)
        return len(asked.stats([str(tmp_path)] * 2000))

    with ThreadPoolExecutor(10) as many:
        assert list(many.map(ask, range(10))) == [1] * 10
    assert 1 <= len(children()) <= agents._MOST


def test_a_program_that_ended_meanwhile_is_asked_nothing_more(tmp_path: Path) -> None:
    """Another one takes its place."""
    asked = Agents(HERE)
    assert asked.begin()
    [process] = children()
    process.send_signal(signal.SIGKILL)
    process.wait(10)
    assert len(asked.stats([str(tmp_path)])) == 1
    assert process not in children()


def test_a_program_that_ends_before_it_has_answered_is_told(tmp_path: Path) -> None:
    """Whether it had done what it was asked for is not known."""
    asked = Agents(HERE)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with ThreadPoolExecutor(1) as other:
        hashed = other.submit(asked.digests, [str(pipe)])
        with pipe.open("wb"):  # opens once the program reads
            [process] = children()
            process.send_signal(signal.SIGKILL)
            with pytest.raises(SiteUnavailableError, match="try again"):
                hashed.result(30)
    assert len(asked.stats([str(tmp_path)])) == 1


def test_a_refusal_is_an_answer_and_the_program_stays(tmp_path: Path) -> None:
    """It is told by the number of the path."""
    asked = Agents(HERE)
    (tmp_path / "a").write_bytes(b"")
    pairs = [str(tmp_path / name) for name in ("a", "b", "gone", "c")]
    with pytest.raises(RefusedError, match="No such file") as caught:
        asked.ask("rename", pairs)
    assert caught.value.number == 2
    assert (tmp_path / "b").exists()
    assert len(children()) == 1


def test_a_site_without_python_is_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """It will have none in a minute either."""
    tries = []

    class Counted(Conversation):
        def __init__(self, side: Side) -> None:
            tries.append(side)
            super().__init__(side)

    monkeypatch.setattr(agents, "Conversation", Counted)
    monkeypatch.setattr(conversation.sys, "executable", "/no/such/python")
    asked = Agents(HERE)
    assert [asked.begin() for _ in range(3)] == [False, False, False]
    assert len(tries) == 1
    assert not asked.there
