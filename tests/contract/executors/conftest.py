"""Every executor that the registry knows, with a folder that the test sees past it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import psutil
import pytest

from metadata.errors import AdapterUnavailableError
from orchestrator.jobs import JobAttributes, JobSpec, JobState, JobStatus, NativeId, ResourceSpec, Token
from orchestrator.ports import JobExecutor, SiteSettings
from orchestrator.registry import load, names

GIBIBYTE = 1 << 30


def wait_until(true: Callable[[], Any], *, what: str, timeout_s: float = 90.0) -> Any:
    """What `true` returns as soon as it is true."""
    deadline = time.monotonic() + timeout_s
    while not (found := true()):
        assert time.monotonic() < deadline, f"waited {timeout_s} s for {what}"
        time.sleep(0.02)
    return found


@dataclass(kw_only=True)
class Centre:
    """A site with two cores, one GiB and two GPUs, at which executors come and go."""

    adapter: Callable[[SiteSettings], JobExecutor]
    folder: Path
    settings: dict[str, Any] = field(default_factory=lambda: {"cpus": 2, "memory": GIBIBYTE, "gpus": 2})
    executor: JobExecutor = field(init=False)
    opened: list[JobExecutor] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.executor = self.another()

    def another(self) -> JobExecutor:
        """A further executor of the same site."""
        executor = self.adapter(SiteSettings(name="agh", workdir=PurePosixPath(self.folder / "work"), **self.settings))
        self.opened.append(executor)
        return executor

    def take_over(self) -> None:
        """The executor goes, and another comes in its place."""
        self.executor.close()
        self.executor = self.another()

    def job(self, text: str, *, token: str = "run.step.0.1", seconds: float | None = None, **resources: Any) -> JobSpec:
        """A job that gives `text` to a shell in a folder of its own."""
        folder = PurePosixPath(self.folder) / "jobs" / token
        from datetime import timedelta

        return JobSpec(
            token=Token(token),
            executable="/bin/sh",
            arguments=("-c", text),
            directory=folder,
            stdout_path=folder / "stdout.txt",
            stderr_path=folder / "stderr.txt",
            resources=ResourceSpec(**resources),
            attributes=JobAttributes(duration=timedelta(seconds=seconds) if seconds else None),
        )

    def submit(self, *specs: JobSpec) -> list[NativeId]:
        """The jobs' ids."""
        known = self.executor.submit(specs)
        return [known[spec.token] for spec in specs]

    def status(self, native_id: NativeId) -> JobStatus:
        """What the site says of a job that it knows."""
        return self.executor.status([native_id])[native_id]

    def ended(self, native_id: NativeId) -> JobStatus:
        """How a job ended."""
        wait_until(lambda: self.status(native_id).state.final, what=f"the end of {native_id}")
        return self.status(native_id)

    def run(self, text: str, **facts: Any) -> JobStatus:
        """How a job ends that is submitted now."""
        return self.ended(self.submit(self.job(text, **facts))[0])

    def active(self, native_id: NativeId) -> None:
        """Waits until a job runs."""
        wait_until(lambda: self.status(native_id).state is JobState.ACTIVE, what=f"the start of {native_id}")

    @property
    def gate(self) -> str:
        """Shell text that waits until the test has opened the gate: no job ends before the test is ready for it."""
        return f"while [ ! -e {self.folder}/open ]; do sleep 0.05; done"

    def open_gate(self) -> None:
        """Jobs that wait at the gate go on."""
        (self.folder / "open").touch()

    def written(self, name: str) -> str:
        """What a job wrote into the site's folder, once it did."""
        path = self.folder / name
        wait_until(lambda: path.exists() and path.read_text().endswith("\n"), what=name)
        return path.read_text()


def lives(pid: int) -> bool:
    """True while the process is there and no zombie."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.fixture(params=names("executors"))
def centre(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Centre]:
    """Each executor in turn. Whatever a test leaves running is killed."""
    try:
        adapter = load("executors", request.param)
    except AdapterUnavailableError as error:
        pytest.skip(str(error))
    found = Centre(adapter=adapter, folder=tmp_path)
    yield found
    for executor in found.opened:
        executor.close()
    for process in psutil.process_iter(["cwd"]):
        if str(process.info["cwd"]).startswith(str(tmp_path)):
            process.kill()
