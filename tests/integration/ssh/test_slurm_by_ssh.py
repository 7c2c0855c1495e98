"""A real scheduler, reached as alice: what everything above the runner rests on."""

from __future__ import annotations

from tests.testbed.fixtures import wait_until


def test_a_job_is_submitted_seen_and_done(testbed, runner_for):
    runner = runner_for(testbed.site("agh").ssh_options)
    script = "#!/bin/sh\nhostname; echo $CUDA_VISIBLE_DEVICES\n"
    submitted = runner.run(("sbatch", "--parsable", "--gres=gpu:1", "--output=first-%j.out"), stdin=script)
    job = submitted.stdout.strip()
    assert job.isdigit(), submitted.stderr
    assert runner.run(("squeue", "--noheader", "--jobs", job)).exit_code == 0
    wait_until(lambda: "COMPLETED" in _state(runner, job), within_s=120, what="COMPLETED")
    output = runner.run(("cat", f"first-{job}.out")).stdout
    runner.run(("rm", f"first-{job}.out"))
    assert output == "agh\n0\n"


def test_the_sites_know_each_other_strictly(testbed, runner_for):
    testbed.site("lrz")
    runner = runner_for(testbed.site("agh").ssh_options)
    answer = runner.run(("ssh", "-o", "BatchMode=yes", "lrz", "hostname"))
    assert (answer.stdout, answer.exit_code) == ("lrz\n", 0)


def _state(runner, job):
    return runner.run(("scontrol", "show", "job", job)).stdout
