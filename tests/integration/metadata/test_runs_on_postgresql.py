"""A whole run whose journal and catalogue are in PostgreSQL."""

from __future__ import annotations

from pathlib import Path

from orchestrator import operations
from orchestrator.settings import Settings

WORKFLOW = """\
name: across
steps:
  make: {scatter: {n: {range: 3}}, command: "echo {{with.n}} > o.txt", outputs: {o: o.txt}, at: agh}
  join: {command: "cat {{inputs.all}} > all.txt", in: {all: make.o}, outputs: {all: all.txt}, at: lrz}
"""
SITES = "sites:\n  agh: {workdir: agh, slots: {cpus: 2}}\n  lrz: {workdir: lrz, slots: {cpus: 2}}\n"


def test_a_run_is_carried_out_and_reused_with_its_journal_in_postgresql(empty_url: str, tmp_path: Path) -> None:
    """Numbers of rows, JSON columns, lease and all."""
    (tmp_path / "sites.yaml").write_text(SITES)
    (tmp_path / "w.yaml").write_text(WORKFLOW)
    settings = Settings(home=tmp_path, database_url=empty_url, sites_file=tmp_path / "sites.yaml")
    with operations.Workspace(settings) as workspace:
        first = operations.start(workspace, operations.plan(workspace, tmp_path / "w.yaml"))
        assert (first.state, first.counts) == ("COMPLETED", {"COMPLETED": 4})
        second = operations.start(workspace, operations.plan(workspace, tmp_path / "w.yaml"))
        assert all(task.reused_from for step in operations.show(workspace, second.id).steps for task in step.tasks)
        fetched = operations.get_data(workspace, f"{first.id}/join", tmp_path / "out")
        assert [path.read_text() for path in fetched] == ["0\n1\n2\n"]
