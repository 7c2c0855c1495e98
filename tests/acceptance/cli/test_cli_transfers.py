"""Transfers that one process moves wait, go on and end as another process says."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.cli.conftest import Tell
from tests.acceptance.conftest import PROGRAM, SITES, environment
from tests.unit.orchestrator.homes import wait_until

SIZE = 16 << 20
SLOW = SITES + "links:\n  - {from: here, to: lrz, limit: 2 MB/s, mover: posix}\n"
COUNT = """\
name: count
inputs: {slides: {type: 'file[]', default: slides}}
steps:
  count:
    scatter: {slide: inputs.slides}
    command: "wc -c < {{inputs.slide}} > size.txt"
    outputs: {size: size.txt}
    at: lrz
"""
Begin = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def begin(home: Path) -> Iterator[Begin]:
    """Begins `convoy ARGUMENTS` over a slow link, and ends it with the test."""
    (home / "sites.yaml").write_text(SLOW)
    started: list[subprocess.Popen[str]] = []

    def start(*words: object) -> subprocess.Popen[str]:
        argv = [*PROGRAM, "--home", str(home), *map(str, words)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        started.append(subprocess.Popen(argv, text=True, env=environment(), cwd=home.parent, **pipes))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def slide(home: Path, name: str = "slide.tif") -> Path:
    """A file that takes eight seconds."""
    path = home.parent / "slides" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(os.urandom(SIZE))
    return path


def listed(tell: Tell, *words: str) -> list[dict[str, Any]]:
    """What `convoy transfer` answers."""
    said = tell("transfer", *(words or ("ls",)), "--json")
    assert said.code == 0, said.err
    rows: list[dict[str, Any]] = said.document
    return rows


def partials(home: Path) -> list[int]:
    """The sizes of partial files at lrz."""
    return [path.stat().st_size for path in (home / "sites/lrz").rglob("partial/*") if path.is_file()]


def moving(tell: Tell, home: Path, what: str = "slide.tif") -> dict[str, Any]:
    """The transfer, once a part of it lies there."""
    wait_until(lambda: any(size > 1 << 20 for size in partials(home)), what="a part of the file", timeout_s=60)
    [row] = [row for row in listed(tell) if row["state"] == "ACTIVE" and what in row["name"]]
    assert row["bytes_done"] > 0
    assert row["rate_bytes_per_s"] > 0
    assert row["left_s"] > 0
    return row


def test_a_copy_waits_and_goes_on_where_it_stopped(begin: Begin, tell: Tell, home: Path) -> None:
    """Another process tells it to; the copy's own process stays, and sends nothing twice."""
    path = slide(home)
    copy = begin("data", "put", path, "study", "--site", "lrz", "--json")
    row = moving(tell, home)
    assert (row["run"], row["size_bytes"], row["destination_site"]) == ("", SIZE, "lrz")
    [paused] = listed(tell, "pause", row["id"])
    assert paused["state"] == "PAUSED"
    assert copy.poll() is None
    [kept] = partials(home)
    assert 1 << 20 <= kept < SIZE
    assert [row["state"] for row in listed(tell)] == ["PAUSED"]
    assert partials(home) == [kept]
    listed(tell, "resume", row["id"])
    out, err = copy.communicate(timeout=60)
    assert copy.returncode == 0, err
    [arrived] = json.loads(out)
    assert arrived["bytes_moved"] == SIZE - kept
    assert listed(tell) == []
    [ended] = listed(tell, "ls", "--ended")
    assert (ended["state"], ended["bytes_done"]) == ("COMPLETED", SIZE)


def test_a_canceled_copy_leaves_nothing_and_says_so(begin: Begin, tell: Tell, home: Path) -> None:
    """Neither a file nor a name."""
    copy = begin("data", "put", slide(home), "study", "--site", "lrz")
    row = moving(tell, home)
    [canceled] = listed(tell, "cancel", row["id"])
    _, err = copy.communicate(timeout=60)
    assert (copy.returncode, "canceled on request" in err) == (8, True)
    assert canceled["state"] == "CANCELED"
    assert partials(home) == []
    assert tell("data", "show", "study").code == 3
    again = tell("transfer", "pause", row["id"])
    assert (again.code, "has ended already" in again.err) == (4, True)


def test_a_copy_whose_process_died_is_told_from_one_that_moves(begin: Begin, tell: Tell, home: Path) -> None:
    """The same command takes up what arrived."""
    path = slide(home)
    copy = begin("data", "put", path, "study", "--site", "lrz")
    row = moving(tell, home)
    copy.kill()
    copy.communicate()
    assert [found["state"] for found in listed(tell)] == ["LEFT"]
    [kept] = partials(home)
    done = tell("data", "put", path, "study", "--site", "lrz", "--json")
    assert done.document[0]["bytes_moved"] <= SIZE - kept
    assert [found["state"] for found in listed(tell, "cancel", row["id"])] == ["CANCELED"]


def test_a_run_moves_the_rest_while_one_of_its_transfers_is_paused(begin: Begin, tell: Tell, home: Path) -> None:
    """It says what it waits for; resumed, it goes on from what lay there."""
    slide(home)
    (home.parent / "slides/small.tif").write_bytes(b"small")
    (home.parent / "count.yaml").write_text(COUNT)
    run = begin("run", "count.yaml", "--no-report", "--json")
    row = moving(tell, home)
    assert row["run"]
    [paused] = listed(tell, "pause", row["id"])
    assert paused["state"] == "PAUSED"
    [kept] = partials(home)

    def others_done() -> bool:
        shown = tell("show", row["run"], "--json").document
        states = {task["label"]: task["state"] for task in shown["steps"][0]["tasks"]}
        return sorted(states.values()) == ["COMPLETED", "STAGE_IN"] and "1 transfer is paused" in shown["message"]

    wait_until(others_done, what="the task with the small file, and the run's word", timeout_s=60)
    listed(tell, "resume", row["id"])
    _out, err = run.communicate(timeout=60)
    assert run.returncode == 0, err
    shown = tell("show", row["run"], "--json").document
    [transfer] = [found for found in shown["transfers"] if found["size_bytes"] == SIZE]
    assert transfer["bytes_moved"] == SIZE - kept
    assert [event["kind"] for event in shown["events"] if event["kind"] in ("transfer.paused", "transfer.resumed")] == [
        "transfer.paused", "transfer.resumed",
    ]  # fmt: skip


def test_a_canceled_transfer_fails_its_task_and_a_retry_begins_anew(begin: Begin, tell: Tell, home: Path) -> None:
    """The run says why."""
    slide(home)
    (home.parent / "count.yaml").write_text(COUNT)
    run = begin("run", "count.yaml", "--no-report")
    row = moving(tell, home)
    whole = tell("transfer", "cancel", row["run"])
    assert (whole.code, f"convoy cancel {row['run']}" in whole.err) == (2, True)
    [canceled] = listed(tell, "cancel", row["id"])
    assert canceled["state"] == "CANCELED"
    run.communicate(timeout=60)
    assert run.returncode == 1
    assert partials(home) == []
    shown = tell("show", row["run"], "--json").document
    assert "canceled on request" in shown["steps"][0]["tasks"][0]["message"]
    assert tell("retry", row["run"], "--no-report").code == 0


def test_a_paused_queue_holds_what_comes_later_too(begin: Begin, tell: Tell, home: Path) -> None:
    """Until it is resumed as a whole: one of them alone cannot go on."""
    assert listed(tell, "pause", "--all") == []
    copy = begin("data", "put", slide(home), "study", "--site", "lrz")
    [row] = wait_until(lambda: [row for row in listed(tell) if row["state"] == "PAUSED"], what="the copy to wait")
    assert partials(home) == []
    alone = tell("transfer", "resume", row["id"])
    assert (alone.code, "--all" in alone.err) == (4, True)
    listed(tell, "resume", "--all")
    _, err = copy.communicate(timeout=60)
    assert copy.returncode == 0, err


@pytest.mark.parametrize("words", [["pause"], ["resume", "17", "--all"], ["cancel"]])
def test_nothing_is_held_by_mistake(tell: Tell, words: list[str]) -> None:
    """Neither names nor --all, or both."""
    said = tell("transfer", *words)
    assert (said.code, "or say --all" in said.err) == (2, True)


def test_a_name_that_nothing_has_is_told(tell: Tell) -> None:
    said = tell("transfer", "pause", "data-000000")
    assert (said.code, "convoy transfer ls" in said.err) == (3, True)
