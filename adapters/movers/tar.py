"""Streams many files, hashed while they are written and given their names: one pass, whatever their number.

The files are shared out to as many streams as are wanted, each with a TCP connection of its own.
Small Python programs are sent to the sites (`_ssh.agent`); where a site has no Python, GNU tar stands in for it.
"""

from __future__ import annotations

import os
import secrets
import sys
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache, cached_property, partial

from adapters._openssh.errors import failure, full, gone, is_full, last_line
from adapters._openssh.sides import Side, sides_of
from adapters.movers._ssh.agent import PACKER, UNPACKER
from adapters.movers._ssh.agent.wire import SHORT
from adapters.movers._ssh.dealing import Dealer, shared_out
from adapters.movers._ssh.growth import Growth
from adapters.movers._ssh.introductions import introduced
from adapters.movers._ssh.lanes import Lane, lanes
from adapters.movers._ssh.partials import prepare
from adapters.movers._ssh.streams import Ending, Feed, Half, Stream, lines_of, streaming, streaming_between
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

_NO_PYTHON = 126, 127
"""What a shell ends with that must not run such a program, or knows none, and we with one that lacks something."""
# The program comes by the standard input, before its own input: no argument is long, and nothing is written at a site.
_FIT = (
    r"""import sys; exec("try:\n import hashlib, zlib\nexcept ImportError:\n sys.exit(127)"); """
    "sys.version_info < (3, 6) and sys.exit(127)"
)
_PACK = f"{_FIT}; r = sys.stdin.buffer; exec(zlib.decompress(r.read(int(r.readline()))))"
# A login shell may talk before the stream begins.
_UNPACK = (
    f"{_FIT}; import io; sys.stdin = io.TextIOWrapper(open(0, 'rb', 1 << 18)); "
    "r = sys.stdin.buffer; any(l == b'{mark}\\n' for l in r); "
    "exec(zlib.decompress(r.read(int(r.readline() or sys.exit({short})))))"
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
    lanes: Sequence[Lane]
    """One for each stream; they may be opened still."""
    mark: str = field(default_factory=lambda: f"convoy-{secrets.token_hex(8)}")

    @cached_property
    def names(self) -> list[bytes]:
        """Of the members in the stream: numbers, where both ends know what they stand for."""
        if not self.packs:
            return self.sources
        if not self.unpacks:
            return self.targets
        return [b"%d" % number for number in range(len(self.files))]

    @cached_property
    def sources(self) -> list[bytes]:
        """Where the files are."""
        return [os.fsencode(file.source_path) for file in self.files]

    @cached_property
    def targets(self) -> list[bytes]:
        """Where they shall be."""
        return [os.fsencode(file.partial_path) for file in self.files]

    @property
    def form(self) -> bytes:
        """Of the stream."""
        return b"plain" if self.packs and self.unpacks else b"tar"

    @property
    def streams(self) -> int:
        """How many there shall be."""
        return len(self.lanes)

    @property
    def sizes(self) -> list[int]:
        """What of each file is to be moved."""
        return [file.size_bytes - offset for file, offset in zip(self.files, self.offsets, strict=True)]


class _NoPythonError(Exception):
    """A site has no Python, or none that is new enough: GNU tar has to stand in there."""

    def __init__(self, site: str) -> None:
        super().__init__(site)
        self.site = site


class TarMover:
    """A packer at the source piped into an unpacker at the destination."""

    capabilities = Capabilities(
        schemes=frozenset({"file", "ssh"}),
        directions=frozenset({Direction.PUSH, Direction.PULL, Direction.RELAY, Direction.THIRD_PARTY}),
        credentials=frozenset({Credential.AGENT, Credential.SHORT_LIVED_KEY}),
        resumes=True,
        batches=True,
        encrypted=True,
        parallel_streams=True,
        streams_share_files=True,
        verifies=True,
        limits_rate=True,
        keeps_holes=True,
        needs=("ssh", "ssh-keygen"),
    )

    def __init__(self) -> None:
        self._without_python: set[str] = set()

    def move(self, request: MoveRequest, *, progress: Progress) -> MoveResult:
        """All bytes of every source lie at its partial path."""
        while True:
            with suppress(_NoPythonError):  # it is known now
                return self._moved(request, progress)

    def _moved(self, request: MoveRequest, progress: Progress) -> MoveResult:
        """What was done if there is Python wherever it is thought to be. Raises _NoPythonError."""
        source, destination = sides_of(request)
        # The unpacker makes the folders that it needs.
        present = {} if request.fresh and self._has_python(destination) else prepare(destination, request.files)
        plan = self._plan(request, source, destination, present)
        tally = _Tally(plan=plan, growth=Growth(progress=progress, size_bytes=request.size_bytes))
        tally.begin()
        if plan.files:
            with ExitStack() as stack, self._all_alike(tally):
                tally.read(_Hands(plan, stack))
        tally.finish()
        return MoveResult(bytes_moved=tally.moved, hole_bytes=tally.holes, digests=tally.digests, facts=tally.facts)

    @contextmanager
    def _all_alike(self, tally: _Tally) -> Iterator[None]:
        """Nothing has arrived at a site that has no Python, or the rest has to be planned anew."""
        try:
            yield
        except _NoPythonError as error:
            self._without_python.add(error.site)
            if not tally.moved:
                raise
            message = f"{error.site}: not all hosts of this name have Python; what has not arrived goes without it"
            raise TransferInterruptedError(message, site=error.site) from error

    def _has_python(self, side: Side) -> bool:
        """As far as is known: every site has it until it was missed."""
        return side.site not in self._without_python

    def reach(self, endpoint: Endpoint) -> None:
        """A login that all movers over SSH share is open."""
        if "ssh" in endpoint.doors and not endpoint.local:
            Side(site=endpoint.site, door=endpoint.doors["ssh"]).words()

    def _plan(self, request: MoveRequest, source: Side, destination: Side, present: Mapping[str, int]) -> _Plan:
        packs, unpacks = self._has_python(source), self._has_python(destination)
        if not packs and not unpacks:
            sites = f"{source.site} nor {destination.site}"
            raise StagingError(f"the tar stream needs python3 at one end, and neither {sites} has it", site=source.site)
        # An empty file that is there counts as whole, one that is not there does not.
        files = [file for file in request.files if present.get(file.partial_path) != file.size_bytes]
        both = packs and unpacks
        # GNU tar says of a file nothing by which it could be told from those of other streams.
        streams = max(1, min(request.streams, len(files))) if both else 1
        if streams > 1:
            files.sort(key=lambda file: present.get(file.partial_path, 0) - file.size_bytes)
        offsets = [present.get(file.partial_path, 0) if both else 0 for file in files]
        return _Plan(
            request=request,
            files=files,
            offsets=offsets,
            lanes=_lanes(request, source, destination, streams) if files else (),
            packs=packs,
            unpacks=unpacks,
        )


def _lanes(request: MoveRequest, source: Side, destination: Side, streams: int) -> Sequence[Lane]:
    if request.direction is Direction.THIRD_PARTY:
        return [Lane(source=source, destination=destination)] * streams
    return lanes(source, destination, streams)


@contextmanager
def _direct(plan: _Plan) -> Iterator[Stream]:
    """All streams in one session at one of the sites."""
    source, destination = plan.lanes[0].source, plan.lanes[0].destination
    producer, consumer = _producer(plan, source), _consumer(plan, destination)

    def command(peer: Side) -> str:
        return (producer if peer == source else consumer).line

    # Nobody tells the sites more on the way.
    inputs = [_begin(plan) + _some(plan, share) for share in shared_out(plan.sizes, plan.streams)]
    with (
        introduced(source, destination, plan.request.credential, command=command) as introduction,
        streaming_between(introduction, producer, consumer, inputs=inputs) as stream,
    ):
        yield stream


def _producer(plan: _Plan, source: Side) -> Half:
    """The source's half."""
    if plan.packs:
        return _python(source, _PACK, "convoy-pack")  # for whoever reads the list of processes there
    return Half(script=_GNU_PACK, arguments=(str(len(_preamble(plan))),))


def _begin(plan: _Plan) -> bytes:
    """What the source's half reads first."""
    preamble = _preamble(plan) if plan.unpacks else b""
    if not plan.packs:
        return preamble
    rate = (plan.request.limit_bytes_per_s or 0.0) / plan.streams
    return _program(PACKER) + b"%f %s %d\n" % (rate, plan.form, len(preamble)) + preamble


def _some(plan: _Plan, numbers: Sequence[int]) -> bytes:
    """What the source's half reads then: files that go into the stream next."""
    if not plan.packs:
        return b"".join(name + b"\0" for name in plan.names)
    here = _listed((plan.names[n], plan.sources[n], b"%d" % plan.offsets[n]) for n in numbers)
    there = _targets(plan, numbers) if plan.unpacks else b""
    return b"%d %d\n" % (len(here), len(there)) + here + there


def _consumer(plan: _Plan, destination: Side) -> Half:
    if not plan.unpacks:
        return Half(script=_GNU_UNPACK)
    return _python(destination, _UNPACK.format(mark=plan.mark, short=SHORT), plan.mark)


def _python(side: Side, program: str, *arguments: str) -> Half:
    # Neither the user's modules nor the site's packages are looked for, which takes longer than all the rest.
    interpreter = sys.executable if side.door is None else "python3"
    return Half(script='exec "$@"', arguments=(interpreter, "-I", "-S", "-c", program, *arguments))


def _preamble(plan: _Plan) -> bytes:
    """What the unpacker reads before the stream. Only where GNU tar packs it has to be told all at once."""
    rate = 0.0 if plan.packs else plan.request.limit_bytes_per_s or 0.0
    rows = b"" if plan.packs else _targets(plan, range(len(plan.files)))
    return f"\n{plan.mark}\n".encode() + _program(UNPACKER) + b"%f %s %d\n" % (rate, plan.form, len(rows)) + rows


@cache
def _program(text: bytes) -> bytes:
    sent = zlib.compress(text)
    return b"%d\n" % len(sent) + sent


def _targets(plan: _Plan, numbers: Sequence[int]) -> bytes:
    """Where some of the files shall be, as the unpacker reads it."""
    return _listed(
        (plan.names[n], b"%d" % n, plan.targets[n], b"%d" % plan.offsets[n], *_final(plan, n)) for n in numbers
    )


def _final(plan: _Plan, number: int) -> tuple[bytes, bytes]:
    """The name that a file gets, and the digest for which it does; nothing where nobody would hear of it."""
    if not plan.request.settled:
        return b"", b""
    return os.fsencode(plan.files[number].final_path), plan.files[number].sha256.encode()


def _listed(rows: Iterable[Sequence[bytes]]) -> bytes:
    """Paths are much alike, and a list of them a hundredth of small files."""
    return zlib.compress(b"".join([field + b"\0" for row in rows for field in row]), level=1)


class _Hands:
    """Starts the streams as their lanes are open, and gives each files as it gets done with those that it has."""

    def __init__(self, plan: _Plan, stack: ExitStack) -> None:
        self._plan = plan
        self._stack = stack
        self._dealer = Dealer(plan.sizes, streams=plan.streams, at=time.monotonic())
        self._waiting = list(plan.lanes)
        self.streams: list[Stream] = []
        self._feeds: list[Feed] = []

    def join(self) -> bool:
        """Streams whose lanes are open take part; whether others may come."""
        if self._plan.request.direction is Direction.THIRD_PARTY:
            self.streams.append(self._stack.enter_context(_direct(self._plan)))
            return False
        for lane in [lane for lane in self._waiting if lane.opened.is_set() and not self._dealer.done]:
            self._waiting.remove(lane)
            self._start(lane)
        return bool(self._waiting) and not self._dealer.done

    def _start(self, lane: Lane) -> None:
        source, destination = lane.source, lane.destination
        halves = (source, _producer(self._plan, source)), (destination, _consumer(self._plan, destination))
        stream, feed = self._stack.enter_context(streaming(*halves))
        self.streams.append(stream)
        self._feeds.append(feed)
        feed.put(_begin(self._plan))
        self._deal(len(self.streams) - 1)

    def arrived(self, stream: int, files: Sequence[int]) -> None:
        """Some of the files that a stream had lie there."""
        if files and self._feeds and not self._dealer.done:
            self._dealer.arrived(stream, files, at=time.monotonic())
            self._deal(stream)

    def _deal(self, stream: int) -> None:
        if some := self._dealer.deal(stream):
            self._feeds[stream].put(_some(self._plan, some))
        if self._dealer.done:
            for feed in self._feeds:
                feed.close()


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
    _begun: dict[int, int] = field(default_factory=dict)
    """Bytes that lie there of files that are not whole, by number."""
    _extracted: int = 0

    def __post_init__(self) -> None:
        missing = sum(file.size_bytes for file in self.plan.files) - sum(self.plan.offsets)
        self._lying = self.plan.request.size_bytes - missing
        self._mark = self.plan.mark.encode()

    def begin(self) -> None:
        """Something may lie there already."""
        self.growth.tell(self._lying)

    def read(self, hands: _Hands) -> None:
        """All streams ended well. Raises what ended the first that did not."""
        ended = partial(_check, self.plan)
        for stream, lines in lines_of(hands.streams, joining=hands.join, ended=ended):
            whole = [number for line in lines if (number := self._take(line)) is not None]
            hands.arrived(stream, whole)

    def _take(self, line: bytes) -> int | None:
        """The number of a file that lies there whole by what was said; a login shell may say something, too."""
        if not self.plan.unpacks:
            if line.startswith(b"/"):
                self._take_name()
            return None
        if not line.startswith(self._mark):
            return None
        _, kind, number, *rest = line.split()
        if kind == b"whole":
            self._count(int(number), *rest)
            return int(number)
        self._begun[int(number)] = int(rest[0]) - self.plan.offsets[int(number)]
        self.growth.tell(self._lying + sum(self._begun.values()))
        return None

    def _count(
        self,
        number: int,
        size: bytes,
        holes: bytes,
        found: bytes,
        modified_ns: bytes,
        inode: bytes,
        sha256: bytes = b"",
    ) -> None:
        """A file lies there whole; without a digest it has its final name, too."""
        path = self.plan.files[number].partial_path
        facts = FileStat(size_bytes=int(found), modified_ns=int(modified_ns), inode=int(inode))
        if sha256:
            self.digests[path] = FileDigest(size_bytes=int(size), sha256=sha256.decode())
            self.facts[path] = facts
        elif self.plan.request.settled:
            self.plan.request.settled(path, facts)
        self._begun.pop(number, None)
        self._add(int(size) - self.plan.offsets[number])
        self.moved -= int(holes)
        self.holes += int(holes)

    def _take_name(self) -> None:
        """GNU tar says a file's name when it begins with it, and knows no digest: the one before is there."""
        if self._extracted:
            self._add(self.plan.files[self._extracted - 1].size_bytes)
        self._extracted += 1

    def _add(self, size_bytes: int) -> None:
        self.moved += size_bytes
        self._lying += size_bytes
        self.growth.tell(self._lying + sum(self._begun.values()))

    def finish(self) -> None:
        """Everything is there."""
        if self._extracted:
            self._add(self.plan.files[-1].size_bytes)
        self.growth.tell(self.plan.request.size_bytes)


def _check(plan: _Plan, stream: Stream) -> None:
    """Returns when all ends of a stream ended well."""
    for source, destination in stream.endings():
        _check_pair(plan, source, destination)


def _check_pair(plan: _Plan, source: Ending, destination: Ending) -> None:
    """Returns when both ended well. Whoever failed first is told: the other one only noticed that."""
    for end, runs_python in ((source, plan.packs), (destination, plan.unpacks)):
        if end.code in _NO_PYTHON and runs_python:
            raise _NoPythonError(end.site)
    if is_full(destination.words):
        raise full(destination.site, destination.words)
    if destination.code not in (0, SHORT, 2 if source.code else 0):
        raise failure(destination.site, destination.words, destination.code)
    if source.code:
        raise _source_failure(plan, source)
    if destination.code:
        raise TransferInterruptedError(f"{destination.site}: the stream broke off", site=destination.site)


def _source_failure(plan: _Plan, source: Ending) -> MiddlewareError:
    if "No such file" in source.words:
        lost = [file.source_path for file in plan.files if file.source_path in source.words]
        # Names may begin alike.
        return gone(source.site, max(lost, key=len) if lost else last_line(source.words, source.code))
    return failure(source.site, source.words, source.code)


ADAPTER = TarMover
