"""The kept shells of one connection: who is idle, and how many there are."""

from __future__ import annotations

import threading

from adapters.runners.ssh.kept_shell import KeptShell


class ShellPool:
    """Lends idle shells. Thread-safe."""

    def __init__(self) -> None:
        self._idle: list[KeptShell] = []
        self._lent = 0
        self._closed_to_new = False
        self._changing = threading.Lock()

    def take(self, deadline: float) -> KeptShell | None:
        """An idle shell that is alive, if there is one; `give_back` takes it again.

        deadline: in time.monotonic()'s seconds, for a sign of life.
        """
        while True:
            with self._changing:
                if not self._idle:
                    return None
                shell = self._idle.pop()
                self._lent += 1
            if shell.answers(deadline):
                return shell
            self.give_back(shell)

    def reserve(self, *, most: int) -> bool:
        """Whether one more shell may be opened: the caller opens it, and gives it back."""
        with self._changing:
            if self._closed_to_new or self._lent + len(self._idle) >= most:
                return False
            self._lent += 1
            return True

    def give_back(self, shell: KeptShell | None, *, never_again: bool = False) -> None:
        """One that is still busy is closed. None: it was never opened.

        never_again: no more are opened on this connection.
        """
        with self._changing:
            self._lent -= 1
            self._closed_to_new |= never_again
            if shell is not None and shell.idle:
                self._idle.append(shell)
                return
        if shell is not None:
            shell.close()

    def leave_room(self, places: int) -> bool:
        """At most so many idle shells are left. Whether one had to go: those who work come first."""
        with self._changing:
            gone, self._idle = self._idle[places:], self._idle[:places]
        for shell in gone:
            shell.leave()
        return bool(gone)

    def clear(self) -> None:
        """The connection is over."""
        with self._changing:
            gone, self._idle = self._idle, []
            self._closed_to_new = False
        for shell in gone:
            shell.close()
