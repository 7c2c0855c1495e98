"""Commands in a shell that stays: what one of them does is not felt by the next, and trouble looks as on a channel."""

from __future__ import annotations

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from metadata.errors import SiteError, SiteUnavailableError
from tests.testbed.fixtures import wait_until

WHO = ("sh", "-c", "echo $PPID")
"""The kept shell's number; a login shell's, where the command has a channel of its own."""


def shell_of(runner):
    """Which process at the site starts the commands."""
    return int(runner.run(WHO).stdout)


def test_commands_share_a_shell_and_nothing_else(sshd, runner_for):
    runner = runner_for(sshd.options)
    first = shell_of(runner)
    asking = ("sh", "-c", "pwd; umask; trap; env | grep -v '^_='; ulimit -a")
    before = runner.run(asking).stdout
    for script in (
        "cd /",
        "exit 3",
        "set -e; false",
        "export LEAK=1",
        "umask 0",
        "trap true EXIT",
        "kill 0",
        "ulimit -c 0",
    ):
        runner.run(("sh", "-c", script))
    assert runner.run(asking).stdout == before
    assert shell_of(runner) == first


def test_an_idle_shell_is_used_again_after_a_while(sshd, runner_for):
    runner = runner_for(sshd.options)
    first = shell_of(runner)
    time.sleep(0.3)  # longer than an answer counts for fresh
    assert shell_of(runner) == first


def test_a_command_that_runs_out_of_time_dies_and_what_others_left_does_not(sshd, runner_for, tmp_path):
    runner = runner_for(sshd.options)
    first = shell_of(runner)
    left = int(runner.run(("sh", "-c", "sleep 600 >/dev/null 2>&1 & echo $!")).stdout)
    time.sleep(0.05)  # the kernel counts starts in hundredths of a second
    try:
        script = f"sleep 600 & echo $! >{tmp_path}/child; echo $$ >{tmp_path}/own; wait"
        with pytest.raises(SiteUnavailableError, match="was killed"):
            runner.run(("sh", "-c", script), timeout_s=1)
        for name in ("child", "own"):
            wait_until(lambda name=name: not alive(int((tmp_path / name).read_text())))
        assert alive(left)
        wait_until(lambda: not alive(first))
        assert runner.run(("echo", "again")).stdout == "again\n"
    finally:
        os.kill(left, signal.SIGKILL)


def test_what_stays_in_the_background_holds_nobody_up(sshd, runner_for):
    runner = runner_for(sshd.options)
    started = time.monotonic()
    left = int(runner.run(("sh", "-c", "sleep 600 & echo $!"), timeout_s=300).stdout)
    try:
        assert time.monotonic() - started < 60
        assert alive(left)
    finally:
        os.kill(left, signal.SIGKILL)


def test_a_shell_that_was_killed_while_idle_is_replaced(sshd, runner_for):
    runner = runner_for(sshd.options)
    for _ in range(5):
        os.kill(shell_of(runner), signal.SIGKILL)
        assert runner.run(("echo", "again")).stdout == "again\n"


def test_a_shell_that_was_killed_under_a_command_leaves_it_in_doubt(sshd, runner_for, tmp_path):
    runner = runner_for(sshd.options)
    script = f"echo ran >>{tmp_path}/count; kill -9 $PPID; sleep 1"
    with pytest.raises(SiteUnavailableError, match="it may have done its work"):
        runner.run(("sh", "-c", script))
    assert (tmp_path / "count").read_text() == "ran\n"


def test_commands_run_once_each_when_sessions_are_killed_between_them(sshd, runner_for, tmp_path):
    runner = runner_for(sshd.options)
    for number in range(10):
        runner.run(("sh", "-c", f"echo {number} >>{tmp_path}/count"))
        sshd.drop_sessions()
        time.sleep(0.15)  # longer than an answer counts for fresh
    assert (tmp_path / "count").read_text().split() == [str(number) for number in range(10)]


def test_a_login_shell_that_lets_no_shell_read_is_served_by_channels(sshd, runner_for):
    (sshd.home / ".bashrc").write_text("exec </dev/null\n")
    runner = runner_for(sshd.options)
    for number in range(3):
        assert runner.run(("echo", str(number))).stdout == f"{number}\n"


def test_a_site_that_allows_one_session_is_served(sshd, runner_for):
    sshd.stop()
    sshd.settings = ("MaxSessions 1",)
    sshd.start()
    runner = runner_for(sshd.options)
    for number in range(5):
        assert runner.run(("echo", str(number))).stdout == f"{number}\n"
        assert runner.run(("cat",), stdin=str(number)).stdout == str(number)
        runner.open_sftp().close()


def test_start_files_that_end_the_shell_are_told_every_time(sshd, runner_for):
    (sshd.home / ".bashrc").write_text("echo 'account expired'; exit 1\n")
    runner = runner_for(sshd.options)
    for _ in range(2):
        with pytest.raises(SiteError, match="account expired"):
            runner.run(("true",))


def test_many_threads_with_and_without_input_get_their_own_answers(sshd, runner_for):
    runner = runner_for(sshd.options)

    def ask(number):
        return (
            runner.run(("cat",), stdin=str(number)).stdout if number % 3 else runner.run(("echo", str(number))).stdout
        )

    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(ask, range(150)))
    assert [answer.strip() for answer in answers] == [str(number) for number in range(150)]


def alive(process: int) -> bool:
    """Whether a process of this machine runs; a zombie does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except FileNotFoundError:
        return False
