"""Faults that are found before anything runs."""

from __future__ import annotations

import pytest

from orchestrator.checks import step_order, template_names
from orchestrator.workflows import FileType
from tests.unit.orchestrator.builders import problems_of, workflow_of

GOOD = """\
inputs: {slides: dataset://d, xmls: dataset://x}
parameters: {epochs: 2}
steps:
  cut:
    usecase: toy/extract
    scatter: {slide: inputs.slides}
    in: {annotation: {from: inputs.xmls, matching: slide}}
    with: {seed: "{{params.epochs}}", sampling: grid}
  train:
    command: "train {{inputs.patches}} {{with.rate}} {{params.epochs}} {{outputs.w}} {{resources.cpus}} {{task.index}}"
    in: {patches: cut.patches}
    with: {rate: 0.1}
    outputs: {w: w.h5}
    at: lrz
    when: params.epochs > 0
  greet: {command: [echo, "{{with.who}}"], scatter: {who: [a, b]}, environment: {WHO: "{{with.who}}"}}
outputs: {w: train.w}
"""


def test_a_good_workflow_has_no_problems() -> None:
    """Every kind of thing that may stand in one stands in it."""
    assert problems_of(GOOD) == []


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("in: {patches: cut.patches}", "in: {patches: cuts.patches}", 12, "there is no step 'cuts'; did you mean cut?"),
        ("in: {patches: cut.patches}", "in: {patches: cut.patchs}", 12, "the step cut has no output 'patchs'; did you mean patches?"),
        ("in: {patches: cut.patches}", "in: {patches: inputs.slide}", 12, "there is no input 'slide'; did you mean slides?"),
        ("in: {patches: cut.patches}", "in: {patches: ./a/b.h5}", 12, "neither inputs.NAME, STEP.OUTPUT nor dataset://"),
        ("in: {patches: cut.patches}", "in: {patches: params.epochs}", 12, "there is no step 'params'"),
        ("{slide: inputs.slides}", "{slid: inputs.slides}", 7, "toy/extract takes no 'slid'; did you mean slide?"),
        ("in: {annotation: {from: inputs.xmls, matching: slide}}", "in: {anotation: inputs.xmls}", 8, "has no input 'anotation'; did you mean annotation?"),
        ("matching: slide", "matching: slides", 8, "no input 'slides' to match; did you mean slide?"),
        ("matching: slide", "matching: annotation", 8, "annotation"),
        (", matching: slide", "", 8, "a list of files is given where one file is wanted"),
        ("in: {annotation: {from: inputs.xmls, matching: slide}}", "in: {slide: inputs.xmls}", 7, "'slide' is scattered over and given under `in:` as well"),
        ("sampling: grid", "sampling: gird", 9, "'gird' is not one of random, grid"),
        ("sampling: grid", "level: ten", 9, "'ten' is no number"),
        ("sampling: grid", "level: 10", 9, "10 is more than 9"),
        ("sampling: grid", "samplin: grid", 9, "has no parameter 'samplin'; did you mean sampling?"),
        ('seed: "{{params.epochs}}"', 'seed: "{{params.epoch}}"', 9, "there is no parameter 'epoch'; did you mean epochs?"),
        ('seed: "{{params.epochs}}"', 'seed: "{{inputs.slides}}"', 9, "only workflow parameters"),
        ("{{with.rate}}", "{{with.rat}}", 11, "{{with.rat}} means nothing here; did you mean with.rate?"),
        ('{WHO: "{{with.who}}"}', '{WHO: "{{with.how}}"}', 17, "{{with.how}} means nothing here; did you mean with.who?"),
        ("at: lrz", "at: lzr", 15, "there is no site 'lzr'; did you mean lrz?"),
        ("at: lrz", "at: {sites: [agh, uva]}", 15, "there is no site 'uva'"),
        ("when: params.epochs > 0", "when: epochs > 0", 16, "'epochs' may not stand in a condition"),
        ("when: params.epochs > 0", "when: params.epoch > 0", 16, "there is no parameter 'epoch'"),
        ("{who: [a, b]}", "{who: params.epochs}", 17, "is no list of values"),
        ("outputs: {w: train.w}", "outputs: {w: train.weights}", 18, "the step train has no output 'weights'"),
        ("outputs: {w: train.w}", "outputs: {w: out/w.h5}", 18, "is not an output of a step"),
    ],
)  # fmt: skip
def test_a_fault_is_told_on_its_line_with_what_was_meant(old: str, new: str, line: int, message: str) -> None:
    """What follows from it may be told as well."""
    assert old in GOOD
    problems = problems_of(GOOD.replace(old, new))
    assert any(row.startswith(f"{line}: ") and message in row for row in problems), problems


def test_steps_that_wait_for_each_other_are_shown_as_a_circle() -> None:
    """Each waits for the next, and the last is the first again."""
    problems = problems_of("""
steps:
  a: {command: x, in: {i: c.o}, outputs: {o: o}}
  b: {command: x, in: {i: a.o}, outputs: {o: o}}
  c: {command: x, in: {i: b.o}, outputs: {o: o}}
""")
    assert len(problems) == 1
    circle = problems[0].rpartition(": ")[2].split(" -> ")
    assert circle[0] == circle[-1]
    assert "".join(circle[:-1]) in ("acb", "cba", "bac")


def test_a_step_that_waits_for_itself_is_a_circle_too() -> None:
    """The smallest one."""
    assert problems_of("steps: {a: {command: x, in: {i: a.o}, outputs: {o: o}}}") == [
        "2: the steps wait for each other in a circle: a -> a"
    ]


def test_one_file_cannot_be_scattered_over() -> None:
    """Neither an input that is one file nor the single output of a step."""
    text = "inputs: {s: one.tif}\nsteps:\n  a: {command: x, scatter: {n: inputs.s}}"
    assert problems_of(text, types={"s": FileType.FILE}) == [
        "4: inputs.s is one file; only a list (file[]) can be scattered over"
    ]
    text = "steps:\n  a: {command: x, outputs: {o: o}}\n  b: {command: x, scatter: {n: a.o}}"
    assert problems_of(text) == ["4: a.o is one file; only a list (file[]) can be scattered over"]


def test_the_output_of_a_scattered_step_is_a_list() -> None:
    """It may be scattered over, but not be given where one file is wanted."""
    head = "steps:\n  a: {command: x, scatter: {n: [1, 2]}, outputs: {o: o}}\n"
    assert problems_of(f"{head}  b: {{command: x, scatter: {{n: a.o}}}}") == []
    assert "one file is wanted" in problems_of(f"{head}  b: {{usecase: toy/extract, in: {{slide: a.o}}}}")[0]


def test_what_a_use_case_needs_must_be_given() -> None:
    """Its optional inputs need not be."""
    assert problems_of("steps:\n  a: {usecase: toy/extract}") == [
        "3: toy/extract needs the input 'slide'; give it under `in:` or `scatter:`"
    ]


@pytest.mark.parametrize("scatter", ["{seed: inputs.s}", "{slide: [a, b]}", "{slide: inputs.s, seed: [x, y]}"])
def test_files_go_to_inputs_and_values_to_parameters(scatter: str) -> None:
    """A use case says what each name takes."""
    text = f"inputs: {{s: dataset://d, t: one}}\nsteps:\n  a:\n    usecase: toy/extract\n    scatter: {scatter}"
    text += "\n    in: {slide: inputs.t}" if "slide" not in scatter else ""
    assert problems_of(text, types={"t": FileType.FILE}) != []


def test_a_list_cannot_be_matched() -> None:
    """`matching:` needs one file whose stem it can take."""
    text = "inputs: {s: dataset://d, x: dataset://d}\nsteps:\n  a:\n    usecase: toy/extract\n    scatter: {slide: inputs.s}"
    assert problems_of(f"{text}\n    in: {{masks: inputs.x, annotation: {{from: inputs.x, matching: masks}}}}") != []


def test_a_step_may_be_scattered_over_a_parameter_that_is_a_list() -> None:
    """The person who starts the run says how many tasks there are."""
    text = "parameters: {names: {type: string, default: [a, b]}}\nsteps: {a: {command: 'echo {{with.n}}', scatter: {n: params.names}}}"
    assert problems_of(text) == []
    assert problems_of(text, given={"names": ["c"]}) == []
    assert len(problems_of(text, given={"names": ["c", 1]})) == 1


@pytest.mark.parametrize("name", ["inputs", "params", "outputs", "resources", "with"])
def test_words_with_a_meaning_name_no_step(name: str) -> None:
    """References to it could not be told apart."""
    assert f"{name!r} has a meaning of its own" in problems_of(f"steps:\n  {name}: {{command: x}}")[0]


def test_a_parameter_that_nobody_set_is_refused_where_a_command_needs_it() -> None:
    """The word `None` in a command is nobody's wish."""
    text = "parameters: {p: {type: string}}\nsteps:\n  a:\n    command: 'echo {{params.p}}'"
    assert any("p" in problem for problem in problems_of(text))
    assert problems_of(text, given={"p": "x"}) == []


def test_a_given_value_of_the_wrong_type_is_told_at_the_parameter() -> None:
    """What came from the command line is checked like what stands in the file."""
    problems = problems_of("parameters:\n  n: 1\nsteps: {a: {command: x}}", given={"n": "many"})
    assert problems == ["3: the parameter n: 'many' is no integer"]


def test_steps_come_after_what_they_need_and_otherwise_in_the_files_order() -> None:
    """The order is the same every time."""
    workflow, _ = workflow_of("""
steps:
  z: {command: x, in: {i: b.o}}
  b: {command: x, outputs: {o: o}}
  a: {command: x, outputs: {o: o}}
""")
    assert step_order(workflow) == ["b", "a", "z"]


def test_a_command_may_name_files_values_and_resources() -> None:
    """What is scattered over is a file or a value, as its source says."""
    workflow, _ = workflow_of("inputs: {s: x}\nsteps: {a: {command: x, scatter: {f: inputs.s, n: [1]}}}")
    names = template_names(workflow.steps["a"], workflow)
    assert {"inputs.f", "with.n", "task.index", "resources.gpus"} <= names
    assert not {"with.f", "inputs.n"} & names


def test_processes_of_a_use_case_cannot_be_spread_over_nodes() -> None:
    """Its launcher starts them on one machine; those of a command of one's own may go anywhere."""
    wanted = "resources: {processes: 2, nodes: 2}"
    assert problems_of(f"steps:\n  a: {{usecase: toy/train, {wanted}}}\n  b: {{command: x, {wanted}}}") == [
        "3: toy/train starts its processes on one node; ask for several processes and leave nodes out"
    ]
    assert problems_of("steps: {a: {usecase: toy/train, resources: {processes: 2}}}") == []
