"""No key, code, passphrase or file content stands in a log or in a list of running programs."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.integration.ssh.conftest import Person
from tests.testbed.fixtures import wait_until
from tests.testbed.local_sshd import make_key

PASSPHRASE, INPUT, CONTENT, ARGUMENT = "planted-passphrase", "planted-input", "planted-content", "planted-argument"


@pytest.fixture
def everything_logged(caplog):
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, logger="paramiko")
    return caplog


def test_nothing_planted_is_logged(sshd, runner_for, tmp_path, everything_logged):
    make_key(tmp_path / "locked", passphrase=PASSPHRASE)
    with (sshd.folder / "authorized_keys").open("a") as stream:
        stream.write((tmp_path / "locked.pub").read_text())
    runner = runner_for(sshd.options, identity_file=str(tmp_path / "locked"), prompter=Person(PASSPHRASE))
    runner.run(("grep", ARGUMENT), stdin=INPUT)
    runner.put_text(tmp_path / "file", CONTENT, mode=0o600)
    runner.get_text(tmp_path / "file")
    secrets = (PASSPHRASE, INPUT, CONTENT, ARGUMENT, *(tmp_path / "locked").read_text().splitlines()[1:-1])
    assert everything_logged.text
    assert [secret for secret in secrets if secret in everything_logged.text] == []


def test_a_code_is_not_logged(testbed, runner_for, everything_logged):
    site = testbed.site("psnc", DBD=0, NODES=1)
    runner_for(site.ssh_options, port=2222, prompter=Person("271828")).connect()
    assert "271828" not in everything_logged.text


def test_standard_input_stands_in_no_command_line(sshd, runner_for, tmp_path):
    runner = runner_for(sshd.options)
    script = f"touch {tmp_path}/started; cat >/dev/null; sleep 0.5"
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(runner.run, ("sh", "-c", script), stdin=INPUT)
        wait_until((tmp_path / "started").exists)
        lines = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
        running.result()
    assert [line for line in lines if INPUT.encode() in line] == []


def test_a_failed_login_tells_no_secret(sshd, runner_for, tmp_path):
    make_key(tmp_path / "locked", passphrase=PASSPHRASE)
    with pytest.raises(Exception, match="passphrase") as caught:
        runner_for(sshd.options, identity_file=str(tmp_path / "locked"), prompter=Person("wrong-secret")).connect()
    assert "wrong-secret" not in str(caught.value)
