"""Two sites of the testbed as the ends of a transfer, and files written and read past every mover."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from adapters.runners.ssh import SshRunner
from staging.ports import Capabilities, Direction, Endpoint, MoveFile, Mover, MoveRequest, MoveResult
from tests.integration.movers.pairs import Pair
from tests.testbed.fixtures import Testbed, TestbedSite, wait_until

ALICE = 2001


@dataclass(frozen=True, kw_only=True)
class End:
    """One end of a transfer: how the mover sees it, and how the test does."""

    endpoint: Endpoint
    folder: str
    """An empty folder, as the site calls it."""
    root: Path
    """The site's file system as this machine's root sees it."""
    site: TestbedSite | None = None

    def path(self, name: str) -> Path:
        """The file as the test reaches it."""
        return self.root / self.folder.lstrip("/") / name

    def write(self, name: str, content: bytes) -> None:
        """The file is there, and it is alice's."""
        path = self.path(name)
        made = [folder for folder in path.parents if not folder.exists()]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        for own in (*made, path):
            if self.site:
                os.chown(own, ALICE, ALICE)


@dataclass(frozen=True, kw_only=True)
class Way:
    """A mover between two ends."""

    mover: Mover
    source: End
    destination: End

    @property
    def direction(self) -> Direction:
        """Which way the bytes go."""
        if self.source.endpoint.local:
            return Direction.PUSH
        return Direction.PULL if self.destination.endpoint.local else Direction.THIRD_PARTY

    @property
    def can(self) -> Capabilities:
        """What the mover says of itself."""
        return self.mover.capabilities

    def request(self, pairs: Mapping[str, str], *, streams: int = 1) -> MoveRequest:
        """Source names and the names of their partial files."""
        files = []
        for name, partial in pairs.items():
            path = self.source.path(name)
            files.append(
                MoveFile(
                    source_path=f"{self.source.folder}/{name}",
                    partial_path=f"{self.destination.folder}/{partial}",
                    size_bytes=path.stat().st_size if path.is_file() else 0,
                )
            )
        return MoveRequest(
            source=self.source.endpoint,
            destination=self.destination.endpoint,
            files=tuple(files),
            direction=self.direction,
            streams=streams,
        )

    def move(self, *names: str, told: list[int] | None = None, streams: int = 1) -> MoveResult:
        """The files were moved; each partial file has `.part` behind its name."""
        told = told if told is not None else []
        pairs = {name: f"{name}.part" for name in names}
        return self.mover.move(self.request(pairs, streams=streams), progress=told.append)

    def check(self, contents: Mapping[str, bytes], *, streams: int) -> None:
        """Files of these contents arrive whole at their partial paths, and the bytes that are told only grow."""
        for name, content in contents.items():
            self.source.write(name, content)
        told: list[int] = []
        result = self.move(*contents, told=told, streams=streams)
        for name, content in contents.items():
            assert self.destination.path(f"{name}.part").read_bytes() == content
        assert result.bytes_moved == sum(map(len, contents.values()))
        assert told == sorted(told)
        assert told[-1] == result.bytes_moved


class Ends:
    """Makes ends, and takes their folders and connections away."""

    def __init__(self, testbed: Testbed, tmp_path: Path) -> None:
        self.testbed = testbed
        self._tmp_path = tmp_path
        self._runners: list[SshRunner] = []
        self._folders: list[Path] = []

    def here(self, doors: Mapping[str, Mapping[str, str]] | None = None, *, name: str = "here") -> End:
        """A folder of this machine."""
        folder = self._tmp_path / name
        folder.mkdir()
        endpoint = Endpoint(site=name, doors={"file": {}, **(doors or {})})
        return End(endpoint=endpoint, folder=str(folder), root=Path("/"))

    def at(self, site: str, doors: Mapping[str, Mapping[str, str]], *, shell: bool = True) -> End:
        """A folder of a site, which is up."""
        there = self.testbed.site(site, DBD=0, NODES=1, GPUS=0)
        folder = f"/home/alice/movers-{uuid.uuid4().hex}"
        (there.root / folder[1:]).mkdir()
        os.chown(there.root / folder[1:], ALICE, ALICE)
        self._folders.append(there.root / folder[1:])
        runner = SshRunner(site=site, options=there.ssh_options)
        self._runners.append(runner)
        endpoint = Endpoint(site=site, doors=doors, shell=runner if shell else None)
        return End(endpoint=endpoint, folder=folder, root=there.root, site=there)

    def close(self) -> None:
        """Everything made here is gone."""
        for runner in self._runners:
            runner.close()
        for folder in self._folders:
            shutil.rmtree(folder)


@pytest.fixture
def ends(testbed: Testbed, tmp_path: Path) -> Iterator[Ends]:
    """Ends for one test."""
    made = Ends(testbed, tmp_path)
    yield made
    made.close()


@pytest.fixture
def pair(testbed: Testbed) -> Iterator[Pair]:
    """Two sites that this file alone breaks."""
    made = Pair(
        source=testbed.site("mva", DBD=0, NODES=1),
        destination=testbed.site("mvb", DBD=0, NODES=1),
        folder=f"/home/alice/movers-{secrets.token_hex(4)}",
    )
    for site in (made.source, made.destination):
        site.execute("install", "-d", "-o", "alice", made.folder)
    yield made
    for site in (made.source, made.destination):
        site.execute("rm", "-rf", made.folder)


@pytest.fixture
def agent(testbed: Testbed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An SSH agent that holds alice's key."""
    socket = tmp_path / "agent"
    program = subprocess.Popen(["ssh-agent", "-D", "-a", socket], stdout=subprocess.DEVNULL)
    wait_until(socket.exists, what="the agent's socket")
    monkeypatch.setenv("SSH_AUTH_SOCK", str(socket))
    subprocess.run(["ssh-add", "-q", testbed.folder / "keys/alice"], check=True, stderr=subprocess.DEVNULL)
    yield
    program.kill()
    program.wait()
