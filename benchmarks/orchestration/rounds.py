"""Runs the contenders in turn, round after round, so that a noisy minute strikes all of them alike."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count as counter
from pathlib import Path
from typing import TypeVar

from benchmarks.orchestration.contenders import Contender, Convoy
from benchmarks.orchestration.results import Measurement

T = TypeVar("T")

_LAUNCHER = Path(__file__).with_name("launch.py")
_LIMIT_S = 300.0
_WARM_UP_TASKS = 2


class RunFailedError(Exception):
    """A contender did not run all its tasks; the message holds its last words."""


class TooSlowError(RunFailedError):
    """It had not ended in time, and was stopped."""


def measured_rounds(
    contenders: Sequence[Contender], *, tasks: Sequence[int], repeat: int, folder: Path
) -> Iterator[Measurement]:
    """Every contender, for every number of tasks, `repeat` times, as `measure` tells it; see `rounds`."""
    return rounds(contenders, measure, tasks=tasks, repeat=repeat, folder=folder)


def rounds(
    contenders: Sequence[Contender],
    take: Callable[[Contender, int, Path], T],
    *,
    tasks: Sequence[int],
    repeat: int,
    folder: Path,
) -> Iterator[T]:
    """What `take` makes of every contender, for every number of tasks, `repeat` times, in a new folder each.

    A first run counts for nothing: it fills the byte-code and page caches. Raises RunFailedError.

    Nothing is deleted before the last round is over. For a minute and more, ext4 steps over inodes that were freed
    lately, one by one, whenever a file is made: deleting in between made the next run up to five times as slow.
    """
    numbers = counter()
    try:
        for contender in contenders:
            take(contender, _WARM_UP_TASKS, folder / str(next(numbers)))
        for count in tasks:
            for turn in range(repeat):
                # Each round begins with another contender: none is always the one after the heaviest.
                first = turn % len(contenders)
                for contender in (*contenders[first:], *contenders[:first]):
                    yield take(contender, count, folder / str(next(numbers)))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def measure(contender: Contender, tasks: int, work: Path, *, limit_s: float | None = None) -> Measurement:
    """One run in a new folder, timed as a whole process. Raises RunFailedError unless every task was run in time."""
    for part in ("run", "home", "tmp"):
        (work / part).mkdir(parents=True)
    command = contender.command(work / "run", tasks)
    own = {"HOME": str(work / "home"), "TMPDIR": str(work / "tmp")}
    launch = launched(command, work, variables=own, label=contender.label, limit_s=limit_s or _LIMIT_S)
    completed = contender.completed(work / "run", launch.log) if launch.code == 0 else 0
    if completed != tasks:
        raise RunFailedError(
            f"{contender.label} ended with {launch.code} after {completed} of {tasks} tasks:\n{launch.last_words}"
        )
    sustained_s = contender.sustained_s(work / "run") if isinstance(contender, Convoy) else None
    return Measurement(
        contender=contender.name, tasks=tasks, wall_s=launch.wall_s, cpu_s=launch.cpu_s,
        peak_bytes=launch.peak_bytes, sustained_s=sustained_s,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Launch:
    """A program that ran to its end."""

    code: int
    wall_s: float
    cpu_s: float
    """Its own and that of all that it waited for."""
    peak_bytes: int
    """The largest resident set of a single process."""
    log: str
    """All that it said."""

    @property
    def last_words(self) -> str:
        """The end of that."""
        return "\n".join(self.log.splitlines()[-15:])


def launched(command: Sequence[str], work: Path, *, variables: Mapping[str, str], label: str, limit_s: float) -> Launch:
    """The command has run in `work/run`, timed as a whole process. Raises RunFailedError when it takes too long."""
    log, report = work / "log.txt", work / "report.txt"
    launcher = [sys.executable, "-I", "-S", str(_LAUNCHER), str(report), str(log), *command]
    environment = {**clean_environment(os.environ), **variables}
    _call(launcher, folder=work / "run", variables=environment, label=label, limit_s=limit_s)
    code, wall, user, system, peak_kb = report.read_text().split()
    return Launch(
        code=int(code), wall_s=float(wall), cpu_s=float(user) + float(system), peak_bytes=int(peak_kb) * 1024,
        log=log.read_text(errors="replace"),
    )  # fmt: skip


def _call(command: Sequence[str], *, folder: Path, variables: Mapping[str, str], label: str, limit_s: float) -> None:
    process = subprocess.Popen(command, cwd=folder, env=variables, start_new_session=True)
    try:
        code = process.wait(timeout=limit_s)
    except subprocess.TimeoutExpired as error:
        raise TooSlowError(f"{label} had not ended after {limit_s:.0f} s") from error
    finally:
        # A contender that hangs, or that a person interrupts, must not go on beside the next one.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if code:
        raise RunFailedError(f"{label}: the launcher ended with {code}")


def clean_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment without what would change how Python works, such as PYTHONDONTWRITEBYTECODE."""
    return {name: value for name, value in environment.items() if not name.startswith(("PYTHON", "CONVOY", "XDG"))}
