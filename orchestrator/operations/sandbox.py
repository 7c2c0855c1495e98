"""Practice clusters, and a home that knows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from metadata.errors import ConflictError, NotFoundError
from orchestrator.documents import did_you_mean
from orchestrator.sandbox import clusters as practice
from orchestrator.sandbox import site_file
from orchestrator.sandbox.clusters import Cluster, LinkShape
from orchestrator.settings import Settings

__all__ = ["DEFAULT_CLUSTERS", "Cluster", "LinkShape", "Sandbox", "sandbox_down", "sandbox_status", "sandbox_up"]

DEFAULT_CLUSTERS = ("agh", "lrz")


@dataclass(frozen=True, kw_only=True)
class Sandbox:
    """Practice clusters that are up, and where a home says so."""

    clusters: tuple[Cluster, ...]
    sites_file: Path
    kept: Path | None
    """The site file that was there before, under its new name."""


def sandbox_up(
    settings: Settings,
    names: Sequence[str] = DEFAULT_CLUSTERS,
    *,
    link: LinkShape | None = None,
    force: bool = False,
) -> Sandbox:
    """Practice clusters run jobs, and the home's site file is about them.

    Args:
        settings: Says where the site file is.
        names: Of the clusters; those that are up already stay as they are.
        link: How their cables shall be.
        force: Replace a site file that somebody wrote; it is kept beside the new one.

    Raises:
        ConflictError: Somebody wrote the site file that is there.
        AdapterUnavailableError: This machine cannot have practice clusters; the message says what is missing.
        SiteError: A cluster did not come up; its last words are told.
    """
    target = settings.sites_file
    _check_replaceable(target, force=force)
    practice.bring_up(names, link=link or LinkShape())
    found = {cluster.name: cluster for cluster in practice.list_clusters()}
    chosen = tuple(found[name] for name in names)
    kept = _put_aside(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.part")
    partial.write_text(site_file.render(chosen, ssh_config=practice.ssh_config()), encoding="utf-8")
    partial.replace(target)
    return Sandbox(clusters=chosen, sites_file=target, kept=kept)


def sandbox_down(names: Sequence[str] = DEFAULT_CLUSTERS) -> list[str]:
    """The clusters are gone with everything on them. Returns their names. Raises NotFoundError, or SiteError."""
    known = [cluster.name for cluster in practice.list_clusters()]
    for name in names:
        if name not in known:
            raise NotFoundError(f"there is no practice cluster {name!r}{did_you_mean(name, known)}")
    practice.take_down(names)
    return list(names)


def sandbox_status() -> list[Cluster]:
    """Every practice cluster of this machine, by name."""
    return practice.list_clusters()


def _check_replaceable(target: Path, *, force: bool) -> None:
    if target.exists() and not force and not site_file.is_untouched(target.read_text(encoding="utf-8")):
        raise ConflictError(
            f"{target} is somebody's own work; --force puts it aside for one about the practice clusters, "
            "and --home FOLDER/.convoy makes another home for them"
        )


def _put_aside(target: Path) -> Path | None:
    """A site file that somebody wrote has another name, under which nothing was before."""
    if not target.exists() or site_file.is_untouched(target.read_text(encoding="utf-8")):
        return None
    number = 1
    while (kept := target.with_name(f"{target.stem}.before-{number}{target.suffix}")).exists():
        number += 1
    return target.rename(kept)
