"""Transforms on the way of an input become steps."""

from __future__ import annotations

import pytest

from metadata.errors import NotFoundError
from orchestrator.layers import Layer
from orchestrator.transforms import with_transforms
from orchestrator.workflows import FileType, Placement, Workflow
from tests.unit.orchestrator.builders import workflow_of

ONE = Layer.model_validate({
    "summary": "Cleans a file.", "command": ["clean"], "inputs": {"file": {"type": "file"}},
    "outputs": {"clean": {"path": "clean/*"}},
})  # fmt: skip
ALL = Layer.model_validate({
    "summary": "Packs files.", "command": ["pack"], "inputs": {"files": {"type": "file[]"}},
    "outputs": {"packed": {"path": "packed.tar"}},
})  # fmt: skip
ODD = Layer.model_validate({
    "summary": "Takes two.", "command": ["odd"], "inputs": {"a": {"type": "file"}, "b": {"type": "file"}},
    "outputs": {"o": {"path": "o"}},
})  # fmt: skip
LAYERS = {"t/clean": ONE, "t/pack": ALL, "t/odd": ODD}


def find_layer(name: str) -> Layer:
    """A layer of the table above."""
    if name not in LAYERS:
        raise NotFoundError(f"there is no layer {name!r}")
    return LAYERS[name]


def settled(text: str, **types: FileType) -> tuple[Workflow, list[str]]:
    """The workflow with its transforms as steps, and the problems as `line: message`."""
    workflow, document = workflow_of(text)
    known = {f"inputs.{name}": FileType.FILES for name in workflow.inputs}
    known |= {f"inputs.{name}": kind for name, kind in types.items()}
    made, problems = with_transforms(workflow, find_layer=find_layer, types=known)
    return made, [f"{document.position(problem.place).line}: {problem.message}" for problem in problems]


def test_each_file_of_a_list_passes_alone_and_the_pack_together() -> None:
    """One task a file for the first, one for all for the second; the step reads the last."""
    made, problems = settled("""\
inputs: {slides: dataset://x}
steps:
  train:
    command: "cat {{inputs.all}}"
    in: {all: inputs.slides}
    through: {all: [{usecase: t/clean, with: {patient: P7}}, t/pack]}
    when: false
    retries: 2
""")
    assert not problems
    clean, pack, train = (made.steps[name] for name in ("train-all-1-clean", "train-all-2-pack", "train"))
    assert list(made.steps) == ["train-all-1-clean", "train-all-2-pack", "train"]
    assert (clean.scatter, clean.parameters) == ({"file": "inputs.slides"}, {"patient": "P7"})
    assert pack.inputs["files"].source == "train-all-1-clean.clean"
    assert train.inputs["all"].source == "train-all-2-pack.packed"
    assert (clean.at, pack.at) == (Placement(near="file"), Placement(near="files"))
    assert [(step.when, step.retries.attempts) for step in (clean, pack)] == [(False, 2)] * 2


def test_a_scattered_input_passes_too_and_a_matched_one_stays_matched() -> None:
    """The scatter then goes over what the transform made."""
    made, problems = settled("""\
inputs: {slides: dataset://x, marks: dataset://y}
steps:
  map:
    command: "cat {{inputs.slide}} {{inputs.mark}}"
    scatter: {slide: inputs.slides}
    in: {mark: {from: inputs.marks, matching: slide}}
    through: {slide: t/clean, mark: t/clean}
""")
    assert not problems
    step = made.steps["map"]
    assert step.scatter == {"slide": "map-slide-1-clean.clean"}
    assert (step.inputs["mark"].source, step.inputs["mark"].matching) == ("map-mark-1-clean.clean", "slide")


def test_one_file_is_not_scattered_over() -> None:
    """Whether it is an input of the workflow or what an earlier step made."""
    made, problems = settled(
        """\
inputs: {slide: a.svs}
steps:
  first: {command: "cp {{inputs.x}} o", in: {x: inputs.slide}, outputs: {o: o}, through: {x: t/clean}}
  then: {command: "cat {{inputs.x}}", in: {x: first.o}, through: {x: t/clean}}
""",
        slide=FileType.FILE,
    )
    assert not problems
    assert made.steps["first-x-1-clean"].inputs["file"].source == "inputs.slide"
    assert made.steps["then-x-1-clean"].inputs["file"].source == "first.o"


def test_at_the_destination_it_runs_where_the_step_does() -> None:
    """Which the step must name."""
    made, problems = settled("""\
inputs: {slides: dataset://x}
steps:
  a: {command: "true", in: {x: inputs.slides}, at: lrz, through: {x: {usecase: t/pack, where: destination}}}
""")
    assert not problems
    assert made.steps["a-x-1-pack"].at == Placement(site="lrz")


@pytest.mark.parametrize(
    ("through", "message"),
    [
        ("{y: t/clean}", "6: a has no input 'y' that takes files"),
        ("{x: t/cleen}", "6: there is no layer 't/cleen'"),
        ("{x: t/odd}", "6: t/odd is no transform: it needs one required input and one output"),
        ("{x: {usecase: t/pack, where: destination}}", "6: `where: destination` needs a step that names its site"),
    ],
)
def test_what_cannot_be_is_told_with_its_line(through: str, message: str) -> None:
    """Before anything runs."""
    _, problems = settled(f"""\
inputs: {{slides: dataset://x}}
steps:
  a:
    command: "cat {{{{inputs.x}}}}"
    through: {through}
    in: {{x: inputs.slides}}
""")
    assert [problem[: len(message)] for problem in problems] == [message]
