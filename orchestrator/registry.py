"""Finds adapters by name. The only place that loads them."""

from __future__ import annotations

import importlib
import pkgutil
import shutil
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import PurePosixPath
from typing import Any, Literal

import adapters
from metadata.errors import AdapterUnavailableError
from orchestrator.documents import did_you_mean
from orchestrator.ports import CommandRunner, ContainerRuntime, JobExecutor, Scheduler, SiteSettings
from orchestrator.sites import AdapterChoice, Site
from staging.ports import Mover, Storage

Kind = Literal["executors", "schedulers", "runners", "storages", "movers", "containers"]


def names(kind: Kind) -> list[str]:
    """The adapters of a kind, without loading any: the files of their folder, and what other packages offer."""
    return sorted(_ours(kind) | {point.name for point in _offered(kind)})


def _offered(kind: Kind) -> Iterable[Any]:
    """What other packages offer. To ask every one takes a tenth of a second: only for what is not ours."""
    from importlib.metadata import entry_points  # noqa: PLC0415 - see above

    return entry_points(group=f"convoy.{kind}")


@cache
def _ours(kind: Kind) -> frozenset[str]:
    package = importlib.import_module(f"{adapters.__name__}.{kind}")
    return frozenset(module.name for module in pkgutil.iter_modules(package.__path__) if module.name[0] != "_")


def load(kind: Kind, name: str) -> Any:
    """The adapter's class. Raises AdapterUnavailableError when it is unknown or its library is missing."""
    if name not in _ours(kind):
        for point in _offered(kind):
            if point.name == name:
                return point.load()
        known = names(kind)
        raise AdapterUnavailableError(f"there is no adapter {name!r} among the {kind}{did_you_mean(name, known)}")
    try:
        return importlib.import_module(f"{adapters.__name__}.{kind}.{name}").ADAPTER
    except ModuleNotFoundError as error:
        message = f"the adapter {kind}/{name} needs {error.name}, which is not installed: pip install {error.name}"
        raise AdapterUnavailableError(message) from error


@dataclass(frozen=True, kw_only=True)
class OpenSite:
    """A site with its adapters, ready for use."""

    name: str
    settings: SiteSettings
    executor: JobExecutor
    storage: Storage
    container: ContainerRuntime


def open_site(name: str, site: Site) -> OpenSite:
    """The site's adapters. Raises AdapterUnavailableError, or InvalidSiteError for options that they do not take."""
    return OpenSite(
        name=name,
        settings=settings_of(name, site, site.executor.options),
        executor=_open_executor(name, site),
        storage=open_storage(name, site),
        container=load("containers", site.container.type)(settings_of(name, site, site.container.options)),
    )


def _open_executor(name: str, site: Site) -> JobExecutor:
    settings = settings_of(name, site, site.executor.options)
    if site.scheduler is None:
        executor: JobExecutor = load("executors", site.executor.type)(settings)
        return executor
    # Verbs on data open sites too, and never run a job there.
    from orchestrator.bundles import BundlingExecutor  # noqa: PLC0415
    from orchestrator.command_line import CommandLineExecutor  # noqa: PLC0415

    runner = open_runner(name, site)
    return BundlingExecutor(settings, CommandLineExecutor(settings, open_scheduler(site.scheduler), runner), runner)


def open_scheduler(choice: AdapterChoice) -> Scheduler:
    """The language of a site's batch system."""
    scheduler: Scheduler = load("schedulers", choice.type)(**choice.options)
    return scheduler


def open_runner(name: str, site: Site) -> CommandRunner:
    """How commands get to the site."""
    runner: CommandRunner = load("runners", site.runner.type)(site=name, options=site.runner.options)
    return runner


def open_storage(name: str, site: Site) -> Storage:
    """The site's file system alone."""
    settings = settings_of(name, site, {**site.runner.options, **site.storage.options})
    storage: Storage = load("storages", site.storage.type)(settings, open_runner(name, site))
    return storage


def open_movers() -> dict[str, Mover]:
    """Every mover that can be used on this machine; `open_mover` says why another one cannot."""
    movers = {}
    for name in sorted(_ours("movers")):
        with suppress(AdapterUnavailableError):
            movers[name] = open_mover(name)
    return movers


def open_mover(name: str) -> Mover:
    """The mover. Raises AdapterUnavailableError when it is unknown or needs what is not on this machine."""
    mover: Mover = load("movers", name)()
    missing = [program for program in mover.capabilities.needs if shutil.which(program) is None]
    if missing:
        raise AdapterUnavailableError(f"the adapter movers/{name} needs the program {missing[0]} on this machine")
    return mover


def settings_of(name: str, site: Site, options: dict[str, Any]) -> SiteSettings:
    """The site's description as its adapters need it."""
    return SiteSettings(
        name=name,
        workdir=PurePosixPath(site.workdir),
        cpus=site.slots.cpus,
        memory=site.slots.memory,
        gpus=site.slots.gpus,
        environment=site.environment,
        options=options,
        doors=site.doors,
    )
