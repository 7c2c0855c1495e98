"""What stands in a script for sbatch."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.schedulers.slurm import SlurmScheduler
from adapters.schedulers.slurm.options import OPTIONS
from adapters.schedulers.slurm.script import _directive
from metadata.errors import InvalidJobError
from orchestrator.jobs import JobAttributes, JobSpec, ResourceSpec, Token

RECEIPTS = PurePosixPath("/scratch/receipts")


def spec(
    token: str = "r.s.0.1", *, custom: dict[str, str] | None = None, launcher: str = "single", **resources: object
) -> JobSpec:
    return JobSpec(
        token=Token(token),
        executable="./run",
        directory=PurePosixPath("/scratch/job"),
        stdout_path=PurePosixPath("out"),
        stderr_path=PurePosixPath("err"),
        launcher=launcher,
        resources=ResourceSpec(**resources),  # type: ignore[arg-type]
        attributes=JobAttributes(custom_attributes=custom or {}),
    )


def options(job: JobSpec) -> list[str]:
    script = SlurmScheduler().render_script(job, receipts=RECEIPTS)
    return [line.removeprefix("#SBATCH ") for line in script.splitlines() if line.startswith("#SBATCH")]


def split_as_sbatch_does(line: str) -> str:
    """One word of a directive, by the rules of sbatch's own reader."""
    word, quote, escaped = "", "", False
    for letter in line:
        if escaped:
            word, escaped = word + letter, False
        elif letter == "\\":
            escaped = True
        elif quote and letter == quote:
            quote = ""
        elif not quote and letter in "\"'":
            quote = letter
        elif not quote and (letter.isspace() or letter == "#"):
            break
        else:
            word += letter
    return word


@given(st.text(min_size=1))
def test_sbatch_reads_a_value_as_it_was_written(value):
    try:
        line = _directive("comment", value)
    except InvalidJobError:
        assert not value.isprintable()
        return
    assert split_as_sbatch_does(line) == f"--comment={value}"


def test_every_request_becomes_an_option():
    attributes = JobAttributes(
        duration=timedelta(minutes=90), queue_name="gpu", account="grant", reservation_id="course"
    )
    job = spec(
        node_count=2,
        process_count=4,
        processes_per_node=2,
        cpu_cores_per_process=8,
        gpu_cores_per_process=1,
        memory=10**9,
        exclusive_node_use=True,
    )
    assert options(replace(job, attributes=attributes)) == [
        "--job-name=r.s.0.1", "--comment=r.s.0.1", "--export=NONE", "--output=/dev/null", "--error=/dev/null",
        "--partition=gpu", "--account=grant", "--reservation=course", "--time=0-01:30:00",
        "--no-requeue", "--nodes=2", "--ntasks=4", "--cpus-per-task=8", "--ntasks-per-node=2", "--mem=954M", "--gres=gpu:2", "--exclusive",
    ]  # fmt: skip


def test_slurms_own_options_are_passed_on():
    custom = {
        "slurm.qos": "high",
        "slurm.constraint": "a100&ib",
        "slurm.signal": "B:TERM@60",
        "slurm.dependency": "afterok:5",
        "slurm.no_requeue": "",
        "slurm.hold": "false",
        "pbs.project": "x",
    }
    assert options(spec(custom=custom))[-5:] == [
        "--qos=high",
        '--constraint="a100&ib"',
        "--signal=B:TERM@60",
        "--dependency=afterok:5",
        "--no-requeue",
    ]


@pytest.mark.parametrize(
    ("custom", "word"),
    [
        ({"slurm.gpus": "a100:2"}, "--gres"),
        ({"slurm.gres": "gpu:h100:1"}, "gpu:4"),
        ({"slurm.mem_per_cpu": "2G"}, "--mem="),
        ({"slurm.exclusive": "user"}, "--exclusive\n"),
    ],
)
def test_an_option_of_the_author_replaces_ours(custom, word):
    assert (
        word
        not in "\n".join(options(spec(custom=custom, gpu_cores_per_process=4, memory=1 << 30, exclusive_node_use=True)))
        + "\n"
    )


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("slurm.constrain", "did you mean 'constraint'?"),
        ("slurm.qoss", "did you mean 'qos'?"),
        ("slrum.qos", "did you mean 'slurm'?"),
        ("qos", "write 'slurm.qos'"),
        ("slurm.job-name", "the job's token"),
        ("slurm.partition", "attributes.queue_name"),
        ("slurm.xyzzy", "no such option"),
    ],
)
def test_a_misspelt_option_is_told_with_the_right_one(key, hint):
    with pytest.raises(InvalidJobError, match=hint.replace("?", r"\?")):
        options(spec(custom={key: "x"}))


def test_a_signal_for_the_script_is_passed_on_to_the_program():
    signalled = SlurmScheduler().render_script(spec(custom={"slurm.signal": "B:USR1@60"}), receipts=RECEIPTS)
    assert "trap" in signalled
    assert "trap" not in SlurmScheduler().render_script(spec(custom={"slurm.signal": "USR1@60"}), receipts=RECEIPTS)


def test_srun_starts_the_processes():
    script = SlurmScheduler().render_script(
        spec(launcher="srun", process_count=2, cpu_cores_per_process=3), receipts=RECEIPTS
    )
    assert "srun --ntasks=2 --cpus-per-task=3 --kill-on-bad-exit=1 ./run" in script


def test_a_misspelt_launcher_is_told_with_the_right_one():
    with pytest.raises(InvalidJobError, match="did you mean 'mpirun'"):
        options(spec(launcher="mpriun"))


def test_an_array_is_one_script_with_a_throttle():
    script = SlurmScheduler().render_array([spec(f"r.s.{n}.1") for n in range(9)], receipts=RECEIPTS, throttle=4)
    assert "#SBATCH --array=0-8%4\n" in script
    assert '#SBATCH --job-name="r.s.[0-8].1"\n' in script


def test_an_array_is_split_when_its_name_grows_too_long():
    tokens = [f"r.s.{n * n}.1" for n in range(100)]
    groups = SlurmScheduler().group([spec(token) for token in tokens])
    assert [job.token for group in groups for job in group] == tokens
    assert 1 < len(groups) < 10


def test_no_option_is_listed_twice_as_ours_and_as_the_authors():
    assert not OPTIONS & {"job-name", "comment", "output", "array", "export"}
