"""What jobs used, against what they asked for."""

from __future__ import annotations

from datetime import timedelta

import pytest

from adapters.schedulers.slurm.usage import parse_cpu_time, parse_size, parse_text
from orchestrator.ports import JobUsage


def test_efficiencies_are_shares_of_what_was_asked_for():
    usage = JobUsage(
        submitted_at=100.0, started_at=130.0, elapsed=timedelta(seconds=50), time_limit=timedelta(seconds=200),
        cpu_cores=4, cpu_time=timedelta(seconds=100), memory=1000, memory_used=250,
    )  # fmt: skip
    assert (usage.cpu_efficiency, usage.memory_efficiency, usage.time_efficiency) == (0.5, 0.25, 0.25)
    assert usage.queue_wait == timedelta(seconds=30)


def test_what_was_not_counted_is_not_guessed():
    usage = JobUsage(cpu_cores=0, memory=0)
    assert (usage.cpu_efficiency, usage.memory_efficiency, usage.time_efficiency, usage.queue_wait) == (None,) * 4


def test_the_memory_of_the_hungriest_step_counts():
    answer = "5|1|2|9|7|10|4|00:08.000|2000M|\n5.batch|1|2|9|7||4|00:02.000||900K\n5.0|1|2|9|7||4|00:06.000||1.5G\n"
    (usage,) = parse_text(answer).values()
    assert usage.memory_used == 3 << 29
    assert usage.cpu_time == timedelta(seconds=8)
    assert usage.time_limit == timedelta(minutes=10)


@pytest.mark.parametrize(
    ("text", "seconds"), [("00:01.500", 1.5), ("01:02:03", 3723), ("2-00:00:00", 172800), ("", None), ("INVALID", None)]
)
def test_cpu_times_are_read_in_every_form(text, seconds):
    assert parse_cpu_time(text) == (None if seconds is None else timedelta(seconds=seconds))


@pytest.mark.parametrize(
    ("text", "size"), [("1K", 1024), ("0", 0), ("2.5G", 5 << 29), ("4Gn", 4 << 30), ("100Mc", 100 << 20), ("?", None)]
)
def test_sizes_are_read_in_every_unit(text, size):
    assert parse_size(text) == size
