"""What stands in a script for qsub, and what its words mean."""

from __future__ import annotations

from datetime import timedelta
from pathlib import PurePosixPath

import pytest

from adapters.schedulers.pbs import PbsScheduler
from metadata.errors import InvalidJobError
from orchestrator.jobs import JobAttributes, JobSpec, NativeId, ResourceSpec, Token


def spec(token: str = "r.s.0.1", *, custom: dict[str, str] | None = None) -> JobSpec:
    return JobSpec(
        token=Token(token),
        executable="./run",
        directory=PurePosixPath("/scratch/job"),
        stdout_path=PurePosixPath("out"),
        stderr_path=PurePosixPath("err"),
        resources=ResourceSpec(
            node_count=2,
            process_count=4,
            cpu_cores_per_process=8,
            gpu_cores_per_process=1,
            memory=10**9,
            exclusive_node_use=True,
        ),
        attributes=JobAttributes(
            duration=timedelta(minutes=90), queue_name="gpu", account="grant", custom_attributes=custom or {}
        ),
    )


def directives(script: str) -> list[str]:
    return [line.removeprefix("#PBS ") for line in script.splitlines() if line.startswith("#PBS")]


def test_every_request_becomes_a_directive():
    custom = {"pbs.project": "cancer", "slurm.qos": "high"}
    assert directives(PbsScheduler().render_script(spec(custom=custom), receipts=PurePosixPath("/r"))) == [
        "-N convoy", "-j oe", "-o /dev/null", "-l select=2:ncpus=16:mpiprocs=2:ngpus=2:mem=954mb", "-l place=scatter:excl",
        "-l walltime=5400", "-q gpu", "-A grant", "-P cancer", "-v CONVOY_TOKENS=r.s.0.1",
    ]  # fmt: skip


def test_an_array_is_one_script_with_a_throttle():
    script = PbsScheduler().render_array(
        [spec(f"r.s.{n}.1") for n in range(9)], receipts=PurePosixPath("/r"), throttle=4
    )
    assert directives(script)[-2:] == ["-J 0-8%4", "-v CONVOY_TOKENS=r.s.[0-8].1"]


def test_an_array_is_asked_for_once():
    ids = [NativeId("5[1].pbs"), NativeId("5[2].pbs"), NativeId("6.pbs")]
    assert PbsScheduler().status_command(ids)[-2:] == ("5[].pbs", "6.pbs")


def test_a_misspelt_option_is_told_with_the_right_one():
    with pytest.raises(InvalidJobError, match="did you mean 'project'"):
        PbsScheduler().render_script(spec(custom={"pbs.projct": "x"}), receipts=PurePosixPath("/r"))
