"""A script's way through an embedded site."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from metadata.errors import ConflictError, InvalidJobError, NotFoundError
from metadata.jobs import JobBook
from orchestrator import operations
from orchestrator.jobs import JobState, ResourceSpec
from orchestrator.operations import Workspace

LONG = "#!/bin/sh\nsleep 300"


def test_a_script_runs_and_its_output_and_accounts_are_told(workspace: Workspace) -> None:
    made = operations.submit_job(workspace, "agh", "#!/usr/bin/env python3\nprint('hello')", tag="night")
    assert made.state in (JobState.QUEUED, JobState.ACTIVE, JobState.COMPLETED)
    job = operations.wait_job(workspace, made.id)
    assert (job.state, job.exit_code, job.tag, job.doubt) == (JobState.COMPLETED, 0, "night", "")
    assert operations.job_output(workspace, job.id).stdout == "hello\n"
    assert job.account is not None
    assert (job.account.nodes, job.account.cores, job.account.counted) == (1, 1, False)
    assert job.account.queue_time_s is not None
    assert job.account.wall_time_s is not None


def test_a_job_that_fails_says_how_and_what_it_wrote(workspace: Workspace) -> None:
    made = operations.submit_job(workspace, "agh", "echo no >&2; exit 7")
    job = operations.wait_job(workspace, made.id)
    assert (job.state, job.exit_code) == (JobState.FAILED, 7)
    assert operations.job_output(workspace, job.id).stderr == "no\n"


def test_it_runs_where_its_owner_says_and_may_be_named_by_the_beginning_of_its_id(
    workspace: Workspace, tmp_path: Path
) -> None:
    made = operations.submit_job(workspace, "agh", "pwd; echo $CONVOY_JOB", directory=str(tmp_path / "mine"))
    job = operations.wait_job(workspace, made.id[:-2])
    assert operations.job_output(workspace, job.id).stdout == f"{tmp_path / 'mine'}\n{job.id}\n"


def test_jobs_are_listed_by_tag_and_site_the_newest_first(workspace: Workspace) -> None:
    first, second, third = (
        operations.submit_job(workspace, site, "true", tag=tag).id
        for site, tag in (("agh", "a"), ("agh", "b"), ("lrz", "a"))
    )
    assert [job.id for job in operations.list_jobs(workspace)] == [third, second, first]
    assert [job.id for job in operations.list_jobs(workspace, tag="a")] == [third, first]
    assert [job.id for job in operations.list_jobs(workspace, tag="a", site="agh", refresh=False)] == [first]
    assert [job.id for job in operations.list_jobs(workspace, limit=1)] == [third]


@pytest.mark.parametrize(
    "verb",
    [
        operations.job_status, operations.wait_job, operations.job_output, operations.abort_job,
        operations.delete_job, operations.resume_job,
    ],
)  # fmt: skip
def test_another_users_job_is_not_found_whatever_is_asked(
    workspace: Workspace, book: JobBook, verb: Callable[..., Any]
) -> None:
    made = operations.submit_job(workspace, "agh", "true", owner="bob")
    with pytest.raises(NotFoundError, match="there is no job"):
        verb(workspace, made.id)
    assert operations.list_jobs(workspace) == []
    assert book.job("bob", made.id)["state"] != "CANCELED"


@pytest.mark.parametrize("name", ["", "job-", "nobody's", "%"])
def test_a_name_that_means_no_single_job_is_not_found(workspace: Workspace, name: str) -> None:
    for _ in range(2):
        operations.submit_job(workspace, "agh", "true")
    with pytest.raises(NotFoundError):
        operations.job_status(workspace, name)


def test_an_end_is_never_taken_back(workspace: Workspace, book: JobBook) -> None:
    job = operations.wait_job(workspace, operations.submit_job(workspace, "agh", "true").id)
    assert not book.change(job.id, state="ACTIVE")
    assert not book.claim(job.id, now=1e12, until=2e12)
    for verb in (operations.abort_job, operations.resume_job):
        with pytest.raises(ConflictError, match="has ended already: COMPLETED"):
            verb(workspace, job.id)
    assert operations.job_status(workspace, job.id) == job


def test_an_aborted_job_is_canceled_whether_it_runs_or_waits(workspace: Workspace) -> None:
    running, waiting = (operations.submit_job(workspace, "agh", LONG) for _ in range(2))
    assert operations.job_status(workspace, waiting.id).state is JobState.QUEUED
    for made in (waiting, running):
        assert operations.abort_job(workspace, made.id).state is JobState.CANCELED
        assert operations.job_status(workspace, made.id).state is JobState.CANCELED


def test_a_deleted_job_is_ended_and_leaves_nothing_but_its_owners_directory(
    workspace: Workspace, book: JobBook, tmp_path: Path
) -> None:
    made = operations.submit_job(workspace, "agh", LONG, directory=str(tmp_path / "mine"))
    assert operations.delete_job(workspace, made.id) == made.id
    assert not Path(made.script_path).parent.exists()
    assert (tmp_path / "mine").is_dir()
    assert operations.list_jobs(workspace) == []
    with pytest.raises(NotFoundError):
        operations.job_status(workspace, made.id)


@pytest.mark.parametrize("wrong", [{"script": ""}, {"resources": ResourceSpec(process_count=99)}, {"directory": "x"}])
def test_what_the_site_can_never_run_is_refused_and_not_kept(workspace: Workspace, wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidJobError):
        operations.submit_job(workspace, "agh", **{"script": "true", **wrong})
    assert operations.list_jobs(workspace) == []


def test_a_site_that_does_not_exist_is_told_before_anything_is_kept(workspace: Workspace) -> None:
    with pytest.raises(NotFoundError, match="did you mean"):
        operations.submit_job(workspace, "aggh", "true")
    assert operations.list_jobs(workspace) == []
