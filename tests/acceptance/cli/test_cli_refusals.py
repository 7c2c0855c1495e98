"""Whatever is wrong is said in one line, with the place and what to do, and with its own exit code."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.acceptance.cli.conftest import HELLO, Tell
from tests.acceptance.conftest import Convoy

Write = Callable[[str], Path]


def refused(tell: Tell, *words: object, code: int) -> str:
    """The error's text; there is no answer, and no traceback."""
    said = tell(*words)
    assert (said.code, said.out) == (code, ""), said.err
    assert said.err.startswith("convoy: error: ")
    assert "Traceback" not in said.err
    return said.err


def test_broken_yaml_is_told_with_its_place(convoy: Convoy, workflow: Write) -> None:
    path = workflow("name: x\nsteps:\n  a: [1\n")
    done = convoy("run", path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"convoy: error: {path}:4:1: this is not valid YAML")


@pytest.mark.parametrize(
    ("broken", "place", "told"),
    [
        (HELLO.replace("greet.greeting", "greed.greeting"), "11", "did you mean greet"),
        (HELLO.replace("command", "comand", 1), "6", "did you mean command"),
        (HELLO.replace("at: agh", "in: {a: gather.all}"), "4", "circle: greet -> gather -> greet"),
        (HELLO.replace("at: agh", "at: ahg"), "8", "did you mean agh"),
    ],
)
def test_a_fault_in_a_workflow_is_told_with_its_line(
    tell: Tell, workflow: Write, broken: str, place: str, told: str
) -> None:
    path = workflow(broken)
    err = refused(tell, "plan", path, code=2)
    assert f"{path}:{place}:" in err
    assert told in err


def test_a_step_that_fits_no_site_cannot_be_planned(tell: Tell, workflow: Write) -> None:
    path = workflow(HELLO.replace("at: agh", "resources: {gpus: 9}"))
    assert "lrz: 9 GPUs are wanted, it has 1" in refused(tell, "plan", path, code=6)


def test_a_missing_dataset_is_not_found(tell: Tell, workflow: Write) -> None:
    path = workflow(
        "name: x\ninputs: {slides: dataset://camelyon}\nsteps:\n  a: {command: 'true', in: {s: inputs.slides}}\n"
    )
    assert "camelyon" in refused(tell, "run", path, code=3)


def test_data_that_may_not_move_are_not_moved(tell: Tell, home: Path, workflow: Write) -> None:
    (home.parent / "scan.txt").write_text("private")
    assert tell("data", "add", "scans", "scan.txt", "--only-at", "agh").code == 0
    path = workflow(
        "name: x\ninputs: {s: dataset://scans/scan.txt}\nsteps:\n  a: {command: 'true', in: {s: inputs.s}, at: lrz}\n"
    )
    assert "may lie only at: agh" in refused(tell, "run", path, code=5)


def test_names_that_nothing_has_are_not_found(tell: Tell) -> None:
    for words in (["show", "nosuch"], ["logs"], ["resume"], ["site", "show", "ahg"], ["data", "show", "x"], ["schema", "x"],
                  ["usecase", "show", "camnt"], ["report"], ["cancel", "x"], ["retry", "x"], ["run", "nosuch.yaml"]):  # fmt: skip
        refused(tell, *words, code=3)


@pytest.mark.parametrize(
    "words",
    [
        ["nosuch"],
        ["run"],
        ["run", "--inptu", "x"],
        ["run", "hello.yaml", "--plan", "plan.json"],
        ["run", "hello.yaml", "--param", "seed"],
        ["run", "--plan", "nosuch.json"],
        ["run", "--plan", "plan.json", "--param", "a=1"],
        ["logs", "--follow", "--json"],
        ["data", "find", "mpp<<"],
        ["ls", "--limit", "none"],
    ],
)
def test_wrong_words_are_wrong_usage(tell: Tell, words: list[str]) -> None:
    said = tell(*words)
    assert (said.code, said.out) == (2, ""), said.err
    assert said.err.count("\n") == 1


def test_an_error_is_one_line_of_json_when_json_is_asked_for(tell: Tell) -> None:
    said = tell("show", "nosuch", "--json")
    assert said.out == ""
    assert json.loads(said.err)["exit_code"] == said.code == 3


def test_a_failed_task_ends_the_run_with_its_reason_and_where_to_read_on(tell: Tell, workflow: Write) -> None:
    path = workflow(
        "name: bad\nsteps:\n  a: {scatter: {n: {range: 9}}, command: 'echo no luck >&2; exit 7', at: agh}\n"
    )
    said = tell("run", path, "--no-report")
    assert said.code == 1
    for part in (
        "9 of 9 in a",
        "a.0",
        "exit code 7",
        "no luck",
        "see: convoy logs bad-",
        "and 4 more; see: convoy show",
    ):
        assert part in said.err
    assert tell("logs", "bad", "a.8", "--stderr").out == "no luck\n"
    again = tell("retry", tell("ls", "--json").document[0]["id"], "--no-report", "--json")
    assert (again.code, again.document["counts"]) == (1, {"FAILED": 9})


def test_a_home_cannot_be_made_twice(tell: Tell) -> None:
    assert tell("init", "new").code == 0
    assert "remove it to begin anew" in refused(tell, "init", "new", code=4)


def test_a_fault_of_convoy_itself_is_kept_for_who_mends_it(
    tell: Tell, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("planted")

    monkeypatch.setattr("orchestrator.operations.list_runs", broken)
    assert "unexpected: ZeroDivisionError: planted; the traceback is in" in refused(tell, "ls", code=70)
    log = (home / "crash.log").read_text()
    assert "Traceback" in log
    assert "convoy --home" in log
    assert "Traceback" in tell("ls", "-vv").err


def test_a_saved_plan_whose_input_changed_is_not_carried_out(tell: Tell, home: Path, workflow: Write) -> None:
    slide = home.parent / "slide.txt"
    slide.write_text("one")
    tell("data", "add", "study", "slide.txt")
    path = workflow(
        "name: x\ninputs: {s: dataset://study/slide.txt}\nsteps:\n  a: {command: 'true', in: {s: inputs.s}}\n"
    )
    assert tell("plan", path, "--output", "plan.json").code == 0
    slide.write_text("two")
    assert "changed" in refused(tell, "run", "--plan", "plan.json", code=8)
