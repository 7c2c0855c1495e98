"""Opens a step: once all that it needs is there, its tasks are known and written down."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from metadata.errors import PlanningError
from metadata.journal import STEPS, TASKS, Page
from orchestrator.commands import FileValue, TaskValues, bound_inputs, content_key
from orchestrator.engine.live import LiveRun, LiveStep, LiveTask
from orchestrator.jobs import JobState
from orchestrator.plans import PlannedScatter, PlannedStep


def open_steps(run: LiveRun, page: Page, numbers: Iterator[int]) -> None:
    """Writes the tasks of every step whose producers are done."""
    for step in run.steps.values():
        if opens(run, step):
            _open(run, step, page, numbers)


def opens(run: LiveRun, step: LiveStep) -> bool:
    """Whether a step's tasks can be known now, and are not yet."""
    waiting = not (step.expanded or step.skipped or step.broken)
    return waiting and all(run.steps[name].completed for name in step.plan.after)


def _open(run: LiveRun, step: LiveStep, page: Page, numbers: Iterator[int]) -> None:
    available = {name: _files(run, step.plan, name) for name in step.plan.inputs}
    try:
        tasks = [
            _task(run, step.plan, available, element, number=next(numbers), position=position)
            for position, element in enumerate(_elements(step.plan, available))
        ]
    except PlanningError as error:
        step.broken = error.message
        page.event(run.id, "step.broken", step.plan.name, error.message)
        return
    for task in tasks:
        step.tasks.append(task)
        page.insert(
            TASKS, id=task.id, run_id=run.id, step_id=step.id, position=task.position, label=task.label,
            state=str(task.state), inputs=task.inputs, parameters=task.parameters, content_key=task.content_key,
            reused_from="", attempts=0, not_before=0.0, message="",
        )  # fmt: skip
    step.expanded = True
    page.update(STEPS, step.id, expanded=True)
    page.event(run.id, "step.opened", step.plan.name, f"{len(step.tasks)} tasks at {step.plan.site}")


def _task(
    run: LiveRun,
    step: PlannedStep,
    available: Mapping[str, list[FileValue]],
    element: Mapping[str, Any],
    *,
    number: int,
    position: int,
) -> LiveTask:
    files = {row.name: element[row.name] for row in step.scatter if row.over_files}
    values = {row.name: element[row.name] for row in step.scatter if not row.over_files}
    inputs = bound_inputs(step, available, files)
    parameters = {**step.parameters, **values}
    given = TaskValues(inputs=inputs, parameters=parameters, workflow=run.plan.parameters, position=position)
    return LiveTask(
        id=number, position=position, label=_label(element), state=JobState.NEW, inputs=inputs, parameters=parameters,
        content_key=content_key(step, given),
    )  # fmt: skip


def _label(element: Mapping[str, Any]) -> str:
    """What tells a task from its siblings, for people."""
    return " ".join(
        PurePosixPath(value["name"]).stem if isinstance(value, dict) else str(value) for value in element.values()
    )


def _files(run: LiveRun, step: PlannedStep, name: str) -> list[FileValue]:
    """An input's files: those that were there, then those that earlier steps made, task by task."""
    source = step.inputs[name]
    files = [{"name": file.name, "sha256": file.sha256, "size_bytes": file.size_bytes} for file in source.files]
    for producer in source.producers:
        owner, _, output = producer.partition(".")
        for task in run.steps[owner].tasks:
            made = (task.outputs or {}).get(output, [])
            files += [{key: file[key] for key in ("name", "sha256", "size_bytes")} for file in made]
    return files


def _elements(step: PlannedStep, available: Mapping[str, list[FileValue]]) -> list[dict[str, Any]]:
    """What each task works on; one empty element for a step without scatter."""
    if not step.scatter:
        return [{}]
    names = [row.name for row in step.scatter]
    lists = [_values(row, available) for row in step.scatter]
    if step.scatter_method == "crossproduct":
        return [dict(zip(names, chosen, strict=True)) for chosen in itertools.product(*lists)]
    if len({len(values) for values in lists}) > 1:
        lengths = ", ".join(f"{name}: {len(values)}" for name, values in zip(names, lists, strict=True))
        raise PlanningError(f"step {step.name} scatters over lists of different lengths ({lengths})")
    return [dict(zip(names, chosen, strict=True)) for chosen in zip(*lists, strict=True)]


def _values(row: PlannedScatter, available: Mapping[str, list[FileValue]]) -> Sequence[Any]:
    return available[row.name] if row.over_files else row.values
