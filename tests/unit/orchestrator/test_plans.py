"""Plans on disk."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metadata.errors import InvalidInputError
from orchestrator.plans import Plan, load_plan
from tests.unit.orchestrator.builders import file, knowledge, plan_of, site

TEXT = """
description: everything
inputs: {s: dataset://d, x: dataset://x}
parameters: {n: 3, rate: 0.5, big: 1e3, hex: 0x10, on: true, note: "a\\nb"}
steps:
  cut:
    usecase: toy/extract
    scatter: {slide: inputs.s}
    in: {annotation: {from: inputs.x, matching: slide}}
    with: {seed: "{{params.n}}"}
    resources: {memory: 1GiB, time: 30m}
    retries: {attempts: 2, grow: {memory: 2}}
  all:
    command: |
      cat {{inputs.p}}
    in: {p: cut.patches}
    with: {words: [a, 1, 2.5, true]}
    environment: {A: "x y"}
    attributes: {slurm.qos: high}
    when: params.on
outputs: {o: cut.patches}
"""


def whole_plan() -> Plan:
    """A plan with something of everything in it."""
    inputs = {"s": [file("a.tif"), file("b.tif")], "x": [file("a.xml"), file("b.xml")]}
    known = knowledge(
        {"agh": site(), "lrz": site()}, replicas={f.sha256: frozenset({"here"}) for fs in inputs.values() for f in fs}
    )
    return plan_of(TEXT, known, inputs)


def test_a_saved_plan_reads_back_as_itself(tmp_path: Path) -> None:
    """Everything is in the file, and nothing is rounded."""
    plan = whole_plan()
    path = tmp_path / "plan.json"
    path.write_text(plan.model_dump_json(indent=2))
    assert load_plan(path) == plan
    assert load_plan(path).digest == plan.digest


def test_a_plan_from_before_queues_were_known_still_loads(tmp_path: Path) -> None:
    """It predicted none."""
    plan = whole_plan()
    document = plan.model_dump(mode="json")
    for step in document["steps"]:
        del step["prediction"]["queue_s"]
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(document))
    assert load_plan(path) == plan


SCALARS = st.one_of(
    st.booleans(),
    st.integers(-(2**53), 2**53),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=("Cs",))),
)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.text("abc", min_size=1), SCALARS | st.lists(SCALARS)))
def test_a_parameter_keeps_its_value_and_its_type_through_json(values: dict) -> None:
    """`1`, `1.0`, `true` and `"1"` are four different things."""
    step = whole_plan_step(values)
    back = type(step).model_validate_json(step.model_dump_json())
    assert {k: (type(v), v) for k, v in back.parameters.items()} == {
        k: (type(v), v) for k, v in step.parameters.items()
    }


def whole_plan_step(values: dict):
    """A step with these parameters."""
    from orchestrator.plans import PlannedStep

    return PlannedStep(name="a", site="agh", reason="", command="x", parameters=values)


def test_equal_plans_have_equal_digests_and_others_do_not() -> None:
    """The digest names exactly one plan."""
    assert whole_plan().digest == whole_plan().digest
    assert whole_plan().model_copy(update={"name": "other"}).digest != whole_plan().digest


@pytest.mark.parametrize("text", ["", "[]", "{", '{"name": "x"}', '{"name": "x", "steps": [], "unknown": 1}'])
def test_what_is_no_plan_is_refused_with_its_file(text: str, tmp_path: Path) -> None:
    """So is a file that is not there."""
    path = tmp_path / "plan.json"
    path.write_text(text)
    with pytest.raises(InvalidInputError, match="this is not a plan"):
        load_plan(path)
    with pytest.raises(InvalidInputError, match="cannot read the plan"):
        load_plan(tmp_path / "absent.json")
