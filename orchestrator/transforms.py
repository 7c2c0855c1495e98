"""Transforms on the way of a step's input, turned into steps of their own. Pure.

`through: {slides: transforms/deidentify-slide}` means: where the slides lie, a step makes new files of them, and only
these go on. So a transform is journalled, tried again, placed and reported like any step, and what its owner releases
holds for its output.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from metadata.errors import InvalidInputError, MiddlewareError
from orchestrator.checks import sources
from orchestrator.documents import Place, Problem
from orchestrator.layers import Layer
from orchestrator.references import parse_reference
from orchestrator.workflows import Binding, FileType, Placement, Range, Step, Through, Workflow


@dataclass(frozen=True, kw_only=True)
class _Passage:
    """One transform with all that its step needs."""

    through: Through
    source: str
    many: bool
    """Whether the source is a list of files."""
    consumer: Step
    place: Place


class _UnfitError(Exception):
    """Why a transform cannot stand where it stands."""


@dataclass(kw_only=True)
class _Insertion:
    """The workflow as it grows."""

    find_layer: Callable[[str], Layer]
    types: Mapping[str, FileType]
    """By `inputs.NAME`, and by `dataset://...` where a step names data itself."""
    authored: Mapping[str, Step]
    steps: dict[str, Step] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def add(self, name: str, step: Step) -> None:
        """The step, after the transforms that its inputs pass through."""
        inputs, scatter = dict(step.inputs), dict(step.scatter)
        for input_name, passages in step.through.items():
            place: Place = ("steps", name, "through", input_name)
            given = inputs.get(input_name, scatter.get(input_name))
            if given is None or isinstance(given, (Range, list)):
                self.problems.append(
                    Problem(place=place, message=f"{name} has no input {input_name!r} that takes files")
                )
                continue
            made = self._pass(name, step, input_name, given, passages)
            if made is None:
                continue
            if input_name in scatter:
                scatter[input_name] = made
            else:
                binding = inputs[input_name]
                inputs[input_name] = Binding.model_validate({"from": made, "matching": binding.matching})
        self.steps[name] = step.model_copy(update={"inputs": inputs, "scatter": scatter, "through": {}})

    def _pass(
        self, name: str, step: Step, input_name: str, given: Binding | str, passages: list[Through]
    ) -> str | None:
        """The output of the last transform; None when one cannot be."""
        texts = [given] if isinstance(given, str) else sources(given)
        place: Place = ("steps", name, "through", input_name)
        if len(texts) > 1:
            message = f"{input_name!r} comes from several places; let a step of its own gather them first"
            self.problems.append(Problem(place=place, message=message))
            return None
        text = texts[0]
        for number, through in enumerate(passages):
            here = (*place, number)
            passage = _Passage(through=through, source=text, many=self._many(text), consumer=step, place=here)
            try:
                layer = self.find_layer(through.usecase)
                made = _step_of(passage, layer)
            except (MiddlewareError, _UnfitError) as error:
                self.problems.append(Problem(place=here, message=str(error)))
                return None
            made_name = f"{name}-{input_name}-{number + 1}-{through.usecase.partition('/')[2]}"
            if made_name in self.authored:
                self.problems.append(Problem(place=here, message=f"the step {made_name} is there already; rename it"))
            self.steps[made_name] = made
            text = f"{made_name}.{next(iter(layer.outputs))}"
        return text

    def _many(self, text: str) -> bool:
        reference = parse_reference(text)
        step = None if reference is None else self.steps.get(reference.owner) or self.authored.get(reference.owner)
        if reference is None or step is None:
            return self.types.get(text) is FileType.FILES
        outputs = self.find_layer(step.usecase).outputs if step.usecase else step.outputs
        output = outputs.get(reference.name)
        return bool(step.scatter) or (output is not None and output.type is FileType.FILES)


def with_transforms(
    workflow: Workflow, *, find_layer: Callable[[str], Layer], types: Mapping[str, FileType]
) -> tuple[Workflow, list[Problem]]:
    """The workflow with a step for each transform, and what is wrong with those that cannot be.

    Args:
        workflow: As its author wrote it.
        find_layer: A use case's layer by name; raises MiddlewareError for a name that means none.
        types: What `inputs.NAME` and `dataset://...` stand for.
    """
    if not any(step.through for step in workflow.steps.values()):
        return workflow, []
    insertion = _Insertion(find_layer=find_layer, types=types, authored=workflow.steps)
    for name, step in workflow.steps.items():
        insertion.add(name, step)
    return workflow.model_copy(update={"steps": insertion.steps}), insertion.problems


def chain(
    transforms: Sequence[str], *, find_layer: Callable[[str], Layer], parameters: Mapping[str, Any]
) -> dict[str, Any]:
    """A workflow's document: its input `files` passes through the transforms one after the other, where it lies.

    Args:
        transforms: `<use case>/<layer>` each; at least one.
        find_layer: A use case's layer by name; raises MiddlewareError for a name that means none.
        parameters: Each goes to whatever transforms declare it.

    Raises:
        InvalidInputError: One is no transform, or cannot take what the one before it makes, or a parameter is unknown.
    """
    steps: dict[str, Any] = {}
    source, many = "inputs.files", True
    unknown = set(parameters)
    for number, name in enumerate(transforms, start=1):
        layer = find_layer(name)
        mine = {key: value for key, value in parameters.items() if key in layer.parameters}
        unknown -= mine.keys()
        try:
            takes, document = _document_of(
                Through.model_validate({"usecase": name, "with": mine}), layer, source=source, many=many
            )
        except _UnfitError as error:
            raise InvalidInputError(str(error)) from error
        step = f"pass-{number}-{name.partition('/')[2]}"
        steps[step] = {**document, "at": {"near": takes}}
        output, row = next(iter(layer.outputs.items()))
        source, many = f"{step}.{output}", "scatter" in document or row.type is FileType.FILES
    if unknown:
        raise InvalidInputError(f"no transform has a parameter {min(unknown)!r}; see: convoy usecase show transforms")
    return {"name": "copy-through", "inputs": {"files": {"type": "file[]"}}, "steps": steps}


def _document_of(through: Through, layer: Layer, *, source: str, many: bool) -> tuple[str, dict[str, Any]]:
    """The input that the transform takes, and what its step is like wherever it runs."""
    required = [name for name, row in layer.inputs.items() if not row.optional]
    if len(required) != 1 or len(layer.outputs) != 1:
        raise _UnfitError(f"{through.usecase} is no transform: it needs one required input and one output")
    takes = required[0]
    each = layer.inputs[takes].type is FileType.FILE and many
    return takes, {
        "description": f"{layer.summary} On the way of an input.",
        "usecase": through.usecase,
        "scatter" if each else "in": {takes: source},
        "with": through.parameters,
    }


def _step_of(passage: _Passage, layer: Layer) -> Step:
    takes, document = _document_of(passage.through, layer, source=passage.source, many=passage.many)
    consumer = passage.consumer
    more = {"when": consumer.when, "retries": consumer.retries, "at": _place_of(passage, takes)}
    return Step.model_validate({**document, **more})


def _place_of(passage: _Passage, takes: str) -> Placement:
    if passage.through.where == "source":
        return Placement(near=takes)
    if passage.consumer.at.site is None:
        raise _UnfitError("`where: destination` needs a step that names its site: write `at: {site: ...}` there")
    return Placement(site=passage.consumer.at.site)
