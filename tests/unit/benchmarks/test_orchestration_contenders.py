"""What each contender is asked to do, and how its word is read; and how a command is measured."""

import contextlib
import json
import sqlite3
import sys
from pathlib import Path

import psutil
import pytest

from benchmarks.orchestration import rounds
from benchmarks.orchestration.contenders import PEERS, Convoy, pinned
from benchmarks.orchestration.rounds import RunFailedError, clean_environment, measure, measured_rounds
from orchestrator.workflows import load_workflow


class Script:
    """A contender that is a few lines of Python."""

    label = "Script"
    version = "1"

    def __init__(self, text: str, name: str = "script") -> None:
        self.text, self.name = text, name

    def command(self, folder: Path, tasks: int) -> list[str]:
        del folder
        return [sys.executable, "-c", self.text, str(tasks)]

    def completed(self, folder: Path, log: str) -> int:
        del folder
        return int(log or 0)


class Absent(Script):
    """A contender whose program is not installed."""

    def command(self, folder: Path, tasks: int) -> list[str]:
        return ["/nowhere", *super().command(folder, tasks)]


ECHO = "import sys; print(sys.argv[1])"


def test_convoy_gets_a_workflow_that_it_understands(tmp_path):
    command = Convoy(Path("/bin/convoy"), "1").command(tmp_path, 7)
    workflow, _ = load_workflow(tmp_path / command[-1])
    assert workflow.steps["a"].scatter["n"].range == 7


def test_convoys_own_journal_is_asked_for_tasks_and_time(tmp_path):
    (tmp_path / "home").mkdir()
    database = sqlite3.connect(tmp_path / "home" / "convoy.db")
    database.execute("CREATE TABLE events (kind TEXT, at REAL)")
    told = [
        ("run.started", 1),
        ("task.submitting", 2),
        ("task.submitting", 3),
        ("task.completed", 5),
        ("task.completed", 6),
    ]
    database.executemany("INSERT INTO events VALUES (?, ?)", told)
    database.commit()
    database.close()
    convoy = Convoy(Path("/bin/convoy"), "1")
    assert convoy.completed(tmp_path, "") == 2
    assert convoy.sustained_s(tmp_path) == 4


def test_streamflow_gets_a_scatter_and_its_log_is_counted(tmp_path):
    streamflow = PEERS["streamflow"](Path("/env/bin"))
    assert streamflow.command(tmp_path, 3)[0] == "/env/bin/cwl-runner"
    assert json.loads((tmp_path / "inputs.json").read_text()) == {"numbers": [0, 1, 2]}
    assert streamflow.completed(tmp_path, "EXECUTING step /a (job /a/0.0)\nEXECUTING step /a (job /a/0.1)\n") == 2


def test_snakemake_gets_a_rule_and_its_files_are_counted(tmp_path):
    snakemake = PEERS["snakemake"](Path("/env/bin"))
    snakemake.command(tmp_path, 3)
    assert "range(3)" in (tmp_path / "Snakefile").read_text()
    (tmp_path / "done").mkdir()
    (tmp_path / "done" / "0").touch()
    assert snakemake.completed(tmp_path, "") == 1


@pytest.mark.parametrize("peer", PEERS)
def test_every_peer_is_pinned(peer):
    assert PEERS[peer](Path("/env/bin")).version
    lines = (Path(__file__).parents[3] / "benchmarks" / "peers" / f"{peer}.txt").read_text().splitlines()
    assert all("==" in line for line in lines if not line.startswith("#"))


def test_streamflow_is_the_new_one():
    assert tuple(map(int, pinned("streamflow", "streamflow").split("rc")[0].split("."))) >= (0, 2, 0)


def test_a_run_is_measured_from_outside(tmp_path):
    row = measure(Script(ECHO), 4, tmp_path / "0")
    assert (row.contender, row.tasks) == ("script", 4)
    assert row.wall_s > 0
    assert 4e6 < row.peak_bytes < 60e6


def test_the_peak_is_the_commands_own_and_not_the_benchmarks(tmp_path):
    ballast = bytearray(100_000_000)
    row = measure(Script(ECHO), 4, tmp_path / "0")
    assert len(ballast) > row.peak_bytes


def test_a_contender_that_stops_early_is_refused_with_its_last_words(tmp_path):
    with pytest.raises(RunFailedError, match=r"(?s)ended with 1 after 0 of 4 tasks:.*no licence"):
        measure(Script("raise SystemExit('no licence')"), 4, tmp_path / "0")


def test_a_command_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(RunFailedError, match="ended with 127"):
        measure(Absent(ECHO), 4, tmp_path / "0")


def test_a_contender_that_hangs_is_ended_with_all_its_processes(tmp_path, monkeypatch):
    monkeypatch.setattr(rounds, "_LIMIT_S", 2.0)
    hang = "import os, time; open('pid', 'w').write(str(os.getpid())); time.sleep(60)"
    with pytest.raises(RunFailedError, match="had not ended after 2 s"):
        measure(Script(hang), 4, tmp_path / "0")
    with contextlib.suppress(psutil.NoSuchProcess):
        psutil.Process(int((tmp_path / "0" / "run" / "pid").read_text())).wait(timeout=60)


def test_rounds_are_interleaved_and_leave_nothing_behind(tmp_path):
    contenders = [Script(ECHO, "one"), Script(ECHO, "two")]
    rows = list(measured_rounds(contenders, tasks=[3], repeat=2, folder=tmp_path / "work"))
    assert [row.contender for row in rows] == ["one", "two", "two", "one"]
    assert not (tmp_path / "work").exists()


def test_every_process_may_keep_byte_code():
    assert clean_environment({"PYTHONDONTWRITEBYTECODE": "1", "PATH": "/bin"}) == {"PATH": "/bin"}
