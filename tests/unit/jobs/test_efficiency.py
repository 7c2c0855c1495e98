"""Requested against used, where a site keeps no accounts."""

from __future__ import annotations

import os
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from metadata.errors import NotFoundError, SiteUnavailableError
from metadata.history import AttemptRecord
from metadata.tables import ATTEMPTS
from orchestrator import operations
from orchestrator.jobs import NativeId
from orchestrator.operations import Workspace, reports
from orchestrator.operations.accounting import usage_of
from tests.unit.jobs.conftest import SITES

TWO = """\
name: two
steps:
  wait:
    scatter: {n: {range: 2}}
    command: "sleep 0.2; echo {{with.n}} > n.txt"
    outputs: {n: n.txt}
    resources: {time: 10s}
    at: agh
"""


def test_times_are_told_from_convoys_own_clock(workspace: Workspace, home: Path) -> None:
    (home / "two.yaml").write_text(TWO)
    run = operations.start(workspace, operations.plan(workspace, home / "two.yaml"))
    found = operations.efficiency(workspace, run.id)
    assert (found.run, dict(found.silent)) == (run.id, {})
    assert [(row.step, row.position, row.counted) for row in found.tasks] == [("wait", 0, False), ("wait", 1, False)]
    # One core for two tasks: the second one waits for the first.
    assert max(row.queue_wait_s or 0 for row in found.tasks) >= 0.2
    for row in found.tasks:
        assert row.elapsed_s is not None
        assert row.time_efficiency == pytest.approx(row.elapsed_s / 10)
        assert (row.cpu_efficiency, row.memory_efficiency) == (None, None)


def test_the_next_plan_knows_how_long_the_queue_was(workspace: Workspace, home: Path) -> None:
    (home / "two.yaml").write_text(TWO)
    first = operations.plan(workspace, home / "two.yaml")
    assert first.step("wait").prediction.basis.endswith("no wait in its queue is known")
    run = operations.start(workspace, first)
    for task in operations.show(workspace, run.id).steps[0].tasks:
        _submitted_earlier(workspace, task.last, by_s=40.0)
    [found] = operations.plan(workspace, home / "two.yaml").steps
    assert found.prediction.queue_s == pytest.approx(40.0, abs=20.0)
    assert found.prediction.basis.endswith("in its queue, by 1 earlier step")


def _submitted_earlier(workspace: Workspace, attempt: AttemptRecord | None, *, by_s: float) -> None:
    assert attempt is not None
    assert attempt.submitted_at is not None
    earlier = update(ATTEMPTS).where(ATTEMPTS.c.token == attempt.token).values(submitted_at=attempt.submitted_at - by_s)
    with workspace.database.execution_options(writing=True).begin() as connection:
        connection.execute(earlier)


def test_a_site_that_is_gone_is_named_as_silent(workspace: Workspace, home: Path) -> None:
    (home / "two.yaml").write_text(TWO)
    run = operations.start(workspace, operations.plan(workspace, home / "two.yaml"))
    (home / "sites.yaml").write_text("sites: {lrz: {workdir: sites/lrz}}\n")
    with Workspace(workspace.settings) as later:
        found = operations.efficiency(later, run.id)
    assert list(found.silent) == ["agh"]
    assert all(row.elapsed_s is not None for row in found.tasks)


def test_a_run_that_does_not_exist_has_no_efficiency(workspace: Workspace) -> None:
    with pytest.raises(NotFoundError):
        operations.efficiency(workspace, "nothing")


ROWS = """\
12|1700000000|1700000060|1700000160|100|10|2|02:30.000|400M|
12.batch|1700000060|1700000160|1700000160|100||2|02:30.000||100M
"""


@pytest.fixture
def batch_site(workspace: Workspace, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A site whose batch system is two scripts in a folder, which is returned."""
    (home / "sites.yaml").write_text("sites: {agh: {workdir: sites/agh, scheduler: slurm}}\n")
    (tmp_path / "bin").mkdir()
    _tool(tmp_path / "bin" / "sbatch", "echo slurm 24.11.5")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    return tmp_path / "bin"


def _tool(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_the_sites_accounts_say_what_was_used_of_what_was_asked_for(workspace: Workspace, batch_site: Path) -> None:
    _tool(batch_site / "sacct", f"cat <<'END'\n{ROWS}END")
    usages = usage_of(workspace, "agh", [NativeId("12"), NativeId("13")])
    assert list(usages) == ["12"]
    usage = usages[NativeId("12")]
    assert usage.queue_wait == timedelta(seconds=60)
    assert usage.cpu_efficiency == pytest.approx(0.75)
    assert usage.memory_efficiency == pytest.approx(0.25)
    assert usage.time_efficiency == pytest.approx(1 / 6)


def test_a_site_without_accounts_says_nothing(workspace: Workspace, batch_site: Path) -> None:
    _tool(batch_site / "sacct", "echo 'Slurm accounting storage is disabled' >&2; exit 1")
    assert usage_of(workspace, "agh", [NativeId("12")]) == {}


def test_a_report_waits_but_a_moment_for_a_site_that_hangs(
    workspace: Workspace, home: Path, batch_site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run was elsewhere meanwhile; the site's batch system says nothing until it is let go."""
    sites = (home / "sites.yaml").read_text()
    (home / "sites.yaml").write_text(SITES)
    (home / "two.yaml").write_text(TWO)
    with Workspace(workspace.settings) as before:
        run = operations.start(before, operations.plan(before, home / "two.yaml"))
    (home / "sites.yaml").write_text(sites)
    os.mkfifo(tmp_path / "gate")
    _tool(batch_site / "sacct", f"cat {tmp_path / 'gate'}")
    monkeypatch.setattr(reports, "_PATIENCE_S", 0.2)
    with Workspace(workspace.settings) as later:
        page = operations.write_report(later, run.id, folder=tmp_path / "report").page
    [asking] = [thread for thread in threading.enumerate() if thread.name == "accounts of agh"]
    (tmp_path / "gate").write_text("")
    asking.join(60)
    assert "it did not answer in time" in page.read_text()


def test_a_report_of_sites_without_accounts_says_nothing_of_them(
    workspace: Workspace, home: Path, tmp_path: Path
) -> None:
    (home / "two.yaml").write_text(TWO)
    run = operations.start(workspace, operations.plan(workspace, home / "two.yaml"))
    page = operations.write_report(workspace, run.id, folder=tmp_path / "report").page
    assert "Asked for and used" not in page.read_text()


def test_accounts_that_cannot_be_asked_are_an_error(workspace: Workspace, batch_site: Path) -> None:
    _tool(batch_site / "sacct", "echo 'Unable to contact slurm controller' >&2; exit 1")
    with pytest.raises(SiteUnavailableError):
        usage_of(workspace, "agh", [NativeId("12")])
