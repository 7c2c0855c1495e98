"""The engine is killed at random instants; what it began ends well all the same."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from metadata.history import History, RunRecord
from metadata.sessions import open_sessions
from tests.acceptance.conftest import PROGRAM, SITES, Convoy, environment

TASKS = 6
WORKFLOW = """\
name: killed
steps:
  make:
    scatter: {{n: {{range: 6}}}}
    command: |
      echo x >> {counters}/make-{{{{with.n}}}}
      head -c 20000000 /dev/zero | tr '\\0' {{{{with.n}}}} > made.bin
      sleep 0.1
    outputs: {{made: made.bin}}
    at: agh
  check:
    scatter: {{made: make.made}}
    command: |
      echo x >> {counters}/check-{{{{task.index}}}}
      sha256sum < {{{{inputs.made}}}} > sum.txt
      sleep 0.1
    outputs: {{sum: sum.txt}}
    at: lrz
"""


def expected_sum(number: int) -> str:
    """The hash of what task `number` of the first step makes."""
    return hashlib.sha256(str(number).encode() * 20_000_000).hexdigest()


def killed_after(home: Path, arguments: list[str], seconds: float) -> bool:
    """Starts convoy and kills it, and only it, with SIGKILL. False when it had ended before."""
    words = [*PROGRAM, "--home", str(home), *arguments]
    child = subprocess.Popen(words, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        child.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        return True
    return False


def only_run(home: Path) -> RunRecord | None:
    """The one run in the home's database, if it got that far."""
    sessions = open_sessions(f"sqlite:///{home / 'convoy.db'}")
    try:
        runs = History(sessions).runs()
        assert len(runs) <= 1
        return History(sessions).run(runs[0].id) if runs else None
    finally:
        sessions.dispose()


@pytest.fixture(scope="module")
def usual_s(tmp_path_factory: pytest.TempPathFactory) -> float:
    """How long the run takes here when nobody disturbs it, start-up included."""
    folder = tmp_path_factory.mktemp("undisturbed")
    (folder / "counters").mkdir()
    (folder / "sites.yaml").write_text(SITES)
    (folder / "workflow.yaml").write_text(WORKFLOW.format(counters=folder / "counters"))
    begin = time.monotonic()
    assert not killed_after(folder, ["run", str(folder / "workflow.yaml"), "--no-report"], 120)
    return time.monotonic() - begin


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_a_run_killed_at_any_instant_loses_and_repeats_nothing(
    seed: int, home: Path, convoy: Convoy, tmp_path: Path, usual_s: float
) -> None:
    """Two kills at random instants, then a resume to the end."""
    counters = tmp_path / "counters"
    counters.mkdir()
    workflow = tmp_path / "workflow.yaml"
    workflow.write_text(WORKFLOW.format(counters=counters))
    chance = random.Random(seed)

    killed_after(home, ["run", str(workflow), "--no-report"], chance.uniform(0.3, 1.0) * usual_s)
    record = only_run(home)
    if record is None:
        convoy("run", workflow)  # killed before there was anything to resume
    elif record.state != "COMPLETED":
        killed_after(home, ["resume", "--no-report"], chance.uniform(0.3, 1.0) * usual_s)
        answer = convoy("resume")
        assert answer.returncode in (0, 3), answer.stderr  # 3: the second engine had come to the end after all

    record = only_run(home)
    assert record is not None
    assert record.state == "COMPLETED", record.message
    assert record.counts == {"COMPLETED": 2 * TASKS}
    assert len(record.transfers) == TASKS
    starts = {path.name: path.read_text().count("x") for path in counters.iterdir()}
    assert starts == {f"{step}-{n}": 1 for step in ("make", "check") for n in range(TASKS)}
    for task in record.steps[1].tasks:
        assert Path(task.outputs["sum"][0].path).read_text().split()[0] == expected_sum(task.position)
    for transfer in record.transfers:
        assert hashlib.sha256(Path(transfer.destination_path).read_bytes()).hexdigest() == transfer.sha256
    leftovers = [path for path in home.rglob("*") if ".part" in path.name or path.name.endswith(".new")]
    assert leftovers == []


def test_jobs_go_on_while_no_engine_looks(home: Path, convoy: Convoy, tmp_path: Path) -> None:
    """A job outlives the engine that started it, and the next engine takes its result."""
    workflow = tmp_path / "workflow.yaml"
    done = tmp_path / "done"
    workflow.write_text(
        f"name: outlives\nsteps:\n  slow: {{command: 'echo x >> {tmp_path}/started; sleep 3; echo x >> {done}', at: agh}}\n"
    )
    words = [*PROGRAM, "--home", str(home), "run", str(workflow)]
    child = subprocess.Popen(words, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not (tmp_path / "started").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    child.kill()
    child.wait()
    while not done.exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert convoy("resume").returncode == 0
    assert done.read_text() == "x\n"
