"""What comes back of a command, and what is said when nothing does."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came back, as bytes."""

    exit_code: int
    stdout: bytes
    stderr: bytes


class CommandTimeoutError(TimeoutError):
    """A command took too long and still runs; `stdout` is what it had written by then."""

    def __init__(self, stdout: bytes) -> None:
        super().__init__()
        self.stdout = stdout


class LinkLostError(Exception):
    """The channel ended without an exit code. Private to the runner, which knows what to tell the caller."""


class ShellEndedError(Exception):
    """The shell came to its end in good order and the command was not started: it may be run by other means."""
