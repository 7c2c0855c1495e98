"""States as people see them: one word, one sign, one colour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from orchestrator.jobs import JobState
from orchestrator.lifecycle import combined


@dataclass(frozen=True, kw_only=True)
class Look:
    """How a state is shown. The sign differs too, so that colour is never the only difference."""

    word: str
    sign: str
    style: str


LOOKS: dict[str, Look] = {
    "NEW": Look(word="waiting", sign="○", style="dim"),
    "STAGE_IN": Look(word="staging in", sign="⇣", style="blue"),
    "QUEUED": Look(word="queued", sign="◌", style="cyan"),
    "ACTIVE": Look(word="running", sign="●", style="bold cyan"),
    "STAGE_OUT": Look(word="staging out", sign="⇡", style="blue"),
    "CLEANUP": Look(word="cleaning up", sign="●", style="cyan"),
    "COMPLETED": Look(word="completed", sign="✓", style="green"),
    "FAILED": Look(word="failed", sign="✗", style="bold red"),
    "CANCELED": Look(word="canceled", sign="⊘", style="yellow"),
    "UNKNOWN": Look(word="unknown", sign="?", style="magenta"),
    "PAUSED": Look(word="paused", sign="‖", style="yellow"),
    "LEFT": Look(word="left", sign="!", style="yellow"),
    "SKIPPED": Look(word="skipped", sign="·", style="dim"),
}


def look_of(state: str) -> Look:
    """How to show a state; a word that is not known is shown as it is."""
    return LOOKS.get(state) or Look(word=state.lower(), sign="·", style="")


class HasTasks(Protocol):
    """A step, as progress or as a record tells of it."""

    @property
    def skipped(self) -> str:
        """Why it does not run; empty when it does."""

    @property
    def expanded(self) -> bool:
        """True once its tasks are known."""

    @property
    def counts(self) -> Mapping[str, int]:
        """Its tasks, by state."""


def step_state(step: HasTasks) -> str:
    """The one word that sums up a step; a step that was opened and has no tasks has nothing left to do."""
    if step.skipped:
        return "SKIPPED"
    if step.expanded and not step.counts:
        return "COMPLETED"
    return combined(JobState(state) for state in step.counts)


def count_of(step: HasTasks, *states: str) -> int:
    """How many of the step's tasks are in one of these states."""
    return sum(step.counts.get(state, 0) for state in states)
