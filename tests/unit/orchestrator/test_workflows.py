"""What a workflow file may say, and what it means."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metadata.errors import InvalidWorkflowError
from orchestrator.quantities import parse_size
from orchestrator.workflows import FileType, Parameter, ParameterType, Resources
from tests.unit.orchestrator.builders import workflow_of


def refused(text: str) -> str:
    """What is said of a workflow that cannot be."""
    with pytest.raises(InvalidWorkflowError) as caught:
        workflow_of(text)
    return str(caught.value)


def test_short_forms_mean_the_same_as_long_ones() -> None:
    """A site, a number of retries, a path and a parameter may be written bare."""
    short, _ = workflow_of("""
inputs: {slides: dataset://d}
parameters: {seed: 7, name: x, big: 1.5, quick: true}
steps:
  a: {command: run, at: agh, retries: 2, in: {s: inputs.slides}, outputs: {o: o.txt}, resources: {memory: 1GiB}}
""")
    long, _ = workflow_of("""
inputs: {slides: {default: dataset://d}}
parameters:
  seed: {type: integer, default: 7}
  name: {type: string, default: x}
  big: {type: number, default: 1.5}
  quick: {type: boolean, default: true}
steps:
  a:
    command: run
    at: {site: agh}
    retries: {attempts: 2}
    in: {s: {from: inputs.slides}}
    outputs: {o: {path: o.txt, type: file}}
    resources: {memory: 1073741824}
""")
    assert short == long


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("steps: {}", "at least 1"),
        ("steps: {a: {}}", "either `usecase:` or `command:`"),
        ("steps: {a: {command: x, usecase: y/z}}", "either `usecase:` or `command:`"),
        ("steps: {a: {usecase: y/z, outputs: {o: o}}}", "declared by the use case"),
        ("steps: {a: {command: x, outputs: {o: ../o}}}", "leaves the task's directory"),
        ("steps: {a: {command: x, outputs: {o: /etc/o}}}", "leaves the task's directory"),
        ("steps: {1a: {command: x}}", "pattern"),
        ("steps: {a: {command: x, resources: {memory: 8 gib}}}", "is not a size"),
        ("steps: {a: {command: x, resources: {time: soon}}}", "is not a duration"),
        ("steps: {a: {command: x, resources: {cpus: 3, processes: 2}}}", "shared evenly"),
        ("steps: {a: {command: x, resources: {gpus: 1, processes: 2}}}", "shared evenly"),
        ("steps: {a: {command: x, retries: {grow: {memory: 0.5}}}}", "greater than or equal"),
        ("steps: {a: {command: x, environment: {'A B': x}}}", "A B"),
        ("steps: {a: {command: x, scatter: {n: {range: -1}}}}", "greater than or equal"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_on_its_line(text: str, message: str) -> None:
    """Each with the rule that it breaks."""
    told = refused(text)
    assert told.startswith("w.yaml:2:")
    assert message in told


@pytest.mark.parametrize(
    ("kind", "facts", "good", "bad"),
    [
        ("integer", {"minimum": 1, "maximum": 9}, [1, 9], [0, 10, 1.5, True, "1", None]),
        ("number", {"minimum": 0}, [0, 0.5], [-0.1, False, "1"]),
        ("string", {"choices": ["a", "b"]}, ["a"], ["c", 1, True]),
        ("boolean", {}, [True, False], [0, 1, "true"]),
    ],
)
def test_a_parameter_takes_only_what_fits_it(kind: str, facts: dict[str, Any], good: list[Any], bad: list[Any]) -> None:
    """A boolean is no number, though Python thinks so."""
    parameter = Parameter(type=ParameterType(kind), default=good[0], **facts)
    assert [value for value in good if parameter.problem(value)] == []
    assert [value for value in bad if not parameter.problem(value)] == []


def test_every_element_of_a_list_must_fit() -> None:
    """A list of values is what a step is scattered over."""
    parameter = Parameter(type=ParameterType.STRING, default=["a", "b"])
    assert parameter.problem(["a", "c"]) is None
    assert parameter.problem(["a", 1]) is not None


def test_a_limit_on_a_text_is_a_fault_and_no_crash() -> None:
    """`minimum` means nothing for a string."""
    told = refused("parameters: {p: {type: string, minimum: 1, default: a}}\nsteps: {a: {command: x}}")
    assert "minimum" in told


@given(st.integers(1, 64), st.integers(1, 2**40), st.floats(1, 4), st.integers(0, 5))
def test_a_retry_never_asks_for_less(cpus: int, memory: int, factor: float, times: int) -> None:
    """Zero retries ask for the same."""
    wanted = Resources(cpus=cpus, memory=memory)
    grown = wanted.grown({"memory": factor, "cpus": factor, "time": factor}, times)
    assert grown.cpus >= cpus
    assert grown.memory >= memory - 1
    assert grown.time is None
    assert wanted.grown({"memory": 2.0}, 0) == wanted


def test_a_step_overrides_only_the_resources_that_it_names() -> None:
    """The use case knows best what it needs."""
    layer = Resources(cpus=4, memory=parse_size("8GiB"))
    assert Resources(cpus=2).over(layer) == Resources(cpus=2, memory=parse_size("8GiB"))


def test_resources_become_psijs_words() -> None:
    """Totals of the task are shared by its processes."""
    spec = Resources(cpus=8, gpus=2, processes=2, memory=100).to_spec()
    assert (spec.process_count, spec.cpu_cores_per_process, spec.gpu_cores_per_process) == (2, 4, 1)
    assert (spec.cpu_cores, spec.gpu_cores, spec.memory) == (8, 2, 100)


def test_a_file_list_is_written_with_brackets() -> None:
    """As in other workflow languages."""
    workflow, _ = workflow_of("steps: {a: {command: x, outputs: {o: {path: '*.txt', type: 'file[]'}}}}")
    assert workflow.steps["a"].outputs["o"].type is FileType.FILES
