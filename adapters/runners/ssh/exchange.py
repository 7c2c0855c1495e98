"""One command on one channel: its input in, its output, errors and exit code out, all within a time limit."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

from paramiko import Channel, Message, SSHException

_CHUNK_BYTES = 1 << 18
_CHANNEL_REQUEST = b"\x62"  # RFC 4254, section 5.4
_WINDOW_POLL_S = 0.01  # nothing wakes a waiter when the site makes room for more input


class CommandTimeoutError(TimeoutError):
    """A command took too long and still runs; `stdout` is what it had written by then."""

    def __init__(self, stdout: bytes) -> None:
        super().__init__()
        self.stdout = stdout


class LinkLostError(Exception):
    """The channel ended without an exit code. Private to the runner, which knows what to tell the caller."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came back, as bytes."""

    exit_code: int
    stdout: bytes
    stderr: bytes


@dataclass(kw_only=True)
class Exchange:
    """A command that is under way."""

    channel: Channel
    deadline: float
    """In time.monotonic()'s seconds."""

    stdin: bytes
    """Empty: the line itself gives the command an empty input."""

    _arrived: threading.Event = field(default_factory=threading.Event)
    """Set when either buffer gets something. Reading clears it, so it is waited for only after a look at both."""

    _stdout: list[bytes] = field(default_factory=list)
    _stderr: list[bytes] = field(default_factory=list)

    def run(self, line: bytes) -> Answer:
        """The command's answer, complete. Raises CommandTimeoutError or LinkLostError."""
        try:
            self._start(line)
            self._converse()
            return self._answer()
        except TimeoutError as error:
            raise CommandTimeoutError(self.stdout) from error
        except (SSHException, EOFError, OSError) as error:
            raise LinkLostError(str(error)) from error

    @property
    def stdout(self) -> bytes:
        """What the command wrote so far."""
        return b"".join(self._stdout)

    def _start(self, line: bytes) -> None:
        """The site is asked to run the line.

        Not exec_command: that waits for the site's yes without a time limit. A no closes the channel, which shows soon.
        """
        request = Message()
        request.add_byte(_CHANNEL_REQUEST)
        request.add_int(self.channel.remote_chanid)
        request.add_string("exec")
        request.add_boolean(True)
        request.add_string(line)
        self.channel.get_transport()._send_user_message(request)  # type: ignore[attr-defined]  # noqa: SLF001

    def _left_s(self) -> float:
        """Seconds until the deadline. Raises TimeoutError when there are none."""
        left_s = self.deadline - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        return left_s

    def _converse(self) -> None:
        """Reads and writes in turns, so that neither side can block the other with a full window."""
        for buffer in (self.channel.in_buffer, self.channel.in_stderr_buffer):
            buffer.set_event(self._arrived)
        pending = memoryview(self.stdin)  # slices of it cost no copy of the rest
        while not self._at_end():
            if pending:
                pending = self._send(pending)
            if not self._receive():
                self._wait(sending=bool(pending))

    def _at_end(self) -> bool:
        """EOF comes before or after the exit status, and bytes may still be in the buffers: all three must be over."""
        channel = self.channel
        return (
            bool(channel.closed or channel.eof_received)
            and not channel.recv_ready()
            and not channel.recv_stderr_ready()
            and channel.exit_status_ready()
        )

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

    def _receive(self) -> bool:
        """Whether anything was there to take."""
        channel, taken = self.channel, False
        if channel.recv_ready():
            self._stdout.append(channel.recv(_CHUNK_BYTES))
            taken = True
        if channel.recv_stderr_ready():
            self._stderr.append(channel.recv_stderr(_CHUNK_BYTES))
            taken = True
        return taken

    def _wait(self, *, sending: bool) -> None:
        left_s = min(self._left_s(), _WINDOW_POLL_S) if sending else self._left_s()
        # After EOF the first of these stays set for ever.
        event = self.channel.status_event if self.channel.eof_received else self._arrived
        event.wait(left_s)

    def _answer(self) -> Answer:
        if self.channel.exit_status < 0:
            raise LinkLostError("the channel was closed without an exit code")
        return Answer(exit_code=self.channel.exit_status, stdout=self.stdout, stderr=b"".join(self._stderr))
