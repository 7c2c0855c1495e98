"""A home with two embedded sites, and runs in it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metadata.history import RunRecord
from orchestrator import operations
from orchestrator.operations.workspace import Workspace
from orchestrator.plans import Plan
from orchestrator.settings import find_settings

SITES = """\
sites:
  agh: {workdir: sites/agh, slots: {cpus: 2, memory: 1GiB}}
  lrz: {workdir: sites/lrz, slots: {cpus: 2, memory: 1GiB}}
"""


class Killed(BaseException):
    """Stands for SIGKILL: nothing that catches ordinary errors catches it."""


@dataclass(kw_only=True)
class Home:
    """A folder with a site file, and whatever runs in it."""

    folder: Path

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "sites.yaml").write_text(SITES)

    @contextmanager
    def open(self) -> Iterator[Workspace]:
        """Its workspace."""
        with Workspace(find_settings(home=self.folder, environment={})) as workspace:
            yield workspace

    def workflow(self, text: str) -> Path:
        """A workflow file; `{home}` in it is the home's folder."""
        path = self.folder / "workflow.yaml"
        path.write_text("name: toy\n" + text.replace("{home}", str(self.folder)))
        return path

    def plan(self, text: str, **given: Any) -> Plan:
        """The plan of a workflow."""
        with self.open() as workspace:
            return operations.plan(workspace, self.workflow(text), **given)

    def run(self, text: str, *, fresh: bool = False) -> RunRecord:
        """How a run of a workflow ends."""
        plan = self.plan(text)
        with self.open() as workspace:
            return self.record(workspace, operations.start(workspace, plan, fresh=fresh).id)

    def resume(self) -> RunRecord:
        """How the newest run that was left ends."""
        with self.open() as workspace:
            return self.record(workspace, operations.resume(workspace).id)

    def retry(self, run_id: str) -> RunRecord:
        """How a run that failed ends now."""
        with self.open() as workspace:
            return self.record(workspace, operations.retry(workspace, run_id).id)

    def record(self, workspace: Workspace, run_id: str) -> RunRecord:
        """All that is known of a run."""
        return operations.show(workspace, run_id)

    def lines(self, name: str) -> int:
        """How many lines a file in the home has; none when it is not there."""
        path = self.folder / name
        return len(path.read_text().splitlines()) if path.exists() else 0


def wait_until(true: Callable[[], Any], *, what: str, timeout_s: float = 30.0) -> Any:
    """What `true` returns as soon as it is true."""
    deadline = time.monotonic() + timeout_s
    while not (found := true()):
        assert time.monotonic() < deadline, f"waited {timeout_s} s for {what}"
        time.sleep(0.02)
    return found
