"""Recorded answers are read as they must be."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from metadata.errors import SiteError, SiteUnavailableError
from orchestrator.jobs import NativeId
from orchestrator.ports import CommandResult, SupportsAccounting, SupportsArrays, SupportsPartitions, SupportsSearch
from orchestrator.registry import load, names
from tests.recordings import record

RECORDINGS = Path(__file__).parents[2] / "recordings"

CASES = sorted(
    path
    for name in names("schedulers")
    for path in [*RECORDINGS.glob(f"{name}/*.json"), *RECORDINGS.glob(f"{name}-*/*.json")]
)
READERS = ("parse_submit", "parse_status", "parse_cancel")


@pytest.mark.parametrize("path", CASES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_recorded_answer_is_read_as_it_was(path: Path):
    case = json.loads(path.read_text())
    scheduler = record.scheduler_of(path.parent.name, case)
    assert record.read(scheduler, case["reader"], record.result_of(path, case)) == case["expected"]


def test_every_adapter_has_recordings(name: str):
    mine = [json.loads(path.read_text()) for path in CASES if path.parent.name.split("-")[0] == name]
    assert {*READERS, "parse_search", "parse_accounting"} <= {case["reader"] for case in mine}
    if isinstance(load("schedulers", name)(), SupportsPartitions):
        assert "parse_partitions" in {case["reader"] for case in mine}
    states = {
        s["state"]
        for case in mine
        if case["reader"] == "parse_status" and "error" not in case["expected"]
        for s in case["expected"].values()
    }
    assert {"QUEUED", "ACTIVE", "COMPLETED", "FAILED", "CANCELED"} <= states


def test_every_power_is_declared(scheduler):
    assert isinstance(scheduler, SupportsArrays)
    assert isinstance(scheduler, SupportsSearch)
    assert isinstance(scheduler, SupportsAccounting)


@pytest.mark.parametrize("reader", ["parse_submit", "parse_status", "parse_cancel", "parse_accounting", "parse_search"])
def test_a_failure_nobody_foresaw_is_told_in_the_sites_words(scheduler, reader):
    argv = scheduler.status_command([NativeId("1")])
    with pytest.raises(SiteError, match="the moon is in the wrong quarter"):
        getattr(scheduler, reader)(
            CommandResult(argv=argv, exit_code=1, stdout="", stderr="the moon is in the wrong quarter\n")
        )


def test_an_accepted_job_without_a_name_is_in_doubt(scheduler):
    with pytest.raises(SiteUnavailableError):
        scheduler.parse_submit(CommandResult(argv=("submit",), exit_code=0, stdout="Welcome!\n", stderr=""))


def test_an_empty_answer_names_no_job(scheduler):
    argv = scheduler.status_command([NativeId("1")])
    assert scheduler.parse_status(CommandResult(argv=argv, exit_code=0, stdout="", stderr="")) == {}


def test_questions_are_plain_commands(scheduler):
    questions = [
        scheduler.status_command([NativeId("1")]),
        scheduler.cancel_command([NativeId("1")]),
        *scheduler.search_commands(since=timedelta(hours=1)),
    ]
    assert all(isinstance(word, str) and word for question in questions for word in question)


def test_the_token_in_a_script_is_found_again_by_a_search(name, array_id, scheduler, make_spec):
    """The name that a script gives is the name that the answer shows."""
    specs = [make_spec(f"r/odd 'x' é.{n}.1") for n in (3, 4, 9)]
    script = scheduler.render_array(specs, receipts=Path("/r"))
    told = {"slurm": "--job-name=", "pbs": "CONVOY_TOKENS="}[name]
    word = script.partition(told)[2].partition("\n")[0].strip('"')
    answers = {
        "slurm": "".join(f"7_{n}|{word}|\n" for n in range(3)),
        "pbs": json.dumps({"Jobs": {"7[].pbs": {"Variable_List": {"CONVOY_TOKENS": word}}}}),
    }
    result = CommandResult(argv=("ask",), exit_code=0, stdout=answers[name], stderr="")
    ids = scheduler.array_ids(array_id, 3)
    assert scheduler.parse_search(result) == dict(zip([spec.token for spec in specs], ids, strict=True))
