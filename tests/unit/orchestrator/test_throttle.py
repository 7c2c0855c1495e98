"""A throttle lets only so many tasks of a step run at a time."""

from __future__ import annotations

from pathlib import Path

import pytest

from metadata.errors import MiddlewareError
from tests.unit.orchestrator.homes import Home

# Each task notes how many tasks are under way while it is.
COUNTED = """\
steps:
  a:
    scatter: {n: {range: 6}}
    command: "mkdir -p {home}/on; : > {home}/on/{{with.n}}; sleep 0.2; ls {home}/on | wc -l >> {home}/most; rm {home}/on/{{with.n}}"
    at: agh
    THROTTLE
"""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(folder=tmp_path / "home")


@pytest.mark.parametrize(("throttle", "most"), [("throttle: 1", 1), ("", 2)])
def test_no_more_tasks_run_at_a_time_than_the_throttle_lets(home: Home, throttle: str, most: int) -> None:
    """The site has two cores."""
    record = home.run(COUNTED.replace("THROTTLE", throttle))
    assert (record.state, record.counts) == ("COMPLETED", {"COMPLETED": 6})
    assert max(map(int, (home.folder / "most").read_text().split())) == most


def test_a_task_that_is_tried_again_passes_the_throttle(home: Home) -> None:
    text = "steps: {a: {scatter: {n: {range: 3}}, command: 'echo x >> {home}/c; exit 1', at: agh, throttle: 2, retries: 1}}"
    record = home.run(text)
    assert (record.state, [len(task.attempts) for task in record.steps[0].tasks]) == ("FAILED", [2, 2, 2])


def test_a_throttle_of_nothing_is_refused(home: Home) -> None:
    with pytest.raises(MiddlewareError, match="throttle"):
        home.plan("steps: {a: {command: 'true', throttle: 0}}")
