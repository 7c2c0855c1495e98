"""A file system as a transfer sees it: here, or there behind SFTP.

Paths are texts in which undecodable bytes are kept; SFTP gets them as bytes. Methods raise OSError, EOFError or
SSHException.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from paramiko import SFTPClient

from adapters.movers.sftp.reading import ReadAhead

_BLOCK_BYTES = 1 << 18


class Place(Protocol):
    """What both can do."""

    @property
    def site(self) -> str:
        """Its name."""

    @property
    def here(self) -> bool:
        """Whether what is written there can be read again at no cost."""

    def mode_and_size(self, path: str) -> tuple[int, int] | None:
        """Of the file; None when there is none."""

    def make_folder(self, path: str) -> None:
        """It and all above it exist, or the file in it cannot be opened."""

    def open(self, path: str, mode: str) -> Any:
        """The file; `rb`, `wb` or `r+b`."""

    def blocks(self, file: Any, begin: int, end: int) -> Iterator[bytes]:
        """What the file holds from `begin` on; it ends early where the file does."""

    def write(self, file: Any, block: bytes) -> None:
        """All of it is written, or on its way."""

    def remove(self, path: str) -> None:
        """The file is gone."""


@dataclass(frozen=True, kw_only=True)
class Here:
    """This machine."""

    site: str
    here: bool = True

    def mode_and_size(self, path: str) -> tuple[int, int] | None:
        """Of the file; None when there is none."""
        with suppress(FileNotFoundError):
            facts = Path(path).stat()
            return facts.st_mode, facts.st_size
        return None

    def make_folder(self, path: str) -> None:
        """It and all above it exist."""
        Path(path).mkdir(parents=True, exist_ok=True)

    def open(self, path: str, mode: str) -> Any:
        """The file, without a buffer."""
        return Path(path).open(mode, buffering=0)

    def blocks(self, file: Any, begin: int, end: int) -> Iterator[bytes]:
        """What the file holds from `begin` on."""
        file.seek(begin)
        while begin < end and (block := file.read(min(_BLOCK_BYTES, end - begin))):
            yield block
            begin += len(block)

    def write(self, file: Any, block: bytes) -> None:
        """All of it is written."""
        rest = memoryview(block)
        while rest:
            rest = rest[file.write(rest) :]

    def remove(self, path: str) -> None:
        """The file is gone."""
        Path(path).unlink(missing_ok=True)


@dataclass(frozen=True, kw_only=True)
class There:
    """A site."""

    site: str
    session: SFTPClient
    here: bool = False

    def mode_and_size(self, path: str) -> tuple[int, int] | None:
        """Of the file; None when there is none."""
        with suppress(FileNotFoundError):
            facts = self.session.stat(os.fsencode(path))
            return facts.st_mode or 0, facts.st_size or 0
        return None

    def make_folder(self, path: str) -> None:
        """It and all above it exist, or the file in it cannot be opened."""
        if self.mode_and_size(path) is None:
            self.make_folder(str(Path(path).parent))
            with suppress(OSError):  # another transfer may have made it meanwhile
                self.session.mkdir(os.fsencode(path))

    def open(self, path: str, mode: str) -> Any:
        """The file; answers to writes are not waited for."""
        file = self.session.open(os.fsencode(path), mode)
        file.set_pipelined(mode != "rb")
        return file

    def blocks(self, file: Any, begin: int, end: int) -> Iterator[bytes]:
        """What the file holds from `begin` on."""
        return ReadAhead(self.session, file).blocks(begin, end)

    def write(self, file: Any, block: bytes) -> None:
        """All of it is on its way."""
        file.write(block)

    def remove(self, path: str) -> None:
        """The file is gone."""
        with suppress(FileNotFoundError):
            self.session.remove(os.fsencode(path))
