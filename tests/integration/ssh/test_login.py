"""Keys, certificates, agents, jump hosts, and questions that only a person can answer."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from adapters.runners.ssh import LoginRefusedError, SshRunner
from metadata.errors import LoginNeededError, SiteUnavailableError
from tests.integration.ssh.conftest import Person
from tests.testbed.local_sshd import LocalSshd, make_key, running

CODE, WRONG_CODE = "271828", "314159"


def test_a_stranger_is_refused_and_told_what_was_tried(sshd, runner_for, tmp_path):
    make_key(tmp_path / "stranger")
    with pytest.raises(LoginRefusedError, match=r"publickey only; tried: .*stranger"):
        runner_for(sshd.options, identity_file=str(tmp_path / "stranger")).connect()


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_every_kind_of_key_lets_in(sshd, runner_for, tmp_path, kind):
    make_key(tmp_path / kind, kind=kind)
    _authorise(sshd, tmp_path / f"{kind}.pub")
    runner_for(sshd.options, identity_file=str(tmp_path / kind)).connect()


def test_a_locked_key_is_opened_with_the_passphrase_that_a_person_types(sshd, runner_for, tmp_path):
    make_key(tmp_path / "locked", passphrase="open sesame")
    _authorise(sshd, tmp_path / "locked.pub")
    person = Person("open sesame")
    runner_for(sshd.options, identity_file=str(tmp_path / "locked"), prompter=person).connect()
    assert [question.secret for question in person.asked] == [True]


def test_a_locked_key_and_nobody_there_means_that_a_login_is_needed(sshd, runner_for, tmp_path):
    make_key(tmp_path / "locked", passphrase="open sesame")
    with pytest.raises(LoginNeededError, match="convoy site login testing"):
        runner_for(sshd.options, identity_file=str(tmp_path / "locked")).connect()


def test_an_agent_lets_in(sshd, runner_for, tmp_path, monkeypatch):
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", tmp_path / "agent"], stdout=subprocess.DEVNULL)
    try:
        monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "agent"))
        while subprocess.run(["ssh-add", "-q", sshd.identity], check=False, capture_output=True).returncode:
            assert agent.poll() is None
        sshd.identity.unlink()
        runner_for({name: value for name, value in sshd.options.items() if name != "identity_file"}).connect()
    finally:
        agent.terminate()
        agent.wait()


def test_a_certificate_lets_in_where_the_bare_key_does_not(sshd, runner_for, tmp_path):
    key = _certified(sshd, tmp_path, validity="+1h")
    runner_for(sshd.options, identity_file=str(key)).connect()


def test_an_expired_certificate_means_that_a_person_must_log_in(sshd, runner_for, tmp_path):
    key = _certified(sshd, tmp_path, validity="20200101:20200102")
    with pytest.raises(LoginNeededError, match=r"with key-cert\.pub"):
        runner_for(sshd.options, identity_file=str(key)).connect()


def test_the_ssh_configuration_says_how_to_reach_an_alias(sshd, runner_for, tmp_path):
    (tmp_path / "more").write_text(f"Host cluster\n  HostName 127.0.0.1\n  Port {sshd.port}\n  User {sshd.user}\n")
    config = tmp_path / "config"
    config.write_text(
        f"Include {tmp_path}/mo*\nHost *\n  IdentityFile {sshd.identity}\n  UserKnownHostsFile {sshd.known_hosts}\n"
    )
    assert runner_for({"host": "cluster", "config_file": str(config)}).run(("echo", "in")).stdout == "in\n"


@pytest.mark.parametrize("way", ["ProxyJump", "ProxyCommand"])
def test_a_site_behind_another_host_is_reached(sshd, tmp_path, way):
    with running(tmp_path / "gateway") as gateway:
        _authorise(gateway, sshd.identity.with_suffix(".pub"))
        ways = {
            "ProxyJump": f"ProxyJump {gateway.user}@127.0.0.1:{gateway.port}",
            "ProxyCommand": "ProxyCommand bash -c 'exec 3<>/dev/tcp/%h/%p; cat <&3 & cat >&3; kill $!'",
        }
        both = tmp_path / "known_hosts"
        both.write_text(sshd.known_hosts.read_text() + gateway.known_hosts.read_text())
        config = tmp_path / "config"
        config.write_text(f"Host inner\n  HostName 127.0.0.1\n  Port {sshd.port}\n  {ways[way]}\n")
        options = {**sshd.options, "host": "inner", "config_file": str(config), "known_hosts": str(both)}
        runner = SshRunner(site="inner", options=options)
        try:
            assert runner.run(("echo", "through")).stdout == "through\n"
            assert bool(gateway._sessions()) == (way == "ProxyJump")
        finally:
            runner.close()


def test_a_proxy_command_that_fails_is_told(sshd, runner_for, tmp_path):
    (tmp_path / "config").write_text("Host inner\n  ProxyCommand false\n")
    with pytest.raises(SiteUnavailableError, match="broke off the login"):
        runner_for({**sshd.options, "host": "inner", "config_file": str(tmp_path / "config")}).connect()


def test_a_code_is_asked_for_after_the_key(testbed, runner_for):
    site = testbed.site("psnc", DBD=0, NODES=1)
    person = Person(CODE)
    assert runner_for(site.ssh_options, port=2222, prompter=person).run(("whoami",)).stdout == "alice\n"
    assert [question.secret for question in person.asked] == [True]


def test_a_code_and_nobody_there_means_that_a_login_is_needed(testbed, runner_for):
    site = testbed.site("psnc", DBD=0, NODES=1)
    with pytest.raises(LoginNeededError, match=r"keyboard-interactive.*convoy site login"):
        runner_for(site.ssh_options, port=2222).connect()


def test_a_wrong_code_is_told(testbed, runner_for):
    site = testbed.site("psnc", DBD=0, NODES=1)
    with pytest.raises(LoginNeededError, match="did not accept the answer"):
        runner_for(site.ssh_options, port=2222, prompter=Person(*[WRONG_CODE] * 6)).connect()


def test_one_login_serves_every_later_command(testbed, runner_for):
    site = testbed.site("psnc", DBD=0, NODES=1)
    person = Person(CODE)
    runner = runner_for(site.ssh_options, port=2222, prompter=person)
    for _ in range(5):
        runner.run(("true",))
    assert len(person.asked) == 1


def _authorise(sshd: LocalSshd, public_key: Path) -> None:
    with (sshd.folder / "authorized_keys").open("a") as stream:
        stream.write(public_key.read_text())


def _certified(sshd: LocalSshd, folder: Path, *, validity: str) -> Path:
    """A key that only its certificate makes welcome."""
    make_key(folder / "ca")
    make_key(folder / "key")
    sign = ["ssh-keygen", "-q", "-s", folder / "ca", "-I", "test", "-n", sshd.user, "-V", validity, folder / "key.pub"]
    subprocess.run(sign, check=True, env={**os.environ, "TZ": "UTC"})
    sshd.stop()
    sshd.settings = (f"TrustedUserCAKeys {folder}/ca.pub",)
    sshd.start()
    return folder / "key"
