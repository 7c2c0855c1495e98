"""A home with three embedded sites and a folder of files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.operations import Workspace
from orchestrator.settings import find_settings

SITES = """\
sites:
  agh: {workdir: sites/agh, labels: [cpu]}
  lrz: {workdir: sites/lrz, labels: [cpu, gpu]}
  vault: {workdir: sites/vault, labels: [tape]}
"""
FILES = {"a.tif": b"a" * 1000, "train/b.tif": b"b" * 2000, "train/deep/c.csv": b"c,1\n", "train/same.tif": b"a" * 1000}


@pytest.fixture
def slides(tmp_path: Path) -> Path:
    """A folder of this machine with four files of three contents."""
    folder = tmp_path / "slides"
    for name, content in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    """An open home."""
    home = tmp_path / "home"
    home.mkdir()
    (home / "sites.yaml").write_text(SITES)
    with Workspace(find_settings(home=home, environment={})) as opened:
        yield opened


@pytest.fixture
def study(workspace: Workspace, slides: Path) -> Workspace:
    """The home with the dataset `study`, whose bytes lie at agh, and whose first copies are the folder's files."""
    from orchestrator import operations

    operations.put_data(workspace, [str(slides)], "study", sites=["agh"])
    return workspace
