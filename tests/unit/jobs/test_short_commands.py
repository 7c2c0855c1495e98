"""Short commands at a site, and sites that need no login."""

from __future__ import annotations

import time
from pathlib import Path

import psutil
import pytest

from metadata.errors import InvalidInputError, NotFoundError, SiteUnavailableError
from orchestrator import operations
from orchestrator.operations import Workspace


def test_a_command_answers_whatever_its_exit_code(workspace: Workspace) -> None:
    answer = operations.run_command(workspace, "agh", ["sh", "-c", "echo out; echo err >&2; exit 3"])
    assert (answer.exit_code, answer.stdout, answer.stderr) == (3, "out\n", "err\n")


def test_words_reach_the_command_as_they_are(workspace: Workspace, tmp_path: Path) -> None:
    words = ["printf", "%s|", "a b", "$HOME", "'", "", "*"]
    for directory in (None, str(tmp_path)):
        answer = operations.run_command(workspace, "agh", words, directory=directory)
        assert answer.stdout == "a b|$HOME|'||*|"
        assert answer.argv == tuple(words)


def test_it_starts_in_a_directory_and_a_missing_one_is_told_from_its_own_exit_code(
    workspace: Workspace, tmp_path: Path
) -> None:
    assert operations.run_command(workspace, "agh", ["pwd"], directory=str(tmp_path)).stdout == f"{tmp_path}\n"
    assert operations.run_command(workspace, "agh", ["sh", "-c", "exit 74"], directory=str(tmp_path)).exit_code == 74
    with pytest.raises(NotFoundError, match="no directory /nowhere"):
        operations.run_command(workspace, "agh", ["pwd"], directory="/nowhere")


def test_a_command_that_takes_too_long_is_killed_with_its_children(workspace: Workspace, tmp_path: Path) -> None:
    begin, mark = time.monotonic(), tmp_path / "late"
    with pytest.raises(SiteUnavailableError, match=r"did not end within 0.2 s and was killed"):
        operations.run_command(workspace, "agh", ["sh", "-c", f"(sleep 30; touch {mark}) & wait"], timeout_s=0.2)
    assert time.monotonic() - begin < 25
    assert not any(str(mark) in " ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"]))


@pytest.mark.parametrize("words", [[], [""]])
def test_no_command_is_no_command(workspace: Workspace, words: list[str]) -> None:
    with pytest.raises(InvalidInputError):
        operations.run_command(workspace, "agh", words)


def test_a_site_on_this_machine_has_no_login_and_no_host_keys(workspace: Workspace) -> None:
    with pytest.raises(InvalidInputError, match="needs no login"):
        operations.trust_site(workspace, "agh", lambda _: True)
