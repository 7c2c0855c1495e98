"""A file system that this machine has mounted."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from adapters.storages._agent.program import blames, duplicate, free_bytes
from metadata.errors import MiddlewareError, NotFoundError, SiteError, no_room
from orchestrator.ports import CommandRunner, SiteSettings
from staging.ports import Endpoint, FileDigest, FileStat, Survey

if TYPE_CHECKING:
    from adapters.storages._agent.agents import Agents

_FULL = {errno.ENOSPC, errno.EDQUOT}
_BLOCK_BYTES = 1 << 20
_MANY = 100
"""So many files are hashed by a process beside this one: here, each would wait for whatever else Python does."""


class PosixStorage:
    """Files below ordinary paths."""

    def __init__(self, settings: SiteSettings, runner: CommandRunner | None = None) -> None:
        """No command is needed here; `runner` is the shell that others may use."""
        self.endpoint = Endpoint(site=settings.name, doors={"file": {}, **settings.doors}, shell=runner)

    @cached_property
    def _agents(self) -> Agents:
        """Most runs ask of no such number of files, and load nothing for it."""
        from adapters._openssh.sides import Side  # noqa: PLC0415
        from adapters.storages._agent.agents import Agents  # noqa: PLC0415

        return Agents(Side(site=self.endpoint.site, door=None))

    def stat(self, path: str) -> FileStat | None:
        """The file's facts; None when there is none."""
        try:
            facts = os.stat(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise self._refused(path, error) from error
        holes = max(0, facts.st_size - facts.st_blocks * 512)
        return FileStat(size_bytes=facts.st_size, modified_ns=facts.st_mtime_ns, inode=facts.st_ino, hole_bytes=holes)

    def stats(self, paths: Sequence[str]) -> Mapping[str, FileStat]:
        """The facts of many files; one that is not there is absent from the answer."""
        return {path: facts for path in paths if (facts := self.stat(path))}

    def digest(self, path: str) -> FileDigest:
        """The file's size and SHA-256."""
        digest, size = hashlib.sha256(), 0
        with self._errors(path), open(path, "rb") as file:
            while block := file.read(_BLOCK_BYTES):
                digest.update(block)
                size += len(block)
        return FileDigest(size_bytes=size, sha256=digest.hexdigest())

    def digests(self, paths: Sequence[str]) -> Mapping[str, FileDigest]:
        """The same of many files; one that is not there or cannot be read is absent from the answer."""
        if len(paths) >= _MANY and self._agents.begin():
            return self._agents.digests(paths)
        found = {}
        for path in paths:
            with suppress(NotFoundError, SiteError):
                found[path] = self.digest(path)
        return found

    def files_below(self, path: str) -> Sequence[str]:
        """Every regular file below a folder; links to folders are not followed, so that no circle can trap it."""
        with self._errors(path):
            root = Path(path)
            if root.is_file():
                return [root.name]
            if not root.is_dir():
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
            found = [Path(folder, name) for folder, _, names in os.walk(root, onerror=self._unlisted) for name in names]
            return sorted(str(file.relative_to(root)) for file in found if file.is_file())

    def read(self, path: str, *, limit_bytes: int | None = None) -> bytes:
        """The file's bytes, or its last `limit_bytes`."""
        with self._errors(path), open(path, "rb") as file:
            if limit_bytes is not None:
                file.seek(max(0, os.fstat(file.fileno()).st_size - limit_bytes))
            return file.read()

    def read_range(self, path: str, *, offset: int, size_bytes: int) -> bytes:
        """At most `size_bytes` of the file from `offset` on."""
        with self._errors(path), open(path, "rb") as file:
            file.seek(offset)
            return file.read(size_bytes)

    def write(self, path: str, content: bytes) -> None:
        """The file holds `content`, whole or not at all."""
        with self._errors(path):
            os.makedirs(os.path.dirname(path), exist_ok=True)
            partial = f"{path}.part-{os.getpid()}"
            try:
                Path(partial).write_bytes(content)
                os.replace(partial, path)
            except OSError:
                Path(partial).unlink(missing_ok=True)
                raise

    def rename(self, source: str, target: str) -> None:
        """The file has its new name at once."""
        with self._errors(source, target):
            os.makedirs(os.path.dirname(target), exist_ok=True)
            os.replace(source, target)

    def rename_all(self, pairs: Sequence[tuple[str, str]]) -> None:
        """The same for many files."""
        for source, target in pairs:
            self.rename(source, target)

    def copy_all(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Each target holds what its source does; the kernel copies, and shares blocks where it can."""
        for source, target in pairs:
            with self._errors(source, target):
                os.makedirs(os.path.dirname(target), exist_ok=True)
                duplicate(source, target)

    def remove(self, path: str) -> None:
        """The file or folder is gone."""
        with self._errors(path):
            if os.path.isdir(path) and not os.path.islink(path):
                shutil.rmtree(path)
            else:
                Path(path).unlink(missing_ok=True)

    def remove_all(self, paths: Sequence[str]) -> None:
        """The same for many."""
        for path in paths:
            self.remove(path)

    def survey(self, paths: Sequence[str]) -> Survey:
        """The same, and the room that is left where the first of them lies, or will lie."""
        facts = self.stats(paths)
        with self._errors(paths[0]):
            return Survey(facts=facts, free_bytes=free_bytes(paths[0]))

    def probe_room(self, path: str, *, size_bytes: int) -> None:
        """Reserves `size_bytes` in a file beside `path` and lets go of them."""
        with self._errors(path):
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with tempfile.TemporaryFile(dir=os.path.dirname(path)) as room:
                os.posix_fallocate(room.fileno(), 0, size_bytes)

    @contextmanager
    def _errors(self, path: str, target: str = "") -> Iterator[None]:
        """The operating system's errors in our words, with the path that they are about."""
        try:
            yield
        except OSError as error:
            raise self._refused(target if target and not blames(error, path) else path, error) from error

    def _unlisted(self, error: OSError) -> None:
        """Of a folder that one may not look into, nobody would know what was left out."""
        if isinstance(error, FileNotFoundError):
            return
        raise self._refused(str(error.filename), error) from error

    def _refused(self, path: str, error: OSError) -> MiddlewareError:
        site = self.endpoint.site
        if isinstance(error, FileNotFoundError):
            return NotFoundError(f"{site}: there is no {path}", site=site)
        if error.errno in _FULL:
            return no_room(site, f"no room left for {path} ({error.strerror})")
        return SiteError(f"{site}: {error.strerror}: {path}", site=site)


ADAPTER = PosixStorage
