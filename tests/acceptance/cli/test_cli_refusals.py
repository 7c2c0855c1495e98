"""Whatever is wrong is said in one line, with the place and what to do, and with its own exit code."""

from __future__ import annotations

import errno
import json
import os
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


def test_an_open_quote_is_told_with_where_it_began(tell: Tell, workflow: Write) -> None:
    path = workflow('name: x\nsteps:\n  a: {command: "true}\n  b: {command: y}\n')
    err = refused(tell, "check", path, code=2)
    assert f"{path}:5:1: " in err
    assert "while scanning a quoted scalar that begins at 3:16" in err


def test_a_tab_is_told_with_what_to_write_instead(tell: Tell, workflow: Write) -> None:
    assert "indent with spaces" in refused(tell, "check", workflow("name: x\nsteps:\n\ta: {command: x}\n"), code=2)


def test_a_list_where_a_mapping_belongs_is_told_in_words_of_the_file(tell: Tell, workflow: Write) -> None:
    path = workflow("name: x\nsteps:\n  a: {command: x, outputs: [a.txt]}\n")
    assert "3:19: steps.a.outputs: a mapping was expected here" in refused(tell, "check", path, code=2)


def test_what_is_no_text_is_told_in_plain_words(tell: Tell, tmp_path: Path) -> None:
    path = tmp_path / "slide.tif"
    path.write_bytes(b"name: \xff")
    assert refused(tell, "check", path, code=2).endswith("it is no text in UTF-8, from its byte 6 on\n")
    assert refused(tell, "check", tmp_path, code=2).endswith("Is a directory\n")


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["--input", "word=hi"], "it is a parameter: --param word=..."),
        (["--param", "word2=hi"], "did you mean word?"),
    ],
)
def test_a_value_under_the_wrong_option_is_told_with_the_right_one(
    tell: Tell, workflow: Write, words: list[str], meant: str
) -> None:
    assert meant in refused(tell, "plan", workflow(HELLO), *words, code=2)


def test_a_place_at_a_site_is_no_input(tell: Tell, workflow: Write) -> None:
    path = workflow("name: x\ninputs: {slides: {}}\nsteps:\n  a: {command: 'true', in: {s: inputs.slides}}\n")
    err = refused(tell, "run", path, "--input", "slides=site://agh/slides", code=2)
    assert "convoy data add NAME PATH --site SITE" in err


def test_runs_are_asked_for_by_the_words_that_show_their_states(tell: Tell, workflow: Write) -> None:
    tell("run", workflow(HELLO), "--no-report")
    assert [row["name"] for row in tell("ls", "--state", "completed", "--json").document] == ["hello"]
    assert tell("ls", "--state", "running", "--json").document == []
    assert "No run is like that" in tell("ls", "--state", "running").out
    assert "there is no state 'faild'; did you mean failed?" in refused(tell, "ls", "--state", "faild", code=2)


def test_where_every_run_has_ended_there_is_nothing_to_resume(tell: Tell, workflow: Write) -> None:
    assert "there is no run yet" in refused(tell, "resume", code=3)
    tell("run", workflow(HELLO), "--no-report")
    assert "no run waits to be gone on with" in refused(tell, "resume", code=3)
    assert "no run waits to be gone on with" in refused(tell, "resume", "--detach", code=3)


def test_a_task_that_wrote_nothing_is_told_of(tell: Tell, workflow: Write) -> None:
    tell("run", workflow("name: still\nsteps:\n  a: {command: 'true', at: agh}\n"), "--no-report")
    said = tell("logs")
    assert (said.code, said.out, said.err) == (0, "", "Nothing was written there.\n")


def test_an_unknown_use_case_is_told_before_demo_data_are_made(tell: Tell) -> None:
    assert "there is no use case 'camnett'; did you mean camnet?" in refused(tell, "usecase", "run", "camnett", code=3)


def test_a_site_file_that_was_named_has_to_be_there(tell: Tell, tmp_path: Path) -> None:
    assert "there is no site file" in refused(tell, "--sites", tmp_path / "absent.yaml", "site", "ls", code=3)


def test_a_file_that_is_no_database_is_told(tell: Tell, home: Path) -> None:
    (home / "convoy.db").write_text("something else, and long enough to be read as one\n" * 10)
    err = refused(tell, "ls", code=2)
    assert "file is not a database" in err
    assert "move it away" in err


def test_a_home_that_cannot_be_made_is_told(tell: Tell, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    err = refused(tell, "--home", tmp_path / "file" / "home", "ls", code=75)
    assert "there is no place for the database" in err
    assert "is no folder" in refused(tell, "--home", tmp_path / "file", "init", code=4)


def test_a_home_is_made_where_home_says(tell: Tell, tmp_path: Path) -> None:
    tell("--home", tmp_path / "mine", "init")
    assert (tmp_path / "mine" / "sites.yaml").exists()
    assert not (tmp_path / ".convoy").exists()


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [(errno.ENOSPC, 75, "make room there"), (errno.EACCES, 2, "check who may read and write there")],
)
def test_what_the_machine_refuses_is_no_fault_of_convoy(
    tell: Tell, home: Path, monkeypatch: pytest.MonkeyPatch, error: int, code: int, told: str
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(error, os.strerror(error), "/some/file")

    monkeypatch.setattr("orchestrator.operations.list_runs", refuse)
    err = refused(tell, "ls", code=code)
    assert f"/some/file: {os.strerror(error)}; {told}" in err
    assert not (home / "crash.log").exists()


def test_a_file_that_is_not_there_is_blamed_on_whoever_named_it(tell: Tell, workflow: Write) -> None:
    path = workflow("name: x\ninputs: {s: {default: a.tif}}\nsteps:\n  a: {command: 'true', in: {s: inputs.s}}\n")
    assert f"{path}:2:10: there is no file a.tif" in refused(tell, "plan", path, code=3)
    assert "error: the input s: there is no file b.tif" in refused(tell, "plan", path, "--input", "s=b.tif", code=3)


def test_an_unknown_dataset_is_told_with_where_to_look(tell: Tell) -> None:
    assert "no dataset is named 'slides'; see what there is with: convoy data ls" in refused(
        tell, "data", "ls", "slides", code=3
    )
