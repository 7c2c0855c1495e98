"""What staging asks of the outside world: a site's file system, and ways to move files between two of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol, runtime_checkable

Progress = Callable[[int], None]
"""Called now and then with the bytes of the request that lie at the destination so far, all its files together."""


@dataclass(frozen=True, kw_only=True)
class FileStat:
    """What a file system says of a file."""

    size_bytes: int
    modified_ns: int
    inode: int = 0
    hole_bytes: int = field(default=0, compare=False)
    """What takes no room of it, as far as that is known. It may change as a disk is written to."""


@dataclass(frozen=True, kw_only=True)
class FileDigest:
    """What a file holds, told by its size and SHA-256."""

    size_bytes: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Survey:
    """What a site has, and what it has room for."""

    facts: Mapping[str, FileStat]
    """By path, of files that are there."""
    free_bytes: int
    """Left for the user, as the file system tells; a quota may leave less."""


Settled = Callable[[str, FileStat], None]
"""Called with the partial path of a file that has its final name now, and what the file system says of it."""


class Storage(Protocol):
    """The file system of one site. Paths are absolute.

    Whoever has many files asks once for all of them: at a remote site every call is a journey. Methods raise
    NotFoundError, NoSpaceError, SiteUnavailableError (try again) or SiteError.
    """

    endpoint: Endpoint
    """How movers reach this site."""

    def stat(self, path: str) -> FileStat | None:
        """The file's facts; None when there is none."""

    def stats(self, paths: Sequence[str]) -> Mapping[str, FileStat]:
        """The facts of many files; one that is not there is absent from the answer."""

    def survey(self, paths: Sequence[str]) -> Survey:
        """The same, and the room that is left where the first of them, of which there is one, lies or will lie."""

    def digest(self, path: str) -> FileDigest:
        """The file's size and SHA-256, computed at the site."""

    def digests(self, paths: Sequence[str]) -> Mapping[str, FileDigest]:
        """The same of many files; one that is not there or cannot be read is absent from the answer."""

    def files_below(self, path: str) -> Sequence[str]:
        """Every regular file below a folder, relative to it and sorted; a file answers with its own name."""

    def read(self, path: str, *, limit_bytes: int | None = None) -> bytes:
        """The file's bytes, or its last `limit_bytes`."""

    def read_range(self, path: str, *, offset: int, size_bytes: int) -> bytes:
        """At most `size_bytes` of the file from `offset` on; fewer only where the file ends."""

    def write(self, path: str, content: bytes) -> None:
        """The file holds `content`, whole or not at all; missing folders are made."""

    def rename(self, source: str, target: str) -> None:
        """The file has its new name at once (atomic); missing folders are made."""

    def rename_all(self, pairs: Sequence[tuple[str, str]]) -> None:
        """The same for many files, as (source, target); each is renamed at once, one after the other."""

    def copy_all(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Each target holds what its source does, as (source, target); missing folders are made.

        Blocks are shared where the file system can. It is no hard link: a change of one must not change the other.
        """

    def remove(self, path: str) -> None:
        """The file or folder is gone; it is no error when there was none."""

    def remove_all(self, paths: Sequence[str]) -> None:
        """The same for many."""

    def probe_room(self, path: str, *, size_bytes: int) -> None:
        """Reserves `size_bytes` in a file beside `path` and lets go of them: what no question tells of a quota.

        Raises NoSpaceError when they were not to be had.
        """


@runtime_checkable
class SupportsConnecting(Protocol):
    """A storage that has to log in before it knows anything."""

    def connect(self) -> None:
        """What a first question would have to wait for is there. Raises what the other methods do."""


class Direction(StrEnum):
    """Which way the bytes of a transfer go, seen from this machine."""

    LOCAL = "local"
    """Between two file systems that this machine has mounted."""
    PUSH = "push"
    """From this machine to a site."""
    PULL = "pull"
    """From a site to this machine."""
    THIRD_PARTY = "third-party"
    """From site to site. This machine only gives the word."""
    RELAY = "relay"
    """From site to site by way of this machine."""


class Credential(StrEnum):
    """By what right one site logs in to the other in a third-party transfer."""

    NONE = "none"
    """It need not, or the tool has an identity of its own (a proxy certificate, a token)."""
    AGENT = "agent"
    """The user's agent is forwarded for as long as the transfer takes."""
    SHORT_LIVED_KEY = "short-lived key"
    """A key made for this transfer, good for nothing else, and taken away after it."""


@dataclass(frozen=True, kw_only=True)
class Capabilities:
    """What a mover can do; routes are chosen by these, never by a mover's name."""

    schemes: frozenset[str]
    """Which kinds of door it can use: `file`, `ssh`, `gridftp`, `globus`, `fdt`... It needs one of them at each end."""
    directions: frozenset[Direction]
    credentials: frozenset[Credential] = frozenset({Credential.NONE})
    """Those that it can use for a third-party transfer."""
    resumes: bool = False
    batches: bool = False
    """Many files cost little more than one of their size together."""
    parallel_streams: bool = False
    streams_share_files: bool = False
    """Each file goes by one of the parallel streams, so that there are no more of them than files."""
    encrypted: bool = False
    verifies: bool = False
    """It hashes what it wrote, so that no second reading is needed."""
    limits_rate: bool = False
    """It keeps to `MoveRequest.limit_bytes_per_s`."""
    keeps_holes: bool = False
    """Holes of a file neither travel nor take room at the destination."""
    start_s: float = 0.02
    """What passes before the first byte moves, as is believed until transfers tell."""
    needs: tuple[str, ...] = ()
    """Programs that must be on this machine, as `ssh`; a mover whose programs are missing is not offered."""


class ShellAnswer(Protocol):
    """What a command said."""

    @property
    def exit_code(self) -> int:
        """What it ended with; 128+N after signal N."""

    @property
    def stdout(self) -> str:
        """What it wrote, undecodable bytes replaced."""

    @property
    def stderr(self) -> str:
        """And to its error output."""


class Shell(Protocol):
    """Runs short commands at a site, over a connection that is open already."""

    def run(self, argv: tuple[str, ...], *, stdin: str = "", timeout_s: float = 60.0) -> ShellAnswer:
        """The command's answer, whatever its exit code. Raises SiteUnavailableError."""


@runtime_checkable
class SupportsSftp(Protocol):
    """A shell whose connection also carries SFTP, so that one login of a person serves transfers too."""

    def open_sftp(self) -> Any:
        """A new SFTP session (`paramiko.SFTPClient`); the caller closes it."""


class Question(Protocol):
    """Something that a person is asked."""

    @property
    def text(self) -> str:
        """The words before the answer."""

    @property
    def secret(self) -> bool:
        """Whether the answer must not be shown while it is typed."""


class Prompter(Protocol):
    """A way to ask a person."""

    def ask(self, *, site: str, title: str, questions: Sequence[Question]) -> Sequence[str]:
        """One answer to each question, in their order. Raises SiteUnavailableError when nobody is there."""


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """How movers reach a site: by one or more doors."""

    site: str
    doors: Mapping[str, Mapping[str, str]]
    """Scheme -> what it needs: host, port, user... `{"file": {}}` is a file system that this machine has mounted."""
    shell: Shell | None = field(default=None, compare=False)
    """How to run a command there; None where there is no way."""

    @property
    def local(self) -> bool:
        """Whether this machine has the site's files mounted."""
        return "file" in self.doors


@dataclass(frozen=True, kw_only=True)
class MoveFile:
    """One file of a request."""

    source_path: str
    partial_path: str
    """Where the bytes are gathered; a partial file found there is resumed when the mover can."""
    size_bytes: int
    final_path: str = ""
    """The name that it shall have, on the same file system, once it is right."""
    sha256: str = ""
    """Of what is right."""


@dataclass(frozen=True, kw_only=True)
class MoveRequest:
    """Files to bring from one site to another."""

    source: Endpoint
    destination: Endpoint
    files: tuple[MoveFile, ...]
    """At least one."""
    direction: Direction
    credential: Credential = Credential.NONE
    streams: int = 1
    limit_bytes_per_s: float | None = None
    fresh: bool = False
    """Nothing lies at any of the partial paths, as was seen a moment ago; their folders may be missing."""
    settled: Settled | None = field(default=None, compare=False)
    """Hears of files that got their final names; None where only the transfer engine gives names."""

    @property
    def size_bytes(self) -> int:
        """Of all files together."""
        return sum(file.size_bytes for file in self.files)


@dataclass(frozen=True, kw_only=True)
class MoveResult:
    """What a mover did."""

    bytes_moved: int
    """Bytes that really travelled: the files' size less what was resumed, and less holes that were kept."""
    hole_bytes: int = 0
    """Of these holes; the time that was taken tells nothing of a link then."""
    digests: Mapping[str, FileDigest] = field(default_factory=dict)
    """By partial path, as it lies at the destination now; a file that the mover did not hash is absent."""
    facts: Mapping[str, FileStat] = field(default_factory=dict)
    """The same for what the destination's file system says of the files that the mover closed; they may be none."""


class Mover(Protocol):
    """A tool that copies files between two endpoints.

    It writes only to the partial paths (their folders are made), and leaves them there when it breaks off. Final names
    are given by the transfer engine once the digest is right, or, which takes no question more, by a mover that hashes
    what it writes and tells so (`MoveRequest.settled`). A file that lies whole at its partial path already is not sent
    again where the mover `resumes`.

    Raises TransferInterruptedError (try again, resume), NoSpaceError, NotFoundError (a source is gone),
    SiteUnavailableError (try again) or StagingError (this mover cannot; another one may). `progress` may raise to
    break a transfer off: everything that the mover started ends then.
    """

    capabilities: Capabilities

    def move(self, request: MoveRequest, *, progress: Progress) -> MoveResult:
        """All bytes of every source lie at its partial path."""


@runtime_checkable
class SupportsReaching(Protocol):
    """A mover that can do some of its work before it knows what to move."""

    def reach(self, endpoint: Endpoint) -> None:
        """What a first transfer to or from the endpoint would have to wait for is there, as an open login.

        Raises what `Mover.move` does; nothing is lost then.
        """


@runtime_checkable
class SupportsLogin(Protocol):
    """A mover by which a person is known to a service of its own, from one program to the next."""

    def log_in(self, endpoint: Endpoint, prompter: Prompter) -> None:
        """The service lets Convoy act for the person at this endpoint; `prompter` was asked where that was needed."""

    def log_out(self) -> None:
        """It does not any more, at any endpoint."""


def first_door(endpoint: Endpoint, schemes: Iterable[str]) -> str | None:
    """The first of `schemes` by which the endpoint can be reached."""
    return next((scheme for scheme in schemes if scheme in endpoint.doors), None)
