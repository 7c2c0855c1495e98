"""Copies between file systems that this machine has mounted."""

from __future__ import annotations

import errno
import hashlib
import os
import time
from functools import partial
from typing import Any, BinaryIO

from metadata.errors import NotFoundError, StagingError, no_room
from staging.ports import Capabilities, Direction, FileDigest, MoveFile, MoveRequest, MoveResult, Progress

_BLOCK_BYTES = 4 << 20
_ZEROS = bytes(_BLOCK_BYTES)


class PosixMover:
    """Reads, hashes and writes in one pass; a partial file is hashed and gone on with."""

    capabilities = Capabilities(
        schemes=frozenset({"file"}),
        directions=frozenset({Direction.LOCAL}),
        resumes=True,
        batches=True,
        verifies=True,
        limits_rate=True,
        keeps_holes=True,
    )

    def move(self, request: MoveRequest, *, progress: Progress) -> MoveResult:
        """All bytes of every source lie at its partial path, on disk."""
        pace = _Pace(request.limit_bytes_per_s)
        digests: dict[str, FileDigest] = {}
        moved = arrived = 0
        for file in request.files:
            try:
                sent, digest = _copied(file, partial(_tell, progress, arrived), pace)
            except FileNotFoundError as error:
                where = f"{request.source.site}: there is no {error.filename} to copy"
                raise NotFoundError(where, site=request.source.site) from error
            except OSError as error:
                raise _translated(error, file, request) from error
            digests[file.partial_path] = digest
            moved += sent
            arrived += digest.size_bytes
        return MoveResult(bytes_moved=moved, digests=digests)


def _tell(progress: Progress, before: int, done: int) -> None:
    progress(before + done)


class _Pace:
    """Keeps the bytes of a request below a rate."""

    def __init__(self, bytes_per_s: float | None) -> None:
        self._rate = bytes_per_s
        self._begin = time.monotonic()
        self._sent = 0

    @property
    def block_bytes(self) -> int:
        """How much to take at once: a quarter of a second's at most, so that a slow copy can be broken off soon."""
        return max(1, min(_BLOCK_BYTES, int(self._rate / 4))) if self._rate else _BLOCK_BYTES

    def keep(self, size_bytes: int) -> None:
        """Waits until that many more bytes may have gone."""
        if self._rate:
            self._sent += size_bytes
            time.sleep(max(0.0, self._sent / self._rate - (time.monotonic() - self._begin)))


def _copied(file: MoveFile, progress: Progress, pace: _Pace) -> tuple[int, FileDigest]:
    os.makedirs(os.path.dirname(file.partial_path), exist_ok=True)
    with open(file.source_path, "rb") as source, _opened_to_go_on(file.partial_path) as target:
        return _copy(source, target, progress, pace)


def _opened_to_go_on(path: str) -> BinaryIO:
    """The file for reading and writing, what it holds kept."""
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o644), "r+b", buffering=0)


def _copy(source: BinaryIO, target: BinaryIO, progress: Progress, pace: _Pace) -> tuple[int, FileDigest]:
    digest: Any = hashlib.sha256()
    present = min(os.fstat(target.fileno()).st_size, os.fstat(source.fileno()).st_size)
    done = _hash_present(target, digest, present)
    target.truncate(done)
    source.seek(done)
    moved = 0
    while block := source.read(pace.block_bytes):
        if block == _ZEROS[: len(block)]:
            target.seek(len(block), os.SEEK_CUR)  # a hole, or as good as one
        else:
            _write_all(target, block)
        digest.update(block)
        moved += len(block)
        progress(done + moved)
        pace.keep(len(block))
    target.truncate(done + moved)
    if done + moved >= _BLOCK_BYTES:
        # A small file that a power cut harms is found by its size; waiting for the disk would cost it most.
        os.fsync(target.fileno())
    return moved, FileDigest(size_bytes=done + moved, sha256=digest.hexdigest())


def _write_all(target: BinaryIO, block: bytes) -> None:
    """An unbuffered file may take less than it is given, as when its disk is about to be full."""
    rest = memoryview(block)
    while rest:
        rest = rest[target.write(rest) :]


def _hash_present(target: BinaryIO, digest: Any, size_bytes: int) -> int:
    """Feeds what an earlier try left to `digest`; the bytes fed."""
    done = 0
    while done < size_bytes and (block := target.read(min(_BLOCK_BYTES, size_bytes - done))):
        digest.update(block)
        done += len(block)
    return done


def _translated(error: OSError, file: MoveFile, request: MoveRequest) -> StagingError:
    site = request.destination.site
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return no_room(site, f"no room left for {file.partial_path} ({error.strerror})")
    message = f"copying {file.source_path} from {request.source.site} to {site} failed: {error.strerror}"
    return StagingError(message, site=site)


ADAPTER = PosixMover
