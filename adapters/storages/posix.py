"""A file system that this machine has mounted."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from metadata.errors import NoSpaceError, NotFoundError, SiteError
from orchestrator.ports import CommandRunner, SiteSettings
from staging.ports import Endpoint, FileDigest, FileStat

_FULL = {errno.ENOSPC, errno.EDQUOT}
_BLOCK_BYTES = 1 << 20


class PosixStorage:
    """Files below ordinary paths."""

    def __init__(self, settings: SiteSettings, runner: CommandRunner | None = None) -> None:
        """No command is needed here, so `runner` is not used."""
        del runner
        self.endpoint = Endpoint(site=settings.name, scheme="file")

    def stat(self, path: str) -> FileStat | None:
        """The file's facts; None when there is none."""
        with self._errors(path):
            try:
                facts = os.stat(path)
            except (FileNotFoundError, NotADirectoryError):
                return None
        return FileStat(size_bytes=facts.st_size, modified_ns=facts.st_mtime_ns, inode=facts.st_ino)

    def digest(self, path: str) -> FileDigest:
        """The file's size and SHA-256."""
        digest, size = hashlib.sha256(), 0
        with self._errors(path), open(path, "rb") as file:
            while block := file.read(_BLOCK_BYTES):
                digest.update(block)
                size += len(block)
        return FileDigest(size_bytes=size, sha256=digest.hexdigest())

    def files_below(self, path: str) -> Sequence[str]:
        """Every regular file below a folder; links to folders are not followed, so that no circle can trap it."""
        with self._errors(path):
            root = Path(path)
            if root.is_file():
                return [root.name]
            if not root.is_dir():
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
            found = [Path(folder, name) for folder, _, names in os.walk(root) for name in names]
            return sorted(str(file.relative_to(root)) for file in found if file.is_file())

    def read(self, path: str, *, limit_bytes: int | None = None) -> bytes:
        """The file's bytes, or its last `limit_bytes`."""
        with self._errors(path), open(path, "rb") as file:
            if limit_bytes is not None:
                file.seek(max(0, os.fstat(file.fileno()).st_size - limit_bytes))
            return file.read()

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
        with self._errors(source):
            os.makedirs(os.path.dirname(target), exist_ok=True)
            os.replace(source, target)

    def remove(self, path: str) -> None:
        """The file or folder is gone."""
        with self._errors(path):
            if os.path.isdir(path) and not os.path.islink(path):
                shutil.rmtree(path)
            else:
                Path(path).unlink(missing_ok=True)

    def free_bytes(self, path: str) -> int:
        """Room left for the user where `path` lies, or will lie."""
        place = Path(path)
        while not place.exists():
            place = place.parent
        with self._errors(path):
            facts = os.statvfs(place)
        return facts.f_bavail * facts.f_frsize

    @contextmanager
    def _errors(self, path: str) -> Iterator[None]:
        """The operating system's errors in our words."""
        site = self.endpoint.site
        try:
            yield
        except FileNotFoundError as error:
            raise NotFoundError(f"{site}: there is no {path}", site=site) from error
        except OSError as error:
            if error.errno in _FULL:
                message = (
                    f"{site}: no room left for {path} ({error.strerror}); free some space there, then: convoy retry"
                )
                raise NoSpaceError(message, site=site) from error
            raise SiteError(f"{site}: {error.strerror}: {path}", site=site) from error


ADAPTER = PosixStorage
