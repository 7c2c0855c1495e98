"""Requested against used, where a site keeps no accounts."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from metadata.errors import NotFoundError, SiteUnavailableError
from orchestrator import operations
from orchestrator.jobs import NativeId
from orchestrator.operations import Workspace
from orchestrator.operations.accounting import usage_of

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


def test_accounts_that_cannot_be_asked_are_an_error(workspace: Workspace, batch_site: Path) -> None:
    _tool(batch_site / "sacct", "echo 'Unable to contact slurm controller' >&2; exit 1")
    with pytest.raises(SiteUnavailableError):
        usage_of(workspace, "agh", [NativeId("12")])
