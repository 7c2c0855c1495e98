"""A home with an embedded site, and the command beside it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from metadata.jobs import JobBook
from orchestrator.operations import Workspace
from orchestrator.settings import find_settings

SITES = """\
sites:
  agh: {workdir: sites/agh, slots: {cpus: 1, memory: 1GiB}}
  lrz: {workdir: sites/lrz, slots: {cpus: 1, memory: 1GiB}}
"""


class Killed(BaseException):
    """Stands for SIGKILL: nothing that catches ordinary errors catches it."""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    (folder / "sites.yaml").write_text(SITES)
    return folder


@pytest.fixture
def workspace(home: Path) -> Iterator[Workspace]:
    with Workspace(find_settings(home=home, environment={})) as opened:
        yield opened


@pytest.fixture
def book(workspace: Workspace) -> JobBook:
    return JobBook(workspace.sessions)
