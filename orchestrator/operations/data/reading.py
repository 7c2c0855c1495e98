"""Parts of files are read from wherever they lie, without fetching the whole."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

from metadata.errors import IntegrityError, MiddlewareError, NotFoundError, SiteUnavailableError, TransientError
from metadata.policy import check_move
from metadata.records import FileRecord, ReplicaRecord
from orchestrator.operations.data.carrying import seconds
from orchestrator.operations.data.copies import sights
from orchestrator.operations.data.fetching import fetch_file
from orchestrator.operations.workspace import Workspace
from orchestrator.settings import HERE
from staging.locations import parse_name
from staging.upkeep import Sight

_BLOCK_BYTES = 1 << 20


def open_data(workspace: Workspace, name: str) -> Reader:
    """A file of the catalogue, open for reading of parts.

    Raises:
        NotFoundError: There is no such file, or it lies nowhere.
        PolicyError: Its bytes must not come to this machine.
    """
    wanted = parse_name(name)
    return Reader(workspace, workspace.catalogue.file(wanted.dataset, wanted.path))


class Reader:
    """Reads ranges of one file from its nearest copy: here first, then over the quickest link.

    A part cannot be checked against the whole file's hash. So each copy is looked at before its first byte is taken:
    it has the size and the time that it had when it was hashed, or else it is hashed again at its site. A copy that
    is gone, changed or silent is passed over for the next one. Safe to use from several threads.
    """

    def __init__(self, workspace: Workspace, file: FileRecord) -> None:
        self.file = file
        """What the catalogue says of it."""
        self._workspace = workspace
        self._name = f"dataset://{file.dataset}/{file.path}"
        policy = workspace.catalogue.policies([file.sha256])[file.sha256]
        check_move(policy, HERE, what=self._name)
        self._copies = self._nearest_first()
        self._trusted: set[ReplicaRecord] = set()
        self._lock = threading.Lock()
        if not self._copies:
            raise NotFoundError(f"{self._name} lies at no site that is known; see: convoy data show {self._name}")

    def _nearest_first(self) -> list[ReplicaRecord]:
        copies = self._workspace.catalogue.replicas([self.file.sha256])[self.file.sha256]
        routes, storages = self._workspace.routes, self._workspace.storages

        def distance(copy: ReplicaRecord) -> tuple[bool, bool, float, str, str]:
            """What lies here goes first, then what is mounted here, then what the quickest link leads to."""
            away = seconds(routes, copy.site, HERE, _BLOCK_BYTES)
            return (copy.site != HERE, not storages[copy.site].endpoint.local, away, copy.site, copy.path)

        return sorted((copy for copy in copies if copy.site in storages), key=distance)

    @property
    def site(self) -> str:
        """Where the next bytes will be taken from."""
        return self._copies[0].site

    def read_range(self, *, offset: int, size_bytes: int) -> bytes:
        """The bytes of the range; fewer only where the file ends.

        Raises SiteUnavailableError when a site may answer later, else the error of the nearest copy, as IntegrityError.
        """
        wanted = max(0, min(size_bytes, self.file.size_bytes - offset))
        if not wanted:
            return b""
        trouble: list[MiddlewareError] = []
        for copy in self._to_try():
            try:
                return self._read(copy, offset, wanted)
            except MiddlewareError as error:
                trouble.append(error)
                self._pass_over(copy)
        raise next((error for error in trouble if isinstance(error, TransientError)), trouble[0])

    def _to_try(self) -> Iterator[ReplicaRecord]:
        """The copies that were known at the start, and then any that were made since."""
        known = list(self._copies)
        yield from known
        self._copies += (fresh := [copy for copy in self._nearest_first() if _key(copy) not in set(map(_key, known))])
        yield from fresh

    def fetch(self, target: Path) -> Path:
        """The whole file lies at `target`, verified. Raises NotFoundError or StagingError."""
        return fetch_file(self._workspace, self.file, target)

    def _read(self, copy: ReplicaRecord, offset: int, size_bytes: int) -> bytes:
        with self._lock:
            if copy not in self._trusted:
                self._look_at(copy)
                self._trusted.add(copy)
        found = self._workspace.storages[copy.site].read_range(copy.path, offset=offset, size_bytes=size_bytes)
        if len(found) != size_bytes:
            raise IntegrityError(f"{self._name}: site://{copy.site}{copy.path} is shorter than it was", site=copy.site)
        return found

    def _look_at(self, copy: ReplicaRecord) -> None:
        sight = sights(self._workspace, [copy])[copy]
        if sight is None:
            raise IntegrityError(f"{self._name}: site://{copy.site}{copy.path} is gone or changed", site=copy.site)
        if sight is not Sight.SEEN:
            raise SiteUnavailableError(f"{self._name}: {copy.site} does not answer", site=copy.site)
        self._workspace.retention.note_uses([(copy.sha256, copy.site)])

    def _pass_over(self, copy: ReplicaRecord) -> None:
        """The next question goes to another copy first; this one may answer again later."""
        with self._lock:
            self._trusted.discard(copy)
            if copy in self._copies:
                self._copies.remove(copy)
                self._copies.append(copy)


def _key(copy: ReplicaRecord) -> tuple[str, str]:
    return copy.site, copy.path
