"""Whatever breaks, a job is submitted once, and nothing is made up about it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from adapters.executors.local import LocalExecutor
from metadata.errors import MiddlewareError, SiteError, SiteUnavailableError, TransientError
from metadata.jobs import JobBook
from orchestrator import operations
from orchestrator.jobs import JobState
from orchestrator.operations import Workspace, jobs
from tests.unit.jobs.conftest import Killed


@pytest.fixture
def counted(tmp_path: Path) -> tuple[str, Path]:
    """A script that counts how often it began."""
    return f"echo x >>{tmp_path}/starts", tmp_path / "starts"


def _silent(monkeypatch: pytest.MonkeyPatch, *, accepts: bool, times: int, retry_after_s: float = 0.01) -> None:
    """The site does not answer the next submissions, whether or not it takes the job."""
    really, left = LocalExecutor.submit, [times]

    def submit(self: LocalExecutor, specs: Any) -> Any:
        if left[0] <= 0:
            return really(self, specs)
        left[0] -= 1
        if accepts:
            really(self, specs)
        raise SiteUnavailableError("Socket timed out", retry_after_s=retry_after_s)

    monkeypatch.setattr(LocalExecutor, "submit", submit)


@pytest.mark.parametrize("accepts", [True, False])
def test_a_submission_without_an_answer_ends_in_one_job(
    workspace: Workspace, counted: tuple[str, Path], monkeypatch: pytest.MonkeyPatch, accepts: bool
) -> None:
    _silent(monkeypatch, accepts=accepts, times=2)
    made = operations.submit_job(workspace, "agh", counted[0])
    assert operations.wait_job(workspace, made.id).state is JobState.COMPLETED
    assert counted[1].read_text() == "x\n"


def test_a_site_that_stays_silent_leaves_a_job_that_can_be_resumed(
    workspace: Workspace, book: JobBook, counted: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    _silent(monkeypatch, accepts=False, times=1, retry_after_s=60.0)
    with pytest.raises(TransientError, match="convoy job resume job-") as caught:
        operations.submit_job(workspace, "agh", counted[0])
    assert caught.value.retry_after_s == 60.0
    (job,) = operations.list_jobs(workspace)
    assert (job.state, job.doubt) == (JobState.NEW, "it is being submitted, or was a moment ago")
    book.change(job.id, claimed_until=0.0)  # a minute later
    assert "resume" in operations.job_status(workspace, job.id).doubt
    operations.resume_job(workspace, job.id)
    assert operations.wait_job(workspace, job.id).state is JobState.COMPLETED
    assert counted[1].read_text() == "x\n"


@pytest.mark.parametrize(("moment", "submitted"), [("_accepted", False), ("_note_accepted", True)])
def test_a_process_killed_on_the_way_loses_no_job_and_doubles_none(
    workspace: Workspace,
    book: JobBook,
    counted: tuple[str, Path],
    monkeypatch: pytest.MonkeyPatch,
    moment: str,
    submitted: bool,
) -> None:
    def die(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(jobs, moment, die)
        with pytest.raises(Killed):
            operations.submit_job(workspace, "agh", counted[0])
    (row,) = book.jobs(jobs._present_user())
    if not submitted:
        with pytest.raises(TransientError, match="is being submitted"):
            operations.resume_job(workspace, row["id"])
        book.change(row["id"], claimed_until=0.0)  # four minutes later
        operations.resume_job(workspace, row["id"])
    assert operations.wait_job(workspace, row["id"]).state is JobState.COMPLETED
    assert counted[1].read_text() == "x\n"


def test_of_many_who_resume_at_once_one_submits(
    workspace: Workspace, book: JobBook, counted: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    _silent(monkeypatch, accepts=False, times=1, retry_after_s=60.0)
    with pytest.raises(TransientError):
        operations.submit_job(workspace, "agh", counted[0])
    (job,) = operations.list_jobs(workspace, refresh=False)
    claims = [book.claim(job.id, now=1e12, until=2e12)]
    with ThreadPoolExecutor(4) as pool:
        claims += pool.map(lambda _: book.claim(job.id, now=1e12, until=2e12), range(4))
    assert claims == [True, False, False, False, False]


def test_a_job_that_never_arrived_can_be_given_up(
    workspace: Workspace, book: JobBook, counted: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    _silent(monkeypatch, accepts=False, times=1, retry_after_s=60.0)
    with pytest.raises(TransientError):
        operations.submit_job(workspace, "agh", counted[0])
    (job,) = operations.list_jobs(workspace, refresh=False)
    with pytest.raises(TransientError, match="is being submitted"):
        operations.abort_job(workspace, job.id)
    book.change(job.id, claimed_until=0.0)
    ended = operations.abort_job(workspace, job.id)
    assert (ended.state, ended.message) == (JobState.CANCELED, "it was never submitted")
    assert not counted[1].exists()


def test_a_refusal_is_kept_with_the_sites_words(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise SiteError("the account is closed")

    monkeypatch.setattr(LocalExecutor, "submit", refuse)
    with pytest.raises(SiteError):
        operations.submit_job(workspace, "agh", "true")
    (job,) = operations.list_jobs(workspace)
    assert (job.state, job.message) == (JobState.FAILED, "the account is closed")


def test_a_site_that_does_not_answer_leaves_what_was_known_and_a_doubt(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent, other = (operations.submit_job(workspace, site, "sleep 0.5") for site in ("agh", "lrz"))
    really = LocalExecutor.status

    def status(self: LocalExecutor, ids: Any) -> Any:
        if self._site == "agh":
            raise SiteUnavailableError("agh is down")
        return really(self, ids)

    monkeypatch.setattr(LocalExecutor, "status", status)
    found = {job.id: job for job in operations.list_jobs(workspace)}
    assert (found[silent.id].state, found[silent.id].doubt) == (silent.state, "agh is down")
    assert found[other.id].doubt == ""
    monkeypatch.undo()
    assert operations.wait_job(workspace, silent.id).state is JobState.COMPLETED


def test_a_job_that_its_site_forgot_is_unknown_and_not_completed(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = operations.submit_job(workspace, "agh", "sleep 0.5")
    with monkeypatch.context() as patched:
        patched.setattr(LocalExecutor, "status", lambda *_: {})
        job = operations.job_status(workspace, made.id)
    assert (job.state, job.account) == (JobState.UNKNOWN, None)
    assert "nobody tells" in job.doubt
    assert operations.wait_job(workspace, made.id).state is JobState.COMPLETED  # it was found again


def test_a_site_that_left_the_site_file_is_a_doubt_in_the_list(workspace: Workspace, home: Path) -> None:
    operations.submit_job(workspace, "lrz", "sleep 0.2")
    (home / "sites.yaml").write_text("sites: {agh: {workdir: sites/agh}}\n")
    with Workspace(workspace.settings) as later:
        (job,) = operations.list_jobs(later)
        assert "there is no site 'lrz'" in job.doubt
        with pytest.raises(MiddlewareError):
            operations.job_output(later, job.id)
