"""SFTP sessions, over whatever login there is."""

from __future__ import annotations

import select
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import cast

from paramiko import Channel, SFTPClient, SSHException

from adapters._openssh.errors import failure
from adapters._openssh.logins import is_persons
from adapters._openssh.programs import Program, running
from adapters._openssh.sides import Side
from staging.ports import Endpoint, SupportsSftp


class _Pipes:
    """A program's pipes as the channel that paramiko expects."""

    def __init__(self, program: Program) -> None:
        self._program = program

    def get_name(self) -> str:
        """For paramiko's log."""
        return "ssh"

    def send(self, content: bytes) -> int:
        """How much was taken."""
        return self._program.stdin.write(content)

    def recv(self, size: int) -> bytes:
        """At most `size` bytes; none at the end."""
        return self._program.stdout.read(size)

    def recv_ready(self) -> bool:
        """Whether there is something to take."""
        return bool(select.select([self._program.stdout], [], [], 0)[0])

    def close(self) -> None:
        """The program sees the end of its input."""
        self._program.close_stdin()


@contextmanager
def sftp_session(side: Side, endpoint: Endpoint) -> Iterator[SFTPClient]:
    """A session that ends with the block. Raises SiteUnavailableError, or StagingError where nobody is let in.

    It goes by the login that a person opened for all programs, else by the one that was opened for commands.
    """
    shared = side.door is not None and is_persons(side.door)
    if isinstance(endpoint.shell, SupportsSftp) and not shared:
        session = endpoint.shell.open_sftp()
        try:
            yield session
        finally:
            with suppress(SSHException, EOFError, OSError):  # a broken connection closes it as well
                session.close()
        return
    with running(["ssh", *side.words(), "-s", "--", side.host, "sftp"], stdin=subprocess.PIPE) as program:
        try:
            session = SFTPClient(cast("Channel", _Pipes(program)))
        except (SSHException, EOFError, OSError) as error:
            raise failure(side.site, program.words(), program.wait()) from error
        yield session
