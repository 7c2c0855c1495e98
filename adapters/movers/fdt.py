"""Moves files by FDT (Fast Data Transfer), a Java program: a server at one end, for one transfer, and a client."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import PurePosixPath

from adapters.movers._detached import Detached, ask, check_room, running, shell_of
from adapters.movers._landing import missing, plain_names, settle, settled_when_broken
from metadata.errors import NotFoundError, SiteUnavailableError, StagingError, TransferInterruptedError
from staging.ports import (
    Capabilities,
    Direction,
    Endpoint,
    MoveFile,
    MoveRequest,
    MoveResult,
    Progress,
    Shell,
)

_OPTIONS = frozenset({"host", "port", "data_port", "jar", "java", "image", "container"})
_STARTUP_S = 60.0
_LOOK_S = 1.0
_BUSY = "Address already in use"
_UNREACHED = ("ConnectException", "Connection refused", "NoRouteToHost", "UnknownHost", "timed out")
# The server tells so when its port is open.
_READY = "READY"
_WRITTEN = " STATUS: OK"
# Blocks, because a file is as long as its last block from the beginning on.
_LANDED = 'cd -- "$1" && stat -L --printf "%b %s\\n" -- *'


class FdtMover:
    """FDT between two doors `fdt`; nothing is left running.

    A door says `jar` (its path there) and, of the end that can be reached, `host` and `port`; `data_port` where the
    firewall opens one port for data (else FDT takes any), `java` (the program, `java`), `image` where Java and the
    jar are in an image that `container` (`apptainer`) runs. FDT knows its peer by its address only and encrypts
    nothing. It goes on with no partial file, but whole ones of a request are not sent again.
    """

    capabilities = Capabilities(
        start_s=3.0,
        schemes=frozenset({"fdt"}),
        directions=frozenset({Direction.PUSH, Direction.PULL, Direction.THIRD_PARTY}),
        batches=True,
        parallel_streams=True,
        limits_rate=True,
    )

    def move(self, request: MoveRequest, *, progress: Progress) -> MoveResult:
        """All bytes of every source lie at its partial path. Both ends need a shell and the destination Python 3."""
        source, destination = _shell(request.source), _shell(request.destination)
        kept = settle(request, destination)
        rest = [
            file
            for file, here in zip(request.files, kept, strict=True)
            if here < file.size_bytes or file.size_bytes == 0
        ]
        present = request.size_bytes - sum(file.size_bytes for file in rest)
        progress(present)
        if rest:
            with settled_when_broken(request, destination):
                _check_sources(request.source.site, source, rest)
                _copy(request, rest, lambda moved: progress(present + moved))
            progress(request.size_bytes)
        return MoveResult(bytes_moved=request.size_bytes - present)


def _copy(request: MoveRequest, rest: Sequence[MoveFile], progress: Progress) -> None:
    source, destination = request.source, request.destination
    with ExitStack() as stack:
        # FDT drops the folders of a name and knows no name with a line break: both ends see numbers instead.
        sources = stack.enter_context(plain_names(_shell(source), source.site, [one.source_path for one in rest]))
        partials = [one.partial_path for one in rest]
        targets = stack.enter_context(plain_names(_shell(destination), destination.site, partials))
        folder = str(PurePosixPath(targets[0]).parent)
        gauge = _Gauge(_shell(destination), folder, rest, progress)
        server_end, client_end = _roles(request)
        server = stack.enter_context(_server(request, server_end, client_end, gauge.tell))
        argv = _client(request, server_end, folder)
        names = "".join(f"{path}\n" for path in sources)
        client = stack.enter_context(running(_shell(client_end), client_end.site, argv, given=names))
        writer = server if server_end is destination else client
        client.wait(_looking(server, gauge), until=lambda: _all_written(writer, len(rest)))
        server.look()
        if not _all_written(writer, len(rest)) or not gauge.is_full():
            _explain(request, client, server)


def _all_written(writer: Detached, files: int) -> bool:
    """The receiving end says so of each file; both ends then rest for some seconds, which nobody needs."""
    return writer.output.count(_WRITTEN) >= files


def _roles(request: MoveRequest) -> tuple[Endpoint, Endpoint]:
    """The end that can be reached is the server, the destination first."""
    for end, other in ((request.destination, request.source), (request.source, request.destination)):
        if _door(end).get("port") and _door(end).get("host"):
            return end, other
    raise StagingError(
        f"FDT needs an open port: say 'host' and 'port' of the door 'fdt' of {request.source.site} or "
        f"{request.destination.site}"
    )


@contextmanager
def _server(request: MoveRequest, end: Endpoint, client: Endpoint, tell: Callable[[], None]) -> Iterator[Detached]:
    """A server that listens for this client alone, while the block lasts."""
    words = ["-S", "-p", str(int(_door(end)["port"])), "-f", _address(client, end)]
    if _door(end).get("data_port"):
        words += ["-tp", str(int(_door(end)["data_port"]))]
    with running(_shell(end), end.site, _program(request, end, words)) as server:
        deadline = time.monotonic() + _STARTUP_S
        server.wait(lambda _: tell(), until=lambda: _READY in server.output or time.monotonic() > deadline)
        if _BUSY in server.output:
            raise SiteUnavailableError(
                f"{end.site}: port {_door(end)['port']} of the door 'fdt' is taken, perhaps by another transfer",
                site=end.site,
            )
        if _READY not in server.output:
            raise StagingError(f"{end.site}: FDT does not start: {_last_words(server)}", site=end.site)
        yield server


def _client(request: MoveRequest, server: Endpoint, folder: str) -> tuple[str, ...]:
    end = request.source if server is request.destination else request.destination
    words = ["-c", _door(server)["host"], "-p", str(int(_door(server)["port"])), "-P", str(request.streams)]
    # The files are there already, under the names of partial files, and are written in place.
    words += ["-notmp", "-nolock", "-fl", "input", "-d", folder]
    if request.limit_bytes_per_s:
        words += ["-limit", str(int(request.limit_bytes_per_s))]
    if server is request.source:
        words.append("-pull")
    return _program(request, end, words)


def _program(request: MoveRequest, end: Endpoint, words: Sequence[str]) -> tuple[str, ...]:
    door = _door(end)
    java = (door.get("java") or "java", "-Djava.io.tmpdir=.", "-jar", door["jar"], "-noupdates", *words)
    if not door.get("image"):
        return java
    paths = [file.source_path if end is request.source else file.partial_path for file in request.files]
    tops = sorted({"/" + path.split("/")[1] for path in paths})
    if any(letter in top for top in tops for letter in ":,"):
        raise StagingError(f"{end.site}: a container cannot be given the folder {tops[0]!r}", site=end.site)
    return (door.get("container") or "apptainer", "exec", "--bind", ",".join(tops), door["image"], *java)


def _address(client: Endpoint, server: Endpoint) -> str:
    """The client's address as the server sees it."""
    host = _door(client).get("host", "")
    script = 'if [ -n "$1" ]; then getent ahostsv4 "$1"; else echo "$SSH_CONNECTION"; fi'
    said = ask(_shell(server), server.site, ("/bin/sh", "-c", script, "sh", host)).split()
    if not said:
        raise StagingError(
            f"{server.site} does not know the address of {client.site} ({host or 'no host'}): say 'host' of its door "
            "'fdt', as that site knows it",
            site=client.site,
        )
    return said[0]


def _door(end: Endpoint) -> Mapping[str, str]:
    door = end.doors.get("fdt", {})
    unknown = sorted(door.keys() - _OPTIONS)
    if unknown or not door.get("jar"):
        wrong = f"no option {unknown[0]!r}" if unknown else "no 'jar', the path of FDT's jar there"
        raise StagingError(
            f"{end.site}: the door 'fdt' has {wrong}; it knows: {', '.join(sorted(_OPTIONS))}", site=end.site
        )
    return door


def _shell(end: Endpoint) -> Shell:
    shell = shell_of(end)
    if shell is None:
        raise StagingError(f"{end.site}: FDT is started by commands, and there is no way to run them", site=end.site)
    return shell


class _Gauge:
    """How much lies at the destination, asked once a second."""

    def __init__(self, shell: Shell, folder: str, rest: Sequence[MoveFile], progress: Progress) -> None:
        self._shell = shell
        self._folder = folder
        self._wanted_bytes = sum(file.size_bytes for file in rest)
        self._progress = progress
        self._moved = 0

    def tell(self) -> None:
        """Says again what is known, so that the transfer can be broken off."""
        self._progress(self._moved)

    def look(self) -> None:
        """Asks and tells."""
        moved = sum(min(length, 512 * blocks) for blocks, length in self._files())
        self._moved = max(self._moved, min(moved, self._wanted_bytes))
        self.tell()

    def is_full(self) -> bool:
        """Whether the files have their lengths; what they hold is for others to check."""
        return sum(length for _, length in self._files()) >= self._wanted_bytes

    def _files(self) -> list[tuple[int, int]]:
        answer = self._shell.run(("/bin/sh", "-c", _LANDED, "sh", self._folder))
        pairs = [line.split() for line in answer.stdout.splitlines()]
        return [(int(blocks), int(length)) for blocks, length in pairs]


def _looking(server: Detached, gauge: _Gauge) -> Callable[[str], None]:
    """Looks after the other end once a second: a server that nobody asks for ends."""
    next_look = time.monotonic()

    def look(_: str) -> None:
        nonlocal next_look
        if time.monotonic() < next_look:
            gauge.tell()
            return
        next_look = time.monotonic() + _LOOK_S
        server.look()
        gauge.look()

    return look


def _check_sources(site: str, shell: Shell, rest: Sequence[MoveFile]) -> None:
    """FDT sends folders too, and one file that is missing ends all."""
    if absent := missing(shell, rest):
        raise NotFoundError(f"{site}: there is no file {absent[0]} to copy", site=site)


def _explain(request: MoveRequest, client: Detached, server: Detached) -> None:
    """The failure in our words, which one end or the other has said."""
    said = client.output + server.output
    ends = f"{request.source.site} to {request.destination.site}"
    check_room(request.destination.site, said)
    if client.exit_code in (126, 127) or "Unable to access jarfile" in said:
        raise StagingError(f"FDT from {ends}: {_last_words(client)}", site=request.destination.site)
    if any(word in client.output for word in _UNREACHED):
        raise SiteUnavailableError(
            f"FDT from {ends}: the client does not reach the server: {_last_words(client)}",
            site=request.destination.site,
        )
    raise TransferInterruptedError(f"FDT from {ends} broke off: {_last_words(client)}", site=request.destination.site)


def _last_words(program: Detached) -> str:
    """The line that says most: of an error where there is one."""
    lines = [line.strip() for line in program.output.splitlines() if line.strip()]
    told = [line for line in lines if "Exception" in line or "rror" in line]
    return (told or lines or [f"exit code {program.exit_code}"])[-1]


ADAPTER = FdtMover
