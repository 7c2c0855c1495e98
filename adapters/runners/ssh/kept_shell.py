"""A shell that stays: one command after the other, without the login shell that sshd starts for each."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from paramiko import Channel, SSHException

from adapters.runners.ssh.answers import Answer, CommandTimeoutError, LinkLostError, ShellEndedError
from adapters.runners.ssh.exchange import request_program
from adapters.runners.ssh.framing import new_marker, parse_start
from adapters.runners.ssh.reception import Reception, left_s
from adapters.runners.ssh.shell_language import FIRST, PROGRAM, EndSearch, render_ping, render_run
from orchestrator.ports import Argv

_FRESH_S = 0.1
"""A shell that has answered this lately is given the next command; any other is asked for a sign of life first. So a
connection that died unnoticed shows before the command was sent, and the command can be sent by another way."""

_GOODBYE_S = 1.0


class KeptShell:
    """One command at a time. Nothing that a command does to its directory, variables or traps reaches the next one.

    What it leaves running in the background lives on, but has to write elsewhere: an answer ends with its command.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._heard = Reception(channel=channel)
        self._answered_at = 0.0
        self._between_answers = False

    @property
    def idle(self) -> bool:
        """Whether it waits for a command, as far as is known: all of the last answer was read."""
        return self._between_answers and not self._channel.closed and not self._channel.eof_received

    def start(self, deadline: float) -> None:
        """A shell waits at the other end of the channel.

        deadline: in time.monotonic()'s seconds. Raises TimeoutError, LinkLostError, or ShellEndedError where the site
        lacks what a kept shell needs.
        """
        with _told_as_lost():
            request_program(self._channel, PROGRAM)
        self._ping(FIRST, deadline)

    def answers(self, deadline: float) -> bool:
        """Whether the shell is there: it said so just now, or says so when asked. Nothing that it runs has changed."""
        if not self.idle:
            return False
        if time.monotonic() - self._answered_at < _FRESH_S:
            return True
        try:
            self._ping(b"", deadline)
        except (TimeoutError, LinkLostError, ShellEndedError):
            return False
        return True

    def run(self, argv: Argv, marker: str, deadline: float) -> Answer:
        """The command's answer, framed as on a channel of its own.

        Raises CommandTimeoutError (it still runs), LinkLostError (it may have run) or ShellEndedError (it has not).
        """
        try:
            return self._converse(render_run(argv, marker), marker, deadline)
        except TimeoutError as error:
            raise CommandTimeoutError(bytes(self._heard.stdout)) from error
        except ShellEndedError as error:
            if parse_start(bytes(self._heard.stdout), marker) is None:
                raise
            raise LinkLostError("the shell at the site was ended") from error

    def leave(self) -> None:
        """The shell has ended, and sshd counts its session no more. Only for an idle one. Never raises."""
        with suppress(TimeoutError, LinkLostError, ShellEndedError):
            self._converse(b"exit\n", new_marker(), time.monotonic() + _GOODBYE_S)
        self.close()

    def close(self) -> None:
        """Nothing more is heard from the shell, which ends when its command does. Never raises."""
        with suppress(SSHException, EOFError, OSError):
            self._channel.close()

    def _ping(self, line: bytes, deadline: float) -> None:
        marker = new_marker()
        self._converse(line + render_ping(marker), marker, deadline)

    def _converse(self, line: bytes, marker: str, deadline: float) -> Answer:
        """Sends the line, and reads until both streams have told their end."""
        heard = self._heard
        heard.forget()
        self._between_answers = False
        ends = (EndSearch(marker), EndSearch(marker))
        with _told_as_lost():
            self._send(line)
            while not ((out := ends[0].find(heard.stdout)) and (err := ends[1].find(heard.stderr))):
                if not heard.receive():
                    if heard.over:
                        raise self._ending()
                    heard.wait(left_s(deadline))
        self._between_answers, self._answered_at = True, time.monotonic()
        stdout, stderr = bytes(heard.stdout[: out.at]), bytes(heard.stderr[: err.at])
        return Answer(exit_code=out.exit_code, stdout=stdout, stderr=stderr)

    def _ending(self) -> ShellEndedError | LinkLostError:
        """A shell that ended says EOF after all that it wrote, and a connection that breaks does not."""
        if self._channel.eof_received:
            return ShellEndedError("the shell at the site has ended")
        return LinkLostError("the channel was closed while a shell was there")

    def _send(self, line: bytes) -> None:
        try:
            self._channel.sendall(line)
        except OSError as error:  # paramiko's word for a channel that was closed before; nothing was sent
            raise ShellEndedError(str(error)) from error


@contextmanager
def _told_as_lost() -> Iterator[None]:
    try:
        yield
    except TimeoutError:
        raise
    except (SSHException, EOFError, OSError) as error:
        raise LinkLostError(str(error)) from error
