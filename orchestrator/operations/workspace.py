"""What the operations share: the database and the sites, opened when they are first needed.

What takes long to load is imported then, too: a small run, which moves no data, is over before it could be.
"""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Self

from metadata.errors import InvalidInputError, NotFoundError
from metadata.holds import Holds
from metadata.journal import Journal
from metadata.outbox import Outbox
from metadata.sessions import Sessions, open_sessions
from metadata.shipments import Shipments
from metadata.timings import Timings
from orchestrator.documents import did_you_mean
from orchestrator.ports import SiteSettings
from orchestrator.registry import load, open_movers, open_storage
from orchestrator.settings import HERE, Settings, find_settings
from orchestrator.sites import Site, SiteFile, Slots, load_sites
from staging.ports import Mover, Storage

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from metadata.catalogue import Catalogue
    from metadata.claims import Claims
    from metadata.history import History
    from metadata.retention import Retention
    from staging.routes import Routes
    from staging.transfers import Carrier


class Workspace:
    """One home: its database and its sites. Use it in a `with` block."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or find_settings()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for opened in ("database", "sessions"):
            if opened in self.__dict__:
                self.__dict__[opened].dispose()

    @cached_property
    def sessions(self) -> Sessions:
        """The open database in plain SQL, its tables up to date."""
        return open_sessions(self.settings.database_url)

    @cached_property
    def journal(self) -> Journal:
        """Its runs, for the engine."""
        return Journal(self.sessions)

    @cached_property
    def timings(self) -> Timings:
        """What its runs tell about the next."""
        return Timings(self.sessions)

    @cached_property
    def database(self) -> Engine:
        """The same database for SQLAlchemy, for whoever wants rows as objects (`metadata.rows`)."""
        from metadata.database import open_database  # noqa: PLC0415 - see above

        return open_database(self.settings.database_url)

    @cached_property
    def catalogue(self) -> Catalogue:
        """The catalogue in it."""
        from metadata.catalogue import Catalogue  # noqa: PLC0415 - see above

        return Catalogue(self.sessions)

    @cached_property
    def history(self) -> History:
        """Its runs, for reading."""
        from metadata.history import History  # noqa: PLC0415 - see above

        return History(self.sessions)

    @cached_property
    def retention(self) -> Retention:
        """Its rules, pins and uses."""
        from metadata.retention import Retention  # noqa: PLC0415 - see above

        return Retention(self.sessions)

    @cached_property
    def claims(self) -> Claims:
        """Who writes what at its sites just now."""
        from metadata.claims import Claims  # noqa: PLC0415 - see above

        return Claims(self.sessions)

    @cached_property
    def holds(self) -> Holds:
        """What people want to be moved later, or never."""
        return Holds(self.sessions)

    @cached_property
    def shipments(self) -> Shipments:
        """What verbs on data move."""
        return Shipments(self.sessions)

    @cached_property
    def outbox(self) -> Outbox:
        """What others are to be told and have not taken yet."""
        return Outbox(self.sessions)

    @cached_property
    def site_file(self) -> SiteFile:
        """The sites; one embedded site named `local` where the home has no file that says otherwise.

        Raises NotFoundError when a site file was named that is not there.
        """
        if not self.settings.sites_file.exists():
            if self.settings.sites_file != self.settings.home / "sites.yaml":
                raise NotFoundError(f"there is no site file {self.settings.sites_file}; see --sites and CONVOY_SITES")
            return self._embedded()
        sites = load_sites(self.settings.sites_file)
        if HERE in sites.sites:
            raise InvalidInputError(
                f"{self.settings.sites_file}: no site can be named {HERE!r}: that is this machine as a place for data"
            )
        return sites

    def _embedded(self) -> SiteFile:
        workdir = str(self.settings.home / "sites" / "local")
        slots = Slots(cpus=os.cpu_count() or 1)
        return SiteFile(sites={"local": Site(description="this machine", workdir=workdir, slots=slots)})

    def site(self, name: str) -> Site:
        """The site with this name. Raises NotFoundError with what was meant."""
        sites = self.site_file.sites
        if name not in sites:
            raise NotFoundError(f"there is no site {name!r}{did_you_mean(name, sites)}", site=name)
        return sites[name]

    def workdir(self, name: str) -> PurePosixPath:
        """The folder of a site, or of this machine, that belongs to Convoy. Raises NotFoundError."""
        return PurePosixPath(self.settings.home) if name == HERE else PurePosixPath(self.site(name).workdir)

    def own_folder(self, name: str) -> PurePosixPath:
        """The folder below which all files are Convoy's; the home here holds other things. Raises NotFoundError."""
        return self.workdir(name) / "data" if name == HERE else self.workdir(name)

    @cached_property
    def storages(self) -> dict[str, Storage]:
        """Every place for data: the sites, and this machine as `here`."""
        places = {name: open_storage(name, site) for name, site in self.site_file.sites.items()}
        here = SiteSettings(name=HERE, workdir=PurePosixPath(self.settings.home))
        return {HERE: load("storages", "posix")(here), **places}

    @cached_property
    def movers(self) -> dict[str, Mover]:
        """Every mover that can be used here."""
        return open_movers()

    @property
    def routes(self) -> Routes:
        """The ways for data between all places, with what earlier transfers told of them."""
        from staging.links import LinkHistory  # noqa: PLC0415 - see above
        from staging.routes import Routes, capabilities_of  # noqa: PLC0415 - see above

        return Routes(
            endpoints={name: storage.endpoint for name, storage in self.storages.items()},
            movers=capabilities_of(self.movers),
            rules=self.site_file.link_rules(),
            declared=self.site_file.declared_rates(),
            history=LinkHistory.of(self.catalogue.measurements()),
        )

    @property
    def carrier(self) -> Carrier:
        """What brings content from one place to another."""
        from staging.transfers import Carrier  # noqa: PLC0415 - see above

        return Carrier(storages=self.storages, movers=self.movers, routes=self.routes, claims=self.claims)
