"""OpenSSH's scp, once for each file over one login."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from adapters._openssh.doors import host_and_path
from adapters._openssh.errors import failure, gone
from adapters._openssh.programs import running
from adapters._openssh.sides import Side, sides_of
from adapters.movers._ssh.growth import Growth
from adapters.movers._ssh.introductions import Introduction, introduced
from adapters.movers._ssh.partials import check_room, missing_source, prepare
from adapters.movers._ssh.sizes import follow
from adapters.movers._ssh.streams import GUARD, LET_GO
from metadata.errors import MiddlewareError
from staging.ports import Capabilities, Credential, Direction, MoveFile, MoveRequest, MoveResult, Progress

# `-s`: the SFTP protocol, in which no shell at the other end sees the names.
_SCP = ("scp", "-q", "-s")
_GLOB = re.compile(r"([\\*?\[\]{}])")
Command = Callable[[MoveFile], list[str]]


class ScpMover:
    """One file after the other; a broken one is sent again from its start."""

    capabilities = Capabilities(
        schemes=frozenset({"file", "ssh"}),
        directions=frozenset({Direction.PUSH, Direction.PULL, Direction.THIRD_PARTY}),
        credentials=frozenset({Credential.AGENT, Credential.SHORT_LIVED_KEY}),
        encrypted=True,
        limits_rate=True,
        needs=("ssh", "scp", "ssh-keygen"),
    )

    def move(self, request: MoveRequest, *, progress: Progress) -> MoveResult:
        """All bytes of every source lie at its partial path. They are hashed where they lie, by the transfer engine."""
        source, destination = sides_of(request)
        prepare(destination, request.files)
        growth = Growth(progress=progress, size_bytes=request.size_bytes)
        growth.tell(0)
        lying = 0
        with _commands(request, source, destination) as command:
            for file in request.files:
                before = lying
                with running(command(file), stdin=subprocess.PIPE) as program:
                    code = follow(program, destination, file.partial_path, lambda size: growth.tell(before + size))  # noqa: B023
                    if code:
                        raise _failure(source, destination, file, program.words(), code)
                lying += file.size_bytes
                growth.tell(lying)
        return MoveResult(bytes_moved=lying)


@contextmanager
def _commands(request: MoveRequest, source: Side, destination: Side) -> Iterator[Command]:
    """The program that copies a file, for each."""
    limit = ["-l", str(max(1, round(request.limit_bytes_per_s * 8 / 1000)))] if request.limit_bytes_per_s else []
    if request.direction is Direction.PUSH:
        words = [*_SCP, *limit, *destination.words(), "--"]
        yield lambda file: [*words, file.source_path, host_and_path(destination.host, file.partial_path)]
    elif request.direction is Direction.PULL:
        words = [*_SCP, *limit, *source.words(), "--"]
        yield lambda file: [*words, host_and_path(source.host, _literal(file.source_path)), file.partial_path]
    else:
        # The only thing that the key is good for; scp asks for it by name, and never for a shell.
        with introduced(source, destination, request.credential, command=lambda _: "internal-sftp") as introduction:
            words = [*_SCP, *limit, *introduction.open_login(), "--"]
            yield lambda file: introduction.argv(GUARD + '"$@"' + LET_GO, *words, *_ends(introduction, file))


def _ends(introduction: Introduction, file: MoveFile) -> tuple[str, str]:
    """Source and target as the initiator names them."""
    host = introduction.peer.address
    if introduction.peer_is_source:
        return host_and_path(host, _literal(file.source_path)), file.partial_path
    return file.source_path, host_and_path(host, file.partial_path)


def _literal(path: str) -> str:
    """A remote source in which scp sees no pattern."""
    return _GLOB.sub(r"\\\1", path)


def _failure(source: Side, destination: Side, file: MoveFile, words: str, code: int) -> MiddlewareError:
    """SFTP servers have few words: the rest is looked up."""
    if "No such file" in words and missing_source(source, [file]):
        return gone(source.site, file.source_path)
    if "Failure" in words or "No space" in words:
        check_room(destination, file.partial_path)
    return failure(destination.site, words, code)


ADAPTER = ScpMover
