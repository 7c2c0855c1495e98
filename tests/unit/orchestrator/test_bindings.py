"""Steps with everything settled but their site."""

from __future__ import annotations

import pytest

from metadata.errors import PlanningError
from orchestrator.workflows import FileType
from tests.unit.orchestrator.builders import file, knowledge, plan_of, site, step_of

SLIDES = {"s": [file("a.tif"), file("b.tif")], "x": [file("a.xml"), file("b.xml")]}
HEAD = "inputs: {s: dataset://d, x: dataset://x}\n"
CUT = f"{HEAD}steps:\n  cut:\n    usecase: toy/extract\n    scatter: {{slide: inputs.s}}\n"


def test_a_use_cases_defaults_stand_where_the_step_says_nothing() -> None:
    """A parameter without default is left out."""
    step = step_of(f"{CUT}    with: {{seed: 1}}", SLIDES)
    assert step.parameters == {"seed": 1, "sampling": "random", "fast": False}
    assert step.parameter_options == {"fast": "--quick"}
    assert step.tasks == 2


def test_a_template_takes_the_workflows_value_with_its_type() -> None:
    """It is checked once it is known."""
    text = f"parameters: {{n: 3, t: x}}\n{CUT}    with: {{seed: '{{{{params.n}}}}'}}"
    assert step_of(text, SLIDES).parameters["seed"] == 3
    with pytest.raises(PlanningError, match="step cut: the parameter seed of toy/extract: 'x' is no integer"):
        step_of(text.replace("params.n", "params.t"), SLIDES)


def test_a_scattered_parameter_gets_its_value_a_task_at_a_time() -> None:
    """It is not among the step's own."""
    step = step_of(f"{HEAD}steps: {{a: {{command: x, scatter: {{n: {{range: 3}}}}, with: {{m: 1}}}}}}", SLIDES)
    assert step.parameters == {"m": 1}
    assert step.scatter[0].values == (0, 1, 2)


@pytest.mark.parametrize(("method", "tasks"), [("dotproduct", 2), ("crossproduct", 4)])
def test_two_lists_pair_up_or_cross(method: str, tasks: int) -> None:
    """Pairing is the default."""
    text = f"{HEAD}steps: {{a: {{command: x, scatter: {{f: inputs.s, n: [1, 2]}}, scatter_method: {method}}}}}"
    assert step_of(text, SLIDES).tasks == tasks


def test_lists_of_different_lengths_do_not_pair_up() -> None:
    """The message names both lengths, and the way out."""
    with pytest.raises(PlanningError, match=r"different lengths \(f: 2, n: 3\); use scatter_method: crossproduct"):
        step_of(f"{HEAD}steps: {{a: {{command: x, scatter: {{f: inputs.s, n: [1, 2, 3]}}}}}}", SLIDES)


def test_an_input_of_an_own_command_is_a_list_when_several_files_may_come() -> None:
    """From a scattered step, from several sources, or from a list."""
    text = """
inputs: {s: dataset://d, one: dataset://d/a}
steps:
  a: {command: x, scatter: {n: [1, 2]}, outputs: {o: o}}
  b: {command: x, in: {many: a.o, both: [inputs.one, inputs.one], list: inputs.s, single: inputs.one, mine: {from: inputs.s, matching: single}}}
"""
    types = {name: row.type for name, row in step_of(text, {"s": SLIDES["s"], "one": [file("a.tif")]}).inputs.items()}
    assert types == {
        "many": FileType.FILES, "both": FileType.FILES, "list": FileType.FILES, "single": FileType.FILE, "mine": FileType.FILE,
    }  # fmt: skip


def test_the_number_of_tasks_is_open_where_an_earlier_step_decides_it() -> None:
    """A pattern of files is counted when it is there."""
    text = (
        f"{CUT}  each: {{command: x, scatter: {{p: cut.pictures}}}}\n  all: {{command: x, scatter: {{p: cut.patches}}}}"
    )
    known = knowledge({"agh": site()}, replicas={f.sha256: frozenset({"agh"}) for f in SLIDES["s"]})
    plan = plan_of(text, known, SLIDES)
    assert (plan.step("each").tasks, plan.step("all").tasks) == (None, 2)


def test_a_false_condition_skips_the_step_and_what_needs_it() -> None:
    """A step that can do without it runs."""
    plan = plan_of(
        f"""
{HEAD}parameters: {{draw: false}}
steps:
  draw: {{command: x, outputs: {{o: o, l: {{path: l, type: 'file[]'}}}}, when: params.draw}}
  needs: {{command: x, in: {{i: draw.o}}}}
  later: {{command: x, scatter: {{i: draw.l}}}}
  free: {{usecase: toy/extract, scatter: {{slide: inputs.s}}, in: {{annotation: draw.o}}}}
""",
        knowledge({"agh": site()}, replicas={f.sha256: frozenset({"agh"}) for f in SLIDES["s"]}),
        SLIDES,
    )
    assert {step.name: bool(step.skipped) for step in plan.steps} == {
        "draw": True,
        "needs": True,
        "later": True,
        "free": False,
    }
    assert plan.step("draw").skipped == "its condition is false: params.draw"
    assert plan.step("needs").skipped == "it needs results of draw, which is skipped"
    assert plan.step("free").inputs["annotation"].producers == ()
