"""A producer at the source piped into a consumer at the destination, wherever those are."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from adapters.movers._ssh.introductions import Introduction
from adapters.movers._ssh.programs import Program, running
from adapters.movers._ssh.sides import Side, shell_line

# A session's input is its lifeline: when nobody holds it any more, everything that the session started ends.
# sshd makes each session a process group of its own, which `kill 0` means.
GUARD = "exec 3<&0 </dev/null; (cat; kill -s KILL 0) <&3 >/dev/null 2>&1 & guard=$!; "
LET_GO = ' ; code=$?; kill "$guard"; exit "$code"'
_ENDED = re.compile(r"^convoy-(source|destination)-ended: (\d+)\n", re.MULTILINE)


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


@dataclass(frozen=True, kw_only=True)
class Stream:
    """A pair that runs."""

    consumer: Program
    """What the consumer says is read here, to its end."""
    endings: Callable[[], tuple[Ending, Ending]]
    """How source and destination ended; waits for that."""


@contextmanager
def streaming(source: tuple[Side, Half], destination: tuple[Side, Half], *, stdin: bytes) -> Iterator[Stream]:
    """Both halves run, joined by a pipe of this machine; `stdin` is what the producer reads."""
    with running(source[0].argv(source[1].script, *source[1].arguments), stdin=subprocess.PIPE) as producer:
        argv = destination[0].argv(destination[1].script, *destination[1].arguments)
        with running(argv, stdin=producer.stdout) as consumer:
            producer.stdout.close()  # else the producer would not notice when nobody reads any more
            producer.feed(stdin)
            yield Stream(
                consumer=consumer,
                endings=lambda: (_ending(source[0].site, producer), _ending(destination[0].site, consumer)),
            )


@contextmanager
def streaming_between(introduction: Introduction, producer: Half, consumer: Half, *, stdin: bytes) -> Iterator[Stream]:
    """Both halves run at the sites themselves, and no byte comes by this machine."""
    file = f"{introduction.folder}/input"
    introduction.initiator.run('cat >"$1"', file, stdin=stdin)
    here, there = (consumer, producer) if introduction.peer_is_source else (producer, consumer)
    lines = [f"{introduction.command} {_quoted(there)}", here.line.removeprefix("exec ")]
    first, last = lines if introduction.peer_is_source else reversed(lines)
    pair = (
        f'{{ {{ {first} <"$1"; echo "convoy-source-ended: $?" >&2; }} | '
        f'{{ {last}; echo "convoy-destination-ended: $?" >&2; }}; }}'
    )
    with running(introduction.argv(GUARD + pair + LET_GO, file), stdin=subprocess.PIPE) as session:
        sites = introduction.initiator.site, introduction.peer.side.site
        source, destination = reversed(sites) if introduction.peer_is_source else sites
        yield Stream(consumer=session, endings=lambda: _told_endings(source, destination, session))


def _quoted(half: Half) -> str:
    """A line of shell as one word of another line."""
    return shlex.quote(half.line)


def _ending(site: str, program: Program) -> Ending:
    return Ending(site=site, code=program.wait(), words=program.words())


def _told_endings(source: str, destination: str, session: Program) -> tuple[Ending, Ending]:
    """Both ends' codes from the words of the session that ran both."""
    code, words = session.wait(), session.words()
    told = {name: int(number) for name, number in _ENDED.findall(words)}
    words = _ENDED.sub("", words)
    return (
        Ending(site=source, code=told.get("source", code), words=words),
        Ending(site=destination, code=told.get("destination", code), words=words),
    )
