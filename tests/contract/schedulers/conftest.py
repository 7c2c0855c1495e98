"""What every batch scheduler's adapter must pass; a new adapter is found by the registry, no test is edited."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import pytest

from orchestrator import registry
from orchestrator.jobs import JobSpec, Token
from orchestrator.ports import Scheduler

# What the scheduler sets in the environment of a job, and of element {index} of an array.
PLAIN = {"slurm": {"SLURM_JOB_ID": "7"}, "pbs": {"PBS_JOBID": "7.pbs"}}
ELEMENT = {
    "slurm": {"SLURM_JOB_ID": "9", "SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "{index}"},
    "pbs": {"PBS_JOBID": "7[{index}].pbs", "PBS_ARRAY_INDEX": "{index}"},
}
IDS = {"slurm": "7", "pbs": "7.pbs"}
ARRAY_IDS = {"slurm": "7", "pbs": "7[].pbs"}


@pytest.fixture(params=registry.names("schedulers"))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def native_id(name: str) -> str:
    """The id of the job that `execute` runs."""
    return IDS[name]


@pytest.fixture
def array_id(name: str) -> str:
    """The id of the array whose elements `execute` runs."""
    return ARRAY_IDS[name]


@pytest.fixture
def scheduler(name: str) -> Scheduler:
    made: Scheduler = registry.load("schedulers", name)()
    return made


MakeSpec = Callable[..., JobSpec]


@pytest.fixture
def make_spec(tmp_path: Path) -> MakeSpec:
    """A job in a folder of its own, that is not there yet."""

    def make(token: str = "r.s.0.1", **fields: object) -> JobSpec:
        directory = PurePosixPath(tmp_path / "jobs" / token.replace("/", "_"))
        known: dict[str, object] = {
            "token": Token(token),
            "executable": "/bin/true",
            "directory": directory,
            "stdout_path": directory / "logs" / "stdout",
            "stderr_path": directory / "logs" / "stderr",
        }
        return JobSpec(**(known | fields))  # type: ignore[arg-type]

    return make


@pytest.fixture
def execute(name: str, tmp_path: Path) -> Callable[..., int]:
    """Runs a script as the scheduler's node would, and gives its exit code."""

    def run(script: str, *, index: int | None = None) -> int:
        path = tmp_path / "script.sh"
        path.write_text(script)
        words = PLAIN[name] if index is None else ELEMENT[name]
        environment = {"PATH": "/usr/bin:/bin"} | {key: word.format(index=index) for key, word in words.items()}
        return subprocess.run(["sh", str(path)], env=environment, check=False, timeout=60).returncode

    return run
