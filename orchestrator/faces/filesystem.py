"""The catalogue as a file system for Python: `fsspec.open("convoy://camelyon17/patient_004.tif")`. Read-only.

Bytes are read where they are wanted, from the nearest copy, so that tifffile, h5py or zarr open a file of many
gigabytes at another centre and fetch only what they look at. A program that needs a path of its own (OpenSlide) takes
`filecache::convoy://...`, which fetches the whole file, verified, once.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fsspec.spec import AbstractBufferedFile, AbstractFileSystem

from metadata.errors import InvalidInputError, MiddlewareError, NotFoundError, PolicyError
from orchestrator import operations
from orchestrator.settings import find_settings

_BLOCK_BYTES = 256 << 10
"""What is asked for at once: a question to another centre costs tens of milliseconds, however little it brings."""


class ConvoyFileSystem(AbstractFileSystem):  # type: ignore[misc]
    """The datasets of one home. Each is a folder.

    Args:
        home: The home; without it CONVOY_HOME, or the nearest `.convoy`.
        sites: The site file.
        database: A database URL.
        options: fsspec's own.
    """

    protocol = "convoy"
    root_marker = ""

    def __init__(
        self, home: str | None = None, sites: str | None = None, database: str | None = None, **options: Any
    ) -> None:
        super().__init__(**options)
        settings = find_settings(
            home=Path(home) if home else None, sites_file=Path(sites) if sites else None, database_url=database
        )
        self._workspace = operations.Workspace(settings)

    def close(self) -> None:
        """Lets go of the database."""
        self._workspace.__exit__()

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        """The datasets, or what lies in one or in a folder of it. Raises FileNotFoundError."""
        name = self._strip_protocol(path)
        with _python_errors(path):
            rows = self._entries(name) if name else self._datasets()
        return rows if detail else [row["name"] for row in rows]

    def _datasets(self) -> list[dict[str, Any]]:
        return [_row(row.name, "folder", row.size_bytes) for row in operations.list_data(self._workspace)]

    def _entries(self, name: str) -> list[dict[str, Any]]:
        own = operations.stat_data(self._workspace, f"dataset://{name}")
        if own.type == "file":
            return [_row(name, own.type, own.size_bytes, sha256=own.sha256)]
        return [
            _row(f"{name}/{entry.name}".rstrip("/"), entry.type, entry.size_bytes, sha256=entry.sha256)
            for entry in operations.list_folder(self._workspace, f"dataset://{name}")
        ]

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        """What is known of a dataset, folder or file. Raises FileNotFoundError."""
        name = self._strip_protocol(path)
        if not name:
            return _row("", "folder", 0)
        with _python_errors(path):
            own = operations.stat_data(self._workspace, f"dataset://{name}")
        return _row(name, own.type, own.size_bytes, sha256=own.sha256)

    def find(
        self, path: str, maxdepth: int | None = None, withdirs: bool = False, detail: bool = False, **more: Any
    ) -> Any:
        """Every file below a path: one question, where fsspec would ask for each folder."""
        name = self._strip_protocol(path)
        if not name or maxdepth is not None or withdirs:
            return super().find(path, maxdepth=maxdepth, withdirs=withdirs, detail=detail, **more)
        with _python_errors(path):
            rows = self._below(name) if self.exists(name) else []
        return {row["name"]: row for row in rows} if detail else [row["name"] for row in rows]

    def _below(self, name: str) -> list[dict[str, Any]]:
        if self.isfile(name):
            return [self.info(name)]
        return [
            _row(f"{name}/{entry.name}", entry.type, entry.size_bytes, sha256=entry.sha256)
            for entry in operations.list_folder(self._workspace, f"dataset://{name}", recursive=True)
        ]

    def checksum(self, path: str) -> str:
        """The file's SHA-256; the same for another copy, and never another for the same name."""
        return str(self.info(path).get("sha256", ""))

    def ukey(self, path: str) -> str:
        """What tells this content from others."""
        return self.checksum(path)

    def get_file(self, rpath: str, lpath: str, **_: Any) -> None:
        """The whole file lies at `lpath`, brought by the best mover and verified."""
        if self.isdir(rpath):
            Path(lpath).mkdir(parents=True, exist_ok=True)
            return
        with _python_errors(rpath):
            operations.open_data(self._workspace, f"dataset://{self._strip_protocol(rpath)}").fetch(Path(lpath))

    def _open(
        self, path: str, mode: str = "rb", block_size: int | None = None, cache_options: Any = None, **more: Any
    ) -> ConvoyFile:
        if mode != "rb":
            raise PermissionError(f"{path}: convoy:// is read-only; add files with: convoy data put")
        with _python_errors(path):
            reader = operations.open_data(self._workspace, f"dataset://{path}")
        # Slides and tables are read here and there: what was fetched stays for a while, instead of one window only.
        options = {"cache_type": "blockcache", **more}
        options.pop("autocommit", None)
        return ConvoyFile(
            self,
            path,
            reader=reader,
            block_size=block_size or _BLOCK_BYTES,
            cache_options=cache_options,
            size=reader.file.size_bytes,
            **options,
        )


class ConvoyFile(AbstractBufferedFile):  # type: ignore[misc]
    """A file of a dataset, open for reading."""

    def __init__(self, *where: Any, reader: operations.Reader, **options: Any) -> None:
        self._reader = reader
        super().__init__(*where, mode="rb", **options)

    @property
    def site(self) -> str:
        """The site that the next bytes are asked from."""
        return self._reader.site

    def _fetch_range(self, start: int, end: int) -> bytes:
        with _python_errors(self.path):
            return self._reader.read_range(offset=start, size_bytes=end - start)


def _row(name: str, kind: str, size_bytes: int, *, sha256: str = "") -> dict[str, Any]:
    row = {"name": name, "type": "directory" if kind == "folder" else "file", "size": size_bytes}
    return {**row, "sha256": sha256} if sha256 else row


@contextmanager
def _python_errors(path: str) -> Iterator[None]:
    """Convoy's errors as those that Python's file functions raise."""
    try:
        yield
    except (NotFoundError, InvalidInputError) as error:
        raise FileNotFoundError(f"{path}: {error.message}") from error
    except PolicyError as error:
        raise PermissionError(error.message) from error
    except MiddlewareError as error:
        raise OSError(error.message) from error
