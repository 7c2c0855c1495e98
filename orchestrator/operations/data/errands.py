"""What shall be brought to places, and what became of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from metadata.errors import MiddlewareError, NotFoundError
from metadata.policy import Policy
from metadata.records import ReplicaRecord
from orchestrator.operations.workspace import Workspace
from staging.locations import Location, store_path
from staging.orders import Arrival, Order, Outcome
from staging.ports import FileDigest

FileProgress = Callable[[str, int, int], None]
"""(what is on its way or read, bytes done, how many in all)"""


@dataclass(frozen=True, kw_only=True, eq=False)
class Errand:
    """Some content that shall lie at a place."""

    name: str
    """For people."""
    content: FileDigest
    copies: tuple[ReplicaRecord, ...]
    """Where it may be taken from."""
    destination: Location
    policy: Policy

    def order(self, source: ReplicaRecord) -> Order:
        """What a carrier is told."""
        return Order(
            name=self.name, content=self.content, source=Location(site=source.site, path=source.path),
            destination=self.destination, policy=self.policy,
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Cargo:
    """All errands of one call together, known before each of them is."""

    name: str
    """For people."""
    files: int
    size_bytes: int


def cargo_of(errands: Sequence[Errand]) -> Cargo:
    """At least one errand."""
    size_bytes = sum(errand.content.size_bytes for errand in errands)
    return Cargo(name=called(errands[0].name, files=len(errands)), files=len(errands), size_bytes=size_bytes)


def called(first: str, *, files: int) -> str:
    """What people call so many files together."""
    return first if files == 1 else f"{first} with {files - 1} more"


@dataclass(frozen=True, kw_only=True)
class Carried:
    """What became of an errand."""

    name: str
    site: str
    path: str
    size_bytes: int
    bytes_moved: int = 0
    """Bytes that travelled: none when the content was there already."""
    source: str = ""
    """The site that it came from."""
    error: MiddlewareError | None = None

    @property
    def good(self) -> bool:
        """Whether the content lies at its destination, verified."""
        return self.error is None


def stuck(errand: Errand) -> Carried:
    """It can be taken from nowhere."""
    error = NotFoundError(f"{errand.name} lies at no site that is known; see: convoy data show {errand.name}")
    return Carried(
        name=errand.name, site=errand.destination.site, path=errand.destination.path,
        size_bytes=errand.content.size_bytes, error=error,
    )  # fmt: skip


def told(order: Order, outcome: Outcome) -> Carried:
    """What the carrier made of it."""
    moved, error = (outcome.bytes_moved, None) if isinstance(outcome, Arrival) else (0, outcome)
    return Carried(
        name=order.name, site=order.destination.site, path=order.destination.path,
        size_bytes=order.content.size_bytes, source=order.source.site, bytes_moved=moved, error=error,
    )  # fmt: skip


def replica_of(order: Order, arrival: Arrival) -> ReplicaRecord:
    """What the catalogue shall know of it."""
    return ReplicaRecord(
        sha256=order.content.sha256, size_bytes=order.content.size_bytes, site=order.destination.site,
        path=order.destination.path, modified_ns=arrival.facts.modified_ns, inode=arrival.facts.inode,
        verified_at=time.time(),
    )  # fmt: skip


def raise_first(carried: Iterable[Carried]) -> None:
    """Raises the first error; returns when there is none."""
    for row in carried:
        if row.error is not None:
            raise row.error


def store_at(workspace: Workspace, site: str, sha256: str) -> Location:
    """Where a site keeps content by its hash. Raises NotFoundError."""
    return Location(site=site, path=store_path(workspace.workdir(site), sha256))
