"""A workflow whose steps run inside images, at real sites."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from metadata.history import History
from metadata.sessions import open_sessions
from orchestrator.operations.images import import_image
from tests.integration.images.conftest import Centres, docker_archive, make_layer
from tests.integration.slurm.conftest import environment

WORKFLOW = """\
name: boxed
inputs: {text: {default: %s}}
steps:
  inside:
    image: tiny
    scatter: {n: {range: 3}}
    in: {text: inputs.text}
    environment: {GREETING: "it's $(me)"}
    command: "cat {{inputs.text}} > seen.txt; echo $GREETING {{with.n}} $MADE_BY $SLURM_CLUSTER_NAME >> seen.txt; ls /bin >> seen.txt"
    outputs: {seen: seen.txt}
    at: lrz
  beside:
    command: "test -e /usr/bin/apptainer; cat {{inputs.seen}} > all.txt"
    in: {seen: inside.seen}
    outputs: {all: all.txt}
    at: lrz
outputs: {all: beside.all}
"""


def convoy(centres: Centres, *arguments: object, timeout_s: float = 240) -> subprocess.CompletedProcess[str]:
    """What `convoy ARGUMENTS` said."""
    return subprocess.run(
        [sys.executable, "-m", "orchestrator.faces.cli", "--home", str(centres.home), *map(str, arguments)],
        capture_output=True, text=True, timeout=timeout_s, check=False, env=environment(),
    )  # fmt: skip


@pytest.fixture
def workflow(tmp_path: Path) -> Path:
    """A workflow with one input file."""
    (tmp_path / "text file.txt").write_text("hello\n")
    path = tmp_path / "workflow.yaml"
    path.write_text(WORKFLOW % f'"{tmp_path}/text file.txt"')
    return path


def test_a_step_whose_image_nobody_made_is_refused_before_anything_runs(centres: Centres, workflow: Path) -> None:
    """With what to do about it."""
    answer = convoy(centres, "plan", workflow)
    assert answer.returncode != 0
    assert "no image 'tiny'" in answer.stderr
    assert "convoy image build" in answer.stderr.replace("\n", " ")


def test_the_image_is_brought_once_and_the_tasks_run_inside(
    centres: Centres, busybox: bytes, workflow: Path, tmp_path: Path
) -> None:
    """One transfer for three tasks; a step without an image runs beside it on the host."""
    with centres.workspace() as workspace:
        image = import_image(workspace, "tiny", docker_archive(tmp_path / "t.tar", make_layer(busybox)), at="agh").image
    answer = convoy(centres, "run", workflow)
    assert answer.returncode == 0, answer.stderr + answer.stdout
    sessions = open_sessions(f"sqlite:///{centres.home / 'convoy.db'}")
    try:
        history = History(sessions)
        record = history.run(history.runs(limit=1)[0].id)
    finally:
        sessions.dispose()
    brought = [row for row in record.transfers if row.sha256 == image.sha256]
    assert [(row.source_site, row.destination_site, row.state) for row in brought] == [("agh", "lrz", "COMPLETED")]
    assert (
        convoy(centres, "data", "get", f"dataset://{record.id}/beside/0/all.txt", "--output", tmp_path).returncode == 0
    )
    seen = (tmp_path / "all.txt").read_text()
    for number in range(3):
        assert f"hello\nit's $(me) {number} the archive lrz\nbusybox\n" in seen
    assert "apptainer" not in seen
