"""rsync over one login, for all files of a request at once.

Source and destination have different names here, which rsync cannot say: it sees a folder of links at the source,
named as the files shall be named at the destination.
"""

from __future__ import annotations

import contextlib
import io
import math
import re
import shlex
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from adapters._openssh.doors import host_and_path
from adapters._openssh.errors import failure, gone, is_full
from adapters._openssh.programs import Program, running
from adapters._openssh.sides import Side, shell_line, sides_of
from adapters.movers._ssh.growth import Growth
from adapters.movers._ssh.introductions import Introduction, introduced
from adapters.movers._ssh.partials import listed, missing_source, prepare
from adapters.movers._ssh.streams import GUARD, LET_GO
from metadata.errors import MiddlewareError, StagingError, no_room
from staging.ports import Capabilities, Credential, Direction, MoveFile, MoveRequest, MoveResult, Progress

# Only what is missing is sent, after what is there (`--append`): the engine's hash tells if that was its beginning.
# `--secluded-args` keeps names away from the other side's shell. An older rsync knows it as --protect-args, all as -s.
_RSYNC = (
    "rsync", "-s", "--copy-links", "--append", "--from0", "--no-implied-dirs",
    "--info=progress2,flist0", "--no-human-readable", "--stats", "--outbuf=N",
)  # fmt: skip
_DONE = re.compile(rb"\r\s*(\d+)\s+\d+%")
_COPIED = re.compile(rb"regular files transferred: (\d+)")
_LITERAL = re.compile(rb"Literal data: (\d+) bytes")
# What a short-lived key permits: the server's half of rsync, whose names come by the connection and not in its command.
_ONLY_RSYNC = shell_line(
    "case $SSH_ORIGINAL_COMMAND in *[!A-Za-z0-9\\ ._=-]*) ;; "
    "'rsync --server -s'* | 'rsync --server --sender -s'*) exec $SSH_ORIGINAL_COMMAND ;; esac; exit 126"
)
_FILE_TROUBLE = 11
"""rsync's exit code for trouble with reading or writing a file."""
_FULL_BYTES = 1 << 20
# What a crash left is removed first. The input is an archive of links: one program makes them all.
_LINK = """\
umask 077
find /tmp -maxdepth 1 -user "$(id -un)" -name 'convoy-links.*' -mmin +1440 -exec rm -rf -- {} + 2>/dev/null
dir=$(mktemp -d /tmp/convoy-links.XXXXXXXX) && tar -xPf - -C "$dir" && printf '\\n%s\\n' "$dir\""""


class RsyncMover:
    """One rsync for all files; broken ones are gone on with."""

    capabilities = Capabilities(
        schemes=frozenset({"file", "ssh"}),
        directions=frozenset({Direction.PUSH, Direction.PULL, Direction.THIRD_PARTY}),
        credentials=frozenset({Credential.AGENT, Credential.SHORT_LIVED_KEY}),
        resumes=True,
        batches=True,
        encrypted=True,
        limits_rate=True,
        needs=("ssh", "rsync", "ssh-keygen"),
    )

    def move(self, request: MoveRequest, *, progress: Progress) -> MoveResult:
        """All bytes of every source lie at its partial path. They are hashed where they lie, by the transfer engine."""
        source, destination = sides_of(request)
        present = prepare(destination, request.files)
        files = [file for file in request.files if present.get(file.partial_path) != file.size_bytes]
        missing = sum(file.size_bytes - present.get(file.partial_path, 0) for file in files)
        growth = Growth(progress=progress, size_bytes=request.size_bytes)
        growth.tell(request.size_bytes - missing)
        moved = 0
        if files:
            whole = request.size_bytes - sum(file.size_bytes for file in files)
            with _links(source, files) as folder, _running(request, source, destination, files, folder) as program:
                said = _follow(program, growth, whole)
                # It is content when a source is a folder, and copies one file fewer.
                if (code := program.wait()) or _number(_COPIED, said) < len(files):
                    raise _failure(source, destination, files, program.words(), code)
                moved = _number(_LITERAL, said)
        growth.tell(request.size_bytes)
        return MoveResult(bytes_moved=moved)


@contextmanager
def _links(source: Side, files: Sequence[MoveFile]) -> Iterator[str]:
    """A folder at the source whose links have the files' names at the destination."""
    import tarfile  # noqa: PLC0415 - every command that plans asks what this mover can do, and few send links

    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w", format=tarfile.GNU_FORMAT, errors="surrogateescape") as tar:
        for file in files:
            link = tarfile.TarInfo(file.partial_path.lstrip("/"))
            link.type, link.linkname = tarfile.SYMTYPE, file.source_path
            tar.addfile(link)
    folder = source.run(_LINK, stdin=archive.getvalue()).decode().rstrip("\n").rpartition("\n")[2]
    try:
        yield folder
    finally:
        with contextlib.suppress(MiddlewareError):  # a site that is gone now is tidied at its next transfer
            source.run('rm -rf -- "$1"', folder)


@contextmanager
def _running(
    request: MoveRequest, source: Side, destination: Side, files: Sequence[MoveFile], folder: str
) -> Iterator[Program]:
    names = listed(file.partial_path.lstrip("/") for file in files)
    rate = request.limit_bytes_per_s
    options = [*_RSYNC, f"--bwlimit={max(1, math.floor(rate / 1024))}"] if rate else [*_RSYNC]
    if request.direction is not Direction.THIRD_PARTY:
        ends = _ends(source, destination, folder)
        remote = source if request.direction is Direction.PULL else destination
        shell = ["-e", shlex.join(["ssh", *remote.words()]), "--files-from=-"]
        with running([*options, *shell, "--", *ends], stdin=subprocess.PIPE) as program:
            program.feed(names)
            yield program
        return
    with introduced(source, destination, request.credential, command=lambda _: _ONLY_RSYNC) as introduction:
        listing = f"{introduction.folder}/input"
        introduction.initiator.run('cat >"$1"', listing, stdin=names)
        shell = ["-e", shlex.join(["ssh", *introduction.words]), f"--files-from={listing}"]
        ends = _introduced_ends(introduction, folder)
        argv = introduction.argv(GUARD + '"$@"' + LET_GO, *options, *shell, "--", *ends)
        with running(argv, stdin=subprocess.PIPE) as program:
            yield program


def _ends(source: Side, destination: Side, folder: str) -> tuple[str, str]:
    """Source and target as this machine names them."""
    if source.door is None:
        return f"{folder}/", host_and_path(destination.host, "/")
    return host_and_path(source.host, f"{folder}/"), "/"


def _introduced_ends(introduction: Introduction, folder: str) -> tuple[str, str]:
    """Source and target as the initiator names them."""
    host = introduction.peer.address
    if introduction.peer_is_source:
        return host_and_path(host, f"{folder}/"), "/"
    return f"{folder}/", host_and_path(host, "/")


def _follow(program: Program, growth: Growth, whole: int) -> bytes:
    """The last that rsync said; on the way it tells how many bytes lie there."""
    said = b""
    while block := program.stdout.read(65536):
        said = (said + block)[-4096:]
        done = _DONE.findall(said)
        if done:
            growth.tell(whole + int(done[-1]))
    return said


def _number(pattern: re.Pattern[bytes], said: bytes) -> int:
    found = pattern.search(said)
    return int(found[1]) if found else 0


def _failure(source: Side, destination: Side, files: Sequence[MoveFile], words: str, code: int) -> MiddlewareError:
    if lost := missing_source(source, files):
        return gone(source.site, lost)
    if not code:
        return StagingError(f"{source.site}: rsync left out what is no regular file", site=source.site)
    # The first line says what happened, the others who was disappointed by it.
    telling = [line for line in words.splitlines() if line.startswith("rsync: ")]
    if code == _FILE_TROUBLE and not is_full(words) and _has_no_room(destination, files[0].partial_path):
        return no_room(destination.site, f"no space left for {files[0].partial_path}")
    return failure(destination.site, telling[0] if telling and not is_full(words) else words, code)


def _has_no_room(destination: Side, path: str) -> bool:
    """Whether the disk is full, as it is when a receiver's last words were lost with its connection."""
    with contextlib.suppress(MiddlewareError, ValueError, IndexError):
        answer = destination.run('df -PB1 -- "${1%/*}" | tail -n 1', path)
        return int(answer.split()[3]) < _FULL_BYTES
    return False


ADAPTER = RsyncMover
