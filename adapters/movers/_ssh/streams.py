"""A producer at the source piped into a consumer at the destination, wherever those are."""

from __future__ import annotations

import contextlib
import os
import queue
import re
import selectors
import shlex
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from adapters._openssh.programs import Program, running
from adapters._openssh.sides import Side, shell_line
from adapters.movers._ssh.introductions import Introduction

# A session's input is its lifeline: when nobody holds it any more, everything that the session started ends.
# sshd makes each session a process group of its own, which `kill 0` means.
GUARD = "exec 3<&0 </dev/null; (cat; kill -s KILL 0) <&3 >/dev/null 2>&1 & guard=$!; "
LET_GO = ' ; code=$?; kill "$guard"; exit "$code"'
_ENDED = re.compile(r"^convoy-(source|destination)-(\d+)-ended: (\d+)\n", re.MULTILINE)
# `$1`: a folder, then the sizes of what the producers read, which come one after the other.
_KEEP = 'dir=$1; shift; n=0; for size; do head -c "$size" >"$dir/input-$n" || exit; n=$((n + 1)); done'
# What several consumers say would be mixed within its lines.
_LINES = "grep -a --line-buffered convoy-"
_ALL_END = '[ "$code" = 0 ] || kill -s KILL 0'
_BLOCK_BYTES = 1 << 16
_JOINING_S = 0.02


@dataclass(frozen=True, kw_only=True)
class Half:
    """A script of /bin/sh with its arguments."""

    script: str
    arguments: tuple[str, ...] = ()

    @property
    def line(self) -> str:
        """As a line of any shell."""
        return shell_line(self.script, *self.arguments)


@dataclass(frozen=True, kw_only=True)
class Ending:
    """How one half ended."""

    site: str
    code: int
    """Negative after a signal, 255 when ssh itself failed."""
    words: str


class Feed:
    """What a program reads, bit by bit. Nobody waits until it does."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._bits = queue.SimpleQueue[bytes | None]()
        threading.Thread(target=self._work, daemon=True).start()

    def put(self, content: bytes) -> None:
        """It reads this, too, sooner or later."""
        self._bits.put(content)

    def close(self) -> None:
        """It sees the end of its input after that."""
        self._bits.put(None)

    def _work(self) -> None:
        for content in iter(self._bits.get, None):
            # Who reads no more has a reason, and says it when asked how it ended.
            with contextlib.suppress(OSError, ValueError):
                self._program.write(content)
        self._program.close_stdin()


@dataclass(frozen=True, kw_only=True)
class Stream:
    """A pair that runs, or several that run in one session."""

    consumer: Program
    """What the consumers say is read here, to its end."""
    endings: Callable[[], list[tuple[Ending, Ending]]]
    """How source and destination of each pair ended; waits for that. Pairs that told it themselves come first."""


def lines_of(
    streams: Sequence[Stream], *, joining: Callable[[], bool], ended: Callable[[Stream], None]
) -> Iterator[tuple[int, Sequence[bytes]]]:
    """What all consumers say, with the number of the stream: some lines as they come.

    joining: Appends to the streams those that came lately, and says whether there may be more of them.
    ended: Hears of each stream that says no more, and may raise.
    """
    rests: dict[int, bytes] = {}
    with selectors.DefaultSelector() as selector:
        seen, more = 0, True
        while rests or not seen:
            more = more and joining()
            for number in range(seen, len(streams)):
                selector.register(streams[number].consumer.stdout, selectors.EVENT_READ, number)
                rests[number] = b""
            seen = len(streams)
            for key, _ in selector.select(_JOINING_S if more else None):
                said = os.read(key.fd, _BLOCK_BYTES)
                *lines, rests[key.data] = (rests[key.data] + said).split(b"\n")
                yield key.data, lines
                if not said:
                    selector.unregister(key.fileobj)
                    yield key.data, [rests.pop(key.data)]
                    ended(streams[key.data])


@contextmanager
def streaming(source: tuple[Side, Half], destination: tuple[Side, Half]) -> Iterator[tuple[Stream, Feed]]:
    """Both halves run, joined by a pipe of this machine; the feed is what the producer reads."""
    with running(source[0].argv(source[1].script, *source[1].arguments), stdin=subprocess.PIPE) as producer:
        argv = destination[0].argv(destination[1].script, *destination[1].arguments)
        with running(argv, stdin=producer.stdout) as consumer:
            producer.stdout.close()  # else the producer would not notice when nobody reads any more

            def endings() -> list[tuple[Ending, Ending]]:
                if consumer.wait():  # the producer may be waiting to be told more
                    feed.close()
                return [(_ending(source[0].site, producer), _ending(destination[0].site, consumer))]

            feed = Feed(producer)
            try:
                yield Stream(consumer=consumer, endings=endings), feed
            finally:
                feed.close()


@contextmanager
def streaming_between(
    introduction: Introduction, producer: Half, consumer: Half, *, inputs: Sequence[bytes]
) -> Iterator[Stream]:
    """A pair for each of the `inputs` runs at the sites themselves, and no byte comes by this machine.

    Each pair has a connection of its own. When one fails all end.
    """
    sizes = [str(len(content)) for content in inputs]
    introduction.initiator.run(_KEEP, introduction.folder, *sizes, stdin=b"".join(inputs))
    here, there = (consumer, producer) if introduction.peer_is_source else (producer, consumer)
    lines = [f"{introduction.command} {_quoted(there)}", here.line.removeprefix("exec ")]
    first, last = lines if introduction.peer_is_source else reversed(lines)
    pairs = len(inputs)
    script = _pair(0, first, last) if pairs == 1 else _together(pairs, first, last)
    with running(introduction.argv(GUARD + script + LET_GO, introduction.folder), stdin=subprocess.PIPE) as session:
        sites = introduction.initiator.site, introduction.peer.side.site
        source, destination = reversed(sites) if introduction.peer_is_source else sites
        yield Stream(consumer=session, endings=lambda: _told_endings(source, destination, session, pairs))


def _pair(number: int, first: str, last: str, *, then: str = 'exit "$code"') -> str:
    """Two lines of shell, the one piped into the other, both of which tell how they ended."""
    return (
        f'{{ {{ {first} <"$1/input-{number}"; echo "convoy-source-{number}-ended: $?" >&2; }} | '
        f'{{ {last}; code=$?; echo "convoy-destination-{number}-ended: $code" >&2; {then}; }}; }}'
    )


def _together(pairs: int, first: str, last: str) -> str:
    """So many pairs at once."""
    lines = (f"{_pair(number, first, last, then=_ALL_END)} | {_LINES}" for number in range(pairs))
    started = "".join(f'{line} & pids="$pids $!"; ' for line in lines)
    return f"{{ {started}wait $pids; }}"


def _quoted(half: Half) -> str:
    """A line of shell as one word of another line."""
    return shlex.quote(half.line)


def _ending(site: str, program: Program) -> Ending:
    return Ending(site=site, code=program.wait(), words=program.words())


def _told_endings(source: str, destination: str, session: Program, pairs: int) -> list[tuple[Ending, Ending]]:
    """The codes of all ends from the words of the session that ran them; who told none ended as the session did."""
    code, words = session.wait(), session.words()
    told = {(name, int(number)): int(ended) for name, number, ended in _ENDED.findall(words)}
    words = _ENDED.sub("", words)

    def ending(site: str, name: str, number: int) -> Ending:
        return Ending(site=site, code=told.get((name, number), code), words=words)

    ranked = sorted(range(pairs), key=lambda number: ("destination", number) not in told)
    return [(ending(source, "source", number), ending(destination, "destination", number)) for number in ranked]
