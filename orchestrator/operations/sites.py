"""Sites: what they are, and whether they work."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath

from metadata.errors import MiddlewareError, SiteError
from orchestrator.jobs import ExpectedOutput, JobSpec, JobState, JobStatus, Token
from orchestrator.operations.workspace import Workspace
from orchestrator.quantities import shown_duration, shown_size
from orchestrator.registry import OpenSite, open_site
from orchestrator.sites import Site

_PROBE_LIMIT_S = 60.0


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What one check of a site found."""

    check: str
    good: bool
    detail: str
    advice: str = ""
    """What to do when it is not good."""


def list_sites(workspace: Workspace) -> dict[str, Site]:
    """The sites by name, in the order of the site file."""
    return dict(workspace.site_file.sites)


def show_site(workspace: Workspace, name: str) -> Site:
    """One site. Raises NotFoundError with what was meant."""
    return workspace.site(name)


def test_site(workspace: Workspace, name: str) -> list[Finding]:
    """Tries the site for real: writes and reads a file, runs a job, and moves a file there and back.

    Raises NotFoundError; whatever else is wrong is a finding.
    """
    site = workspace.site(name)
    findings = [_tried("adapters", "check the site file, or install what is missing", lambda: _adapters(name, site))]
    if not findings[0].good:
        return findings
    opened = open_site(name, site)
    try:
        findings.append(
            _tried("storage", f"make {site.workdir} writable, or choose another workdir", lambda: _storage(opened))
        )
        findings.append(_tried("room", "free some space", lambda: _room(opened)))
        findings.append(_tried("jobs", "look at the site's scheduler", lambda: _job(opened)))
    finally:
        opened.executor.close()
    return findings


# pytest collects what begins with test_; this one is a verb.
test_site.__test__ = False  # type: ignore[attr-defined]


def _tried(check: str, advice: str, probe: Callable[[], str]) -> Finding:
    try:
        return Finding(check=check, good=True, detail=probe())
    except MiddlewareError as error:
        return Finding(check=check, good=False, detail=error.message, advice=advice)


def _adapters(name: str, site: Site) -> str:
    open_site(name, site).executor.close()
    return f"jobs by {site.executes_by}, storage {site.storage.type}, container {site.container.type}"


def _storage(site: OpenSite) -> str:
    path = str(site.settings.workdir / f".probe-{secrets.token_hex(4)}")
    content = secrets.token_bytes(1 << 16)
    begin = time.monotonic()
    try:
        site.storage.write(path, content)
        if site.storage.read(path) != content:
            raise SiteError(f"{path} did not come back as it was written", site=site.name)
    finally:
        site.storage.remove(path)
    return f"wrote, read and removed a file in {shown_duration(time.monotonic() - begin)}"


def _room(site: OpenSite) -> str:
    return f"{shown_size(site.storage.free_bytes(str(site.settings.workdir)))} free"


def _job(site: OpenSite) -> str:
    token = Token(f"probe.{secrets.token_hex(4)}")
    directory = site.settings.workdir / "probes" / token
    begin = time.monotonic()
    try:
        site.executor.submit([_probe_job(token, directory)])
        status = _ended(site, token, begin)
    finally:
        site.storage.remove(str(directory))
        site.storage.remove(str(site.settings.workdir / "jobs" / token))
    if status.state is not JobState.COMPLETED or not status.outputs:
        raise SiteError(f"a small job ended as {status.native_state}: {status.message}", site=site.name)
    took = shown_duration(time.monotonic() - begin)
    return f"a small job ran on {status.node or site.name} and left its file, in {took}"


def _probe_job(token: Token, directory: PurePosixPath) -> JobSpec:
    return JobSpec(
        token=token,
        executable="/bin/sh",
        arguments=("-c", "echo works > probe.txt"),
        directory=directory,
        stdout_path=directory / "stdout.txt",
        stderr_path=directory / "stderr.txt",
        stage_out=(ExpectedOutput(name="probe", path="probe.txt"),),
    )


def _ended(site: OpenSite, token: Token, begin: float) -> JobStatus:
    native_id = site.executor.find([token])[token]
    while time.monotonic() - begin < _PROBE_LIMIT_S:
        status = site.executor.status([native_id]).get(native_id)
        if status is not None and status.state.final:
            return status
        time.sleep(0.05)
    site.executor.cancel([native_id])
    raise SiteError(f"a small job did not end within {shown_duration(_PROBE_LIMIT_S)}", site=site.name)
