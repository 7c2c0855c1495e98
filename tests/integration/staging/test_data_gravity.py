"""Real measurements of real links decide where a step runs."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator import operations
from orchestrator.operations.workspace import Workspace
from orchestrator.plans import Plan
from orchestrator.settings import find_settings
from tests.testbed.fixtures import Testbed, TestbedSite

SLOW, FAST = "rate=16mbit", "rate=none"
SIZE_BYTES = 24 << 20
"""Twelve seconds over the slow link, and far less than one over the other."""

WORKFLOW = """\
name: look
inputs: {slide: {default: 'dataset://slides/%s'}}
steps:
  look:
    command: 'sleep $(cat %s/pace); wc -c < {{inputs.slide}} > o'
    in: {slide: inputs.slide}
    outputs: {o: o}
    %s
"""


class World:
    """Two clusters. The first has the slides and is slow to compute; the second is quick, and has nothing."""

    def __init__(self, folder: Path, sites: dict[str, TestbedSite]) -> None:
        self.folder = folder
        self.sites = sites
        self.workdir = f"/home/alice/gravity-{secrets.token_hex(4)}"
        self.slides = (f"{number}.tif" for number in range(100))
        self._prepare()

    def _prepare(self) -> None:
        lines = ["sites:"]
        for name, site in self.sites.items():
            config = site.ssh_options["config_file"]
            pace = 9 if name == "sta" else 1
            lines += [
                f"  {name}:",
                f"    workdir: {self.workdir}",
                "    scheduler: slurm",
                f"    runner: {{type: ssh, options: {{host: {name}, config_file: {config}}}}}",
                "    storage: command",
            ]
            site.execute("/bin/sh", "-c", f"mkdir -p {self.workdir}/in && echo {pace} >{self.workdir}/pace")
            site.execute("chown", "-R", "alice", self.workdir)
        # One mover: how a link is learned does not depend on how many movers there are.
        lines += ["links:", "  - {from: sta, to: stb, mover: ssh}"]
        (self.folder / "sites.yaml").write_text("\n".join(lines) + "\n")

    def open(self) -> Workspace:
        """The home."""
        return Workspace(find_settings(home=self.folder, environment={}))

    def new_slide(self) -> str:
        """A slide that nobody has seen lies at the first site."""
        name = next(self.slides)
        script = f"head -c {SIZE_BYTES} /dev/urandom > {self.workdir}/in/{name}"
        self.sites["sta"].execute("/bin/sh", "-c", script)
        with self.open() as workspace:
            operations.add_data(workspace, "slides", [f"{self.workdir}/in/{name}"], site="sta")
        return name

    def plan(self, *, at: str = "") -> Plan:
        """The plan for a new slide."""
        path = self.folder / "workflow.yaml"
        path.write_text(WORKFLOW % (self.new_slide(), self.workdir, f"at: {at}" if at else ""))
        with self.open() as workspace:
            return operations.plan(workspace, path)

    def run(self, *, at: str) -> None:
        """A run of a new slide at a site ends well, and is remembered."""
        plan = self.plan(at=at)
        with self.open() as workspace:
            record = operations.start(workspace, plan)
        assert record.state == "COMPLETED", record.message

    def set_link(self, rate: str) -> None:
        """The cable of the site that has the data."""
        self.sites["sta"].fault("link", rate)


@pytest.fixture
def world(testbed: Testbed, tmp_path: Path) -> Iterator[World]:
    """Both sites, the link as fast as it can be again afterwards."""
    world = World(tmp_path, {name: testbed.site(name, DBD=0, NODES=1) for name in ("sta", "stb")})
    yield world
    world.set_link(FAST)
    for site in world.sites.values():
        site.execute("rm", "-rf", world.workdir)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_step_goes_to_the_data_over_a_slow_link_and_the_data_to_the_step_over_a_fast_one(world: World) -> None:
    """And back again, each time after two transfers showed what the link is now."""
    world.set_link(SLOW)
    world.run(at="sta")
    world.run(at="stb")
    slow = world.plan()
    assert slow.step("look").site == "sta"
    assert slow.transfers == ()
    assert "its data are there" in slow.step("look").reason

    world.set_link(FAST)
    world.run(at="stb")
    world.run(at="stb")
    fast = world.plan()
    assert fast.step("look").site == "stb", fast.step("look").candidates
    [move] = fast.transfers
    assert (move.source, move.destination, move.direction) == ("sta", "stb", "relay")
    assert move.low_s < move.seconds < min(9, move.high_s)
    assert "measured 3 times" in move.reason

    world.set_link(SLOW)
    world.run(at="stb")
    world.run(at="stb")
    again = world.plan()
    assert again.step("look").site == "sta", again.step("look").candidates
    elsewhere = next(row for row in again.step("look").candidates if row.site == "stb")
    assert elsewhere.seconds > 12
