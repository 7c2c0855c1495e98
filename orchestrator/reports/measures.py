"""What a run and its steps took, beside what the plan predicted. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from metadata.history import AttemptRecord, RunRecord, StepRecord, TransferRecord
from orchestrator.jobs import JobState
from orchestrator.lifecycle import combined
from orchestrator.plans import Plan, PlannedStep

SKIPPED = "SKIPPED"
_TONES = {"COMPLETED": "done", "FAILED": "failed", "CANCELED": "off", "ACTIVE": "active", "UNKNOWN": "unsure"}
_GLYPHS = {"done": "✓", "failed": "✕", "off": "⊘", "active": "▶", "unsure": "?", "waiting": "○"}


def tone(state: str) -> str:
    """How a state is coloured: done, failed, off, active, unsure or waiting."""
    return "off" if state == SKIPPED else _TONES.get(state, "waiting")


def glyph(state: str) -> str:
    """A sign for a state, so that colour is never the only one."""
    return _GLYPHS[tone(state)]


@dataclass(frozen=True, kw_only=True)
class StepMeasure:
    """What a step took."""

    name: str
    site: str
    program: str
    state: str
    counts: Mapping[str, int]
    tasks: int | None
    """How many there are, or will be; None when nobody knows yet."""
    retried: int
    reused: int
    started_at: float | None
    ended_at: float | None
    run_s: float | None
    """From its first task's start to its last one's end; None when nothing ran."""
    transfer_s: float | None
    """While any of its transfers was under way."""
    queue_s: float | None
    """From its first task's submission to the first start; None when nothing ran."""
    whole_s: float | None
    """From the first byte moved, or the first submission, to the last task's end."""
    planned: PlannedStep

    @property
    def done(self) -> int:
        """Tasks that completed."""
        return self.counts.get(JobState.COMPLETED, 0)

    @property
    def shares(self) -> list[tuple[str, float]]:
        """(state, share of all tasks), for a bar of segments."""
        total = max(self.tasks or 0, sum(self.counts.values()), 1)
        return [(state, number / total) for state, number in sorted(self.counts.items())]


def horizon(record: RunRecord) -> float:
    """The newest moment that the record tells of: where bars that are still open end."""
    moments = [record.created_at, record.started_at, record.ended_at, *(event.at for event in record.events)]
    moments += [moment for row in record.transfers for moment in (row.started_at, row.ended_at)]
    moments += [moment for attempt in attempts(record.steps) for moment in (attempt.started_at, attempt.ended_at)]
    return max(moment for moment in moments if moment is not None)


def attempts(steps: Iterable[StepRecord]) -> list[AttemptRecord]:
    """Everything that was submitted."""
    return [attempt for step in steps for task in step.tasks for attempt in task.attempts]


def step_measures(record: RunRecord, plan: Plan) -> list[StepMeasure]:
    """The steps in the plan's order."""
    steps = {step.name: step for step in record.steps}
    now = horizon(record)
    return [_measure(steps.get(planned.name), planned, record.transfers, now) for planned in plan.steps]


def _measure(
    step: StepRecord | None, planned: PlannedStep, transfers: Sequence[TransferRecord], now: float
) -> StepMeasure:
    tasks = step.tasks if step else ()
    counts = step.counts if step else {}
    begun = [attempt for task in tasks for attempt in task.attempts if attempt.started_at is not None]
    started = min((attempt.started_at for attempt in begun if attempt.started_at), default=None)
    ended = max((attempt.ended_at or now for attempt in begun), default=None)
    moved = [row for row in transfers if row.step == planned.name]
    submitted = min((attempt.submitted_at or attempt.created_at for attempt in begun), default=None)
    first = min(
        [moment for moment in (submitted, started, *(row.started_at for row in moved)) if moment is not None],
        default=None,
    )
    return StepMeasure(
        name=planned.name, site=step.site if step else planned.site, program=planned.usecase or "own command",
        state=_state(step, planned), counts=counts, tasks=len(tasks) or planned.tasks,
        retried=sum(len(task.attempts) > 1 for task in tasks), reused=sum(bool(task.reused_from) for task in tasks),
        started_at=started, ended_at=ended, run_s=ended - started if started and ended else None,
        queue_s=max(0.0, started - submitted) if started and submitted else None,
        transfer_s=_wall_seconds(moved, now), whole_s=ended - first if ended and first else None, planned=planned,
    )  # fmt: skip


def _state(step: StepRecord | None, planned: PlannedStep) -> str:
    if planned.skipped or (step and step.skipped):
        return SKIPPED
    return combined(JobState(state) for state in step.counts) if step else JobState.NEW


def _wall_seconds(transfers: Iterable[TransferRecord], now: float) -> float | None:
    """Seconds in which at least one of the transfers was under way."""
    spans = sorted((row.started_at, row.ended_at or now) for row in transfers if row.started_at is not None)
    total, reached = 0.0, float("-inf")
    for start, end in spans:
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total if spans else None


def site_numbers(record: RunRecord, plan: Plan) -> dict[str, int]:
    """A number for each site, for its colour: sites that run steps come first."""
    names = [step.site for step in record.steps] + [step.site for step in plan.steps]
    names += [site for row in record.transfers for site in (row.source_site, row.destination_site)]
    names += [site for row in plan.transfers for site in (row.source, row.destination)]
    return {name: number for number, name in enumerate(dict.fromkeys(names))}
