"""What the catalogue takes and gives: plain values that need no database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from metadata.policy import ANYWHERE, Policy

AttributeValue = float | int | str | list[float | int | str]
"""A number, a text, or a list of both."""


@dataclass(frozen=True, kw_only=True)
class NewFile:
    """A file that shall be known."""

    path: str
    """Relative to its dataset, with `/` between its parts."""
    size_bytes: int
    sha256: str
    """64 lower-case hexadecimal digits."""
    media_type: str = ""
    policy: Policy | None = None
    """What it inherits from the inputs that it was made of; its dataset's policy is added to it."""


@dataclass(frozen=True, kw_only=True)
class FileRecord:
    """A file of a dataset."""

    dataset: str
    path: str
    size_bytes: int
    sha256: str
    media_type: str = ""
    policy: Policy = ANYWHERE
    """Its own policy and its dataset's together. Decide on moves by `Catalogue.policies`, which goes by content."""


@dataclass(frozen=True, kw_only=True)
class DatasetRecord:
    """A named collection of files."""

    name: str
    description: str = ""
    policy: Policy = ANYWHERE
    attributes: Mapping[str, AttributeValue] = field(default_factory=dict)
    file_count: int = 0
    size_bytes: int = 0
    """Of all its files."""
    created_at: float
    """Seconds since the epoch, UTC."""


@dataclass(frozen=True, kw_only=True)
class ReplicaRecord:
    """Some content that lies at a site."""

    sha256: str
    size_bytes: int
    site: str
    path: str
    """Absolute, as the site sees it."""
    modified_ns: int | None = None
    """The file's time when it was hashed, in nanoseconds since the epoch."""
    inode: int | None = None
    """The file's number at its site then."""
    verified_at: float
    """When the content was last found to be right; seconds since the epoch, UTC."""


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """What one transfer told about the link between two sites."""

    source_site: str
    destination_site: str
    mover: str
    size_bytes: int
    """Bytes that travelled."""
    seconds: float
    """Until all was verified."""
    direction: str = ""
    streams: int = 1
    files: int = 1
    measured_at: float
    """Seconds since the epoch, UTC."""


@dataclass(frozen=True, kw_only=True)
class PinRecord:
    """A dataset, or one of its files, whose copies nobody may take away."""

    dataset: str
    path: str = ""
    """Empty for the whole dataset."""
    site: str = ""
    """The one site where that holds; empty for all."""
    created_at: float
    """Seconds since the epoch, UTC."""


@dataclass(frozen=True, kw_only=True)
class RuleRecord:
    """What shall hold for the copies of some files."""

    id: int
    target: str
    """A pattern for datasets, and behind a slash one for the files in them, as `camelyon*` or `study/train/**`."""
    copies: int | None = None
    """At so many sites at least."""
    at: tuple[str, ...] = ()
    """Names or labels of sites, each of which asks for one of the copies."""
    keep_s: float | None = None
    """A copy that nobody used for so long may be taken away."""
    site: str = ""
    """The name or label of the sites where `keep_s` holds; empty for all."""
    created_at: float = 0.0
    """Seconds since the epoch, UTC."""


@dataclass(frozen=True, kw_only=True)
class QueueWait:
    """How long jobs wait at a site before the first of them starts."""

    seconds: float
    """The median over earlier steps."""
    steps: int
    """How many steps this rests on."""
