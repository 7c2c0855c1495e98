"""Which site a step gets, and why."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metadata.errors import PlanningError, PolicyError
from metadata.policy import Policy
from metadata.records import Measurement, QueueWait
from orchestrator.planner import Knowledge
from orchestrator.plans import Plan
from staging.links import LinkHistory
from staging.ports import Capabilities, Direction, Endpoint
from staging.routes import DEFAULT_RATE_BYTES_PER_S
from tests.unit.orchestrator.builders import file, knowledge, plan_of, site

GIGABYTE = 10**9
SLIDE = file("slide.tif", GIGABYTE)
MEASURED = Measurement(
    source_site="agh", destination_site="lrz", mover="posix", direction="local", size_bytes=GIGABYTE, seconds=5.0,
    measured_at=0.0,
)  # fmt: skip
ONE = "inputs: {s: dataset://d}\nsteps: {look: {command: x, in: {s: inputs.s}, outputs: {o: o}}}"
AT_AGH = {SLIDE.sha256: frozenset({"agh"})}
SITES = {"agh": site(), "lrz": site(speed=2.0, labels=["gpu"])}


def planned(text: str = ONE, known: Knowledge | None = None, **facts: object) -> Plan:
    """The plan for one slide that lies at agh."""
    return plan_of(text, known or knowledge(SITES, replicas=AT_AGH, **facts), {"s": [SLIDE]})  # type: ignore[arg-type]


def test_a_step_goes_where_its_data_lie() -> None:
    """Without any history, moving bytes is all that costs."""
    plan = planned()
    assert plan.step("look").site == "agh"
    assert plan.transfers == ()
    assert "its data are there" in plan.step("look").reason


@pytest.mark.parametrize(("rate", "expected"), [(1e6, "agh"), (1e9, "lrz")])
def test_a_fast_link_to_a_fast_site_outweighs_the_way_and_a_slow_one_does_not(rate: float, expected: str) -> None:
    """Compute takes 100 s here and 50 s there; the data take 1000 s or 1 s to go there."""
    plan = planned(declared={("agh", "lrz"): rate}, task_seconds={("look", "agh"): 100.0})
    assert plan.step("look").site == expected
    assert len(plan.transfers) == (expected == "lrz")


def test_the_size_of_the_data_decides_as_well() -> None:
    """The same link is good enough for a small file."""
    small = file("small.tif", 1000)
    known = knowledge(
        SITES,
        replicas={small.sha256: frozenset({"agh"})},
        task_seconds={("look", "agh"): 100.0},
        declared={("agh", "lrz"): 1e6},
    )
    assert plan_of(ONE, known, {"s": [small]}).step("look").site == "lrz"


@pytest.mark.parametrize(
    ("facts", "seconds", "basis"),
    [
        ({}, GIGABYTE / DEFAULT_RATE_BYTES_PER_S, "assumed"),
        ({"declared": {("agh", "lrz"): 1e8}}, 10.0, "declared in the site file"),
        ({"declared": {("agh", "lrz"): 1e8}, "history": LinkHistory.of([MEASURED] * 3)}, 5.0, "measured 3 times"),
        ({"declared": {("lrz", "agh"): 1e8}}, GIGABYTE / DEFAULT_RATE_BYTES_PER_S, "assumed"),
    ],
)  # fmt: skip
def test_a_measured_rate_counts_before_a_declared_one_and_that_before_a_guess(
    facts: dict, seconds: float, basis: str
) -> None:
    """A link has a direction."""
    [move] = planned(ONE.replace("command", "at: lrz, command"), **facts).transfers
    assert move.seconds == pytest.approx(seconds, abs=0.1)
    assert move.reason.endswith(basis)
    assert (move.source, move.destination, move.mover, move.size_bytes) == ("agh", "lrz", "posix", GIGABYTE)


def test_labels_choose_among_sites() -> None:
    """All of them must fit."""
    plan = planned(ONE.replace("command", "at: {labels: [gpu]}, command"))
    assert (plan.step("look").site, plan.step("look").reason) == ("lrz", "the only site that fits")
    with pytest.raises(PlanningError, match="agh: it has no label gpu, big; lrz: it has no label big"):
        planned(ONE.replace("command", "at: {labels: [gpu, big]}, command"))


@pytest.mark.parametrize(
    ("wish", "reasons"),
    [
        ("cpus: 5", ["agh: 5 CPU cores are wanted, it has 4", "lrz: 5 CPU cores are wanted, it has 4"]),
        ("processes: 5", ["agh: 5 CPU cores"]),
        ("memory: 9GiB", ["agh: 9 GiB of memory are wanted, it has 8 GiB"]),
        ("gpus: 1", ["agh: 1 GPUs are wanted, it has 0"]),
        ("nodes: 2, processes: 2", ["agh: 2 nodes"]),
    ],
)
def test_impossible_resources_are_refused_with_what_each_site_has(wish: str, reasons: list[str]) -> None:
    """Nothing runs before that is known."""
    with pytest.raises(PlanningError) as caught:
        planned(ONE.replace("command", f"resources: {{{wish}}}, command"))
    assert "no site can run the step look" in str(caught.value)
    assert [reason for reason in reasons if reason not in str(caught.value)] == []


def test_restricted_data_keep_the_step_at_their_site() -> None:
    """However good the other site is."""
    known = {
        "policies": {SLIDE.sha256: Policy(sites=frozenset({"agh"}))},
        "task_seconds": {("look", "agh"): 9e9},
        "declared": {("agh", "lrz"): 1e12},
    }
    assert planned(**known).step("look").site == "agh"


def test_a_plan_that_moves_restricted_data_is_refused_with_the_policy() -> None:
    """Trying again does not help, so it is a PolicyError."""
    with pytest.raises(PolicyError) as caught:
        planned(ONE.replace("command", "at: lrz, command"), policies={SLIDE.sha256: Policy(sites=frozenset({"agh"}))})
    assert "step look cannot be placed" in str(caught.value)
    assert "dataset://toy/slide.tif" in str(caught.value)
    assert "may lie only at: agh" in str(caught.value)


CHAIN = """
inputs: {s: dataset://d}
steps:
  cut: {usecase: toy/extract, in: {slide: inputs.s}, at: agh}
  train: {command: x, in: {p: cut.patches}, at: lrz}
"""


def test_what_is_made_of_restricted_data_is_restricted_too() -> None:
    """A copy under another name is as secret as the first."""
    with pytest.raises(PolicyError, match=r"cut\.patches"):
        planned(CHAIN, policies={SLIDE.sha256: Policy(sites=frozenset({"agh"}))})


def test_a_released_output_may_leave() -> None:
    """The owner named it."""
    policy = Policy(sites=frozenset({"agh"}), release=("patches",))
    assert planned(CHAIN, policies={SLIDE.sha256: policy}).transfers[0].what == "cut.patches"


def test_an_own_command_releases_nothing() -> None:
    """Anybody could give an output that name."""
    text = CHAIN.replace(
        "usecase: toy/extract, in: {slide: inputs.s}", "command: x, in: {slide: inputs.s}, outputs: {patches: p}"
    )
    with pytest.raises(PolicyError):
        planned(text, policies={SLIDE.sha256: Policy(sites=frozenset({"agh"}), release=("patches",))})


def test_history_tells_how_long_a_step_takes_and_where_else_it_would_be_quicker() -> None:
    """A site without a history is judged by another's, at its own speed."""
    plan = planned(ONE.replace("command", "at: lrz, command"), task_seconds={("look", "agh"): 100.0})
    assert plan.step("look").prediction.run_s == pytest.approx(50.0)
    assert plan.step("look").prediction.basis.startswith("50 s a task, judged by agh;")
    here = planned(task_seconds={("look", "agh"): 100.0, ("look", "lrz"): 1.0}, declared={("agh", "lrz"): 1.0})
    assert here.step("look").prediction.basis.startswith("1m 40s a task in earlier runs here;")


def test_a_quick_site_with_a_long_queue_loses_against_a_slower_one() -> None:
    """A hundred seconds at once are sooner over than ten after two minutes; after half a minute they are not."""
    quick = {("a", "agh"): 10.0, ("a", "lrz"): 100.0}
    for wait_s, chosen in ((120.0, "lrz"), (30.0, "agh")):
        waits = {"agh": QueueWait(seconds=wait_s, steps=12)}
        step = plan_of("steps: {a: {command: x}}", knowledge(SITES, task_seconds=quick, queue_waits=waits)).step("a")
        assert step.site == chosen
        assert [row.seconds for row in step.candidates] == [wait_s + 10, 100]
        assert "waits about" in step.candidates[0].reason
        assert "no wait in its queue is known" in step.candidates[1].reason
    assert (step.prediction.queue_s, step.prediction.run_s, step.prediction.total_s) == (30, 10, 40)
    assert "waits about 30 s in its queue, by 12 earlier steps" in step.prediction.basis
    assert "waits about 30 s in its queue" in step.reason


def test_the_tasks_of_a_scatter_wait_together() -> None:
    """Ten tasks on four cores: three waves of ten seconds, behind one wait."""
    waits = {"agh": QueueWait(seconds=60, steps=1)}
    text = "steps: {a: {command: x, scatter: {n: {range: 10}}}}"
    known = knowledge({"agh": site()}, task_seconds={("a", "agh"): 10.0}, queue_waits=waits)
    found = plan_of(text, known).step("a").prediction
    assert (found.queue_s, found.run_s) == (60, 30)
    assert found.basis.endswith("by 1 earlier step")


def test_the_pace_of_an_idle_scheduler_is_no_reason_to_go_elsewhere() -> None:
    """Or runs would wander between like sites for the sake of a second."""
    known = knowledge({"lrz": site(), "agh": site()}, queue_waits={"lrz": QueueWait(seconds=2.0, steps=9)})
    step = plan_of("steps: {a: {command: x}}", known).step("a")
    assert (step.site, step.prediction.queue_s) == ("lrz", 0)
    assert "no wait in its queue, by 9 earlier steps" in step.prediction.basis


@pytest.mark.parametrize(
    ("wish", "seconds"), [("cpus: 1", 30), ("cpus: 4", 100), ("memory: 4GiB", 50), ("gpus: 1", 100)]
)
def test_tasks_run_in_waves_that_fill_the_site(wish: str, seconds: int) -> None:
    """Ten tasks of ten seconds on four cores, eight GiB and one GPU."""
    text = f"steps: {{a: {{command: x, scatter: {{n: {{range: 10}}}}, resources: {{{wish}}}}}}}"
    known = knowledge({"agh": site(slots={"cpus": 4, "memory": "8GiB", "gpus": 1})}, task_seconds={("a", "agh"): 10.0})
    assert plan_of(text, known).step("a").prediction.run_s == seconds


def test_of_equal_sites_the_first_in_the_file_is_taken_and_the_plan_says_so() -> None:
    """The same request gives the same plan."""
    plan = plan_of("steps: {a: {command: x}}", knowledge({"lrz": site(), "agh": site()}))
    assert plan.step("a").site == "lrz"
    assert plan.step("a").reason.startswith("as good as agh, and named first")


def test_data_that_a_plan_brings_are_there_for_later_steps() -> None:
    """Each byte moves once."""
    text = "inputs: {s: dataset://d}\nsteps:\n  a: {command: x, in: {s: inputs.s}, at: lrz}\n  b: {command: x, in: {s: inputs.s}, at: lrz}"
    assert [move.step for move in planned(text).transfers] == ["a"]


def test_the_quickest_of_several_copies_is_the_source() -> None:
    """And a copy that no mover reaches does no harm."""
    known = knowledge(
        {**SITES, "far": site()},
        replicas={SLIDE.sha256: frozenset({"agh", "far", "tape"})},
        declared={("far", "lrz"): 1e9},
    )
    pigeons = Endpoint(site="tape", doors={"carrier-pigeon": {}})
    farther = replace(known.routes, endpoints={**known.routes.endpoints, "tape": pigeons})
    odd = replace(known, find_routes=lambda: farther)
    [move] = planned(ONE.replace("command", "at: lrz, command"), odd).transfers
    assert move.source == "far"


def test_data_that_lie_nowhere_are_told() -> None:
    """With what to do."""
    with pytest.raises(PlanningError, match="lies at no site that is known; add it again"):
        planned(known=knowledge(SITES))


def test_the_better_mover_is_taken() -> None:
    """By what it can do, never by its name."""
    known = knowledge(SITES, replicas=AT_AGH)
    local = frozenset({Direction.LOCAL})
    movers = {
        "aaa": Capabilities(schemes=frozenset({"file"}), directions=local),
        "zzz": Capabilities(schemes=frozenset({"file"}), directions=local, resumes=True),
    }
    better = replace(known.routes, movers=movers)
    [move] = planned(ONE.replace("command", "at: lrz, command"), replace(known, find_routes=lambda: better)).transfers
    assert move.mover == "zzz"


def test_outputs_of_a_size_that_is_not_known_are_planned_all_the_same() -> None:
    """Their size is None and not a guess; history fills it in."""
    [move] = planned(CHAIN).transfers
    assert (move.size_bytes, move.files) == (None, 1)
    [move] = planned(CHAIN, output_bytes={("cut", "patches"): 5e8}).transfers
    assert move.size_bytes == 500_000_000


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_a_plan_moves_each_content_to_a_site_once_at_most_and_never_where_it_lies(data: st.DataObject) -> None:
    """Whatever lies where, and whatever needs it."""
    places = ["agh", "lrz", "uva"]
    files = [file(f"{n}.tif", data.draw(st.integers(0, GIGABYTE))) for n in range(4)]
    replicas = {row.sha256: frozenset(data.draw(st.sets(st.sampled_from(places), min_size=1))) for row in files}
    rates = {(a, b): data.draw(st.floats(1e5, 1e9)) for a in places for b in places if a != b}
    used = [data.draw(st.sets(st.sampled_from(range(4)), min_size=1)) for _ in range(4)]
    steps = "\n".join(
        f"  s{n}: {{command: x, in: {{{', '.join(f'i{k}: inputs.f{k}' for k in row)}}}}}" for n, row in enumerate(used)
    )
    text = "inputs: {" + ", ".join(f"f{k}: x" for k in range(4)) + "}\nsteps:\n" + steps
    known = knowledge({name: site() for name in places}, replicas=replicas, declared=rates)
    plan = plan_of(text, known, {f"f{k}": [row] for k, row in enumerate(files)})
    moves = [(move.what, move.destination) for move in plan.transfers]
    assert len(set(moves)) == len(moves)
    lies = {row.origin: replicas[row.sha256] for row in files}
    assert [
        move for move in plan.transfers if move.destination in lies[move.what] or move.source not in lies[move.what]
    ] == []
    assert all(step.candidates and step.site in places for step in plan.steps)
