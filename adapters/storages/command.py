"""The file system of a site that is reached by commands: GNU tools do the work there."""

from __future__ import annotations

import base64
import os
import re
import shlex
from collections.abc import Sequence
from pathlib import PurePosixPath

from metadata.errors import NoSpaceError, NotFoundError, SiteError
from orchestrator.ports import Argv, CommandResult, CommandRunner, SiteSettings
from staging.ports import Endpoint, FileDigest, FileStat

_DIGEST_S = 24 * 3600.0
_ABSENT = ("No such file", "cannot stat", "Not a directory")
_FULL = ("No space left", "Disk quota exceeded")
_ENDPOINT_OPTIONS = ("host", "user", "port", "identity_file", "config_file", "known_hosts")

_LIST = """\
[ -d "$1" ] || { [ -f "$1" ] && exec basename -z -- "$1"; exit 1; }
exec find "$1" '(' -type f -o -type l -xtype f ')' -printf '%P\\0'"""
_WRITE = """\
mkdir -p -- "$(dirname -- "$1")" && base64 -d >"$1.part" && mv -fT -- "$1.part" "$1" && exit 0
rm -f -- "$1.part"
exit 1"""


class CommandStorage:
    """Files at the other end of a command runner."""

    def __init__(self, settings: SiteSettings, runner: CommandRunner) -> None:
        self._site = settings.name
        self._runner = runner
        told = {name: str(settings.options[name]) for name in _ENDPOINT_OPTIONS if name in settings.options}
        self.endpoint = Endpoint(site=settings.name, scheme="ssh", options=told)

    def stat(self, path: str) -> FileStat | None:
        """The file's facts; None when there is none."""
        answer = self._runner.run(("stat", "-L", "-c", "%s %.9Y %i", "--", path))
        if answer.exit_code != 0:
            if any(word in answer.stderr for word in _ABSENT):
                return None
            raise self._refused(answer, path)
        size, modified, inode = answer.stdout.split()
        seconds, _, nanoseconds = modified.partition(".")
        modified_ns = int(seconds) * 10**9 + int(nanoseconds.ljust(9, "0")[:9] or 0)
        return FileStat(size_bytes=int(size), modified_ns=modified_ns, inode=int(inode))

    def digest(self, path: str) -> FileDigest:
        """The file's size and SHA-256, computed at the site."""
        script = 'sha256sum -b <"$1" && wc -c <"$1"'
        answer = self._done(("/bin/sh", "-c", script, "sh", path), path, timeout_s=_DIGEST_S)
        sha256, _, size = re.split(r"\s+", answer.stdout.strip())
        return FileDigest(size_bytes=int(size), sha256=sha256)

    def files_below(self, path: str) -> Sequence[str]:
        """Every regular file below a folder; links to folders are not followed."""
        answer = self._runner.run(("/bin/sh", "-c", _LIST, "sh", path))
        if answer.exit_code != 0:
            raise NotFoundError(f"{self._site}: there is no {path}", site=self._site)
        return sorted(name for name in answer.stdout.split("\0") if name)

    def read(self, path: str, *, limit_bytes: int | None = None) -> bytes:
        """The file's bytes, or its last `limit_bytes`. They travel as text: this is for small files."""
        end = ("cat", "--", path) if limit_bytes is None else ("tail", "-c", str(limit_bytes), "--", path)
        answer = self._done(("/bin/sh", "-c", f"{shlex.join(end)} >/dev/null && {shlex.join(end)} | base64"), path)
        return base64.b64decode(answer.stdout)

    def write(self, path: str, content: bytes) -> None:
        """The file holds `content`, whole or not at all; missing folders are made."""
        text = base64.b64encode(content).decode()
        self._done(("/bin/sh", "-c", _WRITE, "sh", path), path, stdin=text)

    def rename(self, source: str, target: str) -> None:
        """The file has its new name at once."""
        script = 'mkdir -p -- "$(dirname -- "$2")" && mv -fT -- "$1" "$2"'
        self._done(("/bin/sh", "-c", script, "sh", source, target), source)

    def remove(self, path: str) -> None:
        """The file or folder is gone."""
        if PurePosixPath(path) in (PurePosixPath("/"), PurePosixPath()):
            raise SiteError(f"{self._site}: {path!r} is not removed, whoever asks", site=self._site)
        self._done(("rm", "-rf", "--", path), path)

    def free_bytes(self, path: str) -> int:
        """Room left for the user where `path` lies, or will lie."""
        script = 'p=$1; while [ ! -e "$p" ]; do p=$(dirname -- "$p"); done; df -PB1 -- "$p" | tail -n 1'
        answer = self._done(("/bin/sh", "-c", script, "sh", path), path)
        return int(answer.stdout.split()[3])

    def _done(self, argv: Argv, path: str, *, stdin: str = "", timeout_s: float = 60.0) -> CommandResult:
        """The answer of a command that worked; its failure in our words."""
        answer = self._runner.run(argv, stdin=stdin, timeout_s=timeout_s)
        if answer.exit_code != 0:
            raise self._refused(answer, path)
        return answer

    def _refused(self, answer: CommandResult, path: str) -> NotFoundError | NoSpaceError | SiteError:
        words = answer.stderr.strip().splitlines()[-1:] or [f"exit code {answer.exit_code}"]
        if any(word in answer.stderr for word in _FULL):
            message = f"{self._site}: no room left for {path}; free some space there, then: convoy retry"
            return NoSpaceError(message, site=self._site)
        if any(word in answer.stderr for word in (*_ABSENT, os.strerror(2))):
            return NotFoundError(f"{self._site}: there is no {path}", site=self._site)
        return SiteError(f"{self._site}: {path}: {words[0]}", site=self._site, exit_code=answer.exit_code)


ADAPTER = CommandStorage
