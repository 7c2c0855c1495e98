"""The programs at one site that know its files: as many as have questions to answer at the same time."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext

from adapters._openssh.sides import Side
from adapters.storages._agent.conversation import Conversation, RefusedError
from metadata.errors import MiddlewareError, PermanentError, SiteUnavailableError
from staging.ports import FileDigest, FileStat, Survey

_MOST = 3
"""Of sshd's ten sessions on a connection, movers need some."""
_WAIT_S = 0.1
"""Most questions are answered sooner than another program has started."""
_NOT_AGAIN_S = 60.0
"""A site that let nobody in is left in peace for a while: it may count failed logins."""
_LONG = ("digests", "copy")
"""Every byte is read for them."""


class Agents:
    """Starts programs as they are needed, and shares them among threads."""

    def __init__(self, side: Side) -> None:
        self._side = side
        self._free = threading.BoundedSemaphore(_MOST)
        # Whoever asks what takes an instant does not wait for hours.
        self._long = threading.BoundedSemaphore(_MOST - 1)
        self._changing = threading.Condition()
        self._idle: list[Conversation] = []
        self._busy = self._starting = 0
        # Nobody closes a storage: the programs end with whoever had it.
        weakref.finalize(self, _close_all, self._idle)
        self._refused_until = 0.0

    @property
    def there(self) -> bool:
        """Whether one has begun that can be asked."""
        with self._changing:
            return self._busy > 0 or bool(self._idle)

    def begin(self) -> bool:
        """Whether one can be asked, now that it was started where there was none; some sites have no Python."""
        try:
            with self._lent():
                return True
        except MiddlewareError:  # whoever goes another way is told why that fails
            return False

    def ask(self, verb: str, paths: Sequence[str]) -> list[bytes]:
        """The fields of the answer. Raises RefusedError, or SiteUnavailableError: it may have been done then."""
        long = verb in _LONG
        with self._long if long else nullcontext(), self._lent() as agent:
            return agent.ask(verb, paths, long=long)

    def digests(self, paths: Sequence[str]) -> dict[str, FileDigest]:
        """Of many files; one that is not there or cannot be read is absent from the answer."""
        rows = {path: row.decode().split() for path, row in zip(paths, self.ask("digests", paths), strict=True) if row}
        return {path: FileDigest(size_bytes=int(size), sha256=sha256) for path, (size, sha256) in rows.items()}

    def stats(self, paths: Sequence[str]) -> dict[str, FileStat]:
        """The same for their facts. Raises RefusedError for a folder that one may not look into."""
        return _facts(paths, self.ask("stats", paths))

    def survey(self, paths: Sequence[str]) -> Survey:
        """The same, and the room that is left where the first of them lies, or will lie."""
        free, *rows = self.ask("survey", paths)
        return Survey(facts=_facts(paths, rows), free_bytes=int(free))

    @contextmanager
    def _lent(self) -> Iterator[Conversation]:
        """A program that nobody else asks meanwhile; one that broke is not asked again."""
        with self._free:
            agent = self._taken()
            try:
                agent = agent or self._started()
                yield agent
            except RefusedError:
                raise
            except BaseException:  # of what it would say next nobody knows what it answers
                if agent is not None:
                    agent.close()
                    agent = None
                with self._changing:
                    _close_all(self._idle)  # they have the same connection
                raise
            finally:
                self._give_back(agent)

    def _taken(self) -> Conversation | None:
        """One that has nothing to do. It counts as busy from now on, as does the one that is to be started instead."""
        with self._changing:
            # A login takes longer than whatever those who wait for it want to know.
            self._changing.wait_for(lambda: self._idle or not self._starting)
            self._changing.wait_for(lambda: self._idle or not self._busy, timeout=_WAIT_S)
            self._busy += 1
        while True:
            with self._changing:
                if not self._idle:
                    self._starting += 1
                    return None
                agent = self._idle.pop()
            if agent.answers():
                return agent
            agent.close()

    def _give_back(self, agent: Conversation | None) -> None:
        with self._changing:
            self._busy -= 1
            if agent is not None:
                self._idle.append(agent)
            self._changing.notify()

    def _started(self) -> Conversation:
        try:
            return self._start()
        finally:
            with self._changing:
                self._starting -= 1
                self._changing.notify_all()

    def _start(self) -> Conversation:
        if time.monotonic() < self._refused_until:
            raise SiteUnavailableError(f"{self._side.site}: no program could be started there", site=self._side.site)
        try:
            return Conversation(self._side)
        except MiddlewareError as error:
            forever = isinstance(error, PermanentError)
            self._refused_until = float("inf") if forever else time.monotonic() + _NOT_AGAIN_S
            raise


def _facts(paths: Sequence[str], rows: Sequence[bytes]) -> dict[str, FileStat]:
    found: dict[str, FileStat] = {}
    for path, row in zip(paths, rows, strict=True):
        if row:
            size, on_disk, modified, inode = map(int, row.split())
            holes = max(0, size - on_disk)
            found[path] = FileStat(size_bytes=size, modified_ns=modified, inode=inode, hole_bytes=holes)
    return found


def _close_all(agents: list[Conversation]) -> None:
    while agents:
        agents.pop().close()
