"""The command line as a person uses it: real processes in a folder of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Convoy = Callable[..., subprocess.CompletedProcess[str]]
PROGRAM = [sys.executable, "-m", "orchestrator.faces.cli"]

SITES = """\
sites:
  agh: {workdir: sites/agh, labels: [cpu], slots: {cpus: 2, memory: 4GiB}}
  lrz: {workdir: sites/lrz, labels: [cpu, gpu], slots: {cpus: 2, memory: 4GiB, gpus: 1}}
"""


def environment() -> dict[str, str]:
    """The tests' own environment, with byte code kept: it makes start-up twice as fast."""
    return {**os.environ, "PYTHONDONTWRITEBYTECODE": "", "NO_COLOR": "1", "COLUMNS": "200"}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with two embedded sites."""
    folder = tmp_path / "home"
    folder.mkdir()
    (folder / "sites.yaml").write_text(SITES)
    return folder


@pytest.fixture
def convoy(home: Path) -> Convoy:
    """Runs `convoy ARGUMENTS` in the test's folder and returns what it said."""

    def run(*arguments: object, timeout_s: float = 120) -> subprocess.CompletedProcess[str]:
        words = [*PROGRAM, "--home", str(home), *map(str, arguments)]
        return subprocess.run(
            words, capture_output=True, text=True, timeout=timeout_s, env=environment(), cwd=home.parent, check=False
        )

    return run


@pytest.fixture
def workflow(tmp_path: Path) -> Callable[[str], Path]:
    """Writes a workflow file."""

    def write(text: str) -> Path:
        path = tmp_path / "workflow.yaml"
        path.write_text(text)
        return path

    return write
