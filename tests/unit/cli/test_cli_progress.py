"""How a run is shown while it goes on."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rich.console import Console

from metadata.progress import RunProgress, StepProgress, TransferProgress
from orchestrator.faces.cli.live import frame
from orchestrator.faces.cli.plain import PlainLines
from orchestrator.faces.cli.rates import Rates
from orchestrator.faces.states import LOOKS, step_state
from orchestrator.jobs import JobState


def step(counts: dict[str, int], *, name: str = "extract", expanded: bool = True, skipped: str = "") -> StepProgress:
    """A step with tasks in these states."""
    return StepProgress(name=name, position=0, site="agh", skipped=skipped, expanded=expanded, counts=counts)


def transfer(done: int) -> TransferProgress:
    """A transfer of 100 MB under way."""
    return TransferProgress(
        name="slide.tif", size_bytes=100_000_000, bytes_done=done, source_site="agh", destination_site="lrz",
        mover="posix", state="ACTIVE", started_at=0.0,
    )  # fmt: skip


def progress(*steps: StepProgress, transfers: tuple[TransferProgress, ...] = (), **counts: int) -> RunProgress:
    """A run with these steps, and transfers by state."""
    return RunProgress(
        id="study-1", name="study", state="ACTIVE", wanted="run", message="", created_at=0.0, started_at=0.0,
        ended_at=90.0, steps=steps, transfers=transfers, transfer_counts=counts, bytes_done=2048, bytes_total=4096,
        bytes_moved=2048,
    )  # fmt: skip


def shown(picture: object) -> str:
    """What a person would see, without colours."""
    console = Console(width=100, no_color=True)
    with console.capture() as capture:
        console.print(picture)
    return capture.get()


@pytest.mark.parametrize(
    ("tasks", "state"),
    [
        ({}, "COMPLETED"),
        ({"NEW": 2}, "NEW"),
        ({"ACTIVE": 1, "COMPLETED": 1}, "ACTIVE"),
        ({"FAILED": 1, "COMPLETED": 1}, "FAILED"),
    ],
)
def test_a_step_is_summed_up_in_one_word(tasks: dict[str, int], state: str) -> None:
    assert step_state(step(tasks)) == state


def test_a_step_that_was_not_opened_waits_and_a_skipped_one_is_skipped() -> None:
    assert step_state(step({}, expanded=False)) == "NEW"
    assert step_state(step({}, skipped="when is false")) == "SKIPPED"


def test_every_state_has_a_look_and_no_two_words_are_equal() -> None:
    assert set(JobState) <= set(LOOKS)
    assert len({look.word for look in LOOKS.values()}) == len(LOOKS)


def test_a_thousand_tasks_make_one_line_a_change_of_the_steps_state() -> None:
    lines: list[str] = []
    view = PlainLines(lines.append)
    for done in range(1000):
        view(progress(step({"COMPLETED": done, "ACTIVE": 1000 - done})))
    view(progress(step({"COMPLETED": 1000})))
    assert [line.split("  ", 1)[1].split() for line in lines] == [
        ["run", "study-1"],
        ["extract", "running", "at", "agh,", "1000", "tasks"],
        ["extract", "completed", "at", "agh,", "1000", "tasks"],
    ]


def test_the_last_transfers_are_told_however_fast_they_were() -> None:
    lines: list[str] = []
    with PlainLines(lines.append) as view:
        view(progress(step({"STAGE_IN": 1}), ACTIVE=2))
        view(progress(step({"COMPLETED": 1}), COMPLETED=2))
    assert lines[-1].endswith("2 of 2 done, 2 KiB of 4 KiB")


def test_a_step_that_failed_says_how_many_of_its_tasks_did() -> None:
    lines: list[str] = []
    PlainLines(lines.append)(progress(step({"COMPLETED": 3, "FAILED": 2})))
    assert lines[-1].endswith("failed at agh: 2 of 5 tasks failed")


def test_a_rate_comes_from_the_last_seconds_only() -> None:
    rates = Rates()
    for second, done in ((0, 0), (10, 10_000_000), (12, 50_000_000)):
        rates.note([transfer(done)], at=float(second))
    assert rates.of(transfer(50_000_000)) == pytest.approx(20e6)


def test_a_transfer_that_does_not_move_has_no_rate() -> None:
    rates = Rates()
    for second in (0, 1):
        rates.note([transfer(5)], at=float(second))
    assert rates.of(transfer(5)) is None


def test_the_picture_shows_steps_transfers_rates_and_what_is_left() -> None:
    rates = Rates()
    for second in (0, 1):
        rates.note([transfer(second * 50_000_000)], at=float(second))
    moment = progress(
        step({"COMPLETED": 3, "ACTIVE": 1}),
        step({}, name="train", expanded=False),
        transfers=(transfer(50_000_000),),
        COMPLETED=1,
    )
    text = shown(frame(moment, rates))
    for part in (
        "study-1",
        "1m 30s",
        "3/4",
        "1 running",
        "train",
        "waiting",
        "agh → lrz",
        "50 MB/s (400 Mbit/s)",
        "1.0 s left",
    ):
        assert part in text


def test_many_transfers_do_not_fill_the_screen() -> None:
    text = shown(frame(progress(step({"STAGE_IN": 1}), transfers=(transfer(1),) * 50), Rates()))
    assert "and 44 more under way" in text


def test_a_run_that_is_being_canceled_says_so() -> None:
    moment = replace(progress(step({"ACTIVE": 1})), wanted="cancel", ended_at=None)
    assert "canceling" in shown(frame(moment, Rates()))


def test_all_transfers_together_have_a_rate_and_an_end() -> None:
    """Ended ones count: what matters is when the data are there."""
    rates = Rates()
    moving = progress(step({"STAGE_IN": 2}), transfers=(transfer(10_000_000),), ACTIVE=1, COMPLETED=1)
    moving = replace(moving, bytes_total=400_000_000, ended_at=None)
    for second in range(3):
        now = replace(moving, bytes_done=100_000_000 + 10_000_000 * second)
        rates.note(now.transfers, at=float(second), whole=now.bytes_done)
    seen = " ".join(shown(frame(now, rates)).split())
    assert "1 of 2 done, 114 MiB of 381 MiB, 10 MB/s (80 Mbit/s), 28 s left" in seen
