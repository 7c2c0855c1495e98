"""rclone, for places that one of its remotes shows: WebDAV, SFTP, SMB, gateways of object stores and fifty others."""

from __future__ import annotations

import errno
import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from adapters._openssh.programs import Program, running
from adapters.movers._ssh.growth import Growth
from metadata.errors import (
    MiddlewareError,
    NoSpaceError,
    NotFoundError,
    StagingError,
    TransferInterruptedError,
    no_room,
)
from staging.ports import Capabilities, Direction, Endpoint, MoveFile, MoveRequest, MoveResult, Progress

# One try: the transfer engine counts them, and a stream cannot be read twice.
_RCLONE = ("rclone", "--retries", "1", "--low-level-retries", "3", "--log-level", "ERROR", "--use-server-modtime")
_BLOCK_BYTES = 256 << 10
_NOT_FOUND = (3, 4)
_HOPELESS = ("didn't find section in config file", "unknown flag", "unknown type")
_FULL = ("no space left", "quota", "insufficient storage", "disk full")


class RcloneMover:
    """One file after the other through a pipe, so that names mean nothing to anybody; what broke off is sent anew.

    A door `rclone` says `remote`, as the user's own `rclone.conf` names it (`dtn:`, `store:bucket`), and `path`, the
    folder of the site that the remote shows (`/` when it shows all). Secrets stay in that file. The site has to see the
    same files: it hashes what arrived, and gives it its name. So an object store serves where it is mounted there.
    """

    capabilities = Capabilities(
        schemes=frozenset({"file", "rclone"}),
        directions=frozenset({Direction.PUSH, Direction.PULL, Direction.RELAY}),
        limits_rate=True,
        needs=("rclone",),
    )

    def move(self, request: MoveRequest, *, progress: Progress) -> MoveResult:
        """All bytes of every source lie at its partial path. They are hashed where they lie, by the transfer engine."""
        growth = Growth(progress=progress, size_bytes=request.size_bytes)
        growth.tell(0)
        lying = 0
        for file in request.files:
            lying += _copied(request, file, growth, lying)
            growth.tell(lying)
        return MoveResult(bytes_moved=lying)


def _copied(request: MoveRequest, file: MoveFile, growth: Growth, before: int) -> int:
    """The bytes of one file, which lie there."""
    sent = 0
    with _reading(request, file) as source, _writing(request, file) as target:
        while block := source.stream.read(_BLOCK_BYTES):
            target.write(block)
            sent += len(block)
            growth.tell(before + sent)
        source.finish(sent)
        target.finish()
    return sent


# -- ends ----------------------------------------------------------------------------------------------------------


class _Source:
    """Where the bytes come from: a file here, or one that `rclone cat` reads."""

    def __init__(
        self, site: str, file: MoveFile, stream: IO[bytes], program: Program | None = None, name: str = ""
    ) -> None:
        self._site, self._file, self._program, self._name = site, file, program, name
        self.stream = stream

    def finish(self, sent: int) -> None:
        """All of it was read. rclone reads the files of a folder one after the other, as if that were one."""
        if self._program is None:
            return
        _check(self._site, self._file.source_path, self._program)
        if not sent or sent != self._file.size_bytes:
            answer = _asked("lsjson", "--stat", self._name)
            if not answer or json.loads(answer)["IsDir"]:
                raise StagingError(f"{self._site}: {self._file.source_path} is not a file", site=self._site)


class _Target:
    """Where the bytes go: a file here, or one that `rclone rcat` writes."""

    def __init__(
        self, site: str, file: MoveFile, stream: IO[bytes], program: Program | None = None, name: str = ""
    ) -> None:
        self._site, self._file, self._program, self._name = site, file, program, name
        self._stream = stream

    def write(self, block: bytes) -> None:
        """The block is on its way."""
        rest = memoryview(block)
        try:
            while rest:
                rest = rest[self._stream.write(rest) :]
        except BrokenPipeError:
            self.finish()
            raise

    def finish(self) -> None:
        """All of it lies there. Raises what the tool ended with."""
        if self._program is None:
            return
        self._program.close_stdin()
        try:
            _check(self._site, self._file.partial_path, self._program)
        except TransferInterruptedError:
            self._check_room()
            raise

    def _check_room(self) -> None:
        """Many servers call a full disk a failure, and rclone has taken away what it wrote."""
        answer = _asked("about", "--json", self._name.rpartition("/")[0] + "/")
        if answer and json.loads(answer).get("free", self._file.size_bytes) < self._file.size_bytes:
            raise _full(self._site, self._file.partial_path)


@contextmanager
def _reading(request: MoveRequest, file: MoveFile) -> Iterator[_Source]:
    site = request.source.site
    if request.direction is Direction.PUSH:
        with _translated(site, file.source_path), open(file.source_path, "rb", buffering=0) as stream:
            yield _Source(site, file, stream)
        return
    name = _named(request.source, file.source_path)
    with running([*_RCLONE, *_limit(request), "cat", "--", name]) as program:
        yield _Source(site, file, program.stdout, program, name)


@contextmanager
def _writing(request: MoveRequest, file: MoveFile) -> Iterator[_Target]:
    site, path = request.destination.site, file.partial_path
    if request.direction is Direction.PULL:
        with _translated(site, path):
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb", buffering=0) as stream:
                yield _Target(site, file, stream)
        return
    name = _named(request.destination, path)
    argv = [*_RCLONE, *_limit(request), "rcat", "--size", str(file.size_bytes), "--", name]
    with running(argv, stdin=subprocess.PIPE) as program:
        yield _Target(site, file, program.stdin, program, name)


def _limit(request: MoveRequest) -> list[str]:
    return ["--bwlimit", f"{max(1, round(request.limit_bytes_per_s))}B"] if request.limit_bytes_per_s else []


def _named(endpoint: Endpoint, path: str) -> str:
    """The file as rclone names it. Raises StagingError for one that the remote does not show."""
    door = endpoint.doors["rclone"]
    if not door.get("remote"):
        raise StagingError(f"{endpoint.site}: its door rclone names no remote; write: rclone: {{remote: 'dtn:'}}")
    root = door.get("path", "/").rstrip("/")
    if not path.startswith(f"{root}/"):
        raise StagingError(f"{endpoint.site}: {path} is outside of {root}, which its rclone remote shows")
    return f"{door['remote'].rstrip('/')}/{path.removeprefix(f'{root}/')}"


# -- troubles ------------------------------------------------------------------------------------------------------


def _asked(*words: str) -> bytes | None:
    """What a short question to rclone answers; None when it fails."""
    answer = subprocess.run([*_RCLONE, *words], capture_output=True, check=False, timeout=120)
    return answer.stdout if answer.returncode == 0 else None


def _check(site: str, path: str, program: Program) -> None:
    """Returns when the program has ended well."""
    code = program.wait()
    if not code:
        return
    words = program.words().strip()
    if code in _NOT_FOUND:
        raise NotFoundError(f"{site}: there is no {path}", site=site)
    if any(word in words.lower() for word in _FULL):
        raise _full(site, path)
    last = words.splitlines()[-1] if words else f"exit code {code}"
    kind: type[MiddlewareError] = StagingError if any(w in words for w in _HOPELESS) else TransferInterruptedError
    raise kind(f"{site}: rclone could not bring {path}: {last}", site=site)


def _full(site: str, path: str) -> NoSpaceError:
    return no_room(site, f"no room left for {path}")


@contextmanager
def _translated(site: str, path: str) -> Iterator[None]:
    """Errors of files of this machine, in our words."""
    try:
        yield
    except FileNotFoundError as error:
        raise NotFoundError(f"{site}: there is no {path}", site=site) from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise _full(site, path) from error
        raise StagingError(f"{site}: {path}: {error.strerror}", site=site) from error


ADAPTER = RcloneMover
