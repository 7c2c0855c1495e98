"""What an engine works with: the journal, the catalogue, and the sites with their adapters."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from sqlalchemy import Table

from metadata.catalogue import Catalogue
from metadata.claims import Claims
from metadata.journal import Journal
from metadata.tables import ATTEMPTS, STEPS, TASKS, TRANSFERS
from orchestrator.registry import OpenSite
from orchestrator.settings import Webhook
from staging.ports import Mover, Storage
from staging.routes import Routes


@dataclass(kw_only=True)
class Context:
    """Everything outside the run itself."""

    journal: Journal
    catalogue: Catalogue
    sites: Mapping[str, OpenSite]
    """The sites where the run's steps run."""
    storages: Mapping[str, Storage]
    """Every place that data can come from or go to."""
    movers: Mapping[str, Mover]
    routes: Routes
    """The ways between them."""
    claims: Claims
    """Who writes what at the sites just now."""
    webhook: Webhook | None = None
    """Who else is told what ended."""
    numbers: dict[Table, Iterator[int]] = field(default_factory=dict)
    """The next ids. Only the engine that holds the lease adds such rows, so it may number them itself."""

    def __post_init__(self) -> None:
        last = self.journal.last_ids()
        self.numbers = {table: itertools.count(last[table] + 1) for table in (STEPS, TASKS, ATTEMPTS, TRANSFERS)}
