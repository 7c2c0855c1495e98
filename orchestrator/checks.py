"""Finds what is wrong in a workflow before anything runs: unknown names, cycles, types that do not fit. Pure."""

from __future__ import annotations

import graphlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.documents import Place, Problem, did_you_mean
from orchestrator.layers import Layer
from orchestrator.references import Reference, holds, names_in, parse_reference, quoted_names
from orchestrator.workflows import Binding, FileType, Output, Range, Step, Workflow
from staging.locations import is_dataset


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What a workflow is checked against."""

    workflow: Workflow
    layers: Mapping[str, Layer]
    """By `<use case>/<layer>`; the ones that could not be found are absent."""
    input_types: Mapping[str, FileType]
    sites: Collection[str]
    parameters: Mapping[str, Any]

    def layer(self, step: Step) -> Layer | None:
        """The layer that a step runs, if it is one."""
        return self.layers.get(step.usecase) if step.usecase else None

    def outputs(self, step: Step) -> Mapping[str, Output]:
        """What a step leaves behind."""
        layer = self.layer(step)
        return layer.outputs if layer else step.outputs

    def type_of(self, reference: Reference) -> FileType | None:
        """The type behind a reference; None when the name is unknown."""
        if reference.owner == "inputs":
            return self.input_types.get(reference.name)
        step = self.workflow.steps.get(reference.owner)
        output = self.outputs(step).get(reference.name) if step else None
        if step is None or output is None:
            return None
        return FileType.FILES if step.scatter else output.type


def dependencies(step: Step, steps: Collection[str]) -> set[str]:
    """The steps whose outputs a step reads."""
    found = {reference.owner for text in named_sources(step) if (reference := parse_reference(text))}
    return found & set(steps)


def named_sources(step: Step) -> list[str]:
    """Everything that a step's inputs and scatters name."""
    bound = [text for binding in step.inputs.values() for text in sources(binding)]
    return bound + [source for source in step.scatter.values() if isinstance(source, str)]


def sources(binding: Binding) -> list[str]:
    """What an input is bound to, as a list."""
    return [binding.source] if isinstance(binding.source, str) else list(binding.source)


def step_order(workflow: Workflow) -> list[str]:
    """The steps, each after those that it needs. Raises graphlib.CycleError.

    Among the steps that could come next, the one that stands first in the file comes first.
    """
    sorter = graphlib.TopologicalSorter(
        {name: dependencies(step, workflow.steps) for name, step in workflow.steps.items()}
    )
    sorter.prepare()
    position = {name: index for index, name in enumerate(workflow.steps)}
    order: list[str] = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready(), key=position.__getitem__)
        order += ready
        sorter.done(*ready)
    return order


def check(around: Surroundings) -> list[Problem]:
    """Everything that is wrong."""
    problems = [problem for name, step in around.workflow.steps.items() for problem in _check_step(name, step, around)]
    problems += _check_cycles(around.workflow)
    problems += _check_results(around)
    problems += _check_given(around)
    return problems


def _check_cycles(workflow: Workflow) -> Iterator[Problem]:
    try:
        step_order(workflow)
    except graphlib.CycleError as error:
        circle = list(reversed(error.args[1]))
        yield Problem(
            place=("steps", circle[0]), message=f"the steps wait for each other in a circle: {' -> '.join(circle)}"
        )


def _check_results(around: Surroundings) -> Iterator[Problem]:
    for name, text in around.workflow.outputs.items():
        yield from _check_reference(text, ("outputs", name), around, paths_allowed=False)


def _check_given(around: Surroundings) -> Iterator[Problem]:
    for name, parameter in around.workflow.parameters.items():
        reason = parameter.problem(around.parameters.get(name))
        if reason:
            yield Problem(place=("parameters", name), message=f"the parameter {name}: {reason}")


def _check_step(name: str, step: Step, around: Surroundings) -> Iterator[Problem]:
    place: Place = ("steps", name)
    if name in ("inputs", "params", "outputs", "resources", "with"):
        yield Problem(place=place, message=f"{name!r} has a meaning of its own and cannot name a step")
    if step.usecase and step.usecase not in around.layers:
        return
    yield from _check_site(step, place, around)
    yield from _check_launcher(step, place, around)
    yield from _check_scatter(step, place, around)
    yield from _check_inputs(step, place, around)
    yield from _check_parameters(step, place, around)
    yield from _check_command(step, place, around)
    yield from _check_condition(step, place, around)


def _check_site(step: Step, place: Place, around: Surroundings) -> Iterator[Problem]:
    named = [*([step.at.site] if step.at.site else []), *(step.at.sites or [])]
    for site in named:
        if site not in around.sites:
            yield Problem(place=(*place, "at"), message=f"there is no site {site!r}{did_you_mean(site, around.sites)}")
    known = {*step.inputs, *step.scatter}
    if step.at.near is not None and step.at.near not in known:
        message = f"it has no input {step.at.near!r} to be near{did_you_mean(step.at.near, known)}"
        yield Problem(place=(*place, "at"), message=message)


def _check_scatter(step: Step, place: Place, around: Surroundings) -> Iterator[Problem]:
    layer = around.layer(step)
    for name, source in step.scatter.items():
        here = (*place, "scatter", name)
        if layer and name not in layer.inputs and name not in layer.parameters:
            known = [*layer.inputs, *layer.parameters]
            yield Problem(place=here, message=f"{step.usecase} takes no {name!r}{did_you_mean(name, known)}")
        if layer:
            yield from _check_scatter_kind(name, source, layer, here, around)
        if name in step.inputs:
            yield Problem(place=here, message=f"{name!r} is scattered over and given under `in:` as well")
        if isinstance(source, str):
            yield from _check_scatter_source(source, here, around)


def _check_scatter_kind(
    name: str, source: str | Range | list[Any], layer: Layer, place: Place, around: Surroundings
) -> Iterator[Problem]:
    """Files go to a layer's inputs and values to its parameters."""
    if _is_file_source(source):
        if name in layer.parameters:
            yield Problem(place=place, message=f"{name!r} is a parameter, and files cannot be its values")
        return
    if name in layer.inputs:
        yield Problem(place=place, message=f"{name!r} is an input, which takes files and no values")
    values: Any = list(range(source.range)) if isinstance(source, Range) else source
    if isinstance(source, str):
        values = around.parameters.get(source.removeprefix("params."))
    reason = layer.parameters[name].problem(values) if name in layer.parameters else None
    if reason:
        yield Problem(place=place, message=f"the parameter {name}: {reason}")


def _check_scatter_source(source: str, place: Place, around: Surroundings) -> Iterator[Problem]:
    reference = parse_reference(source)
    if reference and reference.owner == "params":
        if not isinstance(around.parameters.get(reference.name), list):
            yield Problem(place=place, message=f"{source} is no list of values, so nothing can be scattered over it")
        return
    yield from _check_reference(source, place, around)
    if reference and around.type_of(reference) is FileType.FILE:
        yield Problem(place=place, message=f"{source} is one file; only a list (file[]) can be scattered over")


def _check_inputs(step: Step, place: Place, around: Surroundings) -> Iterator[Problem]:
    layer = around.layer(step)
    for name, binding in step.inputs.items():
        here = (*place, "in", name)
        if layer and name not in layer.inputs:
            yield Problem(place=here, message=f"{step.usecase} has no input {name!r}{did_you_mean(name, layer.inputs)}")
            continue
        for text in sources(binding):
            yield from _check_reference(text, here, around)
        known = _matchable(step, around) - {name}
        if binding.matching is not None and binding.matching not in known:
            yield Problem(
                place=here, message=f"no input {binding.matching!r} to match{did_you_mean(binding.matching, known)}"
            )
        if layer:
            yield from _check_type(binding, layer.inputs[name].type, here, around)
    for name, declared in (layer.inputs if layer else {}).items():
        if not declared.optional and name not in step.inputs and name not in step.scatter:
            yield Problem(
                place=place, message=f"{step.usecase} needs the input {name!r}; give it under `in:` or `scatter:`"
            )


def _matchable(step: Step, around: Surroundings) -> set[str]:
    """The inputs that are one file, whose stem another input can be matched with."""
    single = {
        name
        for name, binding in step.inputs.items()
        if binding.matching is not None or _types(binding, around) == [FileType.FILE]
    }
    return single | {name for name, source in step.scatter.items() if _is_file_source(source)}


def _types(binding: Binding, around: Surroundings) -> list[FileType | None]:
    return [around.type_of(reference) for text in sources(binding) if (reference := parse_reference(text))]


def _check_type(binding: Binding, wanted: FileType, place: Place, around: Surroundings) -> Iterator[Problem]:
    if wanted is FileType.FILES or binding.matching is not None:
        return
    if len(sources(binding)) > 1 or FileType.FILES in _types(binding, around):
        yield Problem(
            place=place,
            message="a list of files is given where one file is wanted; scatter over it, or use `matching:`",
        )


def _check_parameters(step: Step, place: Place, around: Surroundings) -> Iterator[Problem]:
    layer = around.layer(step)
    for name, value in step.parameters.items():
        here = (*place, "with", name)
        if layer and name not in layer.parameters:
            yield Problem(
                place=here, message=f"{step.usecase} has no parameter {name!r}{did_you_mean(name, layer.parameters)}"
            )
            continue
        unknown = list(_unknown_parameters(value, around))
        yield from (Problem(place=here, message=message) for message in unknown)
        yield from (Problem(place=here, message=message) for message in _unset_parameters(step, value, around))
        if layer and not unknown and not (isinstance(value, str) and names_in(value)):
            reason = layer.parameters[name].problem(value)
            if reason:
                yield Problem(place=here, message=f"the parameter {name} of {step.usecase}: {reason}")


def _unknown_parameters(value: Any, around: Surroundings) -> Iterator[str]:
    known = around.workflow.parameters
    for text in names_in(value) if isinstance(value, str) else []:
        owner, _, name = text.partition(".")
        if owner != "params":
            yield f"{{{{{text}}}}}: only workflow parameters, as {{{{params.NAME}}}}, may stand here"
        elif name not in known:
            yield f"there is no parameter {name!r}{did_you_mean(name, known)}"


def _unset_parameters(step: Step, value: Any, around: Surroundings) -> Iterator[str]:
    """A layer leaves out the option of a parameter without value; a command of one's own has a hole there."""
    for text in names_in(value) if isinstance(value, str) and step.command is not None else []:
        name = text.partition(".")[2]
        if name in around.workflow.parameters and around.parameters.get(name) is None:
            yield f"{{{{{text}}}}} has no value; give it with --param {name}=VALUE, or a default"


def _check_launcher(step: Step, place: Place, around: Surroundings) -> Iterator[Problem]:
    """Launchers start all processes beside each other: one that crosses machines would need a login between these."""
    layer = around.layer(step)
    if layer and layer.launcher and step.resources.over(layer.resources).nodes > 1:
        message = f"{step.usecase} starts its processes on one node; ask for several processes and leave nodes out"
        yield Problem(place=(*place, "resources", "nodes"), message=message)


def _check_command(step: Step, place: Place, around: Surroundings) -> Iterator[Problem]:
    """The templates of a command, where the step brings its own, and of the environment."""
    known = template_names(step, around.workflow)
    words = [step.command] if isinstance(step.command, str) else step.command or []
    for index, word in enumerate(words):
        here = (*place, "command") if isinstance(step.command, str) else (*place, "command", index)
        yield from _check_templates(word, here, known, around)
        for name in quoted_names(word) if isinstance(step.command, str) else ():
            yield Problem(
                place=here, message=f"leave out the quotes around {{{{{name}}}}}: each value is quoted already"
            )
    if step.usecase:  # whether an input of a layer is given at all is known for each task only
        known = {name for name in known if not name.startswith("inputs.")}
    for variable, text in step.environment.items():
        yield from _check_templates(text, (*place, "environment", variable), known, around)


def _check_templates(text: str, here: Place, known: set[str], around: Surroundings) -> Iterator[Problem]:
    for name in names_in(text):
        if name not in known:
            yield Problem(place=here, message=f"{{{{{name}}}}} means nothing here{did_you_mean(name, known)}")
        elif name.startswith("params.") and around.parameters.get(name.removeprefix("params.")) is None:
            yield Problem(place=here, message=f"{{{{{name}}}}} has no value; give it with --param, or a default")


def template_names(step: Step, workflow: Workflow) -> set[str]:
    """What the templates of a step may name."""
    scattered_values = {name for name, source in step.scatter.items() if not _is_file_source(source)}
    files = {*step.inputs, *(set(step.scatter) - scattered_values)}
    names = {f"inputs.{name}" for name in files}
    names |= {f"with.{name}" for name in {*step.parameters, *scattered_values}}
    names |= {f"outputs.{name}" for name in step.outputs} | {f"params.{name}" for name in workflow.parameters}
    return names | {f"resources.{name}" for name in ("cpus", "gpus", "processes", "memory")} | {"task.index"}


def _is_file_source(source: Any) -> bool:
    if isinstance(source, (Range, list)):
        return False
    reference = parse_reference(source)
    return reference is None or reference.owner != "params"


def _check_condition(step: Step, place: Place, around: Surroundings) -> Iterator[Problem]:
    try:
        holds(step.when, around.parameters)
    except ValueError as error:
        yield Problem(place=(*place, "when"), message=str(error))


def _check_reference(text: str, place: Place, around: Surroundings, *, paths_allowed: bool = True) -> Iterator[Problem]:
    reference = parse_reference(text)
    if reference is None or (
        reference.owner != "inputs" and reference.owner not in around.workflow.steps and "/" in text
    ):
        if not paths_allowed:
            yield Problem(place=place, message=f"{text!r} is not an output of a step; write STEP.OUTPUT")
        elif not is_dataset(text):
            message = f"{text!r} is neither inputs.NAME, STEP.OUTPUT nor dataset://...; declare a path under `inputs:`"
            yield Problem(place=place, message=message)
        return
    if reference.owner == "inputs":
        if reference.name not in around.workflow.inputs:
            known = around.workflow.inputs
            yield Problem(
                place=place, message=f"there is no input {reference.name!r}{did_you_mean(reference.name, known)}"
            )
        return
    yield from _check_step_output(reference, place, around)


def _check_step_output(reference: Reference, place: Place, around: Surroundings) -> Iterator[Problem]:
    step = around.workflow.steps.get(reference.owner)
    if step is None:
        known = around.workflow.steps
        yield Problem(
            place=place, message=f"there is no step {reference.owner!r}{did_you_mean(reference.owner, known)}"
        )
    elif step.usecase is None or step.usecase in around.layers:
        outputs = around.outputs(step)
        if reference.name not in outputs:
            meant = did_you_mean(reference.name, outputs)
            yield Problem(place=place, message=f"the step {reference.owner} has no output {reference.name!r}{meant}")
