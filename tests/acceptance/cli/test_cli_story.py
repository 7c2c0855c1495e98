"""What a stranger does first, each command a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from tests.acceptance.conftest import PROGRAM, Convoy, environment

NAP = """\
name: nap
steps:
  nap:
    scatter: {n: {range: 2}}
    command: "echo x >> FOLDER/count; while [ ! -e FOLDER/wake ]; do sleep 0.05; done"
    at: agh
"""


def test_from_an_empty_folder_to_a_report(tmp_path: Path) -> None:
    def convoy(*words: str) -> str:
        done = subprocess.run(
            [*PROGRAM, *words], cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "hello.yaml" in convoy("init")
    planned = convoy("plan", "hello.yaml", "--param", "names=Anna", "--output", "plan.json", "--explain")
    for word in ("greet", "gather", "agh → lrz", "the only site that fits", "considered"):
        assert word in planned
    ran = convoy("run", "--plan", "plan.json")
    assert "gather        completed at lrz, 1 task" in ran
    page = next(Path(line.split()[1]) for line in ran.splitlines() if line.startswith("report"))
    assert "Anna" in page.read_text()
    assert "✓ completed" in convoy("show")


def nap(folder: Path) -> None:
    """Writes a workflow whose tasks sleep until there is a file `wake`."""
    (folder / "nap.yaml").write_text(NAP.replace("FOLDER", str(folder)))


def started(convoy_home: Path, *words: str) -> tuple[subprocess.Popen[str], str]:
    """A run in a process of its own, and its id, once its first tasks were handed to their site."""
    child = subprocess.Popen(
        [*PROGRAM, "--home", str(convoy_home), *words],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(),
        # What runs in the background ignores Ctrl-C, and so would its children: this one is in the foreground.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509
    )  # fmt: skip
    assert child.stdout is not None
    name = child.stdout.readline().split()[-1]
    assert "nap" in child.stdout.readline()
    return child, name


def wait_for(true: Callable[[], bool], *, seconds: float = 120) -> None:
    """Returns when `true` is."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_ctrl_c_leaves_the_jobs_and_resume_takes_them_up(home: Path, tmp_path: Path, convoy: Convoy) -> None:
    counter = tmp_path / "count"
    nap(tmp_path)
    child, name = started(home, "run", str(tmp_path / "nap.yaml"), "--no-report")
    wait_for(lambda: counter.exists() and counter.read_text() == "x\n" * 2)
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=120)
    assert child.returncode == 130
    assert f"convoy resume {name}" in err
    assert "Traceback" not in err
    (tmp_path / "wake").touch()
    resumed = convoy("resume", "--json", "--no-report")
    assert (resumed.returncode, json.loads(resumed.stdout)["state"]) == (0, "COMPLETED"), resumed.stderr
    assert counter.read_text() == "x\n" * 2


def test_a_run_whose_reader_goes_away_is_left_and_says_so(home: Path, tmp_path: Path, convoy: Convoy) -> None:
    nap(tmp_path)
    child, name = started(home, "run", str(tmp_path / "nap.yaml"), "--no-report")
    assert child.stdout is not None
    assert child.stderr is not None
    child.stdout.close()
    assert child.wait(timeout=120) == 130
    assert child.stderr.read() == (
        f"convoy: left the run {name}; its jobs go on. Take it up again with: convoy resume {name}\n"
    )
    child.stderr.close()
    (tmp_path / "wake").touch()
    assert convoy("resume", name, "--no-report").returncode == 0


def test_a_second_engine_is_told_to_come_back_later_and_may_wait(home: Path, tmp_path: Path, convoy: Convoy) -> None:
    nap(tmp_path)
    child, _ = started(home, "run", str(tmp_path / "nap.yaml"), "--no-report")
    busy = convoy("run", tmp_path / "nap.yaml", "--json")
    assert busy.returncode == 75
    assert json.loads(busy.stderr.splitlines()[-1])["error"] == "EngineBusyError"
    (tmp_path / "wake").touch()
    waited = convoy("run", tmp_path / "nap.yaml", "--wait", "--no-report")
    assert waited.returncode == 0, waited.stderr
    child.communicate(timeout=120)
    assert child.returncode == 0


def test_a_detached_run_goes_on_without_a_terminal(home: Path, tmp_path: Path) -> None:
    """Its database's URL may hold a password, and everybody may read the list of processes."""
    nap(tmp_path)
    where = {**environment(), "CONVOY_HOME": str(home), "CONVOY_DATABASE": f"sqlite:///{home}/secret.db"}
    words = [*PROGRAM, "run", str(tmp_path / "nap.yaml"), "--detach", "--no-report"]
    name = subprocess.run(words, env=where, capture_output=True, text=True, check=True).stdout.strip()
    lines = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if os.access(path, os.R_OK)]
    mine = [line for line in lines if name.encode() in line]
    assert mine
    assert not any(b"secret.db" in line for line in mine)
    (tmp_path / "wake").touch()
    looked_on = subprocess.run(
        [*PROGRAM, "show", name, "--watch"], env=where, capture_output=True, text=True, check=True
    )
    assert "nap           completed at agh" in looked_on.stdout
    assert f"{name}  ✓ completed" in looked_on.stdout
    log = home / "runs" / f"{name}.log"
    wait_for(lambda: f"✓ {name} completed" in log.read_text())


def test_cancel_ends_the_run_of_another_process(home: Path, tmp_path: Path, convoy: Convoy) -> None:
    nap(tmp_path)
    child, name = started(home, "run", str(tmp_path / "nap.yaml"), "--no-report")
    assert convoy("cancel", name).returncode == 0
    child.communicate(timeout=120)
    assert child.returncode == 1
    assert "canceled" in convoy("ls").stdout
