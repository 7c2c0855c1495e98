"""Convoy's own command line against two real SLURM clusters, reached by SSH as an ordinary user."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from metadata.history import History, RunRecord
from metadata.sessions import open_sessions
from tests.testbed.fixtures import Testbed, TestbedSite

PROGRAM = [sys.executable, "-m", "orchestrator.faces.cli"]


@dataclass(frozen=True, kw_only=True)
class Clusters:
    """A home whose sites are clusters of the testbed, with a folder of its own at each."""

    home: Path
    sites: dict[str, TestbedSite]
    workdir: str

    def run(self, *arguments: object, timeout_s: float = 240) -> subprocess.CompletedProcess[str]:
        """What `convoy ARGUMENTS` said."""
        return subprocess.run(
            [*PROGRAM, "--home", str(self.home), *map(str, arguments)],
            capture_output=True, text=True, timeout=timeout_s, check=False, env=environment(), cwd=self.home.parent,
        )  # fmt: skip

    def start(self, *arguments: object) -> subprocess.Popen[bytes]:
        """`convoy ARGUMENTS`, going on while the test does other things."""
        return subprocess.Popen(
            [*PROGRAM, "--home", str(self.home), *map(str, arguments)],
            env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def record(self) -> RunRecord:
        """The newest run."""
        sessions = open_sessions(f"sqlite:///{self.home / 'convoy.db'}")
        try:
            history = History(sessions)
            return history.run(history.runs(limit=1)[0].id)
        finally:
            sessions.dispose()

    def write(self, text: str) -> Path:
        """A workflow file; `{counters}` in it is a folder at every site."""
        path = self.home.parent / "workflow.yaml"
        path.write_text(text.replace("{counters}", f"{self.workdir}/counters"))
        return path

    def starts(self, site: str) -> dict[str, int]:
        """How often each task began at a site, by the site's own counters."""
        script = f"cd {self.workdir}/counters && grep -c x * /dev/null"
        lines = self.sites[site].execute("/bin/sh", "-c", script).splitlines()
        rows = [line.rsplit(":", 1) for line in lines if not line.startswith("/dev/null")]
        return {name: int(count) for name, count in rows}


def environment() -> dict[str, str]:
    """The tests' own environment, with byte code kept."""
    return {**os.environ, "PYTHONDONTWRITEBYTECODE": "", "NO_COLOR": "1"}


def make_home(folder: Path, sites: dict[str, TestbedSite]) -> Clusters:
    """A home in `folder` with these sites under these names, and a fresh folder of alice's at each."""
    workdir = f"/home/alice/convoy-{secrets.token_hex(4)}"
    home = folder / "home"
    home.mkdir()
    lines = ["sites:"]
    for name, site in sites.items():
        lines += [
            f"  {name}:",
            f"    workdir: {workdir}",
            "    scheduler: slurm",
            f"    runner: {{type: ssh, options: {{host: {site.name}, config_file: {site.ssh_options['config_file']}}}}}",
            "    storage: command",
            f"    labels: [{'gpu' if name == 'lrz' else 'cpu'}]",
        ]
        site.execute("/bin/sh", "-c", f"mkdir -p {workdir}/counters && chown -R alice {workdir}")
    (home / "sites.yaml").write_text("\n".join(lines) + "\n")
    return Clusters(home=home, sites=sites, workdir=workdir)


@pytest.fixture
def clusters(testbed: Testbed, tmp_path: Path) -> Clusters:
    """Agh and lrz, both up, in a fresh home. Other people work there: no test breaks them."""
    return make_home(tmp_path, {name: testbed.site(name) for name in ("agh", "lrz")})


@pytest.fixture
def fragile_clusters(testbed: Testbed, tmp_path: Path) -> Clusters:
    """The same names, but what answers to them are sites that a test may break."""
    return make_home(tmp_path, {"agh": testbed.site("psnc", DBD=0, NODES=1), "lrz": testbed.site("bsc")})


@pytest.fixture
def lying_sbatch(fragile_clusters: Clusters) -> Iterator[Callable[[str, int], None]]:
    """Makes a site's sbatch accept a job and then say that it timed out, the next so many times."""
    clusters, wrappers = fragile_clusters, []

    def lie(site: str, times: int) -> None:
        count = f"{clusters.workdir}/lies"
        script = f"""#!/bin/sh
n=$(cat {count} 2>/dev/null || echo 0)
[ "$n" -gt 0 ] || exec /usr/bin/sbatch "$@"
case "$*" in *--version*) exec /usr/bin/sbatch "$@";; esac
echo $((n - 1)) >{count}
/usr/bin/sbatch "$@" >/dev/null
echo 'sbatch: error: Batch job submission failed: Socket timed out on send/recv operation' >&2
exit 1
"""
        wrappers.append(clusters.sites[site].root / "usr/local/bin/sbatch")
        wrappers[-1].write_text(script)
        wrappers[-1].chmod(0o755)
        clusters.sites[site].execute("/bin/sh", "-c", f"echo {times} >{count}; chown alice {count}")

    yield lie
    for wrapper in wrappers:
        wrapper.unlink()
