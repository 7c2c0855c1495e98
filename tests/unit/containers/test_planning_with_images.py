"""Images in plans: which sites need them, what they cost, and who starts several processes inside."""

from __future__ import annotations

import pytest

from metadata.errors import PlanningError
from orchestrator.commands import TaskValues, content_key, task_argv
from orchestrator.plans import Plan
from orchestrator.workflows import Resources
from tests.unit.orchestrator.builders import file, knowledge, plan_of, site

IMAGE = file("tiny.sif", 10**9)
BOXED = site(container="apptainer")
HOST = site()
ONE = "steps: {look: {image: tiny, command: [x], outputs: {o: o}}}"
NOTHING = TaskValues(inputs={}, parameters={}, workflow={}, position=0)
LIES = {IMAGE.sha256: frozenset({"here"})}


def planned(text: str = ONE, **facts: object) -> Plan:
    """The plan at two sites with Apptainer, for an image that lies on this machine."""
    sites = {"agh": BOXED, "lrz": BOXED}
    known = {"sites": sites, "replicas": LIES, "images": {"tiny": IMAGE}} | facts
    return plan_of(text, knowledge(known.pop("sites"), **known))  # type: ignore[arg-type]


def test_an_image_is_a_transfer_like_any_other() -> None:
    """And its digest identifies the program."""
    plan = planned()
    step = plan.step("look")
    assert (step.image_file, step.image_digest) == (IMAGE, f"sha256:{IMAGE.sha256}")
    assert [(move.source, move.destination, move.size_bytes) for move in plan.transfers] == [("here", "agh", 10**9)]


def test_a_step_goes_where_its_image_lies_when_nothing_else_counts() -> None:
    """A gigabyte that need not move."""
    plan = planned(replicas={IMAGE.sha256: frozenset({"lrz"})})
    assert plan.step("look").site == "lrz"
    assert plan.transfers == ()


def test_the_image_is_brought_once_for_two_steps() -> None:
    """The second step finds it there."""
    text = "steps: {a: {image: tiny, command: [x], at: agh}, b: {image: tiny, command: [x], at: agh}}"
    assert [move.step for move in planned(text).transfers] == ["a"]


def test_a_site_that_runs_programs_on_the_host_needs_no_image() -> None:
    """Nor does it matter whether there is one."""
    plan = planned(sites={"agh": HOST}, images={})
    assert (plan.step("look").image_file, plan.transfers) == (None, ())


def test_an_image_that_nobody_made_is_refused_with_what_to_do() -> None:
    """Before anything runs."""
    with pytest.raises(PlanningError, match="no image 'tiny' to bring there; make it with: convoy image build"):
        planned(images={})


def test_another_image_gives_other_results() -> None:
    """Results are reused by the image's digest."""
    other = planned(images={"tiny": file("tiny2.sif")}, replicas={file("tiny2.sif").sha256: frozenset({"here"})})
    assert content_key(planned().step("look"), NOTHING) != content_key(other.step("look"), NOTHING)


@pytest.mark.parametrize(
    ("processes", "boxed", "words"), [(2, True, ["run", "-n", "2"]), (1, True, []), (2, False, [])]
)
def test_several_processes_are_started_by_the_images_own_launcher(
    processes: int, boxed: bool, words: list[str]
) -> None:
    """A host may have none."""
    step = (
        planned()
        .step("look")
        .model_copy(
            update={
                "launcher": ("run", "-n", "{{resources.processes}}"),
                "resources": Resources(processes=processes),
                "appended_options": True,
                "image_file": IMAGE if boxed else None,
            }
        )
    )
    argv = task_argv(step, NOTHING)
    assert list(argv) == [*words, "x"]
