"""Settles a step's program, parameters, inputs and scatter: all of a PlannedStep but its site. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from metadata.errors import PlanningError
from orchestrator.checks import dependencies, sources
from orchestrator.layers import Layer, LayerInput
from orchestrator.plans import PlannedFile, PlannedInput, PlannedScatter, PlannedStep
from orchestrator.references import filled, holds, parse_reference
from orchestrator.workflows import Binding, FileType, ParameterType, Range, Step, Value, Workflow


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is to be planned; checked already."""

    workflow: Workflow
    layers: Mapping[str, Layer]
    inputs: Mapping[str, tuple[PlannedFile, ...]]
    """By input name, and by `dataset://...` where a step names data itself."""
    parameters: Mapping[str, Any]
    code_digests: Mapping[str, str] = field(default_factory=dict)
    """Use case -> hash of its program text."""
    document: Mapping[str, Any] = field(default_factory=dict)
    """The workflow as its author wrote it."""


def bound_step(name: str, request: Request, earlier: Mapping[str, PlannedStep]) -> PlannedStep:
    """The step with everything settled but its site. Raises PlanningError for a value or a scatter that cannot be."""
    step = request.workflow.steps[name]
    layer = request.layers.get(step.usecase or "")
    scatter = _scatter(step, request.parameters)
    inputs = _inputs(step, layer, request, earlier)
    usecase = (step.usecase or "").partition("/")[0]
    return PlannedStep(
        name=name,
        site="",
        reason="",
        skipped=_why_skipped(step, layer, request, earlier),
        after=tuple(sorted(dependencies(step, request.workflow.steps))),
        command=tuple(layer.command) if layer else _command(step),
        launcher=tuple(layer.launcher) if layer else (),
        appended_options=layer is not None,
        parameter_options=_options(layer),
        inputs=inputs,
        parameters=_parameters(name, step, layer, request.parameters, {row.name for row in scatter}),
        scatter=scatter,
        scatter_method=step.scatter_method,
        tasks=_task_count(name, step, inputs, scatter, earlier),
        outputs=dict(layer.outputs if layer else step.outputs),
        environment=step.environment,
        resources=step.resources.over(layer.resources) if layer else step.resources,
        attributes=step.attributes,
        retries=step.retries,
        throttle=step.throttle,
        bundle_s=step.bundle,
        priority=step.priority,
        image=step.image or (layer.image if layer else None),
        image_digest=request.code_digests.get(usecase, ""),
        usecase=step.usecase,
    )


def _command(step: Step) -> tuple[str, ...] | str:
    return step.command if isinstance(step.command, str) else tuple(step.command or ())


def _options(layer: Layer | None) -> dict[str, str]:
    return {name: row.option for name, row in layer.parameters.items() if row.option} if layer else {}


def _parameters(
    name: str, step: Step, layer: Layer | None, workflow_values: Mapping[str, Any], scattered: Iterable[str]
) -> dict[str, Value]:
    """The step's own values over the layer's defaults; what is scattered over gets its value a task at a time."""
    known = {f"params.{key}": value for key, value in workflow_values.items()}
    given = {key: filled(value, known) if isinstance(value, str) else value for key, value in step.parameters.items()}
    declared = layer.parameters if layer else {}
    values = {key: row.default for key, row in declared.items()} | given
    settled = {key: value for key, value in values.items() if value is not None and key not in set(scattered)}
    for key, value in settled.items():
        reason = declared[key].problem(value) if key in declared else None
        if reason:
            raise PlanningError(f"step {name}: the parameter {key} of {step.usecase}: {reason}")
    return settled


def _inputs(
    step: Step, layer: Layer | None, request: Request, earlier: Mapping[str, PlannedStep]
) -> dict[str, PlannedInput]:
    bindings = dict(step.inputs)
    for name, source in step.scatter.items():
        if isinstance(source, str) and not source.startswith("params."):
            bindings[name] = Binding.model_validate({"from": source})
    declared = layer.inputs if layer else {}
    return {name: _input(binding, declared.get(name), request, earlier) for name, binding in bindings.items()}


def _input(
    binding: Binding, declared: LayerInput | None, request: Request, earlier: Mapping[str, PlannedStep]
) -> PlannedInput:
    files: list[PlannedFile] = []
    producers: list[str] = []
    for text in sources(binding):
        reference = parse_reference(text)
        if reference is None or reference.owner == "inputs":
            files += request.inputs.get(reference.name if reference else text, ())
        elif not earlier[reference.owner].skipped:
            producers.append(text)
    several = len(files) > 1 or len(sources(binding)) > 1 or _several(producers, earlier)
    return PlannedInput(
        type=declared.type if declared else FileType.FILES if several and not binding.matching else FileType.FILE,
        optional=declared.optional if declared else False,
        files=tuple(files),
        producers=tuple(producers),
        matching=binding.matching,
        option=declared.option if declared else None,
    )


def _several(producers: Iterable[str], earlier: Mapping[str, PlannedStep]) -> bool:
    rows = [(earlier[owner], output) for owner, _, output in (text.partition(".") for text in producers)]
    return any(step.scatter or step.outputs[output].type is FileType.FILES for step, output in rows)


def _scatter(step: Step, workflow_values: Mapping[str, Any]) -> tuple[PlannedScatter, ...]:
    rows = []
    for name, source in step.scatter.items():
        if isinstance(source, Range):
            rows.append(PlannedScatter(name=name, over_files=False, values=tuple(range(source.range))))
        elif isinstance(source, list):
            rows.append(PlannedScatter(name=name, over_files=False, values=tuple(source)))
        elif source.startswith("params."):
            values = workflow_values[source.removeprefix("params.")]
            rows.append(PlannedScatter(name=name, over_files=False, values=tuple(values)))
        else:
            rows.append(PlannedScatter(name=name, over_files=True))
    return tuple(rows)


def _task_count(
    name: str,
    step: Step,
    inputs: Mapping[str, PlannedInput],
    scatter: Iterable[PlannedScatter],
    earlier: Mapping[str, PlannedStep],
) -> int | None:
    """How many tasks; None when an earlier step decides that while it runs."""
    lengths = [_length(inputs[row.name], earlier) if row.over_files else len(row.values) for row in scatter]
    known = [length for length in lengths if length is not None]
    if len(known) < len(lengths):
        return None
    if step.scatter_method == "crossproduct":
        return math.prod(known)
    if len(set(known)) > 1:
        shown = ", ".join(f"{row.name}: {length}" for row, length in zip(scatter, known, strict=True))
        raise PlanningError(
            f"step {name} scatters over lists of different lengths ({shown}); use scatter_method: crossproduct?"
        )
    return known[0] if known else 1


def _length(source: PlannedInput, earlier: Mapping[str, PlannedStep]) -> int | None:
    if not source.producers:
        return len(source.files)
    total = 0
    for text in source.producers:
        owner, _, output = text.partition(".")
        tasks = earlier[owner].tasks
        if tasks is None or earlier[owner].outputs[output].type is FileType.FILES:
            return None
        total += tasks
    return total + len(source.files)


def _why_skipped(step: Step, layer: Layer | None, request: Request, earlier: Mapping[str, PlannedStep]) -> str:
    if not holds(step.when, request.parameters):
        return f"its condition is false: {step.when}"
    for name in sorted(dependencies(step, request.workflow.steps)):
        if earlier[name].skipped and _needs(step, layer, name):
            return f"it needs results of {name}, which is skipped"
    return ""


def _needs(step: Step, layer: Layer | None, producer: str) -> bool:
    """True when some input that is not optional comes from `producer`."""
    declared = layer.inputs if layer else {}
    required = {name: b for name, b in step.inputs.items() if not (name in declared and declared[name].optional)}
    texts = [text for binding in required.values() for text in sources(binding)]
    texts += [source for source in step.scatter.values() if isinstance(source, str)]
    return any(text.startswith(f"{producer}.") for text in texts)


def workflow_values(workflow: Workflow, given: Mapping[str, Any]) -> dict[str, Any]:
    """Every workflow parameter's value: what was given, else its default. A number given for a text is that text."""
    values = {name: given.get(name, parameter.default) for name, parameter in workflow.parameters.items()}
    texts = {name for name, parameter in workflow.parameters.items() if parameter.type is ParameterType.STRING}
    return {
        name: str(value) if name in texts and isinstance(value, int | float) else value
        for name, value in values.items()
    }
