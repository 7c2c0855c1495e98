"""One task's inputs, command, environment and content key, made from its step's plan. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from metadata.errors import PlanningError
from orchestrator.plans import PlannedInput, PlannedStep
from orchestrator.references import filled
from orchestrator.workflows import FileType

FileValue = dict[str, Any]
"""`{name, sha256, size_bytes}`"""

Inputs = Mapping[str, FileValue | list[FileValue]]


def link_targets(inputs: Inputs) -> dict[str, list[tuple[str, FileValue]]]:
    """Where each input file appears in the task's directory: `in/<input>/<name>`, numbered where names collide."""
    return {name: _targets(name, value if isinstance(value, list) else [value]) for name, value in inputs.items()}


def _targets(name: str, files: list[FileValue]) -> list[tuple[str, FileValue]]:
    collide = len({file["name"] for file in files}) < len(files)
    return [
        (f"in/{name}/{index}/{file['name']}" if collide else f"in/{name}/{file['name']}", file)
        for index, file in enumerate(files)
    ]


@dataclass(frozen=True, kw_only=True)
class TaskValues:
    """What one task was given, beside its step's plan."""

    inputs: Inputs
    parameters: Mapping[str, Any]
    """Of the step, and of the scatter for this task."""
    workflow: Mapping[str, Any]
    """The workflow's own parameters."""
    position: int


def task_argv(step: PlannedStep, given: TaskValues) -> tuple[str, ...]:
    """The words of the task's command; files are named by their links in the task's directory."""
    if step.appended_options:
        return (*_launcher(step), *step.command, *_options(step, _paths(given), given.parameters))
    values = _template_values(step, given)
    if isinstance(step.command, str):
        return ("/bin/sh", "-eu", "-c", str(filled(step.command, values, quoted=True)))
    return tuple(word for template in step.command for word in _words(filled(template, values)))


def task_environment(step: PlannedStep, given: TaskValues) -> dict[str, str]:
    """The step's variables with their templates replaced; several files or values stand in one, between spaces."""
    if not step.environment:
        return {}
    values = _template_values(step, given)
    return {name: " ".join(_words(filled(text, values))) for name, text in step.environment.items()}


def _paths(given: TaskValues) -> dict[str, str | list[str]]:
    return {
        name: [target for target, _ in rows] if isinstance(given.inputs[name], list) else rows[0][0]
        for name, rows in link_targets(given.inputs).items()
    }


def _launcher(step: PlannedStep) -> Iterable[str]:
    """The image brings it along; on the host there may be none, and one process does the work."""
    if step.image_file and step.resources.processes > 1:
        yield from (str(filled(word, {"resources.processes": step.resources.processes})) for word in step.launcher)


def _words(value: Any) -> Iterable[str]:
    return map(str, value) if isinstance(value, (list, tuple)) else [str(value)]


def _options(step: PlannedStep, paths: Mapping[str, Any], parameters: Mapping[str, Any]) -> Iterable[str]:
    """Inputs and parameters as the options of a use case's layer."""
    for name, path in paths.items():
        option = step.inputs[name].option or _option(name)
        if path:
            yield option
            yield from path if isinstance(path, list) else [path]
    for name, value in parameters.items():
        option = step.parameter_options.get(name) or _option(name)
        if isinstance(value, bool):
            # A short option has no opposite: leaving it out is all that can be done.
            yield from [option] if value else [option.replace("--", "--no-", 1)] if option.startswith("--") else []
        elif value is not None:
            yield option
            yield from _words(value)


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _template_values(step: PlannedStep, given: TaskValues) -> dict[str, Any]:
    wanted = step.resources
    amounts = {"cpus": wanted.cpus or wanted.processes, "gpus": wanted.gpus, "processes": wanted.processes}
    return (
        {f"inputs.{name}": path for name, path in _paths(given).items()}
        | {f"with.{name}": value for name, value in given.parameters.items()}
        | {f"outputs.{name}": output.path for name, output in step.outputs.items()}
        | {f"params.{name}": value for name, value in given.workflow.items()}
        | {f"resources.{name}": amount for name, amount in amounts.items()}
        | {"resources.memory": wanted.memory or 0, "task.index": given.position}
    )


def content_key(step: PlannedStep, given: TaskValues) -> str:
    """A hash of all that a task's result depends on: image, command, parameters and input contents."""
    facts = {
        "image": step.image,
        "image_digest": step.image_digest,
        "command": task_argv(step, given),
        "inputs": {name: _contents(value) for name, value in given.inputs.items()},
        "outputs": {name: (output.path, output.type) for name, output in step.outputs.items()},
        "environment": task_environment(step, given),
        "processes": step.resources.processes,
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _contents(value: FileValue | list[FileValue]) -> list[tuple[str, str]]:
    return [(file["name"], file["sha256"]) for file in (value if isinstance(value, list) else [value])]


def bound_inputs(
    step: PlannedStep, available: Mapping[str, list[FileValue]], element: Mapping[str, FileValue]
) -> dict[str, Any]:
    """One task's inputs.

    Args:
        step: The task's step.
        available: Every input's files: those that were there, and those that earlier steps made.
        element: The files that the scatter gives to this task, by input.

    Raises:
        PlanningError: An input that is not optional has no file, or one that takes a single file has several.
    """
    bound: dict[str, Any] = dict(element)
    for name, source in step.inputs.items():
        if name not in bound and source.matching is None:
            _bind(name, step, source, available[name], bound)
    for name, source in step.inputs.items():
        if name not in bound and source.matching is not None:
            _bind(name, step, source, _matching(available[name], bound.get(source.matching)), bound)
    return bound


def _bind(name: str, step: PlannedStep, source: PlannedInput, files: list[FileValue], bound: dict[str, Any]) -> None:
    if source.type is FileType.FILES:
        if files or not source.optional:
            bound[name] = files
    elif len(files) == 1:
        bound[name] = files[0]
    elif files or not source.optional:
        raise PlanningError(f"step {step.name}: the input {name} takes one file and {len(files)} are given")


def _matching(files: list[FileValue], other: FileValue | list[FileValue] | None) -> list[FileValue]:
    if not isinstance(other, dict):
        return []
    stem = PurePosixPath(other["name"]).stem
    return [file for file in files if PurePosixPath(file["name"]).stem == stem]
