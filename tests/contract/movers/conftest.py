"""Every mover that the registry knows, over every kind of endpoint that it says it can reach and that is there."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from metadata.errors import AdapterUnavailableError
from orchestrator.registry import load, names
from staging.ports import Capabilities, Credential, Direction, Endpoint, Mover
from tests.testbed.fixtures import wait_until
from tests.testbed.local_sshd import LocalSshd, running

_ENDS = {
    Direction.LOCAL: ("file", "file"),
    Direction.PUSH: ("file", "ssh"),
    Direction.PULL: ("ssh", "file"),
    Direction.RELAY: ("ssh", "ssh"),
    Direction.THIRD_PARTY: ("ssh", "ssh"),
}


@dataclass(frozen=True, kw_only=True)
class Way:
    """A mover between two endpoints, both of which see this machine's files."""

    mover: Mover
    source: Endpoint
    destination: Endpoint
    direction: Direction
    credential: Credential = Credential.NONE


@pytest.fixture(scope="session")
def mover_sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalSshd]:
    """One real sshd for the whole suite."""
    with running(tmp_path_factory.mktemp("sshd")) as server:
        yield server


@pytest.fixture(scope="session")
def mover_agent(mover_sshd: LocalSshd) -> Iterator[Path]:
    """The socket of an SSH agent that holds the user's key."""
    socket = mover_sshd.folder / "agent"
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", socket], stdout=subprocess.DEVNULL)
    wait_until(socket.exists, what="the agent's socket")
    subprocess.run(
        ["ssh-add", "-q", mover_sshd.identity],
        check=True, env={**os.environ, "SSH_AUTH_SOCK": str(socket)}, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    yield socket
    agent.kill()
    agent.wait()


def _ways() -> list[tuple[str, Direction, Credential]]:
    """Third parties with the credential that needs most; the others have a test of their own."""
    return [
        (name, direction, _credentials(name)[-1] if direction is Direction.THIRD_PARTY else Credential.NONE)
        for name in names("movers")
        for direction in _ENDS
        if _can(name, direction)
    ]


def _other_ways() -> list[tuple[str, Direction, Credential]]:
    return [
        (name, Direction.THIRD_PARTY, credential)
        for name in names("movers")
        if _can(name, Direction.THIRD_PARTY)
        for credential in _credentials(name)[:-1]
    ]


def _credentials(name: str) -> list[Credential]:
    return sorted(load("movers", name).capabilities.credentials)


def _can(name: str, direction: Direction) -> bool:
    try:
        can = load("movers", name).capabilities
    except AdapterUnavailableError:
        return direction is Direction.LOCAL  # so that its absence is told
    return direction in can.directions and set(_schemes(can, direction)) <= can.schemes


def _schemes(can: Capabilities, direction: Direction) -> list[str]:
    """The doors at both ends; a mover without SSH of its own may see the same server as one of rclone's remotes."""
    remote = "ssh" if "ssh" in can.schemes else "rclone"
    return [remote if scheme == "ssh" else scheme for scheme in _ENDS[direction]]


@pytest.fixture(params=_ways(), ids="-".join)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Way:
    """Each mover in turn, on each way that it can go."""
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    return _way(request)


@pytest.fixture(params=_other_ways(), ids="-".join)
def other_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Way:
    """Each mover between two sites, with each other credential."""
    if request.param[2] is Credential.AGENT:
        monkeypatch.setenv("SSH_AUTH_SOCK", str(request.getfixturevalue("mover_agent")))
    return _way(request)


def _way(request: pytest.FixtureRequest) -> Way:
    name, direction, credential = request.param
    try:
        mover = load("movers", name)()
    except AdapterUnavailableError as error:
        pytest.skip(str(error))
    missing = [program for program in mover.capabilities.needs if not shutil.which(program)]
    if missing:
        pytest.skip(f"{name} needs {', '.join(missing)}")
    ends = zip(("agh", "lrz"), _schemes(mover.capabilities, direction), strict=True)
    source, destination = (_endpoint(request, site, scheme) for site, scheme in ends)
    return Way(mover=mover, source=source, destination=destination, direction=direction, credential=credential)


def _endpoint(request: pytest.FixtureRequest, site: str, scheme: str) -> Endpoint:
    if scheme == "file":
        return Endpoint(site=site, doors={"file": {}})
    options = request.getfixturevalue("mover_sshd").options
    if scheme == "rclone":
        _name_remote(request.getfixturevalue("monkeypatch"), options)
        return Endpoint(site=site, doors={"rclone": {"remote": "bench:"}})
    return Endpoint(site=site, doors={"ssh": {name: str(value) for name, value in options.items()}})


def _name_remote(monkeypatch: pytest.MonkeyPatch, options: Mapping[str, object]) -> None:
    """Rclone knows the server as `bench:`, by its environment: the user's own file is left alone."""
    facts = {
        "TYPE": "sftp", "HOST": options["host"], "PORT": options["port"], "USER": options["user"],
        "KEY_FILE": options["identity_file"], "KNOWN_HOSTS_FILE": options["known_hosts"], "SET_MODTIME": "false",
    }  # fmt: skip
    monkeypatch.setenv("RCLONE_CONFIG", os.devnull)
    for name, value in facts.items():
        monkeypatch.setenv(f"RCLONE_CONFIG_BENCH_{name}", str(value))
