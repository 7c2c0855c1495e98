"""Files copied by SFTP, many requests of each on their way at once."""

from __future__ import annotations

import errno
import hashlib
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paramiko import SFTPError, SSHException

from adapters._openssh.errors import RETRY_S, gone
from adapters._openssh.sides import Side, sides_of
from adapters.movers._ssh.agent.wire import Pace
from adapters.movers._ssh.growth import Growth
from adapters.movers.sftp.places import Here, Place, There
from adapters.movers.sftp.sessions import sftp_session
from metadata.errors import StagingError, TransferInterruptedError, no_room
from staging.ports import Endpoint, FileDigest, MoveFile, MoveRequest, MoveResult, Progress

_BLOCK_BYTES = 1 << 18
_PROBE_BYTES = 1 << 20


def copy(request: MoveRequest, progress: Progress) -> MoveResult:
    """All bytes of every source lie at its partial path; what lies on this machine is hashed."""
    ends = sides_of(request)
    with ExitStack() as stack:
        source, destination = (
            stack.enter_context(_place(side, endpoint))
            for side, endpoint in zip(ends, (request.source, request.destination), strict=True)
        )
        return _Transfer(request=request, source=source, destination=destination).run(progress)


@dataclass(frozen=True, kw_only=True)
class _Transfer:
    """A request between two places."""

    request: MoveRequest
    source: Place
    destination: Place

    def run(self, progress: Progress) -> MoveResult:
        """Everything lies at the destination."""
        growth = Growth(progress=progress, size_bytes=self.request.size_bytes)
        growth.tell(0)
        pace = Pace(self.request.limit_bytes_per_s or 0)
        digests: dict[str, FileDigest] = {}
        moved = lying = 0
        for file in self.request.files:
            with self._errors(file):
                before = lying
                begin, digest = self._copy(file, pace, lambda size: growth.tell(before + size))  # noqa: B023
            moved += file.size_bytes - begin
            lying += file.size_bytes
            if digest:
                digests[file.partial_path] = digest
        growth.tell(self.request.size_bytes)
        return MoveResult(bytes_moved=moved, digests=digests)

    def _copy(self, file: MoveFile, pace: Pace, tell: Callable[[int], None]) -> tuple[int, FileDigest | None]:
        """Where it went on, and the file's digest where that could be made."""
        self.destination.make_folder(str(Path(file.partial_path).parent))
        begin = self._begin(file)
        if begin == file.size_bytes:
            return begin, None
        hasher = hashlib.sha256() if self.destination.here else None
        with (
            self.source.open(file.source_path, "rb") as reader,
            self.destination.open(file.partial_path, "r+b" if begin > 0 else "wb") as writer,
        ):
            done = _hashed_beginning(writer, hasher, max(0, begin))
            writer.seek(done)
            for block in self.source.blocks(reader, done, file.size_bytes):
                self.destination.write(writer, block)
                done += len(block)
                pace.count(len(block))
                if hasher:
                    hasher.update(block)
                tell(done)
        self._check_arrival(file, done)
        digest = FileDigest(size_bytes=done, sha256=hasher.hexdigest()) if hasher else None
        return max(0, begin), digest

    def _begin(self, file: MoveFile) -> int:
        """How much lies there; -1 when there is no file. What is longer than the source is no beginning of it."""
        source, facts = self.source.mode_and_size(file.source_path), self.destination.mode_and_size(file.partial_path)
        if source is None:
            raise gone(self.source.site, file.source_path)
        for place, path, found in (
            (self.source, file.source_path, source),
            (self.destination, file.partial_path, facts),
        ):
            if found and not stat.S_ISREG(found[0]):
                raise StagingError(f"{place.site}: {path} is not a file; nothing was written", site=place.site)
        if facts is None:
            return -1
        return facts[1] if facts[1] <= file.size_bytes else 0

    def _check_arrival(self, file: MoveFile, size: int) -> None:
        """Answers to the last writes are not waited for, so a full disk may show only now."""
        facts = self.destination.mode_and_size(file.partial_path)
        if facts is None or facts[1] != size:
            raise OSError(errno.EIO, f"{facts[1] if facts else 0} of {size} bytes lie there")

    @contextmanager
    def _errors(self, file: MoveFile) -> Iterator[None]:
        """What paramiko and the operating system say in our words."""
        site = self.destination.site
        try:
            yield
        except FileNotFoundError as error:
            raise gone(self.source.site, file.source_path) from error
        except (EOFError, SSHException, SFTPError, ConnectionError) as error:
            message = f"{self.source.site} to {site}: the SFTP connection broke: {error or 'it ended'}"
            raise TransferInterruptedError(message, site=site, retry_after_s=RETRY_S) from error
        except OSError as error:
            words = error.strerror or str(error)
            if error.errno in (errno.ENOSPC, errno.EDQUOT) or self._is_full(file):
                raise no_room(site, f"no room left for {file.partial_path} ({words})") from error
            raise StagingError(f"copying {file.source_path} to {site} failed: {words}", site=site) from error

    def _is_full(self, file: MoveFile) -> bool:
        """SFTP has no word for it: a megabyte is tried."""
        probe = f"{file.partial_path}.room"
        with suppress(OSError):
            with self.destination.open(probe, "wb") as writer, suppress(OSError):
                self.destination.write(writer, bytes(_PROBE_BYTES))
            found = self.destination.mode_and_size(probe)
            self.destination.remove(probe)
            return found is None or found[1] != _PROBE_BYTES
        return False


@contextmanager
def _place(side: Side, endpoint: Endpoint) -> Iterator[Place]:
    if side.door is None:
        yield Here(site=side.site)
        return
    with sftp_session(side, endpoint) as session:
        yield There(site=side.site, session=session)


def _hashed_beginning(file: Any, hasher: Any, size: int) -> int:
    """What an earlier try left is hashed where that is asked for, and gone on with."""
    left = size if hasher else 0
    while left and (block := file.read(min(_BLOCK_BYTES, left))):
        hasher.update(block)
        left -= len(block)
    return size
