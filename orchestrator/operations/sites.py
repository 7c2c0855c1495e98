"""Sites: what they are, and whether they work."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass

from metadata.errors import MiddlewareError
from orchestrator.operations import probes
from orchestrator.operations.probes import StillWaitingError, Trial
from orchestrator.operations.workspace import Workspace
from orchestrator.sites import Site


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What one check of a site found."""

    check: str
    good: bool | None
    """None when nothing was found out, because an earlier check failed or the site kept it waiting."""
    detail: str
    advice: str = ""
    """What to do when it is not good."""


@dataclass(frozen=True, kw_only=True)
class _Check:
    """One thing that is tried of a site."""

    name: str
    probe: Callable[[Trial], str]
    advice: str
    """What to do when it fails; `{workdir}` is the site's own folder, `{site}` its name."""
    needs: tuple[str, ...] = ()
    """Checks that tell nothing new when these failed are not made."""
    applies: Callable[[Trial], bool] = lambda _: True


_CHECKS = (
    _Check(
        name="adapters", probe=probes.probe_adapters, advice="check the site file, or install what is missing"
    ),
    _Check(
        name="login",
        probe=probes.probe_login,
        advice="try ssh yourself, and compare it with the site file's runner; convoy site trust {site} shows unknown "
        "host keys, convoy site login {site} answers what the site asks",
        needs=("adapters",),
    ),
    _Check(
        name="clock",
        probe=probes.probe_clock,
        advice="compare both with a third clock: set this machine's by NTP (timedatectl), or tell the site's support",
        needs=("login",),
    ),
    _Check(
        name="scheduler",
        probe=probes.probe_scheduler,
        advice="see that its commands are on the PATH of a login without a terminal, and whether the site announces "
        "an outage",
        needs=("login",),
        applies=lambda trial: trial.site.scheduler is not None,
    ),
    _Check(
        name="partitions",
        probe=probes.probe_partitions,
        advice="name a partition that is up in each step (attributes: {{slurm.partition: NAME}}), or wait until the "
        "site opens this one",
        needs=("scheduler",),
        applies=lambda trial: trial.partitions is not None,
    ),
    _Check(
        name="storage",
        probe=probes.probe_storage,
        advice="make {workdir} writable, or choose another workdir",
        needs=("login",),
    ),
    _Check(
        name="room",
        probe=probes.probe_room,
        advice="free some space or ask the site for more: there, quota -s (on Lustre: lfs quota) tells of limits and "
        "df of the file system",
        needs=("storage",),
    ),
    _Check(
        name="container",
        probe=probes.probe_container,
        advice="give the runtime's full path (container: {{type: ..., options: {{executable: /PATH}}}}), ask the site "
        "for it, or run without images (container: host)",
        needs=("login",),
    ),
    _Check(
        name="movers",
        probe=probes.probe_movers,
        advice="look at the site's doors and its links in the site file; convoy bench transfer tries each way",
        needs=("storage",),
    ),
    _Check(
        name="job",
        probe=probes.probe_job,
        advice="look at the site's scheduler; convoy job submit {site} runs a script of yours there",
        needs=("storage", "scheduler", "partitions"),
    ),
)  # fmt: skip


def list_sites(workspace: Workspace) -> dict[str, Site]:
    """The sites by name, in the order of the site file."""
    return dict(workspace.site_file.sites)


def show_site(workspace: Workspace, name: str) -> Site:
    """One site. Raises NotFoundError with what was meant."""
    return workspace.site(name)


def test_site(workspace: Workspace, name: str) -> list[Finding]:
    """Tries the site for real, from the login to a small job, and leaves nothing behind there.

    A check that cannot be made because an earlier one failed says so. Raises NotFoundError; whatever else is wrong is
    a finding.
    """
    workspace.site(name)
    trial = Trial(workspace=workspace, name=name)
    found: dict[str, Finding] = {}
    with closing(trial):
        try:
            for check in _CHECKS:
                if check.applies(trial):
                    found[check.name] = _tried(check, trial, found)
        finally:
            left = list(_tidied(trial, found))
    return [*found.values(), *left]


# pytest collects what begins with test_; this one is a verb.
test_site.__test__ = False  # type: ignore[attr-defined]


def _tried(check: _Check, trial: Trial, found: Mapping[str, Finding]) -> Finding:
    unmet = next((need for need in check.needs if need in found and not found[need].good), None)
    if unmet:
        return Finding(check=check.name, good=None, detail=f"not tried, for that needs: {unmet}")
    try:
        return Finding(check=check.name, good=True, detail=check.probe(trial))
    except StillWaitingError as error:
        return Finding(check=check.name, good=None, detail=error.message, advice="try again when the site is less busy")
    except MiddlewareError as error:
        advice = check.advice.format(site=trial.name, workdir=trial.folder.parent)
        return Finding(check=check.name, good=False, detail=error.message, advice=advice)


def _tidied(trial: Trial, found: Mapping[str, Finding]) -> Iterator[Finding]:
    """A finding only where something stays."""
    if "login" in found and found["login"].good:
        try:
            trial.tidy()
        except MiddlewareError as error:
            yield Finding(check="tidying", good=False, detail=error.message, advice=f"remove {trial.folder} there")
