"""One task's words, links and content key."""

from __future__ import annotations

from typing import Any

import pytest

from metadata.errors import PlanningError
from orchestrator.commands import TaskValues, bound_inputs, content_key, link_targets, task_argv, task_environment
from orchestrator.plans import PlannedStep
from orchestrator.workflows import Output, Resources
from tests.unit.orchestrator.builders import file, step_of, value

SLIDES = {"s": [file("a.tif"), file("b.tif")], "x": [file("a.xml"), file("b.xml")]}
CUT = "inputs: {s: dataset://d, x: dataset://x}\nsteps:\n  cut:\n    usecase: toy/extract\n    scatter: {slide: inputs.s}\n"
OWN = "inputs: {s: dataset://d, x: dataset://x}\nparameters: {p: 5}\nsteps:\n  a:\n    in: {many: inputs.s}\n    outputs: {o: out.txt}\n"


def argv(
    step: PlannedStep, inputs: dict[str, Any], parameters: dict[str, Any] | None = None, position: int = 0
) -> tuple[str, ...]:
    """The words of a task."""
    given = step.parameters if parameters is None else parameters
    return task_argv(step, TaskValues(inputs=inputs, parameters=given, workflow={"p": 5}, position=position))


def test_a_use_case_gets_its_inputs_and_parameters_as_options() -> None:
    """An option of its own name where the use case declares one."""
    step = step_of(f"{CUT}    in: {{annotation: {{from: inputs.x, matching: slide}}}}", SLIDES)
    assert argv(step, {"slide": value("a.tif"), "annotation": value("a.xml")}, {"seed": 7, "sampling": "grid", "fast": True}) == (
        "python", "-m", "usecases.toy", "--slide", "in/slide/a.tif", "--xml", "in/annotation/a.xml",
        "--seed", "7", "--sampling", "grid", "--quick",
    )  # fmt: skip


def test_a_false_switch_is_said_and_a_missing_value_is_not() -> None:
    """The use case's own default might be true."""
    step = step_of(CUT, SLIDES)
    words = argv(step, {"slide": value("a.tif")}, {"fast": False, "level": None})
    assert words[-1] == "--no-quick"
    assert "--level" not in words


def test_a_false_switch_with_a_short_option_is_not_said_to_be_true() -> None:
    """`-q` has no opposite."""
    step = step_of(CUT, SLIDES).model_copy(update={"parameter_options": {"fast": "-q"}})
    assert "-q" not in argv(step, {"slide": value("a.tif")}, {"fast": False})


def test_a_list_gives_one_option_and_many_words() -> None:
    """As `nargs="+"` reads it."""
    step = step_of(f"{CUT}    in: {{masks: inputs.x}}", SLIDES)
    words = argv(step, {"slide": value("a.tif"), "masks": [value("a.xml"), value("b.xml")]}, {})
    assert words[-3:] == ("--masks", "in/masks/a.xml", "in/masks/b.xml")


def test_the_words_of_an_own_command_are_filled_one_by_one() -> None:
    """A list becomes several words, and no shell is asked."""
    step = step_of(
        f"{OWN}    command: [cat, '{{{{inputs.many}}}}', 'p={{{{params.p}}}}', '{{{{with.x}}}}', '$(id)']\n    with: {{x: 'a b'}}",
        SLIDES,
    )
    assert argv(step, {"many": [value("a.tif"), value("b.tif")]}) == (
        "cat",
        "in/many/a.tif",
        "in/many/b.tif",
        "p=5",
        "a b",
        "$(id)",
    )


def test_a_text_goes_to_a_shell_that_stops_at_the_first_fault() -> None:
    """Values are quoted, the author's text is not."""
    step = step_of(
        f"{OWN}    command: 'cat {{{{inputs.many}}}} > {{{{outputs.o}}}}; echo {{{{task.index}}}} {{{{resources.cpus}}}}'\n    resources: {{cpus: 2}}",
        SLIDES,
    )
    words = argv(step, {"many": [value("a b.tif"), value("b.tif")]}, position=3)
    assert words == ("/bin/sh", "-eu", "-c", "cat 'in/many/a b.tif' in/many/b.tif > out.txt; echo 3 2")


def test_links_of_equal_names_are_numbered() -> None:
    """Ten tasks may each leave a `result.csv`."""
    targets = link_targets({"one": value("x"), "many": [value("x"), value("x"), value("y")]})
    assert [target for target, _ in targets["one"]] == ["in/one/x"]
    assert [target for target, _ in targets["many"]] == ["in/many/0/x", "in/many/1/x", "in/many/2/y"]


def bound(text: str, available: dict[str, list], element: dict | None = None) -> dict[str, Any]:
    """A task's inputs."""
    return bound_inputs(step_of(text, SLIDES), available, element or {})


def test_an_input_may_be_the_file_with_the_same_stem_as_another() -> None:
    """The annotation of this slide, out of all annotations."""
    text = f"{CUT}    in: {{annotation: {{from: inputs.x, matching: slide}}}}"
    xmls = [value("a.xml"), value("b.xml")]
    inputs = bound(text, {"slide": [], "annotation": xmls}, {"slide": value("b.tif")})
    assert inputs["annotation"] == value("b.xml")
    assert "annotation" not in bound(text, {"slide": [], "annotation": xmls}, {"slide": value("c.tif")})
    with pytest.raises(PlanningError, match="annotation takes one file and 2 are given"):
        bound(text, {"slide": [], "annotation": [*xmls, value("b.json")]}, {"slide": value("b.tif")})


def test_an_own_command_whose_match_is_missing_is_told() -> None:
    """An empty list would be a silent mistake."""
    text = "inputs: {s: dataset://d, x: dataset://x}\nsteps: {a: {command: x, scatter: {slide: inputs.s}, in: {xml: {from: inputs.x, matching: slide}}}}"
    with pytest.raises(PlanningError, match="xml"):
        bound(text, {"slide": [], "xml": [value("a.xml")]}, {"slide": value("c.tif")})


def test_an_environment_may_name_what_a_command_may() -> None:
    """Several files in one variable, a number as its digits; what names nothing stays."""
    variables = (
        "{SLIDES: '{{inputs.many}}', SEED: '{{with.x}}', ALL: 'p={{params.p}} of {{task.index}}', PLAIN: '$HOME'}"
    )
    step = step_of(f"{OWN}    command: x\n    with: {{x: 1}}\n    environment: {variables}", SLIDES)
    inputs = {"many": [value("a.tif"), value("b.tif")]}
    given = TaskValues(inputs=inputs, parameters={"x": 1}, workflow={"p": 5}, position=3)
    assert task_environment(step, given) == {
        "SLIDES": "in/many/a.tif in/many/b.tif", "SEED": "1", "ALL": "p=5 of 3", "PLAIN": "$HOME",
    }  # fmt: skip


def key(step: PlannedStep, **facts: Any) -> str:
    """The key of a task that reads two files."""
    inputs = facts.pop("inputs", {"many": [value("a.tif"), value("b.tif")]})
    values = {"inputs": inputs, "parameters": {"x": 1}, "workflow": {"p": 5}, "position": 0} | facts
    return content_key(step, TaskValues(**values))


STEP = step_of(
    f"{OWN}    command: 'run {{{{inputs.many}}}} {{{{with.x}}}} {{{{params.p}}}}'\n    with: {{x: 1}}", SLIDES
)


@pytest.mark.parametrize(
    "change",
    [
        {"parameters": {"x": 2}},
        {"workflow": {"p": 6}},
        {"inputs": {"many": [value("b.tif"), value("a.tif")]}},
        {"inputs": {"many": [value("a.tif")]}},
        {"inputs": {"many": [{**value("a.tif"), "sha256": "0" * 64}, value("b.tif")]}},
        {"inputs": {"many": [{**value("a.tif"), "name": "z.tif"}, value("b.tif")]}},
        {"step": {"image_digest": "sha256:1"}},
        {"step": {"image": "other.sif"}},
        {"step": {"command": "walk {{inputs.many}} {{with.x}} {{params.p}}"}},
        {"step": {"environment": {"OMP_NUM_THREADS": "1"}}},
        {"step": {"environment": {"P": "{{params.p}}"}}},
        {"step": {"outputs": {"o": Output(path="else.txt")}}},
        {"step": {"outputs": {"o": Output(path="out.txt", type="file[]")}}},
        {"step": {"resources": Resources(processes=2)}},
    ],
    ids=str,
)
def test_whatever_may_change_a_result_changes_the_key(change: dict[str, Any]) -> None:
    """Two equal keys mean that one result can stand for the other."""
    changed = STEP.model_copy(update=change.get("step", {}))
    facts = {name: row for name, row in change.items() if name != "step"}
    assert key(changed, **facts) != key(STEP)


@pytest.mark.parametrize(
    "change",
    [{"site": "lrz"}, {"name": "b"}, {"resources": Resources(memory=1, time=5)}, {"attributes": {"slurm.qos": "x"}}],
    ids=str,
)
def test_what_cannot_change_a_result_leaves_the_key_alone(change: dict[str, Any]) -> None:
    """Results are reused wherever they were made."""
    assert key(STEP.model_copy(update=change)) == key(STEP)


def test_the_position_counts_only_where_the_command_names_it() -> None:
    """A file that was done last time is not done again because another came before it."""
    assert key(STEP, position=3) == key(STEP)
    naming = STEP.model_copy(update={"command": "run {{task.index}}"})
    assert key(naming, position=3) != key(naming)
