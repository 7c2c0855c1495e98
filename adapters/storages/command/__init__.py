"""The file system of a site that is reached by commands: GNU tools do the work there.

Where the site has Python, questions about many files are answered by a program that stays (`_agent`).
"""

from __future__ import annotations

import base64
import os
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import PurePosixPath
from typing import TypeVar

from adapters._openssh.sides import Side
from adapters.storages._agent.agents import Agents
from adapters.storages._agent.conversation import RefusedError
from adapters.storages.command.scripts import COPY, DIGEST, DIGESTS, LIST, PROBE, READ_RANGE, RENAME, STATS, WRITE
from metadata.errors import NoSpaceError, NotFoundError, SiteError, no_room
from orchestrator.ports import Argv, CommandResult, CommandRunner, SiteSettings
from staging.logins import login_socket
from staging.ports import Endpoint, FileDigest, FileStat, Survey

_LONG_S = 24 * 3600.0
_AT_ONCE = 20_000
"""Paths in one question: an answer stays below some megabytes."""
_MANY = 200
"""Of so many files the program that stays is asked, though it has to be started first."""
_ABSENT = ("No such file", "cannot stat", "Not a directory")
_FULL = ("No space left", "Disk quota exceeded")
_FAILED_PAIR = re.compile(r"^pair (\d+): ", re.MULTILINE)
_DIGEST = re.compile(r"([0-9a-f]{64}) .(.*)", re.DOTALL)
_T = TypeVar("_T")
_ENDPOINT_OPTIONS = ("host", "user", "port", "identity_file", "config_file", "known_hosts")


class CommandStorage:
    """Files at the other end of a command runner.

    Names go there and come back as bytes between NULs, in base64 on the way back: a name may hold anything.
    """

    def __init__(self, settings: SiteSettings, runner: CommandRunner) -> None:
        self._site = settings.name
        self._runner = runner
        self.endpoint = Endpoint(site=settings.name, doors=_doors(settings), shell=runner)
        door = None if self.endpoint.local else self.endpoint.doors.get("ssh")
        self._agents = Agents(Side(site=settings.name, door=door))

    def connect(self) -> None:
        """The program that stays is there, or commands can be run where there can be none."""
        if not self._agents.begin():
            self._runner.run(("true",))

    def stat(self, path: str) -> FileStat | None:
        """The file's facts; None when there is none."""
        return self.stats([path]).get(path)

    def stats(self, paths: Sequence[str]) -> Mapping[str, FileStat]:
        """The facts of many files; one that is not there is absent from the answer."""
        found: dict[str, FileStat] = {}
        for some in _chunks(paths):
            if self._asks_agents(paths):
                with self._refusals(some):
                    found |= self._agents.stats(some)
            else:
                found |= self._facts(self._sh(STATS, "", stdin=_joined(some), path=some[0]))
        return found

    def survey(self, paths: Sequence[str]) -> Survey:
        """The same, and the room that is left where the first of them lies, or will lie."""
        some, rest = paths[:_AT_ONCE], paths[_AT_ONCE:]
        if self._asks_agents(paths):
            with self._refusals(some):
                found = self._agents.survey(some)
        else:
            answer = self._sh(STATS, some[0], stdin=_joined(some), path=some[0])
            found = Survey(facts=self._facts(answer), free_bytes=int(answer.stdout.partition("\n")[0]))
        return replace(found, facts={**found.facts, **self.stats(rest)}) if rest else found

    def digest(self, path: str) -> FileDigest:
        """The file's size and SHA-256, computed at the site."""
        answer = self._sh(DIGEST, path, path=path, timeout_s=_LONG_S)
        sha256, _, size = re.split(r"\s+", answer.stdout.strip())
        return FileDigest(size_bytes=int(size), sha256=sha256)

    def digests(self, paths: Sequence[str]) -> Mapping[str, FileDigest]:
        """The same of many files; one that is not there or cannot be read is absent from the answer."""
        found: dict[str, FileDigest] = {}
        for some in _chunks(paths):
            if self._asks_agents(paths):
                with self._refusals(some):
                    found |= self._agents.digests(some)
            else:
                found |= _digests(self._sh(DIGESTS, stdin=_joined(some), path=some[0], timeout_s=_LONG_S))
        return found

    def files_below(self, path: str) -> Sequence[str]:
        """Every regular file below a folder; links to folders are not followed."""
        answer = self._run(("/bin/sh", "-c", LIST, "sh", path), timeout_s=_LONG_S)
        if answer.exit_code == 3:
            raise NotFoundError(f"{self._site}: there is no {path}", site=self._site)
        if answer.exit_code or answer.stderr.strip():
            raise self._refused(answer, path)
        return sorted(_rows(answer.stdout))

    def read(self, path: str, *, limit_bytes: int | None = None) -> bytes:
        """The file's bytes, or its last `limit_bytes`. They travel as text: this is for small files."""
        end = ("cat", "--", path) if limit_bytes is None else ("tail", "-c", str(limit_bytes), "--", path)
        script = f"{shlex.join(end)} >/dev/null && {shlex.join(end)} | base64"
        return base64.b64decode(self._sh(script, path=path).stdout)

    def read_range(self, path: str, *, offset: int, size_bytes: int) -> bytes:
        """At most `size_bytes` of the file from `offset` on; they travel as text, too."""
        answer = self._sh(READ_RANGE, path, str(offset + 1), str(size_bytes), path=path)
        return base64.b64decode(answer.stdout)

    def write(self, path: str, content: bytes) -> None:
        """The file holds `content`, whole or not at all; missing folders are made."""
        self._sh(WRITE, path, path=path, stdin=base64.b64encode(content).decode())

    def rename(self, source: str, target: str) -> None:
        """The file has its new name at once."""
        self.rename_all([(source, target)])

    def rename_all(self, pairs: Sequence[tuple[str, str]]) -> None:
        """The same for many files, in one process at the site where it has Python or Perl."""
        self._pairwise("rename", RENAME, pairs)

    def copy_all(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Each target holds what its source does."""
        self._pairwise("copy", COPY, pairs)

    def remove(self, path: str) -> None:
        """The file or folder is gone."""
        self.remove_all([path])

    def remove_all(self, paths: Sequence[str]) -> None:
        """The same for many."""
        for path in paths:
            if PurePosixPath(path) in (PurePosixPath("/"), PurePosixPath()):
                raise SiteError(f"{self._site}: {path!r} is not removed, whoever asks", site=self._site)
        for some in _chunks(paths):
            if self._asks_agents(paths):
                with self._refusals(some):
                    self._agents.ask("remove", some)
                continue
            self._sh("exec xargs -0 -r rm -rf --", stdin=_joined(some), path=some[0], timeout_s=_LONG_S)

    def probe_room(self, path: str, *, size_bytes: int) -> None:
        """Reserves room and lets go of it. Where the file system cannot reserve, 64 MiB at most are really written."""
        self._sh(PROBE, path, str(size_bytes), path=path, timeout_s=_LONG_S)

    def _asks_agents(self, items: Sequence[object]) -> bool:
        """Whether the program that stays is asked: for a few files a command is quicker than to start it."""
        return bool(items) and (self._agents.there or len(items) >= _MANY) and self._agents.begin()

    def _facts(self, answer: CommandResult) -> dict[str, FileStat]:
        """What `stat` told of many files."""
        for line in answer.stderr.splitlines():
            if line.startswith("stat:"):  # what is only absent was left out
                raise SiteError(f"{self._site}: {line}", site=self._site)
        found: dict[str, FileStat] = {}
        for row in _rows(answer.stdout.partition("\n")[2]):
            size, blocks, block_bytes, modified, inode, path = row.split(" ", 5)
            found[path] = FileStat(
                size_bytes=int(size), modified_ns=_nanoseconds(modified), inode=int(inode),
                hole_bytes=max(0, int(size) - int(blocks) * int(block_bytes)),
            )  # fmt: skip
        return found

    @contextmanager
    def _refusals(self, paths: Sequence[str], *, pairwise: bool = False) -> Iterator[None]:
        """What the program that stays was refused, in our words. Of pairs the second need not be there."""
        try:
            yield
        except RefusedError as error:
            new = pairwise and error.number % 2 == 1
            raise self._failed(paths[error.number], str(error), error.code, new=new) from error

    def _pairwise(self, verb: str, script: str, pairs: Sequence[tuple[str, str]]) -> None:
        """Asks for something, or runs its script; a failure is told with the path of the pair that failed."""
        for some in _chunks(pairs):
            paths = [path for pair in some for path in pair]
            if self._asks_agents(pairs):
                with self._refusals(paths, pairwise=True):
                    self._agents.ask(verb, paths)
                continue
            stdin = _joined(paths)
            answer = self._run(("/bin/sh", "-c", script, "sh"), stdin=stdin, timeout_s=_LONG_S)
            if answer.exit_code != 0:
                failed = _FAILED_PAIR.search(answer.stderr)
                source, target = some[int(failed[1]) if failed else 0]
                raise self._refused(answer, source if any(word in answer.stderr for word in _ABSENT) else target)

    def _sh(self, script: str, *words: str, path: str, stdin: str = "", timeout_s: float = 60.0) -> CommandResult:
        """The answer of a script that worked; its failure in our words."""
        answer = self._run(("/bin/sh", "-c", script, "sh", *words), stdin=stdin, timeout_s=timeout_s)
        if answer.exit_code != 0:
            raise self._refused(answer, path)
        return answer

    def _run(self, argv: Argv, *, stdin: str = "", timeout_s: float = 60.0) -> CommandResult:
        # The tools' own words are read here, so they must speak one language.
        return self._runner.run(("env", "LC_ALL=C", *argv), stdin=stdin, timeout_s=timeout_s)

    def _refused(self, answer: CommandResult, path: str) -> NotFoundError | NoSpaceError | SiteError:
        return self._failed(path, answer.stderr, answer.exit_code)

    def _failed(
        self, path: str, words: str, code: int, *, new: bool = False
    ) -> NotFoundError | NoSpaceError | SiteError:
        """What a tool or the operating system said, in our words."""
        if any(word in words for word in _FULL):
            return no_room(self._site, f"no room left for {path}")
        if not new and any(word in words for word in (*_ABSENT, os.strerror(2))):
            return NotFoundError(f"{self._site}: there is no {path}", site=self._site)
        last = (words.strip().splitlines() or [f"exit code {code}"])[-1]
        return SiteError(f"{self._site}: {path}: {last}", site=self._site, exit_code=code)


def _doors(settings: SiteSettings) -> dict[str, Mapping[str, str]]:
    """The site's own, and the runner's: a site whose commands need no host runs them on this machine."""
    told = {name: str(settings.options[name]) for name in _ENDPOINT_OPTIONS if name in settings.options}
    if "host" in told:
        told.setdefault("control_path", str(login_socket(settings.options)))
    own: dict[str, Mapping[str, str]] = {"ssh": told} if "host" in told else {"file": {}}
    return own | dict(settings.doors)


def _nanoseconds(text: str) -> int:
    """`stat`'s seconds with a fraction."""
    seconds, _, fraction = text.partition(".")
    return int(seconds) * 10**9 + int(fraction.ljust(9, "0")[:9] or 0)


def _joined(paths: Iterable[str]) -> str:
    return "".join(f"{path}\0" for path in paths)


def _rows(text: str) -> list[str]:
    """What stood between the NULs of an answer in base64."""
    return [os.fsdecode(row) for row in base64.b64decode(text).split(b"\0") if row]


def _digests(answer: CommandResult) -> dict[str, FileDigest]:
    """What `sha256sum` and `stat` told of many files; some know but one of them."""
    hashes: dict[str, str] = {}
    sizes: dict[str, int] = {}
    for row in _rows(answer.stdout):
        if hashed := _DIGEST.fullmatch(row):
            hashes[hashed[2]] = hashed[1]
        else:
            size, path = row.split(" ", 1)
            sizes[path] = int(size)
    return {path: FileDigest(size_bytes=sizes[path], sha256=hashes[path]) for path in hashes.keys() & sizes.keys()}


def _chunks(items: Sequence[_T]) -> Iterator[Sequence[_T]]:
    for start in range(0, len(items), _AT_ONCE):
        yield items[start : start + _AT_ONCE]


ADAPTER = CommandStorage
