"""What comes in on a channel's two streams: kept apart, and taken in turns, so that neither can block the other."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

from paramiko import Channel

from adapters.runners.ssh.answers import LinkLostError

_CHUNK_BYTES = 1 << 18


def left_s(deadline: float) -> float:
    """Seconds until the deadline, which is in time.monotonic()'s seconds. Raises TimeoutError when there are none."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


@dataclass(kw_only=True)
class Reception:
    """All that a channel brought since the last `forget`."""

    channel: Channel
    stdout: bytearray = field(default_factory=bytearray)
    stderr: bytearray = field(default_factory=bytearray)

    _arrived: threading.Event = field(default_factory=threading.Event)
    """Set when either buffer gets something. Reading clears it, so it is waited for only after a look at both."""

    def __post_init__(self) -> None:
        for buffer in (self.channel.in_buffer, self.channel.in_stderr_buffer):
            buffer.set_event(self._arrived)

    @property
    def over(self) -> bool:
        """EOF comes before or after the exit status, and bytes may still be in the buffers: all three must be over."""
        return self._ended and self.channel.exit_status_ready()

    @property
    def exit_code(self) -> int:
        """With which the program at the other end ended. Raises LinkLostError when nobody told."""
        if self.channel.exit_status < 0:
            raise LinkLostError("the channel was closed without an exit code")
        return self.channel.exit_status

    def receive(self) -> bool:
        """Whether anything was there to take."""
        channel, taken = self.channel, False
        if channel.recv_ready():
            self.stdout += channel.recv(_CHUNK_BYTES)
            taken = True
        if channel.recv_stderr_ready():
            self.stderr += channel.recv_stderr(_CHUNK_BYTES)
            taken = True
        return taken

    def wait(self, seconds: float) -> None:
        """Something has arrived, or the time is over."""
        # After EOF the first of these stays set for ever.
        event = self.channel.status_event if self.channel.eof_received else self._arrived
        event.wait(seconds)

    def forget(self) -> None:
        """What was taken is let go of."""
        self.stdout, self.stderr = bytearray(), bytearray()

    @property
    def _ended(self) -> bool:
        channel = self.channel
        over = bool(channel.closed or channel.eof_received)
        return over and not channel.recv_ready() and not channel.recv_stderr_ready()
