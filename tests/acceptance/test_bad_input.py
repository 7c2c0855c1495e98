"""What a person sees when something is wrong: one clear answer, its own exit code, and nothing half done."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from orchestrator import operations
from orchestrator.faces.exit_codes import (
    CONFLICT,
    FAILED,
    FORBIDDEN,
    INVALID,
    NOT_FOUND,
    OK,
    STAGING,
    TRY_AGAIN,
    UNPLANNABLE,
)
from orchestrator.operations.workspace import Workspace
from orchestrator.settings import find_settings
from tests.acceptance.conftest import PROGRAM, Convoy, environment
from tests.contract.storages.small_disk import small_disk

Write = Callable[[str], Path]
Answer = subprocess.CompletedProcess[str]

LOOK = """\
name: look
inputs: {slide: dataset://slides/a.tif}
steps:
  look: {command: 'wc -c < {{inputs.slide}} > size.txt', in: {slide: inputs.slide}, outputs: {size: size.txt}, at: agh}
"""


def check_refused(answer: Answer, code: int, *words: str) -> None:
    """The command ended with this code and said these words, on standard error, without a traceback."""
    assert answer.returncode == code, answer.stderr
    assert [word for word in words if word not in answer.stderr] == [], answer.stderr
    assert "Traceback" not in answer.stderr
    assert answer.stdout == ""


@contextmanager
def workspace_of(home: Path) -> Iterator[Workspace]:
    """The home, looked at past the command line."""
    with Workspace(find_settings(home=home, environment={})) as workspace:
        yield workspace


def check_nothing_began(home: Path) -> None:
    """There is no run, and nothing of one."""
    with workspace_of(home) as workspace:
        assert operations.list_runs(workspace) == ()


def shown(home: Path) -> dict[str, Any]:
    """All that is known of the newest run."""
    with workspace_of(home) as workspace:
        return dataclasses.asdict(operations.show(workspace))


def states(run: dict[str, Any]) -> dict[str, dict[str, int]]:
    """The states of each step's tasks."""
    return {step["name"]: step["counts"] for step in run["steps"]}


def wait_until(true: Callable[[], Any], *, what: str, timeout_s: float = 120.0) -> Any:
    """What `true` returns as soon as it is true."""
    deadline = time.monotonic() + timeout_s
    while not (found := true()):
        assert time.monotonic() < deadline, f"waited {timeout_s} s for {what}"
        time.sleep(0.05)
    return found


@contextmanager
def started(home: Path, *words: object) -> Iterator[subprocess.Popen[str]]:
    """A `convoy` that goes on while the block lasts."""
    child = subprocess.Popen(
        [*PROGRAM, "--home", str(home), *map(str, words)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment(), cwd=home.parent,
    )  # fmt: skip
    try:
        yield child
    finally:
        child.kill()
        child.communicate()


def ended(pid: int) -> bool:
    """True when the process is gone, or only its parent's waiting is missing."""
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


@pytest.fixture
def slide(tmp_path: Path, convoy: Convoy) -> Path:
    """A file of four megabytes, registered as `dataset://slides/a.tif`."""
    path = tmp_path / "a.tif"
    path.write_bytes(os.urandom(1 << 20) * 4)
    assert convoy("data", "add", "slides", path).returncode == OK.exit_code
    return path


# -- workflow files


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("name: x\nsteps: {a: {command: x}\n", 3, ["this is not valid YAML"]),
        ("name: x\nsteps:\n\ta: {command: x}\n", 3, ["this is not valid YAML"]),
        ("", 1, ["a mapping was expected"]),
        ("name: x\nsteps:\n  a: {command: x}\n  a: {command: y}\n", 4, ["duplicate key"]),
        ("name: x\nsteps:\n  a: {comand: x}\n", 3, ["'comand' is not known here; did you mean command?"]),
        ("name: x\nsteps:\n  make: {command: x, outputs: {o: o}}\n  b: {command: x, in: {i: maek.o}}\n", 4, ["there is no step 'maek'; did you mean make?"]),
        ("name: x\nsteps:\n  a: {command: x, in: {i: b.o}, outputs: {o: o}}\n  b: {command: x, in: {i: a.o}, outputs: {o: o}}\n", 3, ["in a circle", "a -> b -> a"]),
        ("name: x\nsteps:\n  a: {command: x, at: agg}\n", 3, ["there is no site 'agg'; did you mean agh?"]),
        ("name: x\nsteps:\n  a: {usecase: camnt/layer1}\n", 3, ["there is no use case 'camnt'"]),
        ("name: x\nsteps:\n  a: {command: x, resources: {memory: much}}\n", 3, ["'much' is not a size"]),
        ("name: x\ninputs: {slides: {}}\nsteps:\n  a: {command: x}\n", 2, ["--input slides=PATH"]),
        ("name: x\nsteps:\n  a: {command: x, when: 'os.system(1)'}\n", 3, ["may not stand in a condition"]),
    ],
    ids=["unclosed", "tab", "empty", "duplicate key", "misspelt key", "unknown step", "cycle", "unknown site", "unknown use case", "size", "unset input", "condition"],
)  # fmt: skip
def test_a_faulty_workflow_is_told_with_its_line_before_anything_runs(
    text: str, line: int, words: list[str], convoy: Convoy, workflow: Write, home: Path
) -> None:
    """File, line and column, what is wrong, and what was meant."""
    check_refused(convoy("run", workflow(text)), INVALID.exit_code, f"workflow.yaml:{line}:", *words)
    check_nothing_began(home)


def test_all_faults_are_told_at_once(convoy: Convoy, workflow: Write) -> None:
    """Each on a line of its own, in the order of the file."""
    answer = convoy("run", workflow("name: x\nsteps:\n  a: {command: x, at: agg}\n  b: {command: x, in: {i: c.o}}\n"))
    check_refused(answer, INVALID.exit_code, "workflow.yaml:3:", "workflow.yaml:4:")


def test_a_file_that_is_not_there_is_told(convoy: Convoy) -> None:
    """With its name."""
    check_refused(convoy("run", "absent.yaml"), NOT_FOUND.exit_code, "absent.yaml")


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["--input", "sldie=x"], INVALID, "the workflow has no input 'sldie'; did you mean slide?"),
        (["--param", "epochs=1"], INVALID, "the workflow has no parameter 'epochs'"),
        (["--input", "slide=/nowhere/a.tif"], NOT_FOUND, "there is no file /nowhere/a.tif"),
        (["--input", "slide=dataset://slidse/a.tif"], NOT_FOUND, "no dataset is named 'slidse'; did you mean slides?"),
        (["--input", "slide=dataset://slides/b.tif"], NOT_FOUND, "has no file or folder 'b.tif'; did you mean a.tif?"),
        (["--input", "slide=dataset://slides/../x"], INVALID, "leaves its dataset"),
    ],
)
def test_a_wrong_argument_is_told_with_what_was_meant(
    words: list[str], code: Any, told: str, convoy: Convoy, workflow: Write, slide: Path, home: Path
) -> None:
    """Nothing has begun then."""
    check_refused(convoy("run", workflow(LOOK), *words), code.exit_code, told)
    check_nothing_began(home)


def test_a_pattern_that_fits_nothing_is_told(convoy: Convoy, workflow: Write, slide: Path, home: Path) -> None:
    """A run over no files would end well and show nothing."""
    text = LOOK.replace("dataset://slides/a.tif", "{default: dataset://slides, pattern: '*.tiff'}")
    answer = convoy("run", workflow(text))
    assert answer.returncode in (INVALID.exit_code, NOT_FOUND.exit_code), answer.stderr
    assert "*.tiff" in answer.stderr
    check_nothing_began(home)


def test_a_faulty_site_file_is_told_with_its_line(convoy: Convoy, home: Path, workflow: Write) -> None:
    """Whatever was asked for."""
    (home / "sites.yaml").write_text("sites:\n  agh: {workdri: x}\n")
    check_refused(convoy("run", workflow(LOOK)), INVALID.exit_code, "sites.yaml:2:", "did you mean workdir?")


def test_a_file_that_is_no_plan_is_told(convoy: Convoy, workflow: Write) -> None:
    """With its name."""
    check_refused(convoy("run", "--plan", workflow("{}")), INVALID.exit_code, "workflow.yaml", "this is not a plan")


# -- data


def test_a_file_that_changed_is_told_and_not_used(convoy: Convoy, workflow: Write, slide: Path, home: Path) -> None:
    """Its name stands for what it held when it was added."""
    slide.write_bytes(b"another slide")
    check_refused(
        convoy("run", workflow(LOOK)), STAGING.exit_code,
        "dataset://slides/a.tif changed", "no longer holds sha256", "as the catalogue says", "convoy data add",
    )  # fmt: skip
    check_nothing_began(home)


def test_a_file_that_changed_unseen_is_found_out_when_it_is_moved(
    convoy: Convoy, workflow: Write, slide: Path, home: Path
) -> None:
    """Same size, same time, other bytes: the hash tells."""
    facts = slide.stat()
    slide.write_bytes(bytes(facts.st_size))
    os.utime(slide, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    assert convoy("run", workflow(LOOK)).returncode == FAILED.exit_code
    run = shown(home)
    assert states(run) == {"look": {"FAILED": 1}}
    assert "no longer holds sha256" in run["steps"][0]["tasks"][0]["message"]
    assert [path for path in (home / "sites/agh").rglob("*") if path.is_file() and "data" in path.parts] == []


def test_a_file_that_is_gone_is_told(convoy: Convoy, workflow: Write, slide: Path) -> None:
    """By its name in the catalogue and its path."""
    slide.unlink()
    check_refused(convoy("run", workflow(LOOK)), NOT_FOUND.exit_code, "dataset://slides/a.tif is gone", str(slide))


def test_other_content_under_a_known_name_is_refused(convoy: Convoy, slide: Path) -> None:
    """Content never changes under a name."""
    slide.write_bytes(b"another slide")
    check_refused(convoy("data", "add", "slides", slide), CONFLICT.exit_code, "Content never changes under a name")


def test_restricted_data_are_not_moved(convoy: Convoy, workflow: Write, tmp_path: Path, home: Path) -> None:
    """The policy is shown, and no byte has gone."""
    scan = tmp_path / "scan.tif"
    scan.write_bytes(b"secret")
    assert convoy("data", "add", "scans", scan, "--only-at", "lrz").returncode == OK.exit_code
    answer = convoy("run", workflow(LOOK.replace("slides/a.tif", "scans/scan.tif")))
    check_refused(answer, FORBIDDEN.exit_code, "dataset://scans/scan.tif", "may lie only at: lrz", "agh")
    check_nothing_began(home)
    assert not list((home / "sites").rglob("data"))


def test_a_full_disk_is_told_and_its_advice_works(convoy: Convoy, workflow: Write, slide: Path, home: Path) -> None:
    """Nothing half arrived stays there; once there is room, the run goes on."""
    with small_disk(home / "sites/agh", size_bytes=2 << 20) as disk:
        answer = convoy("run", workflow(LOOK))
        assert answer.returncode == FAILED.exit_code
        message = shown(home)["steps"][0]["tasks"][0]["message"]
        assert message.startswith("agh: ")
        assert "free some space there" in message
        assert "convoy retry" in message
        assert not [path for path in disk.rglob("*") if path.name.endswith(".part")]
        subprocess.run(["mount", "-o", "remount,size=32m", disk], check=True)
        assert convoy("retry", shown(home)["id"]).returncode == OK.exit_code
    assert states(shown(home)) == {"look": {"COMPLETED": 1}}


# -- resources


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ("cpus: 64", ["agh: 64 CPU cores are wanted, it has 2", "lrz: 64 CPU cores are wanted, it has 2"]),
        ("memory: 1TiB", ["agh: 1024 GiB of memory are wanted, it has 4 GiB|1 TiB of memory are wanted"]),
        ("gpus: 2", ["agh: 2 GPUs are wanted, it has 0", "lrz: 2 GPUs are wanted, it has 1"]),
        ("nodes: 2, processes: 2", ["node"]),
    ],
)
def test_impossible_resources_are_told_with_what_each_site_has(
    wish: str, words: list[str], convoy: Convoy, workflow: Write, home: Path
) -> None:
    """Before anything runs."""
    answer = convoy("run", workflow(f"name: x\nsteps: {{big: {{command: x, resources: {{{wish}}}}}}}\n"))
    check_refused(answer, UNPLANNABLE.exit_code, "no site can run the step big")
    assert [word for word in words if not any(part in answer.stderr for part in word.split("|"))] == [], answer.stderr
    check_nothing_began(home)


def test_a_site_without_slots_is_measured_before_it_is_chosen(convoy: Convoy, workflow: Write, home: Path) -> None:
    """This machine has no eleven GPUs, whatever its site file leaves out."""
    (home / "sites.yaml").write_text("sites: {agh: {workdir: sites/agh}}\n")
    answer = convoy("run", workflow("name: x\nsteps: {big: {command: x, resources: {gpus: 11}}}\n"))
    check_refused(answer, UNPLANNABLE.exit_code, "11 GPUs are wanted")


def test_a_task_that_ran_out_of_memory_is_given_more(convoy: Convoy, workflow: Write, home: Path) -> None:
    """As its author wished: each try asks for twice as much."""
    text = """\
name: grow
steps:
  greedy:
    command: python -c "import time; x = bytearray(150 << 20); time.sleep(4)"; touch o
    outputs: {o: o}
    resources: {memory: 100MiB}
    retries: {attempts: 2, grow: {memory: 2}}
    at: agh
"""
    assert convoy("run", workflow(text)).returncode == OK.exit_code
    attempts = shown(home)["steps"][0]["tasks"][0]["attempts"]
    assert [row["resources"]["memory"] >> 20 for row in attempts] == [100, 200]
    assert [row["native_state"] for row in attempts] == ["OUT_OF_MEMORY", "COMPLETED"]


# -- engines and runs

LONG = """\
name: long
steps:
  sleep: {{command: 'sleep 250 & echo $! > {folder}/child; echo $$ > {folder}/pid; wait', at: agh}}
"""


def test_a_second_engine_refuses_and_names_the_first(
    convoy: Convoy, workflow: Write, home: Path, tmp_path: Path
) -> None:
    """They never both act; looking is allowed."""
    with started(home, "run", workflow(LONG.format(folder=tmp_path))) as first:
        wait_until((tmp_path / "pid").exists, what="the first engine's job")
        begin = time.monotonic()
        check_refused(
            convoy("run", workflow("name: other\nsteps: {a: {command: 'true'}}\n")),
            TRY_AGAIN.exit_code,
            f"process {first.pid}",
            "--wait",
        )
        check_refused(convoy("resume"), TRY_AGAIN.exit_code, f"process {first.pid}")
        assert time.monotonic() - begin < 120
        assert [run["name"] for run in json.loads(convoy("ls", "--json").stdout)] == ["long"]
        assert convoy("cancel", shown(home)["id"]).returncode in (OK.exit_code, FAILED.exit_code)


def test_a_second_engine_waits_when_it_is_told_to(convoy: Convoy, workflow: Write, home: Path, tmp_path: Path) -> None:
    """And begins when the first has ended."""
    slow = workflow(
        f"name: slow\nsteps: {{a: {{command: 'touch {tmp_path}/began; sleep 2; date +%s.%N > {tmp_path}/first'}}}}\n"
    )
    with started(home, "run", slow) as first:
        wait_until((tmp_path / "began").exists, what="the first engine's job")
        answer = convoy(
            "run",
            workflow(f"name: quick\nsteps: {{a: {{command: 'date +%s.%N > {tmp_path}/second'}}}}\n"),
            "--wait=120s",
        )
        assert answer.returncode == OK.exit_code, answer.stderr
        assert first.wait(60) == OK.exit_code
    assert float((tmp_path / "first").read_text()) < float((tmp_path / "second").read_text())


@pytest.mark.parametrize("engine", ["at work", "killed"])
def test_a_canceled_run_ends_with_all_its_processes(
    engine: str, convoy: Convoy, workflow: Write, home: Path, tmp_path: Path
) -> None:
    """Whether an engine is there to do it or not."""
    with started(home, "run", workflow(LONG.format(folder=tmp_path))) as first:
        wait_until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().strip(), what="the job")
        pids = [int((tmp_path / name).read_text()) for name in ("pid", "child")]
        if engine == "killed":
            first.kill()
        run_id = shown(home)["id"]
        answer = convoy("cancel", run_id)
        assert "Traceback" not in answer.stderr
        wait_until(lambda: all(map(ended, pids)), what="the processes to end")
        wait_until(lambda: shown(home)["state"] == "CANCELED", what="the run to end")
    assert states(shown(home)) == {"sleep": {"CANCELED": 1}}
    check_refused(convoy("cancel", run_id), CONFLICT.exit_code, "has ended already: CANCELED")


def test_a_retry_does_only_what_failed(convoy: Convoy, workflow: Write, tmp_path: Path, home: Path) -> None:
    """What succeeded stays, and what waited follows."""
    text = f"""\
name: again
steps:
  each:
    scatter: {{n: [0, 1, 2]}}
    command: "echo x >> {tmp_path}/ran-{{{{with.n}}}}; [ {{{{with.n}}}} != 1 ] || [ -e {tmp_path}/mended ]; touch o"
    outputs: {{o: o}}
  all: {{command: 'echo x >> {tmp_path}/ran-all; ls {{{{inputs.i}}}}', in: {{i: each.o}}}}
"""
    assert convoy("run", workflow(text)).returncode == FAILED.exit_code
    run = shown(home)
    assert states(run) == {"each": {"COMPLETED": 2, "FAILED": 1}, "all": {}}
    check_refused(
        convoy("resume", run["id"]), CONFLICT.exit_code, "has ended already: FAILED", f"convoy retry {run['id']}"
    )
    (tmp_path / "mended").touch()
    assert convoy("retry", run["id"]).returncode == OK.exit_code
    assert {path.name: path.read_text().count("x") for path in tmp_path.glob("ran-*")} == {
        "ran-0": 1,
        "ran-1": 2,
        "ran-2": 1,
        "ran-all": 1,
    }
    check_refused(convoy("retry", run["id"]), CONFLICT.exit_code, "is COMPLETED")


def test_equal_work_is_not_done_twice_unless_it_is_asked_for(convoy: Convoy, workflow: Write, tmp_path: Path) -> None:
    """And it is said that results were taken over."""
    path = workflow(f"name: twice\nsteps: {{a: {{command: 'echo x >> {tmp_path}/ran; touch o', outputs: {{o: o}}}}}}\n")
    first, second, third = convoy("run", path), convoy("run", path), convoy("run", path, "--fresh")
    assert [row.returncode for row in (first, second, third)] == [OK.exit_code] * 3
    assert (tmp_path / "ran").read_text() == "x\nx\n"
    assert "reused" in second.stdout + second.stderr


def test_a_failed_program_is_told_with_its_site_its_code_and_its_last_words(convoy: Convoy, workflow: Write) -> None:
    """The first things that a person wants to know."""
    answer = convoy("run", workflow("name: x\nsteps: {a: {command: 'echo no such slide >&2; exit 3', at: lrz}}\n"))
    assert answer.returncode == FAILED.exit_code
    assert "lrz: exit code 3: no such slide" in answer.stdout + answer.stderr
    assert "Traceback" not in answer.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["show", "absent"],
        ["resume", "absent"],
        ["cancel", "absent"],
        ["retry", "absent"],
        ["logs", "absent"],
        ["report", "absent"],
    ],
)
def test_a_run_that_is_not_there_is_told(words: list[str], convoy: Convoy) -> None:
    """By every verb alike."""
    check_refused(convoy(*words), NOT_FOUND.exit_code, "absent")


def test_an_error_is_json_where_json_was_asked_for(convoy: Convoy) -> None:
    """Programs read it too."""
    answer = convoy("show", "absent", "--json")
    assert answer.returncode == NOT_FOUND.exit_code
    told = json.loads(answer.stdout or answer.stderr)
    assert told["error"] == "NotFoundError"
    assert "absent" in told["message"]
