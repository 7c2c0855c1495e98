"""Every mover that the registry knows, over every kind of endpoint that it says it can reach and that is there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from metadata.errors import AdapterUnavailableError
from orchestrator.registry import load, names
from staging.ports import Direction, Endpoint, Mover
from tests.testbed.local_sshd import LocalSshd, why_not

_ENDS = {
    Direction.LOCAL: ("file", "file"),
    Direction.PUSH: ("file", "ssh"),
    Direction.PULL: ("ssh", "file"),
    Direction.RELAY: ("ssh", "ssh"),
}


@dataclass(frozen=True, kw_only=True)
class Way:
    """A mover between two endpoints, both of which see this machine's files."""

    mover: Mover
    source: Endpoint
    destination: Endpoint
    direction: Direction


@pytest.fixture(scope="session")
def mover_sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalSshd]:
    """One real sshd for the whole suite."""
    if why_not():
        pytest.skip(why_not())
    server = LocalSshd(folder=tmp_path_factory.mktemp("sshd"))
    server.prepare()
    server.start()
    yield server
    server.stop()


def _ways() -> list[tuple[str, Direction]]:
    return [(name, direction) for name in names("movers") for direction in _ENDS if _can(name, direction)]


def _can(name: str, direction: Direction) -> bool:
    try:
        can = load("movers", name).capabilities
    except AdapterUnavailableError:
        return direction is Direction.LOCAL  # so that its absence is told
    return direction in can.directions and set(_ENDS[direction]) <= can.schemes


@pytest.fixture(params=_ways(), ids="-".join)
def way(request: pytest.FixtureRequest) -> Way:
    """Each mover in turn, on each way that it can go."""
    name, direction = request.param
    try:
        mover = load("movers", name)()
    except AdapterUnavailableError as error:
        pytest.skip(str(error))
    ends = zip(("agh", "lrz"), _ENDS[direction], strict=True)
    source, destination = (_endpoint(request, site, scheme) for site, scheme in ends)
    return Way(mover=mover, source=source, destination=destination, direction=direction)


def _endpoint(request: pytest.FixtureRequest, site: str, scheme: str) -> Endpoint:
    if scheme == "file":
        return Endpoint(site=site, doors={"file": {}})
    options = request.getfixturevalue("mover_sshd").options
    return Endpoint(site=site, doors={"ssh": {name: str(value) for name, value in options.items()}})
