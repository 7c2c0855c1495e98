"""A login that ends early: what the host decided is permanent, a way that broke is not."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from paramiko.ssh_exception import AuthenticationException, BadAuthenticationType

from adapters.runners.ssh import LoginRefusedError
from adapters.runners.ssh.client_config import resolve_target
from adapters.runners.ssh.login import Login
from adapters.runners.ssh.settings import SshSettings
from metadata.errors import LoginNeededError, SiteUnavailableError
from tests.integration.ssh.conftest import Person
from tests.testbed.local_sshd import make_key


class Saboteur(Person):
    """Answers rightly, but breaks something first."""

    def __init__(self, sabotage: Callable[[], None], *answers: str) -> None:
        super().__init__(*answers)
        self._sabotage = sabotage

    def ask(self, **question: Any) -> list[str]:
        """The next answers, too late."""
        self._sabotage()
        return super().ask(**question)


@contextmanager
def relay(port: int, *, cut_after_bytes: int | None = None) -> Iterator[tuple[int, list[int]]]:
    """A port that leads to another one until the host has said so many bytes; and the bytes that it said."""
    said: list[int] = []

    def host_speaks(client: socket.socket, host: socket.socket) -> None:
        left = cut_after_bytes
        with contextlib.suppress(OSError):
            while left != 0 and (data := host.recv(65536 if left is None else left)):
                client.sendall(data)
                said.append(len(data))
                left = None if left is None else left - len(data)
        for end in (client, host):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def client_speaks(client: socket.socket, host: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(65536):
                host.sendall(data)
        with contextlib.suppress(OSError):
            host.shutdown(socket.SHUT_RDWR)

    def serve() -> None:
        with contextlib.suppress(OSError):
            client, _ = listener.accept()
            with client, socket.create_connection(("127.0.0.1", port)) as host:
                speaker = threading.Thread(target=client_speaks, args=(client, host))
                speaker.start()
                host_speaks(client, host)
                speaker.join()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=serve)
        server.start()
        try:
            yield listener.getsockname()[1], said
        finally:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            server.join()


def _through(sshd: Any, port: int, folder: Any) -> dict[str, Any]:
    """The options for a relay, which shows the host's own key."""
    known = folder / f"known_hosts-{port}"
    known.write_text(sshd.known_hosts.read_text().replace(f":{sshd.port} ", f":{port} "))
    return {**sshd.options, "port": port, "known_hosts": str(known)}


def test_a_host_that_hangs_up_after_too_many_keys_refuses(sshd, runner_for, tmp_path):
    sshd.stop()
    sshd.settings = ("MaxAuthTries 1",)
    sshd.start()
    for name in ("first", "second"):
        make_key(tmp_path / name)
    keys = [str(tmp_path / name) for name in ("first", "second")] + [str(sshd.identity)]
    with pytest.raises(LoginRefusedError, match=r"Too many authentication failures.*first"):
        runner_for(sshd.options, identity_file=keys).connect()


def test_a_login_cut_at_any_byte_is_unavailable_and_never_refused(sshd, runner_for, tmp_path):
    """The host's whole side of a login is measured once, then cut short at places all over it."""
    with relay(sshd.port) as (port, said):
        runner = runner_for(_through(sshd, port, tmp_path))
        runner.connect()
        whole = sum(said)
        runner.close()
    for cut in range(0, whole, whole // 24):
        with relay(sshd.port, cut_after_bytes=cut) as (port, _):
            with pytest.raises(SiteUnavailableError) as caught:
                runner_for(_through(sshd, port, tmp_path)).connect()
            assert not isinstance(caught.value, LoginNeededError), (cut, whole)


def test_a_session_killed_before_the_key_is_offered_is_unavailable(sshd, runner_for, tmp_path):
    make_key(tmp_path / "locked", passphrase="open sesame")
    person = Saboteur(sshd.drop_sessions, "open sesame")
    with pytest.raises(SiteUnavailableError, match="broke off the login") as caught:
        runner_for(sshd.options, identity_file=str(tmp_path / "locked"), prompter=person).connect()
    assert not isinstance(caught.value, LoginNeededError)


def test_a_session_killed_before_the_code_is_sent_is_unavailable(fragile, runner_for):
    person = Saboteur(lambda: fragile.fault("kill-sshd"), "271828")
    with pytest.raises(SiteUnavailableError, match="broke off the login") as caught:
        runner_for(fragile.ssh_options, port=2222, prompter=person).connect()
    assert not isinstance(caught.value, LoginNeededError)


@pytest.mark.parametrize("proof", ["none", "password", "keyboard-interactive"])
def test_every_kind_of_proof_tells_a_broken_way_from_a_decision(proof, tmp_path):
    """At a chosen proof the host vanishes, falls silent, or hangs up with words."""
    with pytest.raises(SiteUnavailableError) as caught:
        _login(tmp_path).authenticate(EndingHost(at=proof))
    assert type(caught.value) is SiteUnavailableError
    with pytest.raises(SiteUnavailableError) as caught:
        _login(tmp_path).authenticate(EndingHost(at=proof, words="Authentication timeout."))
    assert type(caught.value) is SiteUnavailableError
    with pytest.raises(LoginRefusedError if proof == "none" else LoginNeededError, match="Too many"):
        _login(tmp_path).authenticate(EndingHost(at=proof, refusal="Too many authentication failures"))


class EndingHost:
    """Stands for paramiko's transport where no sshd can be had that ends so: as its own code raises and tells it."""

    def __init__(self, *, at: str, words: str = "transport shut down or saw EOF", refusal: str = "") -> None:
        self._at, self._words, self._last = at, words, refusal
        self._active, self.refusal = True, ""

    def is_active(self) -> bool:
        return self._active

    def auth_none(self, _user: str) -> list[str]:
        if self._at == "none":
            self._end()
        raise BadAuthenticationType("Bad authentication type", [self._at])

    def auth_password(self, *_: Any, **__: Any) -> list[str]:
        return self._end()

    def auth_interactive(self, *_: Any) -> list[str]:
        return self._end()

    def _end(self) -> list[str]:
        self._active, self.refusal = "timeout" in self._words, self._last
        raise AuthenticationException(self._words)


def _login(folder: Any) -> Login:
    config = folder / "config"
    config.write_text("Host *\n  IdentityAgent none\n")
    settings = SshSettings(site="testing", host="nowhere", user="alice", config_file=config)
    target = replace(resolve_target(settings), identity_files=())
    return Login(site="testing", target=target, prompter=Person("an answer"))
