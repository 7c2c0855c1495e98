"""A permit is used once, and never after it was withdrawn."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

import pytest

from metadata.errors import SiteUnavailableError
from orchestrator.permits import Permit, new_permit, withdraw_permits
from orchestrator.ports import CommandRunner
from orchestrator.registry import load
from tests.testbed.fixtures import wait_until


@pytest.fixture
def runner() -> Iterator[CommandRunner]:
    made = load("runners", "local")(site="toy", options={})
    yield made
    made.close()


@pytest.fixture
def folder(tmp_path: Path) -> PurePosixPath:
    return PurePosixPath(tmp_path / "a folder's scripts")


def given(runner: CommandRunner, folder: PurePosixPath) -> Permit:
    """A permit that is at the site."""
    permit = new_permit(folder, "jobs")
    runner.put_text(permit.path, "the script\n")
    return permit


def test_a_permit_is_used_once_and_the_script_stays(runner, folder):
    permit = given(runner, folder)
    answer = permit.use(runner, ("cat", str(permit.script)), timeout_s=60)
    assert (answer.argv, answer.exit_code, answer.stdout) == (("cat", str(permit.script)), 0, "the script\n")
    with pytest.raises(SiteUnavailableError, match="made anew"):
        permit.use(runner, ("false",), timeout_s=60)
    assert os.listdir(folder) == [permit.script.name]


def test_the_commands_own_failure_is_told(runner, folder):
    answer = given(runner, folder).use(runner, ("sh", "-c", "echo refused >&2; exit 75"), timeout_s=60)
    assert (answer.exit_code, answer.stderr) == (75, "refused\n")


def test_a_submission_that_comes_after_a_search_does_nothing(runner, folder, tmp_path):
    permit = given(runner, folder)
    withdraw_permits(runner, folder)
    with pytest.raises(SiteUnavailableError, match="made anew"):
        permit.use(runner, ("touch", str(tmp_path / "submitted")), timeout_s=60)
    assert not (tmp_path / "submitted").exists()


def test_a_search_waits_for_a_submission_that_has_begun(runner, folder, tmp_path):
    script = f"touch {tmp_path}/began; until [ -e {tmp_path}/go ]; do sleep 0.05; done; touch {tmp_path}/ended"
    permit = given(runner, folder)
    with ThreadPoolExecutor(2) as pool:
        using = pool.submit(permit.use, runner, ("sh", "-c", script), timeout_s=60)
        wait_until((tmp_path / "began").exists)
        searching = pool.submit(withdraw_permits, runner, folder)
        for _ in range(5):
            waited = not searching.done()
            time.sleep(0.1)
        (tmp_path / "go").touch()
        searching.result()
        assert (waited, (tmp_path / "ended").exists()) == (True, True)
        assert using.result().exit_code == 0


def test_what_a_crash_left_holds_nobody_up(runner, folder):
    here, elsewhere = folder / "a.1.sh.sending", folder / "b.2.sh.sending"
    runner.put_text(here, f"{os.uname().nodename}\n")
    runner.put_text(elsewhere, "another-login-node\n")
    os.utime(elsewhere, (time.time() - 600, time.time() - 600))
    withdraw_permits(runner, folder)
    assert os.listdir(folder) == []


def test_a_site_without_any_submission_is_searched_at_once(runner, folder):
    withdraw_permits(runner, folder)
