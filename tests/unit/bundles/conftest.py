"""A site in a folder, whose queue starts a job when the test says so."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from adapters.runners.local import LocalRunner
from metadata.errors import MiddlewareError, SiteUnavailableError
from orchestrator.bundles import BundlingExecutor
from orchestrator.jobs import JobAttributes, JobSpec, JobState, JobStatus, NativeId, Token
from orchestrator.ports import SiteSettings

PENDING = JobStatus(state=JobState.QUEUED, native_state="PENDING")
RUNNING = JobStatus(state=JobState.ACTIVE, native_state="RUNNING")


def ended(state: JobState, word: str, **facts: Any) -> JobStatus:
    """How the scheduler tells of a worker's end."""
    return JobStatus(state=state, native_state=word, **facts)


@dataclass(kw_only=True)
class Queue:
    """A `JobExecutor` that starts nothing by itself, and counts what it is asked."""

    specs: dict[NativeId, JobSpec] = field(default_factory=dict)
    states: dict[NativeId, JobStatus] = field(default_factory=dict)
    canceled: list[NativeId] = field(default_factory=list)
    questions: int = 0
    lies: int = 0
    """Submissions that are accepted, and answered with an error."""
    refusal: MiddlewareError | None = None
    """How further submissions are answered."""
    refused: int = 0
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def submit(self, specs: Sequence[JobSpec]) -> Mapping[Token, NativeId]:
        """Each gets a number."""
        if self.refusal:
            self.refused += 1
            raise self.refusal
        sent = {spec.token: NativeId(f"{len(self.specs) + index}") for index, spec in enumerate(specs)}
        self.specs |= {sent[spec.token]: spec for spec in specs}
        self.states |= dict.fromkeys(sent.values(), PENDING)
        if self.lies:
            self.lies -= 1
            raise SiteUnavailableError("Socket timed out", retry_after_s=0.0)
        return sent

    def find(self, tokens: Sequence[Token]) -> Mapping[Token, NativeId]:
        """By token."""
        return {spec.token: native_id for native_id, spec in self.specs.items() if spec.token in tokens}

    def status(self, ids: Sequence[NativeId]) -> Mapping[NativeId, JobStatus]:
        """As the test set it."""
        self.questions += 1
        return {native_id: self.states[native_id] for native_id in ids if native_id in self.states}

    def cancel(self, ids: Sequence[NativeId]) -> None:
        """Is only noted."""
        self.canceled += ids

    def close(self) -> None:
        """Nothing is held."""

    def begin(self, native_id: str) -> subprocess.Popen[bytes]:
        """A job starts."""
        spec = self.specs[NativeId(native_id)]
        self.states[NativeId(native_id)] = RUNNING
        environment = {**os.environ, **spec.environment, "CONVOY_JOB": native_id}
        job = subprocess.Popen(spec.argv, env=environment, cwd="/", start_new_session=True)
        self.running.append(job)
        return job

    def run(self, native_id: str) -> int:
        """A job runs to its end."""
        code = self.begin(native_id).wait(timeout=60)
        state = (JobState.FAILED, "FAILED") if code else (JobState.COMPLETED, "COMPLETED")
        self.states[NativeId(native_id)] = ended(*state)
        return code


@dataclass(kw_only=True)
class Site:
    """Bundling over such a queue."""

    folder: Path
    queue: Queue = field(default_factory=Queue)
    executor: BundlingExecutor = field(init=False)

    def __post_init__(self) -> None:
        self.take_over()

    def take_over(self) -> None:
        """Another engine comes, which remembers nothing."""
        settings = SiteSettings(name="agh", workdir=PurePosixPath(self.folder / "work's place"))
        self.executor = BundlingExecutor(settings, self.queue, LocalRunner())

    def job(self, number: int, text: str = "true", *, run: str = "run", **attributes: Any) -> JobSpec:
        """A job that gives `text` to a shell; by default one that may share."""
        folder = PurePosixPath(self.folder) / "jobs" / str(number)
        facts = {"bundle": timedelta(seconds=60), **attributes}
        return JobSpec(
            token=Token(f"{run}.step.{number}.1"),
            executable="/bin/sh",
            arguments=("-c", f"echo {number} >> {self.folder}/ran; {text}"),
            directory=folder,
            stdout_path=folder / "stdout.txt",
            stderr_path=folder / "stderr.txt",
            attributes=JobAttributes(**facts),
        )

    def submit(self, count: int, text: str = "true", **attributes: Any) -> list[NativeId]:
        """So many like jobs."""
        specs = [self.job(number, text, **attributes) for number in range(count)]
        sent = self.executor.submit(specs)
        return [sent[spec.token] for spec in specs]

    def states(self, ids: Sequence[NativeId]) -> list[str]:
        """Where they stand: news is seen first, then the scheduler is asked, and then it is believed."""
        for _ in range(3):
            answer = self.executor.status(ids)
        return [str(answer[native_id].state) if native_id in answer else "absent" for native_id in ids]

    def ran(self) -> list[int]:
        """Every start of a program, in order."""
        path = self.folder / "ran"
        return [int(line) for line in path.read_text().split()] if path.exists() else []


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """An empty site. What still runs at the end is killed."""
    found = Site(folder=tmp_path)
    yield found
    for job in found.queue.running:
        if job.poll() is None:
            os.killpg(job.pid, signal.SIGKILL)
        job.wait()


def like(spec: JobSpec, **facts: Any) -> JobSpec:
    """The same job with other facts."""
    return replace(spec, **facts)
