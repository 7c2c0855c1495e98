"""Where data is: a path at a site, or a name in the catalogue. Pure."""

from __future__ import annotations

import hashlib
import posixpath
import re
from dataclasses import dataclass
from pathlib import PurePosixPath

from metadata.errors import InvalidInputError

DATASET_SCHEME = "dataset://"
PARTIALS = "partial"
PARTIAL_SUFFIX = ".part"
_PARTIAL_PREFIX = ".convoy-"
SITE_SCHEME = "site://"
_AT_SITE = re.compile(r"([A-Za-z0-9][\w.-]*):(|/.*)", re.DOTALL)
"""`agh:` and `agh:/path`, as people know it from scp."""


@dataclass(frozen=True, kw_only=True, order=True)
class Location:
    """A path at a site."""

    site: str
    path: str
    """Absolute, as the site sees it."""

    def __str__(self) -> str:
        return f"site://{self.site}{self.path}"


@dataclass(frozen=True, kw_only=True, order=True)
class DatasetName:
    """A dataset, or one file in it: `dataset://camelyon17/patient_004_node_4.tif`."""

    dataset: str
    path: str = ""
    """Relative to the dataset; empty for the whole dataset."""

    def __str__(self) -> str:
        return f"{DATASET_SCHEME}{self.dataset}/{self.path}".rstrip("/")


@dataclass(frozen=True, kw_only=True, order=True)
class Store:
    """The folder of a site where content lies by its hash, written `agh:`."""

    site: str

    def __str__(self) -> str:
        return f"{self.site}:"


Place = DatasetName | Location | Store
"""Whatever people may name as a source or destination of data."""


def store_path(workdir: PurePosixPath, sha256: str) -> str:
    """Where a site keeps content that was brought there: by its hash, so that equal content lies there once."""
    return f"{workdir}/data/{sha256[:2]}/{sha256}"


def partial_path(path: str, sha256: str) -> str:
    """Where content is gathered before it lies at `path`: on the same file system, so that it can be renamed.

    In a site's store all partial files lie in one folder, each under its hash; elsewhere beside the file.
    """
    in_store = f"/data/{sha256[:2]}/{sha256}"
    if path.endswith(in_store):
        return f"{path.removesuffix(in_store)}/data/{PARTIALS}/{sha256}"
    # The name is short, whatever the file's own length is, and another for other content.
    own = hashlib.sha256(f"{path}\0{sha256}".encode("utf-8", "surrogateescape")).hexdigest()[:16]
    return str(PurePosixPath(path).with_name(f"{_PARTIAL_PREFIX}{own}{PARTIAL_SUFFIX}"))


def is_partial(name: str) -> bool:
    """Whether content is gathered in files of such a name, beside the file that it will be.

    >>> is_partial(PurePosixPath(partial_path("/data/a.tif", 64 * "0")).name), is_partial(".zarray")
    (True, False)
    """
    return name.startswith(_PARTIAL_PREFIX) and name.endswith(PARTIAL_SUFFIX)


def partials_folder(workdir: PurePosixPath) -> PurePosixPath:
    """The folder of a site's partial files."""
    return workdir / "data" / PARTIALS


def parse_dataset(text: str) -> DatasetName:
    """The dataset name in `text`. Raises InvalidInputError for anything that leaves the dataset.

    >>> parse_dataset("dataset://camelyon17/a/b.tif").path
    'a/b.tif'
    """
    if not text.startswith(DATASET_SCHEME):
        raise InvalidInputError(f"{text!r} is not a dataset name; write dataset://name or dataset://name/path")
    dataset, _, path = text.removeprefix(DATASET_SCHEME).partition("/")
    if not dataset:
        raise InvalidInputError(f"{text!r} names no dataset; write dataset://name or dataset://name/path")
    if path and (posixpath.isabs(path) or ".." in path.split("/")):
        raise InvalidInputError(f"{text!r} leaves its dataset; only relative paths without '..' are allowed")
    return DatasetName(dataset=dataset, path=path)


def is_dataset(text: str) -> bool:
    """True when `text` is written as a dataset name."""
    return text.startswith(DATASET_SCHEME)


def parse_place(text: str) -> Place:
    """What `text` means: `site://agh/path`, `agh:/path`, `agh:`, or else a name in the catalogue.

    Raises InvalidInputError.

    >>> parse_place("agh:"), str(parse_place("agh:/scratch/x")), str(parse_place("camelyon17/a.tif"))
    (Store(site='agh'), 'site://agh/scratch/x', 'dataset://camelyon17/a.tif')
    """
    if text.startswith(SITE_SCHEME):
        site, slash, path = text.removeprefix(SITE_SCHEME).partition("/")
        if not site or not slash:
            raise InvalidInputError(f"{text!r} names no path at a site; write site://agh/path, or agh: for its store")
        return _location(site, "/" + path)
    if match := None if is_dataset(text) else _AT_SITE.fullmatch(text):
        return _location(match[1], match[2]) if match[2] else Store(site=match[1])
    return parse_name(text)


def parse_name(text: str) -> DatasetName:
    """The dataset name; the scheme may be left out where nothing else can be meant. Raises InvalidInputError."""
    return parse_dataset(text if is_dataset(text) else DATASET_SCHEME + text)


def _location(site: str, path: str) -> Location:
    if ".." in path.split("/"):
        raise InvalidInputError(f"site://{site}{path}: write the path without '..'")
    return Location(site=site, path=path)
