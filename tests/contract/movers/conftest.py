"""Every mover that the registry knows, over every kind of endpoint that it says it can reach and that is there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from metadata.errors import AdapterUnavailableError
from orchestrator.registry import load, names
from staging.ports import Endpoint, Mover
from tests.testbed.local_sshd import LocalSshd, why_not

_ENDS = [("file", "file"), ("file", "ssh"), ("ssh", "file"), ("ssh", "ssh")]


@dataclass(frozen=True, kw_only=True)
class Way:
    """A mover between two endpoints, both of which see this machine's files."""

    mover: Mover
    source: Endpoint
    destination: Endpoint


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


def _ways() -> list[tuple[str, str, str]]:
    return [(name, *ends) for name in names("movers") for ends in _ENDS if set(ends) <= _schemes(name)]


def _schemes(name: str) -> frozenset[str]:
    try:
        schemes: frozenset[str] = load("movers", name).capabilities.schemes
    except AdapterUnavailableError:
        return frozenset({"file"})  # so that its absence is told
    return schemes


@pytest.fixture(params=_ways(), ids="-".join)
def way(request: pytest.FixtureRequest) -> Way:
    """Each mover in turn, on each way that it can go."""
    name, *ends = request.param
    try:
        mover = load("movers", name)()
    except AdapterUnavailableError as error:
        pytest.skip(str(error))
    source, destination = (_endpoint(request, site, scheme) for site, scheme in zip(("agh", "lrz"), ends, strict=True))
    return Way(mover=mover, source=source, destination=destination)


def _endpoint(request: pytest.FixtureRequest, site: str, scheme: str) -> Endpoint:
    if scheme == "file":
        return Endpoint(site=site, scheme="file")
    options = request.getfixturevalue("mover_sshd").options
    return Endpoint(site=site, scheme="ssh", options={name: str(value) for name, value in options.items()})
