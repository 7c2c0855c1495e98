"""The runners that the contract is held against, each with a way to look past it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pytest

from adapters.runners.local import LocalRunner
from adapters.runners.ssh import SshRunner
from orchestrator.ports import CommandRunner
from tests.testbed.local_sshd import LocalSshd, running

ALICE = 2001
"""Her user number at every site."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """A runner, and the same folder seen from both sides."""

    name: str
    runner: CommandRunner
    folder: PurePosixPath
    """As the runner names it."""

    seen: Path
    """As the test sees it, past the runner."""


def _local(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    yield Place(name="local", runner=LocalRunner(), folder=PurePosixPath(tmp_path), seen=tmp_path)


def _sshd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    server = request.getfixturevalue("contract_sshd")
    runner = SshRunner(site="sshd", options=server.options)
    yield Place(name="sshd", runner=runner, folder=PurePosixPath(tmp_path), seen=tmp_path)
    runner.close()


def _site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    site = request.getfixturevalue("testbed").site("agh")
    runner = SshRunner(site="agh", options=site.ssh_options)
    folder = PurePosixPath(f"/tmp/{tmp_path.parent.name}-{tmp_path.name}")
    seen = site.root / str(folder).lstrip("/")
    seen.mkdir()
    os.chown(seen, ALICE, ALICE)
    yield Place(name="site", runner=runner, folder=folder, seen=seen)
    runner.close()
    shutil.rmtree(seen)


_PLACES = {"local": _local, "sshd": _sshd, "site": _site}


@pytest.fixture(scope="session")
def contract_sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalSshd]:
    """One real sshd for the whole suite."""
    with running(tmp_path_factory.mktemp("sshd")) as server:
        yield server


@pytest.fixture(params=sorted(_PLACES))
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """Each runner in turn."""
    yield from _PLACES[request.param](request, tmp_path)
