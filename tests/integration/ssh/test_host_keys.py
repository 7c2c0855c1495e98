"""Nobody but the trusted host gets a login or a command."""

from __future__ import annotations

import subprocess

import pytest

from adapters.runners.ssh import HostKeyChangedError, HostKeyUnknownError
from tests.testbed.local_sshd import make_key


def test_an_unknown_host_is_refused_with_its_fingerprint_and_what_to_do(sshd, runner_for):
    sshd.known_hosts.unlink()
    with pytest.raises(HostKeyUnknownError, match="convoy site trust testing") as caught:
        runner_for(sshd.options).run(("true",))
    assert _fingerprint(sshd.folder / "host_key.pub") in caught.value.message


def test_a_changed_host_key_is_refused_and_named(sshd, runner_for):
    before = _fingerprint(sshd.folder / "host_key.pub")
    sshd.change_host_key()
    with pytest.raises(HostKeyChangedError, match="has changed") as caught:
        runner_for(sshd.options).run(("true",))
    message = caught.value.message
    assert before in message
    assert _fingerprint(sshd.folder / "host_key.pub") in message
    assert f"{sshd.known_hosts}:1" in message
    assert "ssh-keygen -R" in message


def test_the_advice_for_a_changed_key_works(sshd, runner_for):
    sshd.change_host_key()
    runner = runner_for(sshd.options)
    with pytest.raises(HostKeyChangedError):
        runner.connect()
    subprocess.run(["ssh-keygen", "-R", f"[127.0.0.1]:{sshd.port}", "-f", sshd.known_hosts], check=True)
    runner.trust(runner.find_untrusted_key())
    assert runner.run(("echo", "in")).stdout == "in\n"


def test_a_key_that_a_person_trusted_is_accepted_from_then_on(sshd, runner_for):
    sshd.known_hosts.unlink()
    runner = runner_for(sshd.options)
    shown = runner.find_untrusted_key()
    assert shown.key.fingerprint == _fingerprint(sshd.folder / "host_key.pub")
    runner.trust(shown)
    assert runner.find_untrusted_key() is None
    assert runner.run(("echo", "in")).stdout == "in\n"


def test_a_revoked_key_is_refused_although_it_is_known(sshd, runner_for):
    line = sshd.known_hosts.read_text()
    sshd.known_hosts.write_text(f"{line}@revoked {line}")
    with pytest.raises(HostKeyChangedError, match="revoked"):
        runner_for(sshd.options).connect()


def test_a_hashed_known_hosts_file_is_understood(sshd, runner_for):
    subprocess.run(["ssh-keygen", "-H", "-f", sshd.known_hosts], check=True, capture_output=True)
    assert sshd.known_hosts.read_text().startswith("|1|")
    runner_for(sshd.options).connect()


@pytest.mark.parametrize("known", ["rsa", "ecdsa", "ed25519"])
def test_a_host_with_several_keys_shows_the_one_that_is_known(sshd, runner_for, known):
    for kind in ("rsa", "ecdsa", "ed25519"):
        make_key(sshd.folder / kind, kind=kind)
    sshd.stop()
    sshd.settings = tuple(f"HostKey {sshd.folder}/{kind}" for kind in ("ed25519", "ecdsa", "rsa"))
    sshd.start()
    algorithm, blob = (sshd.folder / f"{known}.pub").read_text().split()[:2]
    sshd.known_hosts.write_text(f"[127.0.0.1]:{sshd.port} {algorithm} {blob}\n")
    if known != "ed25519":  # of that kind this host has two keys, and shows the first
        runner_for(sshd.options).connect()


def test_a_reinstalled_site_is_refused(fragile, runner_for):
    runner = runner_for(fragile.ssh_options)
    runner.connect()
    keys = fragile.root / "etc/ssh"
    saved = {name: (keys / name).read_bytes() for name in ("ssh_host_ed25519_key", "ssh_host_ed25519_key.pub")}
    fragile.fault("new-host-key")
    try:
        with pytest.raises(HostKeyChangedError):
            runner.run(("true",))
    finally:
        for name, content in saved.items():
            (keys / name).write_bytes(content)
        fragile.fault("kill-sshd")
    assert runner.run(("true",)).exit_code == 0


def _fingerprint(public_key):
    told = subprocess.run(["ssh-keygen", "-lf", public_key], check=True, capture_output=True, text=True)
    return told.stdout.split()[1]
