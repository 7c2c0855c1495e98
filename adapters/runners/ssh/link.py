"""The one connection that a site and user share: kept, watched, and made anew when it breaks."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from paramiko import Channel, ChannelException, SSHException

from adapters.runners.ssh.answers import Answer, LinkLostError, ShellEndedError
from adapters.runners.ssh.connection import Connection, open_connection
from adapters.runners.ssh.exchange import Exchange
from adapters.runners.ssh.gate import Gate
from adapters.runners.ssh.kept_shell import KeptShell
from adapters.runners.ssh.questions import Prompter
from adapters.runners.ssh.settings import SshSettings
from adapters.runners.ssh.shell_pool import ShellPool
from metadata.errors import LoginNeededError, MiddlewareError, SiteUnavailableError

# Administratively prohibited, connect failed (sshd's word for "more than MaxSessions"), resource shortage.
_REFUSED = (1, 2, 4)
_KNOCKS_EVERY_S = 60.0
_SESSION_ENDS_S = 1.0
"""sshd counts a session for a moment after its channel was closed."""
_MOST_SHELLS = 2
"""Kept at a time; commands beyond these have a channel each."""


class Link:
    """Opens channels. Thread-safe."""

    def __init__(self, settings: SshSettings) -> None:
        self.settings = settings
        self.prompter: Prompter | None = None
        self._gate = Gate(site=settings.site, places=settings.max_sessions)
        self._shells = ShellPool()
        self._connection: Connection | None = None
        self._connecting = threading.Lock()
        # paramiko loses channels ("Channel closed") when several threads open one at the same time.
        self._opening = threading.Lock()
        self._closed_at = 0.0
        self._failure: tuple[float, MiddlewareError] | None = None

    @property
    def connected(self) -> bool:
        """Whether the connection is open, as far as is known."""
        connection = self._connection
        return connection is not None and connection.transport.is_active()

    @contextmanager
    def channel(self, *, deadline: float) -> Iterator[Channel]:
        """A fresh session channel, closed at the end of the block.

        deadline: in time.monotonic()'s seconds. Raises SiteUnavailableError, and what `connect` raises.
        """
        while True:
            with self._gate.place(deadline=deadline):
                channel = self._open_channel(deadline)
                if channel is not None:
                    try:
                        yield channel
                    finally:
                        with suppress(SSHException, EOFError, OSError):  # a broken connection closes it as well
                            channel.close()
                        self._closed_at = time.monotonic()
                    return
            time.sleep(0.01)  # the place that was given up is one that the site never had, or has not again yet

    def run(self, line: bytes, *, stdin: bytes, deadline: float) -> Answer:
        """The answer to one line of the login shell, on a channel of its own.

        deadline: in time.monotonic()'s seconds. Raises CommandTimeoutError (it still runs), LinkLostError, and what
        `channel` raises.
        """
        with self.channel(deadline=deadline) as channel:
            return Exchange(channel=channel, deadline=deadline, stdin=stdin).run(line)

    @contextmanager
    def shell(self, *, deadline: float) -> Iterator[KeptShell | None]:
        """A shell for one command; None where the command needs a channel of its own.

        Shells stay for the next command. Raises what `channel` raises.
        """
        with self._gate.place(deadline=deadline):
            shell = self._shells.take(min(deadline, time.monotonic() + self.settings.connect_timeout_s))
            if shell is None and self._shells.reserve(most=min(_MOST_SHELLS, self._gate.places - 1)):
                shell = self._open_shell(deadline)
            try:
                yield shell
            finally:
                if shell is not None:
                    self._shells.give_back(shell)

    def connect(self) -> Connection:
        """The connection, opened where it is not. One thread opens it; those who waited share its failure.

        Raises what `open_connection` raises.
        """
        arrived = time.monotonic()
        with self._connecting:
            if self._connection is not None and self._connection.transport.is_active():
                return self._connection
            if self._failure is not None and (self._failure[0] > arrived or self._waits_for_person(arrived)):
                raise self._failure[1]
            self.close()
            try:
                self._connection = open_connection(self.settings, self.prompter)
            except MiddlewareError as error:
                self._failure = (time.monotonic(), error)
                raise
            return self._connection

    def _waits_for_person(self, now: float) -> bool:
        """True while another knock at the door would be answered as the last one was."""
        if self.prompter is not None or self._failure is None:
            return False
        at, error = self._failure
        return isinstance(error, LoginNeededError) and now - at < _KNOCKS_EVERY_S

    def close(self) -> None:
        """No connection is open. The next channel opens one again."""
        connection, self._connection = self._connection, None
        self._shells.clear()
        if connection is not None:
            connection.close()

    def _open_shell(self, deadline: float) -> KeptShell | None:
        """A new shell in the place that was reserved; None when the site gives none."""
        shell = None
        try:
            channel = self._open_channel(deadline)
            if channel is not None:
                shell = KeptShell(channel)
                shell.start(min(deadline, time.monotonic() + self.settings.connect_timeout_s))
        except LinkLostError:
            self._shells.give_back(shell)
            return None  # nothing was asked yet: the way by a channel finds out what is wrong, and says it
        except (ShellEndedError, TimeoutError):
            self._shells.give_back(shell, never_again=True)
            return None
        except BaseException:
            self._shells.give_back(shell)
            raise
        if shell is None:
            self._shells.give_back(None)
        return shell

    def _open_channel(self, deadline: float) -> Channel | None:
        """A channel; None when the site refused one because there are too many.

        A connection that died unnoticed shows here, before anything was asked: so it is safe to try once more.
        """
        for attempt in (1, 2):
            connection = self.connect()
            try:
                self._shells.leave_room(self._gate.free)
                return self._request_channel(connection, deadline)
            except ChannelException as error:
                if error.code in _REFUSED and self._makes_room():
                    return None
                raise self._unavailable(f"no session was given: {error.text}") from error
            except (SSHException, EOFError, OSError) as error:
                self._drop(connection)
                if attempt == 2 or time.monotonic() >= deadline:
                    raise self._unavailable(f"the connection broke: {error}") from error
        raise AssertionError

    def _makes_room(self) -> bool:
        """Whether another try may be given the session that was refused."""
        lately = time.monotonic() - self._closed_at < _SESSION_ENDS_S
        return self._shells.leave_room(0) or self._gate.shrink() or lately

    def _request_channel(self, connection: Connection, deadline: float) -> Channel:
        with self._opening:
            left_s = min(deadline - time.monotonic(), self.settings.connect_timeout_s)
            if left_s <= 0:
                raise self._unavailable("no session was opened in time")
            return connection.transport.open_session(timeout=left_s)

    def _drop(self, connection: Connection) -> None:
        """A broken connection is let go of, unless another thread has replaced it already."""
        with self._connecting:
            if self._connection is connection:
                self.close()

    def _unavailable(self, reason: str) -> SiteUnavailableError:
        return SiteUnavailableError(f"site '{self.settings.site}': {reason}", site=self.settings.site)
