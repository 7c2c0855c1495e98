"""What each verb answers, for people and, with --json, for programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.cli.conftest import HELLO, Tell

ALL = [
    (["check", "hello.yaml"], dict),
    (["plan", "hello.yaml"], dict),
    (["run", "hello.yaml", "--no-report"], dict),
    (["ls"], list),
    (["show"], dict),
    (["logs"], list),
    (["report"], dict),
    (["schema", "sites"], dict),
    (["init", "new"], list),
    (["site", "ls"], dict),
    (["site", "show", "agh"], dict),
    (["data", "add", "more", "hello.yaml", "--attribute", "n=1"], dict),
    (["data", "ls"], list),
    (["data", "show", "study"], dict),
    (["data", "find", "size>1"], list),
    (["data", "tag", "study", "mpp=0.25"], dict),
    (["data", "get", "study", "--output", "out"], list),
    (["data", "verify", "study"], list),
    (["usecase", "ls"], list),
    (["usecase", "show", "camnet"], dict),
]


@pytest.mark.parametrize(("words", "kind"), ALL, ids=lambda value: " ".join(value) if isinstance(value, list) else "")
def test_with_json_standard_output_is_one_document(
    tell: Tell, home_copy: Path, words: list[str], kind: type[Any]
) -> None:
    (home_copy.parent / "hello.yaml").write_text(HELLO)
    said = tell(*words, "--json")
    assert said.code == 0, said.err
    assert isinstance(said.document, kind)


def test_json_may_be_asked_for_before_the_verb_too(tell: Tell) -> None:
    assert tell("--json", "ls").document == []


def test_progress_goes_to_standard_error_when_json_is_asked_for(tell: Tell, home: Path) -> None:
    (home.parent / "hello.yaml").write_text(HELLO)
    said = tell("run", "hello.yaml", "--json")
    assert "gather" in said.err
    assert Path(said.document["report"]["page"]).is_file()
    assert said.document["counts"] == {"COMPLETED": 3}


def test_quiet_says_nothing_of_the_way(tell: Tell, home: Path) -> None:
    (home.parent / "hello.yaml").write_text(HELLO)
    said = tell("run", "hello.yaml", "--quiet", "--no-report")
    assert (said.code, said.out, said.err) == (0, "", "")


def test_a_parameter_changes_what_runs_and_equal_steps_are_taken_over(tell: Tell, home: Path) -> None:
    (home.parent / "hello.yaml").write_text(HELLO)
    for words in (["--param", "word=ahoy"], ["--param", "word=ahoy"], ["--fresh"]):
        assert tell("run", "hello.yaml", "--no-report", *words).code == 0
    fresh, again, first = (run["id"] for run in tell("ls", "--json").document)
    assert tell("logs", first, "greet.1", "--stdout").out == "ahoy 1\n"
    assert f"taken over from {first}" in tell("show", again).out
    assert f"==> greet.1 (1) stdout, of {first} <==\nahoy 1\n" in tell("logs", again).out
    assert tell("logs", fresh, "greet.1", "--stdout").out == "hello 1\n"


def test_logs_name_each_task_and_may_be_cut(tell: Tell, home_copy: Path, finished: Path) -> None:
    out = tell("logs").out
    assert "==> greet.1 (1) stdout <==\nhello 1\n" in out
    assert "==> greet.1 (1) stderr <==\nto-stderr\n" in out
    assert tell("logs", "hello", "greet.0", "--stdout", "--tail", "3").out == " 0\n"


def test_following_the_logs_of_a_run_that_ended_prints_them_and_ends(tell: Tell, home_copy: Path) -> None:
    assert "hello 0" in tell("logs", "hello", "greet", "-f").out


def test_a_run_is_shown_with_steps_tasks_and_transfers(tell: Tell, home_copy: Path) -> None:
    out = tell("show", "hello").out
    for part in ("✓ completed", "greet.1", "gather", "agh → lrz", "posix"):
        assert part in out


def test_runs_can_be_listed_by_state_and_name(tell: Tell, home_copy: Path) -> None:
    assert len(tell("ls", "--json", "--state", "completed", "--name", "hello").document) == 1
    assert tell("ls", "--json", "--state", "failed").document == []


def test_data_are_added_found_fetched_and_checked(tell: Tell, home: Path) -> None:
    slides = home.parent / "slides"
    slides.mkdir()
    (slides / "a.tif").write_bytes(b"a" * 1000)
    (slides / "b.tif").write_bytes(b"b" * 2000)
    assert tell("data", "add", "study", "slides", "--attribute", "centre=2", "--description", "two slides").code == 0
    assert tell("data", "tag", "study/a.tif", "mpp=0.25", "stain=HE").code == 0
    assert [row["path"] for row in tell("data", "find", "mpp<0.3", "--json").document] == ["a.tif"]
    assert "dataset://study" in tell("data", "find", "centre=2", "--datasets").out
    assert tell("data", "get", "study", "--output", "got").code == 0
    assert (home.parent / "got" / "b.tif").read_bytes() == b"b" * 2000
    (slides / "a.tif").write_bytes(b"x" * 1000)
    said = tell("data", "verify", "study")
    assert said.code == 1
    assert "✗" in said.out


def test_a_site_is_tried_for_real(tell: Tell, home: Path) -> None:
    said = tell("site", "test", "agh", "--json")
    assert (said.code, all(row["good"] for row in said.document)) == (0, True)
    made = [row["check"] for row in said.document]
    assert made == ["adapters", "login", "clock", "storage", "room", "container", "movers", "job"]
    assert not list(home.rglob(".probe-*"))
    assert not (home / "sites/agh").exists()


def test_a_site_that_does_not_work_says_what_to_mend(tell: Tell, home: Path) -> None:
    (home / "sites.yaml").write_text("sites:\n  agh: {workdir: /proc/nowhere}\n")
    said = tell("site", "test", "agh")
    assert said.code == 1
    assert "→ make /proc/nowhere writable" in said.out
    assert "not tried, for that needs: storage" in said.out


def test_help_shows_groups_examples_environment_and_exit_codes(tell: Tell) -> None:
    out = tell("--help").out
    for part in ("Runs", "Looking", "CONVOY_HOME", "Exit codes", "75  try again later", "convoy usecase run camnet"):
        assert part in out
    assert "convoy run --plan plan.json" in tell("run", "--help").out
    assert tell("site").out == tell("site", "--help").out
    assert tell("--version").out.startswith("convoy ")


def test_names_of_runs_complete_in_the_shell(home_copy: Path, tell: Tell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONVOY_HOME", str(home_copy))
    monkeypatch.setenv("_CONVOY_COMPLETE", "complete_bash")
    for words, wanted in (
        ("convoy show he", "hello-"),
        ("convoy logs '' gr", "greet"),
        ("convoy data show st", "study"),
        ("convoy site te", "test"),
    ):
        monkeypatch.setenv("COMP_WORDS", words)
        monkeypatch.setenv("COMP_CWORD", str(len(words.split()) - 1))
        assert tell().out.startswith(wanted), words


def test_a_table_leaves_square_brackets_as_they_are(tell: Tell, home: Path) -> None:
    (home.parent / "scan[1].txt").write_text("x")
    tell("data", "add", "study", "scan[1].txt", "--description", "[bold]all[/bold]")
    assert "[bold]all[/bold]" in tell("data", "ls").out


def test_the_plan_that_was_saved_is_the_plan_that_was_shown(tell: Tell, home: Path) -> None:
    (home.parent / "hello.yaml").write_text(HELLO)
    said = tell("plan", "hello.yaml", "--output", "plan.json", "--json")
    assert json.loads((home.parent / "plan.json").read_text()) == said.document
