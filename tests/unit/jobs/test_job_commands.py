"""The commands `convoy job ...` and `convoy show --efficiency`."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from orchestrator.faces.cli import sites
from orchestrator.faces.cli.main import main
from orchestrator.operations import UnknownKey


@dataclass(frozen=True, kw_only=True)
class Said:
    """What the command said."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


Tell = Callable[..., Said]


@pytest.fixture
def tell(home: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Tell:
    """Says `convoy ARGUMENTS` in this process."""
    monkeypatch.setenv("COLUMNS", "200")

    def say(*words: object, stdin: str = "") -> Said:
        monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        with pytest.raises(SystemExit) as end:
            main(["--home", str(home), *map(str, words)])
        out, err = capfd.readouterr()
        return Said(code=int(end.value.code or 0), out=out, err=err)

    return say


def test_a_job_is_handed_in_waited_for_looked_at_and_forgotten(tell: Tell, tmp_path: Path) -> None:
    (tmp_path / "job.sh").write_text("#!/bin/sh\necho hello; echo oh >&2")
    made = tell("job", "submit", "agh", tmp_path / "job.sh", "--tag", "night", "--time", "1m", "--json", "--wait")
    assert (made.code, made.document["state"], made.document["tag"]) == (0, "COMPLETED", "night")
    job = made.document["id"]
    assert made.document["account"]["time_limit_s"] == 60
    assert [row["id"] for row in tell("job", "ls", "--tag", "night", "--json").document] == [job]
    assert "✓ completed" in tell("job", "ls", "--cached").out
    shown = tell("job", "show", job[:-1])
    assert job in shown.out
    assert "Used" in shown.out
    printed = tell("job", "logs", job)
    assert (printed.out, printed.err) == ("hello\n", "oh\n")
    assert tell("job", "logs", job, "--json", "--tail", "3").document["stdout"] == "lo\n"
    assert tell("job", "rm", job).code == 0
    assert tell("job", "show", job).code == 3


def test_a_script_comes_from_standard_input_and_its_failure_is_the_exit_code(tell: Tell) -> None:
    failed = tell("job", "submit", "agh", "-", "--wait", stdin="exit 5")
    assert failed.code == 1
    assert "exit code  5" in failed.out


def test_a_job_is_aborted_once(tell: Tell) -> None:
    job = tell("job", "submit", "agh", "-", "--json", stdin="sleep 300").document["id"]
    assert tell("job", "abort", job, "--json").document["state"] == "CANCELED"
    assert tell("job", "abort", job).code == 4
    assert tell("job", "resume", job).code == 4


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--cpus", "3", "--processes", "2"], "cannot be shared evenly"),
        (["--memory", "lots"], "is not a size"),
        (["--time", "soon"], "is not a duration"),
        (["--option", "qos"], "NAME=VALUE"),
        (["--directory", "here"], "absolute"),
        (["--cpus", "64"], "64 CPU cores"),
    ],
)
def test_a_wrong_wish_is_told_and_nothing_is_handed_in(tell: Tell, words: list[str], said: str) -> None:
    refused = tell("job", "submit", "agh", "-", *words, stdin="true")
    assert refused.code == 2
    assert said in refused.err
    assert "There is no such job" in tell("job", "ls").out


def test_a_script_that_cannot_be_read_is_told(tell: Tell) -> None:
    assert tell("job", "submit", "agh", "/nowhere/job.sh").code == 2


def test_exec_gives_the_commands_own_output_and_exit_code(tell: Tell, tmp_path: Path) -> None:
    answer = tell("job", "exec", "agh", "--directory", tmp_path, "--", "sh", "-c", "pwd; echo no >&2; exit 9")
    assert (answer.code, answer.out, answer.err) == (9, f"{tmp_path}\n", "no\n")


def test_what_follows_two_dashes_belongs_to_the_command(tell: Tell) -> None:
    assert tell("job", "exec", "agh", "--", "echo", "--json", "--wait").out == "--json --wait\n"
    answered = tell("job", "exec", "agh", "--json", "--", "sh", "-c", "exit 2")
    assert (answered.code, answered.document["exit_code"]) == (2, 2)


def test_exec_that_takes_too_long_says_so(tell: Tell) -> None:
    late = tell("job", "exec", "agh", "--timeout", "0.2s", "sleep", "5")
    assert late.code == 75
    assert "was killed" in late.err


def test_a_site_on_this_machine_is_neither_trusted_nor_logged_in_to(tell: Tell) -> None:
    assert tell("site", "trust", "agh", "--yes").code == 2
    assert tell("site", "login", "agh").code == 2


def test_a_runs_efficiency_is_a_table_and_a_document(tell: Tell, tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text("name: one\nsteps:\n  only: {command: 'true', at: agh, resources: {time: 1m}}\n")
    assert tell("run", tmp_path / "one.yaml", "--no-report", "--quiet").code == 0
    (row,) = tell("show", "--efficiency", "--json").document["tasks"]
    assert (row["step"], row["time_limit_s"], row["counted"]) == ("only", 60, False)
    shown = tell("show", "--efficiency").out
    assert "only.0" in shown
    assert "keeps no accounts" in shown


def test_a_fingerprint_that_was_said_beforehand_is_the_only_one_trusted() -> None:
    key = UnknownKey(site="agh", host="agh", algorithm="ssh-ed25519", fingerprint="SHA256:right", file=Path("known"))
    assert sites._decision(yes=False, fingerprints=["SHA256:right"])(key)
    assert not sites._decision(yes=True, fingerprints=["SHA256:wrong"])(key)
    assert sites._decision(yes=True, fingerprints=None)(key)
