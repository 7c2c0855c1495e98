"""Streams many files as one tar archive, hashed while they are written: one pass, whatever their number.

A small Python program is sent to the sites (`_ssh.agent`); where a site has no Python, GNU tar stands in for it.
"""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from adapters.movers._ssh import agent
from adapters.movers._ssh.errors import failure, full, gone, is_full, last_line
from adapters.movers._ssh.growth import Growth
from adapters.movers._ssh.introductions import introduced
from adapters.movers._ssh.partials import prepare
from adapters.movers._ssh.sides import Side, sides_of
from adapters.movers._ssh.streams import Ending, Half, Stream, streaming, streaming_between
from metadata.errors import MiddlewareError, StagingError, TransferInterruptedError
from staging.ports import (
    Capabilities,
    Credential,
    Direction,
    Endpoint,
    FileDigest,
    FileStat,
    MoveFile,
    MoveRequest,
    MoveResult,
    Progress,
)

_AGENT = Path(agent.__file__).read_bytes()
_PROBE = """\
command -v python3 >/dev/null && python3 -I -S -c 'import hashlib, sys; sys.exit(sys.version_info < (3, 6))'
printf '\\n%s\\n' "$?\""""
# The program comes by the standard input, before its own input: no argument is long, and nothing is written at a site.
_PACK = "import sys; r = sys.stdin.buffer; exec(r.read(int(r.readline())))"
# A login shell may talk before the stream begins.
_UNPACK = (
    "import sys; r = sys.stdin.buffer; any(l == b'{mark}\\n' for l in r); "
    "exec(r.read(int(r.readline() or sys.exit({short}))))"
)
_GNU_PACK = 'head -c "$1"; exec tar -cPhSf - --format=gnu --hard-dereference --no-recursion --null -T -'
_GNU_UNPACK = "LC_ALL=C exec tar -xPvf - --quoting-style=escape --no-same-owner --no-same-permissions -m"


@dataclass(frozen=True, kw_only=True)
class _Plan:
    """Who packs and who unpacks what."""

    request: MoveRequest
    files: Sequence[MoveFile]
    """Those that do not lie whole at the destination."""
    offsets: Sequence[int]
    """Where each goes on."""
    packs: bool
    """Python is at the source."""
    unpacks: bool
    """Python is at the destination."""
    mark: str = field(default_factory=lambda: f"convoy-{secrets.token_hex(8)}")

    @property
    def names(self) -> list[bytes]:
        """Of the members in the stream: numbers, where both ends know what they stand for."""
        if not self.packs:
            return [os.fsencode(file.source_path) for file in self.files]
        if not self.unpacks:
            return [os.fsencode(file.partial_path) for file in self.files]
        return [b"%d" % number for number in range(len(self.files))]


class TarMover:
    """A packer at the source piped into an unpacker at the destination."""

    capabilities = Capabilities(
        schemes=frozenset({"file", "ssh"}),
        directions=frozenset({Direction.PUSH, Direction.PULL, Direction.RELAY, Direction.THIRD_PARTY}),
        credentials=frozenset({Credential.AGENT, Credential.SHORT_LIVED_KEY}),
        resumes=True,
        batches=True,
        encrypted=True,
        verifies=True,
        limits_rate=True,
        keeps_holes=True,
        needs=("ssh", "ssh-keygen"),
    )

    def __init__(self) -> None:
        self._pythons: dict[str, bool] = {}

    def move(self, request: MoveRequest, *, progress: Progress) -> MoveResult:
        """All bytes of every source lie at its partial path."""
        source, destination = sides_of(request)
        # The unpacker makes the folders that it needs.
        present = {} if request.fresh and self._has_python(destination) else prepare(destination, request.files)
        plan = self._plan(request, source, destination, present)
        tally = _Tally(plan=plan, growth=Growth(progress=progress, size_bytes=request.size_bytes))
        tally.begin()
        if plan.files:
            with _stream(plan, source, destination) as stream:
                tally.read(stream)
                _check(plan, *stream.endings())
        tally.finish()
        return MoveResult(bytes_moved=tally.moved, hole_bytes=tally.holes, digests=tally.digests, facts=tally.facts)

    def reach(self, endpoint: Endpoint) -> None:
        """A login that all movers over SSH share is open, and it is known whether the site has Python."""
        if "ssh" in endpoint.doors and not endpoint.local:
            self._has_python(Side(site=endpoint.site, door=endpoint.doors["ssh"]))

    def _plan(self, request: MoveRequest, source: Side, destination: Side, present: Mapping[str, int]) -> _Plan:
        packs, unpacks = self._has_python(source), self._has_python(destination)
        if not packs and not unpacks:
            sites = f"{source.site} nor {destination.site}"
            raise StagingError(f"the tar stream needs python3 at one end, and neither {sites} has it", site=source.site)
        # An empty file that is there counts as whole, one that is not there does not.
        files = [file for file in request.files if present.get(file.partial_path) != file.size_bytes]
        resumes = packs and unpacks
        offsets = [present.get(file.partial_path, 0) if resumes else 0 for file in files]
        return _Plan(request=request, files=files, offsets=offsets, packs=packs, unpacks=unpacks)

    def _has_python(self, side: Side) -> bool:
        if side.door is None:
            return True
        if side.site not in self._pythons:
            self._pythons[side.site] = side.run(_PROBE).split()[-1] == b"0"
        return self._pythons[side.site]


@contextmanager
def _stream(plan: _Plan, source: Side, destination: Side) -> Iterator[Stream]:
    producer, stdin = _producer(plan, source)
    consumer = _consumer(plan, destination)
    if plan.request.direction is not Direction.THIRD_PARTY:
        with streaming((source, producer), (destination, consumer), stdin=stdin) as stream:
            yield stream
        return

    def command(peer: Side) -> str:
        return (producer if peer == source else consumer).line

    with (
        introduced(source, destination, plan.request.credential, command=command) as introduction,
        streaming_between(introduction, producer, consumer, stdin=stdin) as stream,
    ):
        yield stream


def _producer(plan: _Plan, source: Side) -> tuple[Half, bytes]:
    """The source's half, and what it reads."""
    preamble = _preamble(plan) if plan.unpacks else b""
    if not plan.packs:
        names = b"".join(name + b"\0" for name in plan.names)
        return Half(script=_GNU_PACK, arguments=(str(len(preamble)),)), preamble + names
    paths = (os.fsencode(file.source_path) for file in plan.files)
    stdin = _program() + _rows(zip(plan.names, paths, plan.offsets, strict=True), rate=plan.request.limit_bytes_per_s)
    return _python(source, _PACK, "pack"), stdin + preamble


def _consumer(plan: _Plan, destination: Side) -> Half:
    if not plan.unpacks:
        return Half(script=_GNU_UNPACK)
    return _python(destination, _UNPACK.format(mark=plan.mark, short=agent.SHORT), "unpack", plan.mark)


def _python(side: Side, program: str, *arguments: str) -> Half:
    # Neither the user's modules nor the site's packages are looked for, which takes longer than all the rest.
    interpreter = sys.executable if side.door is None else "python3"
    return Half(script='exec "$@"', arguments=(interpreter, "-I", "-S", "-c", program, *arguments))


def _preamble(plan: _Plan) -> bytes:
    """What the unpacker reads before the stream."""
    paths = (os.fsencode(file.partial_path) for file in plan.files)
    rate = None if plan.packs else plan.request.limit_bytes_per_s
    return (
        f"\n{plan.mark}\n".encode() + _program() + _rows(zip(plan.names, paths, plan.offsets, strict=True), rate=rate)
    )


def _program() -> bytes:
    return b"%d\n" % len(_AGENT) + _AGENT


def _rows(rows: Iterable[tuple[bytes, bytes, int]], *, rate: float | None) -> bytes:
    listed = b"".join(b"%s\0%s\0%d\0" % row for row in rows)
    return b"%d %f\n" % (len(listed), rate or 0.0) + listed


@dataclass(kw_only=True)
class _Tally:
    """What lies at the destination, as far as it was told."""

    plan: _Plan
    growth: Growth
    digests: dict[str, FileDigest] = field(default_factory=dict)
    facts: dict[str, FileStat] = field(default_factory=dict)
    moved: int = 0
    holes: int = 0
    """What did not travel, being nothing."""
    _lying: int = 0
    _extracted: int = 0

    def __post_init__(self) -> None:
        missing = sum(file.size_bytes for file in self.plan.files) - sum(self.plan.offsets)
        self._lying = self.plan.request.size_bytes - missing

    def begin(self) -> None:
        """Something may lie there already."""
        self.growth.tell(self._lying)

    def read(self, stream: Stream) -> None:
        """All that the unpacker says."""
        for line in stream.consumer.lines():
            if self.plan.unpacks:
                self._take(line)
            elif line.startswith(b"/"):
                self._take_name()

    def _take(self, line: bytes) -> None:
        """A line of the unpacker; a login shell may have said others."""
        if not line.startswith(self.plan.mark.encode()):
            return
        _, kind, number, size, *more = line.decode().split()
        self._count(kind, int(number), int(size), *more)

    def _count(self, kind: str, number: int, size: int, holes: str = "0", sha256: str = "", *facts: str) -> None:
        arrived = size - self.plan.offsets[number]
        if kind == "whole":
            path = self.plan.files[number].partial_path
            self.digests[path] = FileDigest(size_bytes=size, sha256=sha256)
            found, modified_ns, inode = map(int, facts)
            self.facts[path] = FileStat(size_bytes=found, modified_ns=modified_ns, inode=inode)
            self._add(arrived)
            self.moved -= int(holes)
            self.holes += int(holes)
        else:
            self.growth.tell(self._lying + arrived)

    def _take_name(self) -> None:
        """GNU tar says a file's name when it begins with it, and knows no digest: the one before is there."""
        if self._extracted:
            self._add(self.plan.files[self._extracted - 1].size_bytes)
        self._extracted += 1

    def _add(self, size_bytes: int) -> None:
        self.moved += size_bytes
        self._lying += size_bytes
        self.growth.tell(self._lying)

    def finish(self) -> None:
        """Everything is there."""
        if self._extracted:
            self._add(self.plan.files[-1].size_bytes)
        self.growth.tell(self.plan.request.size_bytes)


def _check(plan: _Plan, source: Ending, destination: Ending) -> None:
    """Returns when both ended well. Whoever failed first is told: the other one only noticed that."""
    if is_full(destination.words):
        raise full(destination.site, destination.words)
    if destination.code not in (0, agent.SHORT, 2 if source.code else 0):
        raise failure(destination.site, destination.words, destination.code)
    if source.code:
        raise _source_failure(plan, source)
    if destination.code:
        raise TransferInterruptedError(f"{destination.site}: the stream broke off", site=destination.site)


def _source_failure(plan: _Plan, source: Ending) -> MiddlewareError:
    if "No such file" in source.words:
        lost = [file.source_path for file in plan.files if file.source_path in source.words]
        return gone(source.site, lost[0] if lost else last_line(source.words, source.code))
    return failure(source.site, source.words, source.code)


ADAPTER = TarMover
