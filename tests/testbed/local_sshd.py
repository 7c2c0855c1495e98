"""A real sshd on 127.0.0.1, run by this user, with keys of its own: for tests that need no whole site."""

from __future__ import annotations

import contextlib
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.testbed.fixtures import wait_until

SSHD = "/usr/sbin/sshd"


def why_not() -> str:
    """What keeps an sshd from running here; empty when nothing does."""
    if not Path(SSHD).exists():
        return f"{SSHD} is not installed (run: tests/testbed/sites.sh install sshd)"
    return "" if shutil.which("ssh-keygen") else "ssh-keygen is not installed"


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on.

    Not one of those that the kernel gives to outgoing connections: while sshd is down another program might be given it.
    """
    for port in random.sample(range(10_000, 30_000), 100):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("a hundred ports in turn are taken")


@dataclass(kw_only=True)
class LocalSshd:
    """An sshd that lets the present user in. `folder` holds its keys, its configuration, and the user's home."""

    folder: Path
    settings: tuple[str, ...] = ()
    """Further lines of sshd_config."""

    port: int = field(default_factory=free_port)
    user: str = field(default_factory=lambda: pwd.getpwuid(os.getuid()).pw_name)
    _program: subprocess.Popen[bytes] | None = None

    @property
    def home(self) -> Path:
        """$HOME of its sessions, so that no test touches the real one."""
        return self.folder / "home"

    @property
    def identity(self) -> Path:
        """The user's private key."""
        return self.folder / "user_key"

    @property
    def known_hosts(self) -> Path:
        """States this sshd's key."""
        return self.folder / "known_hosts"

    @property
    def options(self) -> dict[str, Any]:
        """The SSH runner's options."""
        empty = self.folder / "ssh_config"
        empty.touch()
        return {
            "host": "127.0.0.1",
            "port": self.port,
            "user": self.user,
            "identity_file": str(self.identity),
            "known_hosts": str(self.known_hosts),
            "config_file": str(empty),
        }

    def prepare(self) -> None:
        """The keys exist, and known_hosts states the host's."""
        self.home.mkdir(parents=True, exist_ok=True)
        make_key(self.identity)
        make_key(self.folder / "host_key")
        (self.folder / "authorized_keys").write_bytes(self.identity.with_suffix(".pub").read_bytes())
        self.trust()

    def trust(self) -> None:
        """known_hosts states the present host key, and no other."""
        algorithm, blob = (self.folder / "host_key.pub").read_text().split()[:2]
        self.known_hosts.write_text(f"[127.0.0.1]:{self.port} {algorithm} {blob}\n")

    def change_host_key(self) -> None:
        """The host shows another key than known_hosts states."""
        (self.folder / "host_key").unlink()
        make_key(self.folder / "host_key")
        self.stop()
        self.start()

    def start(self) -> None:
        """It listens."""
        Path("/run/sshd").mkdir(exist_ok=True)  # its privilege separation wants that when root runs it
        config = self.folder / "sshd_config"
        config.write_text(self._config())
        log = self.folder / "sshd.log"
        self._program = subprocess.Popen([SSHD, "-D", "-f", config, "-E", log], start_new_session=True)
        wait_until(self._listens, what="sshd listening")

    def stop(self) -> None:
        """The listener and every session are dead."""
        if self._program is not None:
            # Stopped first: a session that was forked meanwhile would live on, and hold the port for a moment.
            os.kill(self._program.pid, signal.SIGSTOP)
            for pid in [*self._sessions(), self._program.pid]:
                _kill(pid)
            self._program.wait()
            self._program = None

    def drop_sessions(self) -> None:
        """Open sessions are dead, the listener lives."""
        for pid in self._sessions():
            _kill(pid)

    def _sessions(self) -> list[int]:
        assert self._program is not None
        children = Path(f"/proc/{self._program.pid}/task/{self._program.pid}/children").read_text().split()
        return [int(pid) for pid in children]

    def _listens(self) -> bool:
        assert self._program is not None
        assert self._program.poll() is None, (self.folder / "sshd.log").read_text()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def _config(self) -> str:
        lines = (
            f"Port {self.port}",
            "ListenAddress 127.0.0.1",
            f"HostKey {self.folder}/host_key",
            f"AuthorizedKeysFile {self.folder}/authorized_keys {self.home}/.ssh/authorized_keys",
            f"PidFile {self.folder}/sshd.pid",
            f"SetEnv HOME={self.home}",
            "StrictModes no",
            "UsePAM no",
            "PasswordAuthentication no",
            "KbdInteractiveAuthentication no",
            "PermitRootLogin yes",
            "UseDNS no",
            "Subsystem sftp internal-sftp",
            *self.settings,
        )
        return "\n".join(lines) + "\n"


@contextlib.contextmanager
def running(folder: Path) -> Iterator[LocalSshd]:
    """One with new keys; the test is skipped where none can run."""
    if why_not():
        pytest.skip(why_not())
    server = LocalSshd(folder=folder)
    server.prepare()
    server.start()
    try:
        yield server
    finally:
        server.stop()


def make_key(path: Path, *, kind: str = "ed25519", passphrase: str = "") -> None:
    """A key pair exists at the path."""
    if not path.exists():
        subprocess.run(["ssh-keygen", "-qt", kind, "-N", passphrase, "-f", path], check=True, stdin=subprocess.DEVNULL)


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
