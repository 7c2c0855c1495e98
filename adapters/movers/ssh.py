"""Streams a file through OpenSSH: between here and a site, or from one site to another by way of here."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import IO

from metadata.errors import NoSpaceError, NotFoundError, StagingError, TransferInterruptedError
from staging.ports import Capabilities, Direction, Endpoint, MoveFile, MoveRequest, MoveResult, Progress

_BLOCK_BYTES = 1 << 20
_RETRY_S = 2.0
# The connection is given up when the other side says nothing for half a minute; nothing ever asks a question.
_OPTIONS = (
    "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes", "-o", "ConnectTimeout=15",
    "-o", "ServerAliveInterval=10", "-o", "ServerAliveCountMax=3", "-o", "ClearAllForwardings=yes",
    "-c", "aes128-gcm@openssh.com,chacha20-poly1305@openssh.com,aes128-ctr",
)  # fmt: skip


class SshMover:
    """One stream a file from `tail` at the source to `cat` at the destination; a partial file is gone on with."""

    capabilities = Capabilities(
        schemes=frozenset({"file", "ssh"}),
        directions=frozenset({Direction.LOCAL, Direction.PUSH, Direction.PULL, Direction.RELAY}),
        resumes=True,
        encrypted=True,
        needs=("ssh",),
    )

    def move(self, request: MoveRequest, *, progress: Progress) -> MoveResult:
        """All bytes of every source lie at its partial path. The transfer engine hashes them where they lie."""
        moved = arrived = 0
        for file in request.files:
            moved += self._move(_Leg(request=request, file=file), partial(_tell, progress, arrived))
            arrived += file.size_bytes
        return MoveResult(bytes_moved=moved)

    def _move(self, leg: _Leg, progress: Progress) -> int:
        present = self._present(leg)
        with _running(_reader(leg, present), stdout=subprocess.PIPE) as source:
            with _running(_writer(leg), stdin=subprocess.PIPE) as target:
                moved = _pump(source, target, present, progress)
                _close(target)
                _check(target, leg.request.destination.site, leg.file)
            _check(source, leg.request.source.site, leg.file)
        return moved

    def _present(self, leg: _Leg) -> int:
        """Bytes that an earlier try left."""
        path = shlex.quote(leg.file.partial_path)
        folder = shlex.quote(os.path.dirname(leg.file.partial_path))
        # What is longer than the file is no beginning of it: it is emptied here, where its length is seen.
        script = f"mkdir -p -- {folder} && : >>{path} && n=$(($(wc -c <{path}))) && "
        script += f'{{ [ "$n" -le {leg.file.size_bytes} ] || {{ : >{path} && n=0; }}; }} && echo "$n"'
        with _running(_shell(leg.request.destination, script), stdout=subprocess.PIPE) as asked:
            answer = asked.stdout.read() if asked.stdout else b""
            _check(asked, leg.request.destination.site, leg.file)
        return int(re.search(rb"(\d+)\s*\Z", answer)[1])  # type: ignore[index]


@dataclass(frozen=True, kw_only=True)
class _Leg:
    """One file of a request."""

    request: MoveRequest
    file: MoveFile


def _tell(progress: Progress, before: int, done: int) -> None:
    progress(before + done)


def _reader(leg: _Leg, present: int) -> list[str]:
    return _shell(leg.request.source, f"exec tail -c +{present + 1} -- {shlex.quote(leg.file.source_path)}")


def _writer(leg: _Leg) -> list[str]:
    return _shell(leg.request.destination, f"exec cat >>{shlex.quote(leg.file.partial_path)}")


def _shell(endpoint: Endpoint, script: str) -> list[str]:
    """The command that runs a line of shell at an endpoint."""
    if endpoint.local:
        return ["/bin/sh", "-c", script]
    options = endpoint.doors["ssh"]
    return ["ssh", *_OPTIONS, *_address(options), "--", options["host"], script]


def _address(options: Mapping[str, str]) -> list[str]:
    words = []
    for name, flag in (("config_file", "-F"), ("user", "-l"), ("port", "-p"), ("identity_file", "-i")):
        if name in options:
            words += [flag, options[name]]
    if "known_hosts" in options:
        words += ["-o", f"UserKnownHostsFile={options['known_hosts']}"]
    return words


@contextmanager
def _running(
    argv: list[str], *, stdin: int = subprocess.DEVNULL, stdout: int = subprocess.DEVNULL
) -> Iterator[subprocess.Popen[bytes]]:
    """The program while the block lasts; it is killed when the block ends before it."""
    program = subprocess.Popen(
        argv, stdin=stdin, stdout=stdout, stderr=subprocess.PIPE, bufsize=0, start_new_session=True
    )
    try:
        yield program
    finally:
        if program.poll() is None:
            program.kill()
        program.wait()
        for stream in (program.stdin, program.stdout, program.stderr):
            _quietly_close(stream)


def _quietly_close(stream: IO[bytes] | None) -> None:
    try:
        if stream:
            stream.close()
    except BrokenPipeError:
        pass


def _pump(source: subprocess.Popen[bytes], target: subprocess.Popen[bytes], present: int, progress: Progress) -> int:
    """Carries bytes until the source ends or the destination takes no more; how many that were."""
    if source.stdout is None or target.stdin is None:
        raise StagingError("a pipe of ssh is missing")
    moved = 0
    while block := source.stdout.read(_BLOCK_BYTES):
        rest = memoryview(block)
        try:
            while rest:
                rest = rest[target.stdin.write(rest) :]
        except BrokenPipeError:
            break  # the destination's own words say why, when it is asked how it ended
        moved += len(block)
        progress(present + moved)
    return moved


def _close(target: subprocess.Popen[bytes]) -> None:
    _quietly_close(target.stdin)
    target.stdin = None


def _check(program: subprocess.Popen[bytes], site: str, file: MoveFile) -> None:
    """Returns when the program ended well; its failure in our words."""
    words = program.stderr.read().decode(errors="replace").strip() if program.stderr else ""
    code = program.wait()
    if code == 0:
        return
    if "No space left" in words or "Disk quota exceeded" in words:
        raise NoSpaceError(
            f"{site}: no room left for {file.partial_path}; free some space there, then: convoy retry", site=site
        )
    if "No such file" in words:
        raise NotFoundError(f"{site}: there is no {file.source_path} to copy", site=site)
    last = words.splitlines()[-1] if words else f"ssh ended with {code}"
    if code == 255 or code < 0:
        raise TransferInterruptedError(f"{site}: {last}", site=site, retry_after_s=_RETRY_S)
    raise StagingError(f"{site}: {last}", site=site, exit_code=code)


ADAPTER = SshMover
