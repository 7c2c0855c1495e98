"""`convoy sandbox` on this machine: a cluster of its own comes up, runs a job, and goes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.sandbox.clusters import SCRIPT
from tests.testbed.fixtures import Testbed

NAME = "sandboxed"


def convoy(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """What `convoy ARGUMENTS` said in a folder with a home."""
    return subprocess.run(
        [sys.executable, "-m", "orchestrator.faces.cli.main", "--home", str(folder / ".convoy"), *arguments],
        capture_output=True, text=True, timeout=280, check=False, cwd=folder,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "", "NO_COLOR": "1", **environment},
    )  # fmt: skip


@pytest.fixture
def nothing_left(testbed: Testbed) -> Iterator[None]:
    """This machine can have clusters, and the one of these tests is gone afterwards."""
    testbed.site("agh")
    yield
    subprocess.run(["bash", str(SCRIPT), "down", NAME], capture_output=True, check=False)


@pytest.mark.usefixtures("nothing_left")
def test_a_cluster_comes_up_runs_a_job_and_goes(tmp_path: Path) -> None:
    """In an empty folder, with a link as it was asked for; and the second `up` changes the link of the first."""
    for rtt in ("8", "4"):
        answer = convoy(tmp_path, "sandbox", "up", NAME, "--rtt", rtt, "--rate", "100 Mbit/s", "--json")
        assert answer.returncode == 0, answer.stderr
        (cluster,) = json.loads(answer.stdout)["clusters"]
        assert (cluster["state"], cluster["rtt_ms"], cluster["rate"]) == ("up", float(rtt), "100mbit")
    answer = convoy(tmp_path, "site", "test", NAME, "--json")
    assert answer.returncode == 0, answer.stdout + answer.stderr
    answer = convoy(tmp_path, "sandbox", "down", NAME)
    assert answer.returncode == 0, answer.stderr
    left = json.loads(convoy(tmp_path, "sandbox", "status", "--json").stdout)
    assert NAME not in {row["name"] for row in left}


def test_what_is_missing_is_said_and_nothing_is_written(tmp_path: Path) -> None:
    """Here it is every tool: the PATH leads to an empty folder but for bash and what finds the script."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for tool in ("bash", "dirname", "readlink", "id", "cat", "sha256sum", "cut", "grep", "ls"):
        (tools / tool).symlink_to(f"/usr/bin/{tool}")
    answer = convoy(tmp_path, "sandbox", "up", PATH=str(tools))
    assert answer.returncode == 9
    assert "the tool mmdebstrap is not installed" in answer.stderr
    assert "sites.sh install" in answer.stderr
    assert not (tmp_path / ".convoy" / "sites.yaml").exists()
