"""The verbs on data as a person types them, in real processes over three embedded sites."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.cli.conftest import Tell
from tests.acceptance.conftest import PROGRAM, Convoy, environment

SITES = """\
sites:
  agh: {workdir: sites/agh, labels: [cpu]}
  lrz: {workdir: sites/lrz, labels: [cpu, gpu]}
  vault: {workdir: sites/vault, labels: [tape]}
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with three embedded sites, and a folder of files beside it."""
    folder = tmp_path / "home"
    folder.mkdir()
    (folder / "sites.yaml").write_text(SITES)
    for name in ("a.tif", "train/b.tif"):
        (tmp_path / "slides" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "slides" / name).write_bytes(name.encode() * 1000)
    return folder


@pytest.fixture
def ask(tell: Tell) -> Callable[..., Any]:
    """What a verb answers with --json; it has to succeed."""

    def ask(*words: object) -> Any:
        said = tell("data", *words, "--json")
        assert said.code == 0, said.err
        return said.document

    return ask


def stored(home: Path, site: str) -> list[Path]:
    """The files in a site's store."""
    return [path for path in (home / "sites" / site / "data").glob("??/*") if path.is_file()]


def test_the_life_of_a_dataset(convoy: Convoy, home: Path) -> None:
    def ask(*words: object) -> Any:
        said = convoy("data", *words, "--json")
        assert said.returncode == 0, said.stderr
        return json.loads(said.stdout)

    put = ask("put", "slides", "study", "--site", "agh")
    assert [(row["site"], row["source"], row["error"]) for row in put] == [("agh", "here", None)] * 2
    assert [row["name"] for row in ask("ls", "study")] == ["train/", "a.tif"]
    assert ask("du", "study")[0]["sites"] == {"agh": 16000, "here": 16000}

    copied = ask("cp", "study/train", "lrz:")
    assert [row["bytes_moved"] for row in copied] == [11000]
    assert ask("cp", "study/train", "other/set")[0]["name"] == "dataset://other/set/b.tif"
    assert ask("mv", "other", "third")[0]["source"] == "dataset://other"

    # The person's own files were registered where they lay: they are the last copies, and stay.
    assert len(ask("rm", "study", "third", "--copies", "--yes")["kept"]) == 2
    assert not stored(home, "agh")
    assert not stored(home, "lrz")
    assert len(list((home.parent / "slides").rglob("*.tif"))) == 2
    assert ask("ls") == []


def test_rules_pins_and_their_plan(tell: Tell, ask: Callable[..., Any], home: Path) -> None:
    ask("put", "slides", "study", "--site", "agh")
    ask("rule", "add", "study", "--copies", "3", "--at", "tape")
    planned = tell("data", "apply", "--dry-run")
    assert (planned.code, stored(home, "vault")) == (0, [])
    for part in ("copy", "dataset://study/a.tif", "agh → vault", "one at tape", "2 to copy"):
        assert part in planned.out
    unanswered = tell("data", "apply")
    assert (unanswered.code, "add --yes" in unanswered.err) == (2, True)
    done = ask("apply", "--yes")
    assert (len(done["carried"]), done["removed"], len(stored(home, "vault"))) == (2, [], 2)

    assert ask("pin", "study/a.tif")[0]["path"] == "a.tif"
    ask("rule", "rm", 1)
    ask("rule", "add", "study", "--keep", "0s", "--site", "cpu")
    done = ask("apply", "--yes")
    assert [row["size_bytes"] for row in done["removed"]] == [11000]
    pinned = tell("data", "rm", "study", "--yes")
    assert (pinned.code, "is pinned" in pinned.err) == (4, True)
    ask("unpin", "study/a.tif")
    assert len(ask("apply", "--yes")["removed"]) == 1
    assert stored(home, "agh") == []
    unmet = tell("data", "rule", "add", "study", "--copies", "9")
    assert unmet.code == 0
    assert tell("data", "apply", "--dry-run").code == 1


def test_wrong_copies_are_repaired(tell: Tell, ask: Callable[..., Any], home: Path) -> None:
    ask("put", "slides", "study", "--site", "agh")
    broken = stored(home, "agh")[0]
    size = broken.stat().st_size
    broken.write_bytes(b"x" * size)
    assert tell("data", "verify", "study").code == 1
    assert sum(row["repaired"] for row in ask("verify", "study", "--repair")) == 1
    assert tell("data", "verify").code == 0


def test_names_come_from_a_file_and_from_standard_input(convoy: Convoy, home: Path) -> None:
    assert convoy("data", "put", "slides", "study", "--site", "agh").returncode == 0
    words = [*PROGRAM, "--home", str(home), "data", "get", "--from-file", "-", "--output", "out"]
    subprocess.run(
        words, input="study/a.tif\n\nstudy/train\n", text=True, check=True, cwd=home.parent, env=environment()
    )
    assert sorted(path.name for path in (home.parent / "out").iterdir()) == ["a.tif", "b.tif"]
    (home.parent / "names").write_bytes(b"study/a.tif\0study/train\0")
    assert convoy("data", "rm", "--from-file", "names", "--yes").returncode == 0
    assert convoy("data", "ls", "study", "--json").stdout.strip() == "[]"
    nothing = convoy("data", "get")
    assert (nothing.returncode, "nothing is named" in nothing.stderr) == (2, True)


def test_a_person_is_asked_before_anything_goes(convoy: Convoy, home: Path) -> None:
    assert convoy("data", "put", "slides", "study", "--site", "agh").returncode == 0
    for answer, code, left in (("n", 1, 2), ("y", 0, 0)):
        assert _answered(home, ["data", "rm", "study/a.tif", "study/train"], answer) == code
        said = convoy("data", "ls", "-R", "study", "--json")
        assert len(json.loads(said.stdout)) == left


def _answered(home: Path, words: list[str], answer: str) -> int:
    """The exit code of a verb that was asked of a terminal, and answered."""
    leader, follower = pty.openpty()
    try:
        program = [*PROGRAM, "--home", str(home), *words]
        with subprocess.Popen(program, stdin=follower, stdout=follower, stderr=follower, env=environment()) as process:
            seen = b""
            while b"[y/N]" not in seen:
                seen += os.read(leader, 4096)
            os.write(leader, answer.encode() + b"\n")
            return process.wait(60)
    finally:
        os.close(leader)
        os.close(follower)


def test_a_folder_is_watched_once_and_for_ever(convoy: Convoy, home: Path) -> None:
    once = convoy("data", "watch", "scans", "slides", "--once", "--settle", "0", "--json")
    assert once.returncode == 0, once.stderr
    assert [json.loads(line)["name"] for line in once.stdout.splitlines()] == [
        "dataset://scans/a.tif",
        "dataset://scans/train/b.tif",
    ]
    words = ["data", "watch", "scans", "slides", "--settle", "0", "--interval", "0.1", "--json"]
    with subprocess.Popen(
        [*PROGRAM, "--home", str(home), *words], stdout=subprocess.PIPE, text=True, cwd=home.parent, env=environment()
    ) as watching:
        assert watching.stdout is not None
        (home.parent / "slides/new.tif").write_bytes(b"new")
        assert json.loads(watching.stdout.readline())["name"] == "dataset://scans/new.tif"
        watching.send_signal(signal.SIGINT)
        assert watching.wait(60) == 130


def test_a_part_of_a_file_is_written_out(convoy: Convoy, home: Path) -> None:
    assert convoy("data", "put", "slides", "study", "--site", "agh").returncode == 0
    assert convoy("data", "cat", "study/a.tif", "--offset", "5", "--size", "7").stdout == "a.tifa."
    assert len(convoy("data", "cat", "study/a.tif").stdout) == 5000
    assert json.loads(convoy("data", "cat", "study/a.tif", "--json").stdout)["site"] == "here"


ANSWERS = [
    ["ls", "study", "-l"],
    ["ls", "-d", "study/train"],
    ["du"],
    ["cp", "study", "lrz:"],
    ["cp", "study/a.tif", "more/x"],
    ["mv", "study/a.tif", "study/z.tif"],
    ["rm", "study/a.tif", "--yes"],
    ["verify", "--repair"],
    ["pin", "study"],
    ["pin", "--list"],
    ["rule", "add", "study", "--copies", "2"],
    ["rule", "ls"],
    ["apply", "--dry-run"],
    ["apply", "--yes"],
    ["put", "slides/a.tif", "study/again", "--site", "lrz"],
    ["get", "study", "--output", "out"],
]


@pytest.mark.parametrize("words", ANSWERS, ids=" ".join)
def test_with_json_and_without_every_verb_answers(tell: Tell, home: Path, words: list[str]) -> None:
    assert tell("data", "put", "slides", "study", "--site", "agh").code == 0
    said = tell("data", *words, "--json")
    assert said.code == 0, said.err
    assert isinstance(said.document, list | dict)
    again = tell("data", *words)
    assert again.out or again.code in (3, 4)


def test_help_has_examples(tell: Tell) -> None:
    assert "convoy data cp camelyon17 agh:" in tell("data", "cp", "--help").out
    assert "rule" in tell("data", "--help").out
    assert "--keep" in tell("data", "rule", "add", "--help").out


def test_names_complete_into_datasets(tell: Tell, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tell("data", "put", "slides", "study", "--site", "agh")
    monkeypatch.setenv("CONVOY_HOME", str(home))
    monkeypatch.setenv("_CONVOY_COMPLETE", "complete_bash")
    for words, wanted in (("convoy data ls st", "study"), ("convoy data rm study/t", "study/train/")):
        monkeypatch.setenv("COMP_WORDS", words)
        monkeypatch.setenv("COMP_CWORD", "3")
        assert tell().out.startswith(wanted), words


def test_a_refused_copy_ends_with_what_it_means(tell: Tell, home: Path) -> None:
    tell("data", "add", "private", "slides", "--only-at", "agh", "--only-at", "here")
    said = tell("data", "cp", "private", "lrz:")
    assert (said.code, "must not go to lrz" in said.out) == (5, True)
    assert tell("data", "cp", "private", "nowhere:").code == 3
    assert tell("data", "mv", "private", "agh:").code == 2
