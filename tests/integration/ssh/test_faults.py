"""What happens when the way to the site breaks."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from metadata.errors import ConflictError, SiteError, SiteUnavailableError
from tests.testbed.fixtures import wait_until


def test_the_next_command_works_after_every_session_was_killed(sshd, runner_for):
    runner = runner_for(sshd.options)
    runner.connect()
    sshd.drop_sessions()
    assert runner.run(("echo", "again")).stdout == "again\n"


def test_runners_with_the_same_options_share_one_login(sshd, runner_for):
    first, second = runner_for(sshd.options), runner_for(sshd.options)
    ports = {runner.run(("sh", "-c", "echo $SSH_CONNECTION")).stdout for runner in (first, second)}
    assert len(ports) == 1
    first.close()
    assert second.run(("sh", "-c", "echo $SSH_CONNECTION")).stdout in ports


def test_a_closed_runner_says_so(sshd, runner_for):
    runner = runner_for(sshd.options)
    runner.close()
    with pytest.raises(ConflictError, match="was closed"):
        runner.run(("true",))


def test_a_dead_sshd_is_unavailable_and_a_new_one_is_found(sshd, runner_for):
    runner = runner_for(sshd.options)
    runner.connect()
    sshd.stop()
    with pytest.raises(SiteUnavailableError, match="cannot be reached"):
        runner.run(("true",))
    sshd.start()
    assert runner.run(("echo", "again")).stdout == "again\n"


def test_a_command_that_was_under_way_is_in_doubt_and_not_repeated(sshd, runner_for, tmp_path):
    runner = runner_for(sshd.options)
    script = f"echo ran >>{tmp_path}/count; sleep 20"
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(runner.run, ("sh", "-c", script))
        wait_until((tmp_path / "count").exists)
        sshd.drop_sessions()
        with pytest.raises(SiteUnavailableError, match="it may have done its work"):
            running.result(timeout=60)
    assert (tmp_path / "count").read_text() == "ran\n"


def test_half_a_file_is_never_put_in_place(sshd, runner_for, tmp_path):
    """The session is killed while the content is on its way."""
    runner = runner_for(sshd.options)
    runner.connect()
    (tmp_path / "file").write_text("old")
    stop = threading.Event()

    def kill_often():
        while not stop.wait(0.02):
            sshd.drop_sessions()

    with ThreadPoolExecutor(1) as pool:
        killer = pool.submit(kill_often)
        try:
            for _ in range(10):
                with contextlib.suppress(SiteUnavailableError):
                    runner.put_text(tmp_path / "file", "new" * 3_000_000)
                assert (tmp_path / "file").read_text() in ("old", "new" * 3_000_000)
        finally:
            stop.set()
        killer.result()


def test_a_host_that_takes_the_call_and_says_nothing_is_given_up(runner_for, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as mute:
        options = {"host": "127.0.0.1", "port": mute.getsockname()[1], "known_hosts": str(tmp_path / "none")}
        started = time.monotonic()
        with pytest.raises(SiteUnavailableError, match="broke off the login"):
            runner_for(options, connect_timeout_s=0.5).connect()
    assert time.monotonic() - started < 12  # and not the 15 s that it waits if not told otherwise


def test_a_host_that_does_not_exist_is_told(runner_for):
    with pytest.raises(SiteUnavailableError, match="cannot be reached"):
        runner_for({"host": "no-such-host.invalid"}).connect()


def test_eight_threads_share_one_failure_and_do_not_queue_for_it(runner_for, tmp_path):
    with socket.create_server(("127.0.0.1", 0), backlog=16) as mute:
        options = {"host": "127.0.0.1", "port": mute.getsockname()[1], "known_hosts": str(tmp_path / "none")}
        runner = runner_for(options, connect_timeout_s=3)
        started = time.monotonic()
        with ThreadPoolExecutor(8) as pool:
            errors = [future.exception() for future in [pool.submit(runner.run, ("true",)) for _ in range(8)]]
    assert all(isinstance(error, SiteUnavailableError) for error in errors)
    assert time.monotonic() - started < 12  # one after the other they would need 24 s


def test_a_site_that_allows_two_sessions_serves_eight_threads(sshd, runner_for):
    sshd.stop()
    sshd.settings = ("MaxSessions 2",)
    sshd.start()
    runner = runner_for(sshd.options, max_sessions=8)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: runner.run(("sh", "-c", f"sleep 0.05; echo {n}")).stdout, range(24)))
    assert answers == [f"{n}\n" for n in range(24)]


def test_talkative_start_files_do_not_reach_the_answer(sshd, runner_for):
    (sshd.home / ".bashrc").write_text("echo 'Welcome!'; echo 'quota: 93%' >&2; printf 'no newline'\n")
    runner = runner_for(sshd.options)
    result = runner.run(("sh", "-c", "echo out; echo err >&2"))
    assert (result.stdout, result.stderr) == ("out\n", "err\n")
    runner.put_text(sshd.folder / "file", "text")
    assert runner.get_text(sshd.folder / "file") == "text"


def test_a_start_file_that_ends_the_shell_is_told_with_its_words(sshd, runner_for):
    (sshd.home / ".bashrc").write_text("echo 'account expired'; exit 1\n")
    with pytest.raises(SiteError, match="account expired"):
        runner_for(sshd.options).run(("true",))


def test_a_short_cut_of_the_cable_only_delays(fragile, runner_for):
    runner = runner_for(fragile.ssh_options)
    runner.connect()
    with ThreadPoolExecutor(1) as pool:
        cutting = pool.submit(fragile.fault, "cut", 3)
        time.sleep(0.5)
        assert runner.run(("echo", "late"), timeout_s=60).stdout == "late\n"
        cutting.result()


def test_a_cut_cable_ends_the_waiting_at_the_time_limit(fragile, runner_for):
    runner = runner_for(fragile.ssh_options, connect_timeout_s=1)
    runner.connect()
    fragile.fault("cut")
    try:
        started = time.monotonic()
        with pytest.raises(SiteUnavailableError):
            runner.run(("true",), timeout_s=2)
        assert time.monotonic() - started < 30  # and not the 60 s of a command that is not told otherwise
    finally:
        fragile.fault("mend")
    assert runner.run(("echo", "back"), timeout_s=60).stdout == "back\n"


def test_a_site_without_mains_is_unavailable_and_comes_back(fragile, runner_for):
    runner = runner_for(fragile.ssh_options, connect_timeout_s=1)
    runner.connect()
    fragile.fault("power-off")
    with pytest.raises(SiteUnavailableError):
        runner.run(("true",), timeout_s=3)
    fragile.fault("power-on")
    assert runner.run(("hostname",)).stdout == "psnc\n"


def test_killed_sshd_of_a_site_is_found_again(fragile, runner_for):
    runner = runner_for(fragile.ssh_options)
    runner.connect()
    fragile.fault("kill-sshd", 0)
    assert runner.run(("hostname",)).stdout == "psnc\n"
