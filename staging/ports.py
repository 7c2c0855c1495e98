"""What staging asks of the outside world: a site's file system, and ways to move a file between two of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

Progress = Callable[[int], None]
"""Called now and then with the bytes that lie at the destination so far."""


@dataclass(frozen=True, kw_only=True)
class FileStat:
    """What a file system says of a file."""

    size_bytes: int
    modified_ns: int
    inode: int = 0


@dataclass(frozen=True, kw_only=True)
class FileDigest:
    """What a file holds, told by its size and SHA-256."""

    size_bytes: int
    sha256: str


class Storage(Protocol):
    """The file system of one site. Paths are absolute.

    Methods raise NotFoundError, NoSpaceError, SiteUnavailableError (try again) or SiteError.
    """

    endpoint: Endpoint
    """How movers reach this site."""

    def stat(self, path: str) -> FileStat | None:
        """The file's facts; None when there is none."""

    def digest(self, path: str) -> FileDigest:
        """The file's size and SHA-256, computed at the site."""

    def files_below(self, path: str) -> Sequence[str]:
        """Every regular file below a folder, relative to it and sorted; a file answers with its own name."""

    def read(self, path: str, *, limit_bytes: int | None = None) -> bytes:
        """The file's bytes, or its last `limit_bytes`."""

    def write(self, path: str, content: bytes) -> None:
        """The file holds `content`, whole or not at all; missing folders are made."""

    def rename(self, source: str, target: str) -> None:
        """The file has its new name at once (atomic); missing folders are made."""

    def remove(self, path: str) -> None:
        """The file or folder is gone; it is no error when there was none."""

    def free_bytes(self, path: str) -> int:
        """Room left for the user where `path` lies."""


@dataclass(frozen=True, kw_only=True)
class Capabilities:
    """What a mover can do; routes are chosen by these, never by a mover's name."""

    schemes: frozenset[str]
    """Which kinds of endpoint it can reach: `file`, `ssh`, `gridftp`..."""
    resumes: bool = False
    third_party: bool = False
    """Data goes from site to site without passing through this machine."""
    parallel_streams: bool = False
    encrypted: bool = False
    verifies: bool = False
    """The mover hashes what it wrote, so that no second reading is needed."""


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """How a mover reaches a site."""

    site: str
    scheme: str
    options: Mapping[str, str] = field(default_factory=dict)
    """Host, port, user... as the scheme needs them."""


@dataclass(frozen=True, kw_only=True)
class MoveRequest:
    """One file to bring from one site to another."""

    source: Endpoint
    source_path: str
    destination: Endpoint
    partial_path: str
    """Where the bytes are gathered; a partial file found there is resumed when the mover can."""
    size_bytes: int
    streams: int = 1


@dataclass(frozen=True, kw_only=True)
class MoveResult:
    """What a mover did."""

    bytes_moved: int
    """Bytes that really travelled: the file's size less what was resumed."""
    digest: FileDigest | None
    """Of the partial file as it lies at the destination now; None when the mover did not hash it."""


class Mover(Protocol):
    """A tool that copies a file between two endpoints.

    It writes only to `partial_path`, leaves it there when it breaks off, and never renames it: the transfer
    engine does that once the digest is right. Raises TransferInterruptedError (resume), NoSpaceError,
    NotFoundError (the source is gone) or StagingError.
    """

    capabilities: Capabilities

    def move(self, request: MoveRequest, *, progress: Progress) -> MoveResult:
        """All bytes of the source lie at `partial_path`."""
