"""What an engine works with: the journal, the catalogue, and the sites with their adapters."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from metadata.journal import ATTEMPTS, STEPS, TASKS, TRANSFERS, Journal
from metadata.outbox import Outbox
from orchestrator.registry import OpenSite
from orchestrator.settings import Webhook
from staging.ports import Storage

if TYPE_CHECKING:
    from metadata.catalogue import Catalogue
    from staging.routes import Routes
    from staging.transfers import Carrier


class Stock(Protocol):
    """What is known of data and what moves them, opened when it is first asked for."""

    @property
    def catalogue(self) -> Catalogue:
        """The catalogue."""

    @property
    def carrier(self) -> Carrier:
        """What brings content from one place to another; another one each time."""


@dataclass(kw_only=True)
class Context:
    """Everything outside the run itself."""

    journal: Journal
    stock: Stock
    sites: Mapping[str, OpenSite]
    """The sites where the run's steps run."""
    storages: Mapping[str, Storage]
    """Every place that data can come from or go to."""
    outbox: Outbox
    webhook: Webhook | None = None
    """Who else is told what ended."""
    numbers: dict[str, Iterator[int]] = field(default_factory=dict)
    """The next ids. Only the engine that holds the lease adds such rows, so it may number them itself."""

    def __post_init__(self) -> None:
        last = self.journal.last_ids()
        self.numbers = {table: itertools.count(last[table] + 1) for table in (STEPS, TASKS, ATTEMPTS, TRANSFERS)}

    @property
    def catalogue(self) -> Catalogue:
        """The catalogue of data."""
        return self.stock.catalogue

    @cached_property
    def carrier(self) -> Carrier:
        """What moves the run's data."""
        return self.stock.carrier

    @property
    def routes(self) -> Routes:
        """The ways between the places, and what the run's transfers tell of them."""
        return self.carrier.routes
