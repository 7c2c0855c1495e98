"""How well a run used what it asked for: a task at a time, and a line for each step. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TypeVar

_Number = TypeVar("_Number", int, float)


@dataclass(frozen=True, kw_only=True)
class TaskEfficiency:
    """How well one task's last try used what it asked for. Shares run from 0 to 1; None is not known."""

    step: str
    position: int
    label: str
    site: str
    native_id: str
    state: str
    queue_wait_s: float | None
    """Seconds between the submission and the start."""
    elapsed_s: float | None
    """Seconds that it ran."""
    time_limit_s: float | None = None
    time_efficiency: float | None = None
    """Time used over time asked for."""
    cpu_cores: int | None = None
    cpu_efficiency: float | None = None
    """CPU time used over CPU time held; above 1 when more processes ran than cores were held."""
    memory: int | None = None
    """Bytes asked for."""
    memory_used: int | None = None
    """Bytes that the largest process held at its highest."""
    memory_efficiency: float | None = None
    """Memory used over memory asked for."""
    counted: bool
    """True when the site's accounting said all this; False when Convoy's own clock is all there is."""


@dataclass(frozen=True, kw_only=True)
class RunEfficiency:
    """How well a run's tasks used what they asked for."""

    run: str
    tasks: tuple[TaskEfficiency, ...]
    silent: Mapping[str, str]
    """Sites that could not be asked, and why."""
    shared: tuple[StepEfficiency, ...] = ()
    """The jobs of short tasks that shared them, summed up for each step and site: such tasks have no accounts."""


@dataclass(frozen=True, kw_only=True)
class StepEfficiency:
    """How well a step's tasks at one site used what they asked for, by that site's accounts. Shares are medians."""

    step: str
    site: str
    tasks: int
    """How many tasks the site counted."""
    jobs: int | None = None
    """How many jobs the tasks shared: all that follows is about these. None where each task had a job of its own."""
    queue_wait_s: float | None
    """The median."""
    cpu_efficiency: float | None
    cpu_cores: int | None
    """The most that a task held."""
    memory_efficiency: float | None
    memory: int | None
    """Bytes: the most that a task asked for."""
    memory_used: int | None
    """Bytes: the most that a task needed, which is what to ask for next time, and a little more."""
    time_efficiency: float | None
    time_limit_s: float | None
    """The longest that a task asked for."""
    elapsed_s: float | None
    """Seconds that the longest task ran."""


def step_efficiencies(found: RunEfficiency) -> list[StepEfficiency]:
    """A line for each step and site, in the order of the tasks, and then for what shared jobs.

    None for what no site's accounts tell of.
    """
    groups: defaultdict[tuple[str, str], list[TaskEfficiency]] = defaultdict(list)
    for task in found.tasks:
        if task.counted:
            groups[task.step, task.site].append(task)
    return [*(summed_up(step, site, tasks) for (step, site), tasks in groups.items()), *found.shared]


def summed_up(step: str, site: str, tasks: Sequence[TaskEfficiency]) -> StepEfficiency:
    """One line about tasks of one step, or about the jobs that they shared."""
    return StepEfficiency(
        step=step,
        site=site,
        tasks=len(tasks),
        queue_wait_s=_median(task.queue_wait_s for task in tasks),
        cpu_efficiency=_median(task.cpu_efficiency for task in tasks),
        cpu_cores=_most(task.cpu_cores for task in tasks),
        memory_efficiency=_median(task.memory_efficiency for task in tasks),
        memory=_most(task.memory for task in tasks),
        memory_used=_most(task.memory_used for task in tasks),
        time_efficiency=_median(task.time_efficiency for task in tasks),
        time_limit_s=_most(task.time_limit_s for task in tasks),
        elapsed_s=_most(task.elapsed_s for task in tasks),
    )


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None


def _most(values: Iterable[_Number | None]) -> _Number | None:
    return max((value for value in values if value is not None), default=None)
