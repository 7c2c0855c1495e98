"""Moves files by `globus-url-copy`: over SSH, with certificates, or to servers that ask for no name."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from urllib.parse import quote

from adapters.movers._detached import Detached, LocalShell, check_room, running, shell_of
from adapters.movers._landing import Span, cut, differing, missing, plain_names, settle
from metadata.errors import MiddlewareError, NotFoundError, SiteUnavailableError, StagingError, TransferInterruptedError
from staging.ports import Capabilities, Direction, Endpoint, MoveFile, MoveRequest, MoveResult, Progress, Shell

_PROGRAM = "globus-url-copy"
_SCHEMES = {"sshftp": "sshftp", "gsi": "gsiftp", "anonymous": "ftp"}
_OPTIONS = frozenset({"host", "port", "user", "security", "data_channel", "credential"})
_PROTECTION = {"open": ("-nodcau",), "authenticated": (), "safe": ("-dcsafe",), "private": ("-dcpriv",)}
_STALL_S = 60
_CONCURRENT = 4
_FIRST_BYTES = 4 << 20
# At this one the program has the servers stop, and waits until they have; at others they write on for a while.
_SIGNAL = "INT"
# The program drops other letters from a name without a word, and reads no line of a list beyond a thousand bytes.
_SAYABLE = re.compile(r"[\x20-\x7e]*")
_URL_LENGTH = 480

_LOGIN = ("GSS failure", "credential", "expired", "530 ", "Login incorrect", "Authentication")
_UNREACHED = ("Unable to connect", "Connection refused", "Name or service not known", "No route to host")
_REFUSED = ("Permission denied", "Is a directory", "Not a directory", "Read-only", "invalid value for url")


class GridFtpMover:
    """GridFTP between two doors `gridftp`, or between one and this machine.

    A door says `host`, `port`, `user`, and `security`: `sshftp` (the SSH settings of the account that runs the
    program; the default), `gsi` (a certificate: `credential` is the path of a proxy on this machine) or `anonymous`.
    `data_channel` is `open`, `authenticated` (the default), `safe` (nothing can be altered on the way) or `private`
    (encrypted). Where the program is not installed here, the source's or the destination's own is used.
    """

    capabilities = Capabilities(
        start_s=1.0,
        schemes=frozenset({"gridftp", "file"}),
        directions=frozenset({Direction.PUSH, Direction.PULL, Direction.THIRD_PARTY}),
        resumes=True,
        batches=True,
        parallel_streams=True,
    )

    def __init__(self) -> None:
        if not shutil.which(_PROGRAM):
            self.capabilities = replace(self.capabilities, directions=frozenset({Direction.THIRD_PARTY}))

    def move(self, request: MoveRequest, *, progress: Progress) -> MoveResult:
        """All bytes of every source lie at its partial path; a site that runs no Python 3 resumes nothing."""
        landing = shell_of(request.destination)
        kept = settle(request, landing) if landing else [0] * len(request.files)
        present = sum(kept)
        progress(present)
        pairs = list(zip(request.files, kept, strict=True))
        rest = [_rest(file, here) for file, here in pairs if here < file.size_bytes or file.size_bytes == 0]
        if not rest:
            return MoveResult(bytes_moved=0)
        seat = _seat(request)
        mended = _mend(request, seat, [Span(file=one.file, begin=0, end=one.begin) for one in rest if one.begin])
        with _true_when_broken(request, seat, rest):
            _copy(request, seat, rest, lambda moved: progress(present + moved))
        progress(request.size_bytes)
        return MoveResult(bytes_moved=request.size_bytes - present + mended)


def _rest(file: MoveFile, present: int) -> Span:
    """What is still to be moved of a file."""
    return Span(file=file, begin=present, end=file.size_bytes)


@dataclass(frozen=True, kw_only=True)
class _Seat:
    """Where the program runs, and which end has its files there."""

    shell: Shell
    site: str
    near: Endpoint | None
    """The end whose files the program opens itself; None where it speaks to two servers."""
    here: bool


def _copy(request: MoveRequest, seat: _Seat, spans: Sequence[Span], progress: Progress) -> None:
    with ExitStack() as stack:
        sources = stack.enter_context(_urls(seat, request.source, [span.file.source_path for span in spans]))
        targets = stack.enter_context(_urls(seat, request.destination, [span.file.partial_path for span in spans]))
        lines = [_line(a, b, span) for a, b, span in zip(sources, targets, spans, strict=True)]
        argv = _arguments(request, seat, len(spans))
        program = stack.enter_context(running(seat.shell, seat.site, argv, given="".join(lines), signal=_SIGNAL))
        program.wait(_telling(_Counter(spans, concurrent=_concurrent(len(spans))), progress))
        if program.exit_code != 0:
            _explain(request, seat, program, spans)


def _line(source: str, target: str, span: Span) -> str:
    """What the program is told of a span; the rest of a file goes to its end, wherever that is by now."""
    length = -1 if span.end == span.file.size_bytes else span.end - span.begin
    return f'"{source}" "{target}" {span.begin},{length}\n'


def _mend(request: MoveRequest, seat: _Seat, begun: Sequence[Span]) -> int:
    """The first block of each of these spans is right; how many bytes were sent for that.

    A server that is cut off in the midst of a file may write a later block over the first one that it was sent (seen
    with globus-gridftp-server 13.25, once in five cuts).
    """
    landing = shell_of(request.destination)
    if landing is None:
        return 0
    firsts = [replace(span, end=min(span.end, span.begin + _FIRST_BYTES)) for span in begun]
    wrong = differing(request, shell_of(request.source), landing, firsts)
    if wrong:
        _copy(request, seat, wrong, lambda _: None)
    return sum(span.end - span.begin for span in wrong)


@contextmanager
def _true_when_broken(request: MoveRequest, seat: _Seat, rest: Sequence[Span]) -> Iterator[None]:
    """When the block breaks off, only true beginnings are left at the partial paths."""
    try:
        yield
    except BaseException:
        landing = shell_of(request.destination)
        if landing is not None:
            with suppress(MiddlewareError):
                kept = dict(zip(request.files, settle(request, landing), strict=True))
                torn = [span for span in rest if span.begin < kept[span.file] < span.end]
                _mend_or_cut(request, seat, landing, [replace(span, end=kept[span.file]) for span in torn])
        raise


def _mend_or_cut(request: MoveRequest, seat: _Seat, landing: Shell, begun: Sequence[Span]) -> None:
    try:
        _mend(request, seat, begun)
    except MiddlewareError:
        cut(landing, request.destination.site, begun)


def _telling(counter: _Counter, progress: Progress) -> Callable[[str], None]:
    return lambda news: progress(counter.count(news))


def _seat(request: MoveRequest) -> _Seat:
    """Here when the program is here, else the source, else the destination."""
    if shutil.which(_PROGRAM):
        near = next((end for end in (request.source, request.destination) if end.local), None)
        return _Seat(shell=LocalShell(), site="this machine", near=near, here=True)
    for end in (request.source, request.destination):
        if not end.local and end.shell and end.shell.run(("/bin/sh", "-c", f"command -v {_PROGRAM}")).exit_code == 0:
            return _Seat(shell=end.shell, site=end.site, near=end, here=False)
    raise StagingError(
        f"{_PROGRAM} is neither on this machine nor at {request.source.site} or {request.destination.site}; "
        "install it at one of them (Debian: globus-gass-copy-progs)"
    )


@contextmanager
def _urls(seat: _Seat, end: Endpoint, paths: Sequence[str]) -> Iterator[list[str]]:
    """How the program calls the files; odd names are linked to plain ones while the block lasts."""
    start = "file://" if end is seat.near else _server(end)
    plain = [_url(start, path) for path in paths]
    odd = [index for index, path in enumerate(paths) if not _sayable(path, plain[index])]
    if not odd:
        yield plain
        return
    shell = shell_of(end)
    if shell is None:
        raise StagingError(f"{end.site}: GridFTP cannot say the name {paths[odd[0]]!r}", site=end.site)
    with plain_names(shell, end.site, [paths[index] for index in odd]) as links:
        for index, link in zip(odd, links, strict=True):
            plain[index] = _url(start, link)
        yield plain


def _url(start: str, path: str) -> str:
    return start + quote(path.encode(errors="surrogateescape"), safe="/")


def _sayable(path: str, url: str) -> bool:
    return bool(_SAYABLE.fullmatch(path)) and len(url) <= _URL_LENGTH


def _server(end: Endpoint) -> str:
    door = _door(end)
    user = f"{quote(door['user'], safe='')}@" if door.get("user") and _security(end) == "sshftp" else ""
    port = f":{int(door['port'])}" if door.get("port") else ""
    return f"{_SCHEMES[_security(end)]}://{user}{door['host']}{port}"


def _door(end: Endpoint) -> Mapping[str, str]:
    door = end.doors.get("gridftp", {})
    unknown = sorted(door.keys() - _OPTIONS)
    if unknown or not door.get("host"):
        wrong = f"no option {unknown[0]!r}" if unknown else "no host"
        raise StagingError(
            f"{end.site}: the door 'gridftp' has {wrong}; it knows: {', '.join(sorted(_OPTIONS))}", site=end.site
        )
    for name, known in (("security", _SCHEMES), ("data_channel", _PROTECTION)):
        if door.get(name) and door[name] not in known:
            raise StagingError(
                f"{end.site}: '{name}' of the door 'gridftp' is {door[name]!r}; it may be: {', '.join(known)}",
                site=end.site,
            )
    return door


def _security(end: Endpoint) -> str:
    return _door(end).get("security") or "sshftp"


def _arguments(request: MoveRequest, seat: _Seat, files: int) -> tuple[str, ...]:
    servers = [end for end in (request.source, request.destination) if end is not seat.near]
    words = [_PROGRAM, "-vb", "-stall-timeout", str(_STALL_S), "-f", "input"]
    if request.streams > 1:
        words += ["-p", str(request.streams)]
    # Data in blocks comes from the server's side: to a machine behind a router only one plain stream gets through.
    if request.streams > 1 or seat.near is not request.destination:
        words.append("-fast")
    if files > 1:
        words += ["-cc", str(_concurrent(files))]
    if shell_of(request.destination) is None:
        words.append("-create-dest")
    return (*words, *_channel(servers), *(_credentials(request, seat)))


def _concurrent(files: int) -> int:
    return min(_CONCURRENT, files)


def _channel(servers: Sequence[Endpoint]) -> list[str]:
    """How the data connections are guarded: as the stricter of the doors says."""
    securities = {_security(end) for end in servers}
    if "anonymous" in securities:
        return []
    wanted = max((_door(end).get("data_channel") or "authenticated" for end in servers), key=list(_PROTECTION).index)
    made = ["-data-cred", "auto"] if "sshftp" in securities and wanted != "open" else []
    return [*_PROTECTION[wanted], *made]


def _credentials(request: MoveRequest, seat: _Seat) -> list[str]:
    words = []
    for end, flag in ((request.source, "-src-cred"), (request.destination, "-dst-cred")):
        if seat.here and end is not seat.near and _door(end).get("credential"):
            words += [flag, _door(end)["credential"]]
    return words


class _Counter:
    """Reads in what the program writes how much has been moved."""

    def __init__(self, spans: Sequence[Span], *, concurrent: int) -> None:
        self._sizes = [span.end - span.begin for span in spans]
        self._concurrent = concurrent
        self._started = 0
        self._finished_bytes = 0
        self._moved = 0
        self._tail = ""

    def count(self, news: str) -> int:
        """Bytes moved so far; a little less where several files travel at once."""
        *lines, self._tail = re.split(r"[\r\n]", self._tail + news)
        for line in lines:
            if told := re.match(r" +(\d+) bytes ", line):
                self._tell(self._finished_bytes + (int(told[1]) if self._concurrent == 1 else 0))
            elif line.startswith("  ") and line.strip():
                self._start()
        return self._moved

    def _start(self) -> None:
        done = self._started - self._concurrent + 1
        if 0 < done <= len(self._sizes):
            self._finished_bytes += self._sizes[done - 1]
        self._started += 1
        self._tell(self._finished_bytes)

    def _tell(self, moved: int) -> None:
        self._moved = max(self._moved, min(moved, sum(self._sizes)))


def _explain(request: MoveRequest, seat: _Seat, program: Detached, spans: Sequence[Span]) -> None:
    """The program's failure in our words."""
    said = _last_error(program.output)
    ends = f"{request.source.site} to {request.destination.site}"
    check_room(request.destination.site, said)
    _check_sources(request, spans)
    words = "; ".join(said.splitlines()[-3:]) or f"{_PROGRAM} ended with {program.exit_code}"
    if any(word in said for word in _LOGIN):
        telling = next((line for line in said.splitlines() if "expired" in line), words)
        raise StagingError(
            f"GridFTP from {ends}: no valid credential at {seat.site}; make one there with grid-proxy-init, or try: "
            f"convoy site login ({telling})",
            site=request.destination.site,
        )
    if any(word in said for word in _UNREACHED):
        raise SiteUnavailableError(f"GridFTP from {ends}: {words}", site=request.destination.site)
    if any(word in said for word in _REFUSED) or program.exit_code == 127:
        raise StagingError(f"GridFTP from {ends}: {words}", site=request.destination.site)
    if "end-of-file" in said and "/sec" not in program.output and _uses_ssh(request, seat):
        raise StagingError(
            f"GridFTP from {ends}: ssh does not get in from {seat.site} without a question; its own SSH settings "
            "and keys are used",
            site=request.destination.site,
        )
    raise TransferInterruptedError(f"GridFTP from {ends} broke off: {words}", site=request.destination.site)


def _last_error(output: str) -> str:
    """What the program said of the error that ended it; lists of files and rates may stand in between."""
    lines = output[max(output.rfind("error:"), 0) :].splitlines()
    said = [line.strip() for line in lines if not line.startswith(("  ", "Source:", "Dest:"))]
    return "\n".join(line for line in said if line.strip(" .") and line != "500 End.")


def _check_sources(request: MoveRequest, spans: Sequence[Span]) -> None:
    shell = shell_of(request.source)
    absent = missing(shell, [span.file for span in spans]) if shell else []
    if absent:
        site = request.source.site
        raise NotFoundError(f"{site}: there is no file {absent[0]} to copy", site=site)


def _uses_ssh(request: MoveRequest, seat: _Seat) -> bool:
    return any(end is not seat.near and _security(end) == "sshftp" for end in (request.source, request.destination))


ADAPTER = GridFtpMover
