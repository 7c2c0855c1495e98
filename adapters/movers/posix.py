"""Copies between file systems that this machine has mounted."""

from __future__ import annotations

import errno
import hashlib
import os
from typing import Any, BinaryIO

from metadata.errors import NoSpaceError, NotFoundError, StagingError
from staging.ports import Capabilities, FileDigest, MoveRequest, MoveResult, Progress

_BLOCK_BYTES = 4 << 20


class PosixMover:
    """Reads, hashes and writes in one pass; a partial file is hashed and gone on with."""

    capabilities = Capabilities(schemes=frozenset({"file"}), resumes=True, third_party=True, verifies=True)

    def move(self, request: MoveRequest, *, progress: Progress) -> MoveResult:
        """All bytes of the source lie at `partial_path`, on disk."""
        try:
            os.makedirs(os.path.dirname(request.partial_path), exist_ok=True)
            with open(request.source_path, "rb") as source, _opened_to_go_on(request.partial_path) as target:
                return _copy(source, target, progress)
        except FileNotFoundError as error:
            where = f"{request.source.site}: there is no {error.filename} to copy"
            raise NotFoundError(where, site=request.source.site) from error
        except OSError as error:
            raise _translated(error, request) from error


def _opened_to_go_on(path: str) -> BinaryIO:
    """The file for reading and writing, what it holds kept."""
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o644), "r+b", buffering=0)


def _copy(source: BinaryIO, target: BinaryIO, progress: Progress) -> MoveResult:
    digest: Any = hashlib.sha256()
    present = min(os.fstat(target.fileno()).st_size, os.fstat(source.fileno()).st_size)
    done = _hash_present(target, digest, present)
    target.truncate(done)
    source.seek(done)
    moved = 0
    while block := source.read(_BLOCK_BYTES):
        _write_all(target, block)
        digest.update(block)
        moved += len(block)
        progress(done + moved)
    os.fsync(target.fileno())
    whole = FileDigest(size_bytes=done + moved, sha256=digest.hexdigest())
    return MoveResult(bytes_moved=moved, digest=whole)


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


def _translated(error: OSError, request: MoveRequest) -> StagingError:
    site = request.destination.site
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        message = f"{site}: no room left for {request.partial_path} ({error.strerror})"
        return NoSpaceError(f"{message}; free some space there, then: convoy retry", site=site)
    message = f"copying {request.source_path} from {request.source.site} to {site} failed: {error.strerror}"
    return StagingError(message, site=site)


ADAPTER = PosixMover
