"""Scripts, accounts and short commands at a real cluster."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from pathlib import Path

import pytest

from adapters.schedulers.slurm import SlurmScheduler
from metadata.errors import InvalidJobError, SiteUnavailableError
from metadata.jobs import JobBook
from orchestrator import operations
from orchestrator.jobs import JobAttributes, JobState, NativeId, ResourceSpec
from orchestrator.operations import Workspace
from orchestrator.operations.jobs import _present_user
from orchestrator.ports import CommandResult
from tests.integration.slurm.conftest import Clusters
from tests.testbed.fixtures import wait_until

BUSY = "import time\nhold = bytearray(50_000_000)\nwhile time.process_time() < 3: pass\n"
MIB = 1 << 20
# Memory is otherwise looked at every half a minute only.
OFTEN = {"slurm.acctg-freq": "task=1"}


def test_a_job_is_told_by_the_sites_accounts_once_it_has_ended(workspace: Workspace) -> None:
    """Nodes, cores, wall time, and the time in the queue as a duration: the original told a time stamp."""
    made = operations.submit_job(
        workspace, "agh", f"#!/usr/bin/env python3\n{BUSY}print('done')", tag="night",
        resources=ResourceSpec(memory=200 * MIB), attributes=JobAttributes(custom_attributes=OFTEN),
    )  # fmt: skip
    assert made.native_id.isdigit()
    job = operations.wait_job(workspace, made.id, wait_s=120)
    assert (job.state, job.exit_code) == (JobState.COMPLETED, 0)
    assert operations.job_output(workspace, job.id).stdout == "done\n"
    wait_until(lambda: operations.job_status(workspace, job.id).account.counted, within_s=120)
    account = operations.job_status(workspace, job.id).account
    assert (account.nodes, account.cores, account.memory) == (1, 1, 200 * MIB)
    assert 3 <= account.wall_time_s < 120
    assert 0 <= account.queue_time_s < 120
    assert account.cpu_time_s > 1
    assert 50 * MIB * 0.9 < account.memory_used < 200 * MIB


def test_a_script_is_heard_in_what_it_tells_its_scheduler(workspace: Workspace) -> None:
    """Scripts that people have already, with their `#SBATCH` lines; the command line goes before them."""
    script = "#!/bin/sh\n#SBATCH -J night -n 2 --time=5\n#SBATCH --mem=300M --comment-free=x\n"
    with pytest.raises(InvalidJobError, match="line 3: sbatch has no option --comment-free"):
        operations.submit_job(workspace, "agh", script)
    script = script.replace(" --comment-free=x", "") + "echo $SLURM_NTASKS"
    made = operations.submit_job(workspace, "agh", script, resources=ResourceSpec(memory=200 * MIB))
    job = operations.wait_job(workspace, made.id, wait_s=120)
    assert (job.state, job.tag) == (JobState.COMPLETED, "night")
    assert operations.job_output(workspace, job.id).stdout == "2\n"
    wait_until(lambda: operations.job_status(workspace, job.id).account.counted, within_s=120)
    account = operations.job_status(workspace, job.id).account
    assert (account.cores, account.memory) == (2, 200 * MIB)


def test_a_submission_that_the_site_took_without_an_answer_is_found_by_its_token(
    workspace: Workspace, clusters: Clusters, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`Socket timed out` after sbatch had succeeded: the site is searched, and nothing is submitted again."""
    heard: list[NativeId] = []
    really = SlurmScheduler.parse_submit

    def lose_the_first_answer(self: SlurmScheduler, result: CommandResult) -> NativeId:
        heard.append(really(self, result))
        if len(heard) == 1:
            raise SiteUnavailableError("Socket timed out on send/recv operation", retry_after_s=0.2)
        return heard[-1]

    monkeypatch.setattr(SlurmScheduler, "parse_submit", lose_the_first_answer)
    made = operations.submit_job(workspace, "agh", f"echo x >>{clusters.workdir}/counters/job")
    assert [made.native_id] == heard
    assert operations.wait_job(workspace, made.id, wait_s=120).state is JobState.COMPLETED
    assert clusters.starts("agh") == {"job": 1}


@pytest.mark.parametrize("moment", [0.0, 0.4, 1.0])
def test_a_command_killed_while_it_submits_leaves_a_job_that_runs_once(
    workspace: Workspace, clusters: Clusters, moment: float
) -> None:
    """Whether the job was only written down, sent, or answered by then."""
    book, script = JobBook(workspace.sessions), clusters.home / "job.sh"
    script.write_text(f"echo x >>{clusters.workdir}/counters/job")
    submitting = clusters.start("job", "submit", "agh", script)
    wait_until(lambda: book.jobs(_present_user()), within_s=120, what="a job that is written down")
    time.sleep(moment)  # the moment is what is tested
    os.kill(submitting.pid, signal.SIGKILL)
    submitting.wait()
    _let_arrive(workspace, clusters)
    (row,) = book.jobs(_present_user())
    book.change(row["id"], claimed_until=0.0)  # as it would be minutes later
    if not JobState(row["state"]).final:
        operations.resume_job(workspace, row["id"])
    assert operations.wait_job(workspace, row["id"], wait_s=120).state is JobState.COMPLETED
    assert clusters.starts("agh") == {"job": 1}


def _let_arrive(workspace: Workspace, clusters: Clusters) -> None:
    """What the killed process sent is on its way no more."""
    time.sleep(0.5)
    sending = ["pgrep", "-f", f"sbatch --parsable [/]{clusters.workdir[1:]}"]
    wait_until(lambda: operations.run_command(workspace, "agh", sending).exit_code == 1, within_s=120)


def test_a_job_that_runs_is_ended_and_a_deleted_one_leaves_nothing(workspace: Workspace, clusters: Clusters) -> None:
    made = operations.submit_job(workspace, "agh", "sleep 600")
    assert operations.abort_job(workspace, made.id).state is JobState.CANCELED
    operations.delete_job(workspace, made.id)
    assert operations.list_jobs(workspace) == []
    assert clusters.sites["agh"].execute("/bin/sh", "-c", f"ls {clusters.workdir}/submitted").strip() == ""


def test_what_the_scheduler_refuses_is_told_in_its_words_and_not_kept(workspace: Workspace) -> None:
    with pytest.raises(InvalidJobError, match="invalid partition"):
        operations.submit_job(workspace, "agh", "true", attributes=JobAttributes(queue_name="nowhere"))
    assert operations.list_jobs(workspace) == []


def test_jobs_of_two_clusters_are_listed_together_and_one_that_is_down_hides_none(
    workspace: Workspace, clusters: Clusters
) -> None:
    for site in ("agh", "lrz"):
        operations.submit_job(workspace, site, "true", tag="both")
    (clusters.home / "sites.yaml").write_text(
        (clusters.home / "sites.yaml").read_text().replace("host: lrz,", "host: lrz, port: 9,")
    )
    with Workspace(workspace.settings) as later:
        jobs = {job.site: job for job in operations.list_jobs(later, tag="both")}
    assert jobs["agh"].doubt == ""
    assert "cannot be reached" in jobs["lrz"].doubt


def test_a_short_command_answers_over_ssh_or_is_killed(workspace: Workspace) -> None:
    answer = operations.run_command(workspace, "agh", ["sh", "-c", "pwd; id -un; exit 4"], directory="/tmp")
    assert (answer.exit_code, answer.stdout) == (4, "/tmp\nalice\n")
    with pytest.raises(SiteUnavailableError, match=r"did not end within 0\.5 s and was killed"):
        operations.run_command(workspace, "agh", ["sleep", "77.7"], timeout_s=0.5)
    wait_until(
        lambda: operations.run_command(workspace, "agh", ["pgrep", "-f", "^sleep 77.7"]).exit_code == 1, within_s=60
    )


RUN = f"""\
name: busy
steps:
  busy:
    scatter: {{n: {{range: 2}}}}
    command: ["python3", "-c", {json.dumps(BUSY)}]
    resources: {{memory: 200MiB, time: 5m}}
    attributes: {{slurm.acctg-freq: "task=1"}}
    bundle: false
    at: agh
"""


def test_a_runs_tasks_are_measured_by_what_they_asked_for(clusters: Clusters) -> None:
    """Fifty of 200 MiB, some seconds of a minute, most of one core."""
    done = clusters.run("run", clusters.write(RUN), "--json")
    assert done.returncode == 0, done.stderr
    page = Path(json.loads(done.stdout)["report"]["page"]).read_text()
    [table] = re.findall("What each step's tasks asked for(.*?)</table>", page, re.DOTALL)
    assert 'scope="row">busy</th>' in table
    assert "of 1 core" in table
    assert "of 200 MiB" in table
    assert "of 5m 00s" in table
    assert "There are no figures" not in page
    answer = clusters.run("show", "--efficiency", "--json")
    assert answer.returncode == 0, answer.stderr
    document = json.loads(answer.stdout)
    assert document["silent"] == {}
    assert [(row["step"], row["position"], row["site"]) for row in document["tasks"]] == [
        ("busy", 0, "agh"),
        ("busy", 1, "agh"),
    ]
    for row in document["tasks"]:
        assert row["counted"]
        assert 0 <= row["queue_wait_s"] < 120
        assert 3 / 300 <= row["time_efficiency"] < 1
        assert 0.1 < row["cpu_efficiency"] < 1.5
        assert 0.2 < row["memory_efficiency"] < 0.9
    assert "busy.1" in clusters.run("show", "--efficiency").stdout


def test_tasks_that_shared_jobs_are_measured_by_these_jobs(clusters: Clusters) -> None:
    done = clusters.run("run", clusters.write(RUN.replace("bundle: false", "bundle: 60s")), "--json")
    assert done.returncode == 0, done.stderr
    answer = clusters.run("show", "--efficiency", "--json")
    assert answer.returncode == 0, answer.stderr
    document = json.loads(answer.stdout)
    assert [row["counted"] for row in document["tasks"]] == [False, False]
    [shared] = document["shared"]
    assert (shared["step"], shared["site"], shared["tasks"]) == ("busy", "agh", 2)
    assert shared["jobs"] in (1, 2)
    assert 0.1 < shared["cpu_efficiency"] < 1.5
    assert shared["memory"] == 200 * MIB
    assert f"2 tasks in {shared['jobs']} job" in " ".join(clusters.run("show", "--efficiency").stdout.split())
    page = Path(json.loads(done.stdout)["report"]["page"]).read_text()
    assert f"in {shared['jobs']} job" in page
