"""The stream below an SSH connection: TCP, a command's standard input and output, or a channel through other hosts."""

from __future__ import annotations

import contextlib
import socket
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from adapters.runners.ssh.client_config import Target

# Seconds that sent bytes may stay unanswered before the kernel calls the connection dead (Linux; else its default).
_SILENCE_LIMIT = getattr(socket, "TCP_USER_TIMEOUT", None)


@dataclass(frozen=True, kw_only=True)
class Stream:
    """Something to speak SSH over."""

    sock: Any
    """A socket, or a paramiko channel, which behaves like one."""

    close: Callable[[], None]
    """Ends it and whatever was started for it. Never raises."""


def dial_tcp(target: Target, *, timeout_s: float, silence_s: float) -> Stream:
    """A TCP connection that sends small packets at once.

    Without TCP_NODELAY a command takes 44 ms, waiting for delayed acknowledgements, and with it 2 ms. Raises OSError.
    """
    sock = socket.create_connection((target.address, target.port), timeout=timeout_s)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if _SILENCE_LIMIT is not None:
        sock.setsockopt(socket.IPPROTO_TCP, _SILENCE_LIMIT, int(silence_s * 1000))
    return Stream(sock=sock, close=sock.close)


def dial_command(command: str) -> Stream:
    """The standard input and output of a ProxyCommand, as a real socket (so that time-outs work). Raises OSError."""
    ours, theirs = socket.socketpair()
    with theirs:
        program = subprocess.Popen(  # the configuration's own words: a shell command, as in OpenSSH
            ["/bin/sh", "-c", f"exec {command}"], stdin=theirs.fileno(), stdout=theirs.fileno(), start_new_session=True
        )

    def close() -> None:
        ours.close()
        with contextlib.suppress(ProcessLookupError):
            program.terminate()
        try:
            program.wait(timeout=5)
        except subprocess.TimeoutExpired:
            program.kill()
            program.wait()

    return Stream(sock=ours, close=close)
