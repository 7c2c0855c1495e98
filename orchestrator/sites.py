"""What a site file may say. `sites.yaml` is read here and nowhere else."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from metadata.errors import InvalidSiteError
from orchestrator.documents import Document, Problem, did_you_mean, load_document, validated
from orchestrator.quantities import Bundling, Rate, Size
from orchestrator.workflows import Name, Strict, VariableName

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
    bundle: Bundling = 60.0
    """Short tasks may share a job of its scheduler, up to about so much work in each; `false` gives each its own."""
    speed: float = Field(default=1.0, gt=0)
    """How fast its cores are beside others': a first guess until there is a history."""
    environment: dict[VariableName, str] = Field(default_factory=dict)

    @property
    def executes_by(self) -> str:
        """What runs its jobs, for people."""
        return f"{self.scheduler.type} over {self.runner.type}" if self.scheduler else self.executor.type


class LinkRate(Strict):
    """What an operator knows of a link before anything was measured."""

    source: str = Field(alias="from")
    destination: str = Field(alias="to")
    rate: Rate


class SiteFile(Strict):
    """All sites, and the links between them."""

    sites: dict[Name, Site] = Field(min_length=1)
    links: list[LinkRate] = Field(default_factory=list)

    def declared_rates(self) -> dict[tuple[str, str], float]:
        """Bytes a second by (source, destination)."""
        return {(link.source, link.destination): link.rate for link in self.links}


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
    for index, link in enumerate(sites.links):
        for key, name in (("from", link.source), ("to", link.destination)):
            if name not in sites.sites:
                message = f"there is no site {name!r}{did_you_mean(name, sites.sites)}"
                problems.append(Problem(place=("links", index, key), message=message))
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
