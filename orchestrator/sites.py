"""What a site file may say. `sites.yaml` is read here and nowhere else."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from metadata.errors import InvalidSiteError
from orchestrator.documents import Document, Name, Problem, Strict, VariableName, did_you_mean, load_document, validated
from orchestrator.quantities import Bundling, Rate, Size
from orchestrator.settings import HERE
from staging.ports import Credential
from staging.rules import LinkRules

_WINDOW = re.compile(r"([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d")
_VARIABLE = re.compile(r"\$\{(\w+)\}")


class Slots(Strict):
    """What a site can give at one time. None means that the site's own scheduler looks after it."""

    cpus: int | None = Field(default=None, ge=1)
    memory: Size | None = None
    gpus: int = Field(default=0, ge=0)
    nodes: int | None = Field(default=None, ge=1)


class AdapterChoice(Strict):
    """An adapter by name, with its own settings."""

    type: Name
    options: dict[str, Any] = Field(default_factory=dict)


def _adapter_from_name(value: Any) -> Any:
    return {"type": value} if isinstance(value, str) else value


Adapter = Annotated[AdapterChoice, BeforeValidator(_adapter_from_name)]


def _texts(value: Any) -> Any:
    """Options are texts; YAML takes a port for a number."""
    if not isinstance(value, dict):
        return value
    return {key: str(item) if isinstance(item, (int, float)) else item for key, item in value.items()}


class Site(Strict):
    """A computing centre as an operator describes it."""

    description: str = ""
    labels: list[str] = Field(default_factory=list)
    executor: Adapter = AdapterChoice(type="local")
    """A system that runs jobs by itself; not used where there is a scheduler."""
    scheduler: Adapter | None = None
    """A batch system that is reached by commands."""
    runner: Adapter = AdapterChoice(type="local")
    """How commands get to the site."""
    storage: Adapter = AdapterChoice(type="posix")
    container: Adapter = AdapterChoice(type="host")
    allow_host: bool = True
    """Whether a step may run without its image where the site has no container runtime."""
    workdir: str
    """A folder that belongs to Convoy; relative paths start at the site file."""
    slots: Slots = Field(default_factory=Slots)
    doors: dict[Name, Annotated[dict[str, str], BeforeValidator(_texts)]] = Field(default_factory=dict)
    """Further ways for its data, by scheme: `gridftp: {host: dtn, port: 2811, security: gsi}`; `ssh` here goes before
    the runner's, for sites that have nodes of their own for transfers."""
    bundle: Bundling = 60.0
    """Short tasks may share a job of its scheduler, up to about so much work in each; `false` gives each its own."""
    speed: float = Field(default=1.0, gt=0)
    """How fast its cores are beside others': a first guess until there is a history."""
    environment: dict[VariableName, str] = Field(default_factory=dict)

    @property
    def executes_by(self) -> str:
        """What runs its jobs, for people."""
        return f"{self.scheduler.type} over {self.runner.type}" if self.scheduler else self.executor.type


class DirectBy(StrEnum):
    """By what right the ends of a link talk to each other."""

    AGENT = "agent"
    """The user's agent is forwarded to one of them."""
    KEY = "key"
    """One of them gets a key that is made for the transfer and taken away after it."""
    TRUST = "true"
    """The sites let each other in already."""


def _direct_by(value: Any) -> Any:
    return {True: DirectBy.TRUST, False: None}.get(value, value) if isinstance(value, bool) else value


def _window(value: str) -> str:
    if not _WINDOW.fullmatch(value):
        raise ValueError('write two times of the day, such as "22:00-06:00"')
    return value


class Link(Strict):
    """What an operator knows and wants of a link."""

    source: str = Field(alias="from")
    destination: str = Field(alias="to")
    rate: Rate | None = None
    """How fast it is, until something was measured."""
    direct: Annotated[DirectBy | None, BeforeValidator(_direct_by)] = None
    """How data may go from site to site without passing through this machine; left out, they are relayed."""
    limit: Rate | None = None
    """What all transfers over it together may take of it."""
    window: Annotated[str, AfterValidator(_window)] | None = None
    """When transfers over it may begin, in this machine's time: `22:00-06:00`."""
    at_once: int | None = Field(default=None, ge=1)
    """Transfers over it at one time; left out, Convoy chooses."""
    mover: Name | None = None
    """The mover to use; left out, Convoy chooses by what it measured."""

    def rules(self) -> LinkRules:
        """The same in staging's words."""
        begins, _, ends = (self.window or "").partition("-")
        return LinkRules(
            direct=_CREDENTIALS[self.direct] if self.direct else None,
            limit_bytes_per_s=self.limit,
            window=(_minutes(begins), _minutes(ends)) if self.window else None,
            at_once=self.at_once,
            mover=self.mover,
        )


_CREDENTIALS = {
    DirectBy.AGENT: Credential.AGENT,
    DirectBy.KEY: Credential.SHORT_LIVED_KEY,
    DirectBy.TRUST: Credential.NONE,
}


def _minutes(time_of_day: str) -> int:
    hours, _, minutes = time_of_day.partition(":")
    return 60 * int(hours) + int(minutes)


class SiteFile(Strict):
    """All sites, and the links between them."""

    sites: dict[Name, Site] = Field(min_length=1)
    links: list[Link] = Field(default_factory=list)

    def declared_rates(self) -> dict[tuple[str, str], float]:
        """Bytes a second by (source, destination)."""
        return {(link.source, link.destination): link.rate for link in self.links if link.rate}

    def link_rules(self) -> dict[tuple[str, str], LinkRules]:
        """What transfers have to keep to, by (source, destination)."""
        return {(link.source, link.destination): link.rules() for link in self.links}


def load_sites(path: Path) -> SiteFile:
    """The sites in a file. Raises NotFoundError or InvalidSiteError with the line of the fault."""
    document = load_document(path, InvalidSiteError)
    expanded = Document(
        file=document.file, content=_expanded(document.content, document, ()), positions=document.positions
    )
    sites = validated(SiteFile, expanded, error=InvalidSiteError)
    _check_links(sites, document)
    anchored = {name: _anchored(site, path) for name, site in sites.sites.items()}
    _check_folders(anchored, document)
    return sites.model_copy(update={"sites": anchored})


def _check_folders(sites: Mapping[str, Site], document: Document) -> None:
    """Two sites of this machine in one folder would take each other's files for their own."""
    owners: dict[str, str] = {}
    problems = []
    for name, site in sites.items():
        first = owners.setdefault(site.workdir, name) if site.storage.type == "posix" else name
        if first != name:
            message = f"{name} has the same workdir as {first}; give each site a folder of its own"
            problems.append(Problem(place=("sites", name, "workdir"), message=message))
    document.refuse(problems, InvalidSiteError)


def _anchored(site: Site, path: Path) -> Site:
    """A local site's folder becomes absolute; a remote path is the remote side's affair.

    A site that runs jobs by itself on this machine has this machine's cores unless its file says otherwise.
    """
    if site.storage.type != "posix":
        return site
    workdir = (path.resolve().parent / Path(site.workdir).expanduser()).resolve()
    slots = site.slots
    if site.scheduler is None:
        slots = slots.model_copy(update={"cpus": slots.cpus or os.cpu_count()})
    return site.model_copy(update={"workdir": str(workdir), "slots": slots})


def _check_links(sites: SiteFile, document: Document) -> None:
    problems = []
    told: set[tuple[str, str]] = set()
    places = {*sites.sites, HERE}
    for index, link in enumerate(sites.links):
        place = ("links", index)
        for key, name in (("from", link.source), ("to", link.destination)):
            if name not in places:
                message = f"there is no site {name!r}{did_you_mean(name, places)}"
                problems.append(Problem(place=(*place, key), message=message))
        pair = (link.source, link.destination)
        if link.source == link.destination:
            problems.append(Problem(place=place, message=f"this link leads from {link.source} to itself"))
        if pair in told:
            message = f"the link from {pair[0]} to {pair[1]} stands here twice; write all of it in one place"
            problems.append(Problem(place=place, message=message))
        if link.direct and HERE in pair:
            message = f"{HERE!r} is this machine: its data go to a site directly in any case; leave `direct` out"
            problems.append(Problem(place=(*place, "direct"), message=message))
        told.add(pair)
    document.refuse(problems, InvalidSiteError)


def _expanded(content: Any, document: Document, place: tuple[str | int, ...]) -> Any:
    """`${NAME}` becomes the environment variable, so that secrets need not stand in the file."""
    if isinstance(content, dict):
        return {key: _expanded(value, document, (*place, key)) for key, value in content.items()}
    if isinstance(content, list):
        return [_expanded(value, document, (*place, index)) for index, value in enumerate(content)]
    if isinstance(content, str):
        return _VARIABLE.sub(lambda match: _variable(match[1], os.environ, document, place), content)
    return content


def _variable(name: str, environment: Mapping[str, str], document: Document, place: tuple[str | int, ...]) -> str:
    if name not in environment:
        problem = Problem(place=place, message=f"the environment variable {name} is not set")
        document.refuse([problem], InvalidSiteError)
    return environment[name]
