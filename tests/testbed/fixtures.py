"""The testbed for pytest: real sites, brought up once a run. Use it with `pytest_plugins = ["tests.testbed.fixtures"]`.

    def test_something(testbed):
        site = testbed.site("agh")
        runner = SshRunner(site="agh", options=site.ssh_options)

Without root, the tools or a Debian mirror the test is skipped and says why; with CONVOY_TESTBED_REQUIRED=1 it fails.
Sites that this run started are stopped at its end (their state stays), unless CONVOY_TESTBED_KEEP=1.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).with_name("sites.sh")
_UP_TIMEOUT_S = 600.0
_STARTED = pytest.StashKey[set[str]]()


class TestbedUnavailableError(Exception):
    """This machine cannot have a testbed; the message says why."""

    __test__ = False


@dataclass(frozen=True, kw_only=True)
class TestbedSite:
    """One site that is up."""

    __test__ = False

    name: str
    folder: Path
    """The testbed's state: keys, ssh_config, known_hosts."""

    @property
    def ssh_options(self) -> dict[str, Any]:
        """The SSH runner's options for alice."""
        return {"host": self.name, "config_file": str(self.folder / "ssh_config")}

    @property
    def root(self) -> Path:
        """The site's file system as this machine's root sees it, past every program under test."""
        pid = (self.folder / "sites" / self.name / "pid").read_text().strip()
        return Path(f"/proc/{pid}/root")

    @property
    def address(self) -> str:
        """Its IP address, which depends on the order in which sites were made."""
        return (self.folder / "sites" / self.name / "address").read_text().strip()

    def execute(self, *argv: str) -> str:
        """What a command answered that ran as the site's root, past every program under test."""
        return sites("exec", self.name, *argv)

    def fault(self, verb: str, *arguments: object) -> None:
        """A fault or setting of `sites.sh` has happened to the site, e.g. "cut" with 5, or "link" with "rtt=30"."""
        sites(verb, self.name, *map(str, arguments))


@dataclass(kw_only=True)
class Testbed:
    """The sites of this machine."""

    __test__ = False

    folder: Path
    started: set[str] = field(default_factory=set)

    def site(self, name: str, **knobs: object) -> TestbedSite:
        """The site is up. knobs: `sites.sh up`'s environment for a new site, e.g. DBD=0, NODES=1.

        Skips the test where there can be no site.
        """
        try:
            self._bring_up(name, {key: str(value) for key, value in knobs.items()})
        except TestbedUnavailableError as error:
            refuse(str(error))
        return TestbedSite(name=name, folder=self.folder)

    def _bring_up(self, name: str, knobs: dict[str, str]) -> None:
        states = {site["name"]: site["state"] for site in json.loads(sites("status", "--json"))}
        if states.get(name) == "up":
            return
        missing = subprocess.run([SCRIPT, "check"], capture_output=True, text=True, check=False)
        if missing.returncode:
            raise TestbedUnavailableError("; ".join(missing.stdout.split("\n")).strip("; "))
        sites("up", name, **knobs)
        self.started.add(name)

    def stop(self) -> None:
        """The sites that this run started are stopped."""
        if self.started and not os.environ.get("CONVOY_TESTBED_KEEP"):
            sites("stop", *sorted(self.started))


def sites(*arguments: str, **environment: str) -> str:
    """What `sites.sh` wrote. Raises TestbedUnavailableError with its words when it failed."""
    done = subprocess.run(
        [SCRIPT, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=_UP_TIMEOUT_S,
        stdin=subprocess.DEVNULL,
        env={**os.environ, **environment},
    )
    if done.returncode:
        raise TestbedUnavailableError(f"sites.sh {' '.join(arguments)}: {(done.stderr or done.stdout).strip()[-800:]}")
    return done.stdout


def refuse(reason: str) -> None:
    """The test is skipped aloud, or fails where a testbed is required."""
    if os.environ.get("CONVOY_TESTBED_REQUIRED"):
        pytest.fail(f"the testbed is required but not available: {reason}", pytrace=False)
    pytest.skip(f"no testbed: {reason}")


@pytest.fixture(scope="session")
def testbed(request: pytest.FixtureRequest) -> Iterator[Testbed]:
    """The sites of this machine; each comes up when a test first asks for it."""
    beds = Testbed(folder=Path(sites("where").strip()))
    yield beds
    told: dict[str, Any] | None = getattr(request.config, "workeroutput", None)
    if told is None:
        beds.stop()
    else:  # another worker may be in the middle of using them
        told["started_sites"] = sorted(beds.started)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """A worker of pytest-xdist has ended; the sites that it started are remembered."""
    started = node.config.stash.setdefault(_STARTED, set())
    started.update(getattr(node, "workeroutput", {}).get("started_sites", ()))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """When all workers have ended nobody uses their sites any longer."""
    if started := session.config.stash.get(_STARTED, set()):
        Testbed(folder=SCRIPT.parent, started=started).stop()


def wait_until(condition: Any, *, within_s: float = 60.0, what: str = "the condition") -> None:
    """The condition is true. Fails the test when it is not within the time."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come true within {within_s} s"
        time.sleep(0.02)
