"""One command on one channel: its input in, its output, errors and exit code out, all within a time limit."""

from __future__ import annotations

from dataclasses import dataclass, field

from paramiko import Channel, Message, SSHException

from adapters.runners.ssh.answers import Answer, CommandTimeoutError, LinkLostError
from adapters.runners.ssh.reception import Reception, left_s

_CHUNK_BYTES = 1 << 18
_CHANNEL_REQUEST = b"\x62"  # RFC 4254, section 5.4
_WINDOW_POLL_S = 0.01  # nothing wakes a waiter when the site makes room for more input


def request_program(channel: Channel, line: bytes) -> None:
    """The site is asked to run the line.

    Not exec_command: that waits for the site's yes without a time limit. A no closes the channel, which shows soon.
    """
    request = Message()
    request.add_byte(_CHANNEL_REQUEST)
    request.add_int(channel.remote_chanid)
    request.add_string("exec")
    request.add_boolean(True)
    request.add_string(line)
    channel.get_transport()._send_user_message(request)  # type: ignore[attr-defined]  # noqa: SLF001


@dataclass(kw_only=True)
class Exchange:
    """A command that is under way."""

    channel: Channel
    deadline: float
    """In time.monotonic()'s seconds."""

    stdin: bytes
    """Empty: the line itself gives the command an empty input."""

    _reception: Reception = field(init=False)

    def __post_init__(self) -> None:
        self._reception = Reception(channel=self.channel)

    def run(self, line: bytes) -> Answer:
        """The command's answer, complete. Raises CommandTimeoutError or LinkLostError."""
        heard = self._reception
        try:
            request_program(self.channel, line)
            self._converse()
            return Answer(exit_code=heard.exit_code, stdout=bytes(heard.stdout), stderr=bytes(heard.stderr))
        except TimeoutError as error:
            raise CommandTimeoutError(bytes(heard.stdout)) from error
        except (SSHException, EOFError, OSError) as error:
            raise LinkLostError(str(error)) from error

    def _converse(self) -> None:
        """Reads and writes in turns, so that neither side can block the other with a full window."""
        pending = memoryview(self.stdin)  # slices of it cost no copy of the rest
        while not self._reception.over:
            if pending:
                pending = self._send(pending)
            if not self._reception.receive():
                left = left_s(self.deadline)
                self._reception.wait(min(left, _WINDOW_POLL_S) if pending else left)

    def _send(self, pending: memoryview) -> memoryview:
        """What is still to be sent. A command that stopped reading gets no more, and that is no error."""
        if not self.channel.send_ready() and not self.channel.closed:
            return pending
        try:
            pending = pending[self.channel.send(bytes(pending[:_CHUNK_BYTES])) :]
        except OSError:
            return pending[:0]
        if not pending:
            self.channel.shutdown_write()
        return pending
