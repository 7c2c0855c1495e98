"""Lines that a recording would hold only by luck."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.schedulers.slurm import SlurmScheduler, documents, text
from adapters.schedulers.slurm.arrays import expand, parse_indexes, whole_jobs
from adapters.schedulers.slurm.rows import statuses
from metadata.errors import InvalidJobError, SiteError, SiteUnavailableError, TransientError
from orchestrator.jobs import JobState, NativeId
from orchestrator.ports import CommandResult, Partition


def result(*argv: str, stdout: str = "", stderr: str = "", exit_code: int = 0) -> CommandResult:
    return CommandResult(argv=argv, exit_code=exit_code, stdout=stdout, stderr=stderr)


@pytest.mark.parametrize(
    ("word", "ids"),
    [
        ("12", ["12"]),
        ("12_3", ["12_3"]),
        ("123_[4-7%2]", ["123_4", "123_5", "123_6", "123_7"]),
        ("1_[0,2-3,10-20:5]", ["1_0", "1_2", "1_3", "1_10", "1_15", "1_20"]),
        ("1_[1,3,...", ["1_1", "1_3"]),
        ("1_[]", []),
    ],
)
def test_array_elements_are_named_one_by_one(word, ids):
    assert list(expand(word)) == ids


@given(st.sets(st.integers(0, 3000), min_size=1))
def test_any_list_of_elements_is_read_back(indexes):
    assert set(parse_indexes(",".join(map(str, sorted(indexes))))) == indexes
    mask = hex(sum(1 << index for index in indexes)).upper().replace("0X", "0x")
    assert set(parse_indexes(documents._indexes(mask))) == indexes


def test_an_array_is_asked_for_once():
    assert whole_jobs([NativeId(word) for word in ("5_1", "5_2", "7", "5_3")]) == "5,7"


def test_an_element_of_its_own_wins_over_the_line_of_its_array():
    answer = "5_[0-2]|PENDING|0:0|N/A|N/A|n/a|Priority|\n5_1|RUNNING|0:0|1|2|n1|None|\n"
    assert [str(status.state) for status in statuses(text.parse_queue(answer)).values()].count("ACTIVE") == 1
    assert statuses(text.parse_queue("\n".join(reversed(answer.splitlines()))))["5_1"].state is JobState.ACTIVE


@pytest.mark.parametrize("noise", ["Welcome to agh!", "*** maintenance | on | Monday ***", "", "|||||||||"])
def test_what_a_login_shell_says_is_passed_over(noise):
    answer = f"{noise}\n5|RUNNING|0:0|1|2|n1|None|\n{noise}\n"
    assert list(statuses(text.parse_queue(answer))) == ["5"]


@given(st.text())
def test_no_text_breaks_the_poll(answer):
    for parse in (text.parse_queue, text.parse_ledger, text.parse_details):
        statuses(parse(answer))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["set", "number", "id", "current"]), inner, max_size=3)
        ),
        max_leaves=6,
    )
)
def test_an_unknown_state_in_json_breaks_nothing(value):
    answer = json.dumps({"jobs": [{"job_id": 1, "job_state": value, "state_reason": value}]})
    assert statuses(documents.parse_queue(answer))["1"].state in JobState


def test_json_that_is_none_is_told():
    with pytest.raises(SiteError, match="no JSON"):
        SlurmScheduler().parse_status(result("squeue", "--json", stdout="slurm is being upgraded"))


def test_a_name_with_a_field_in_it_does_not_fool_scontrol():
    line = "JobId=7 JobName=x UserId=a(1) JobState=RUNNING Reason=None ExitCode=0:0 Comment=JobState=COMPLETED JobId=8"
    assert {str(job): str(status.state) for job, status in statuses(text.parse_details(line)).items()} == {
        "7": "ACTIVE"
    }


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("sbatch: error: Batch job submission failed: Socket timed out on send/recv operation", SiteUnavailableError),
        (
            "sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)",
            SiteUnavailableError,
        ),
        ("sbatch: error: Batch job submission failed: Zero Bytes were transmitted or received", SiteUnavailableError),
        (
            "sbatch: error: AssocMaxSubmitJobLimit\nsbatch: error: Batch job submission failed: Job violates accounting/QOS policy",
            TransientError,
        ),
        ("sbatch: error: QOSMaxSubmitJobPerUserLimit", TransientError),
        ("sbatch: error: AssocGrpSubmitJobsLimit", TransientError),
        ("sbatch: error: Slurm temporarily unable to accept job, sleeping and retrying", TransientError),
        (
            "sbatch: error: QOSMaxWallDurationPerJobLimit\nsbatch: error: Batch job submission failed: Job violates accounting/QOS policy",
            InvalidJobError,
        ),
        ("sbatch: error: invalid partition specified: x", InvalidJobError),
        (
            "sbatch: error: Batch job submission failed: Invalid account or account/partition combination specified",
            InvalidJobError,
        ),
        ("sbatch: error: Batch job submission failed: Invalid qos specification", InvalidJobError),
        (
            "sbatch: error: Batch job submission failed: Requested time limit is invalid (missing or exceeds some limit)",
            InvalidJobError,
        ),
        ("sbatch: error: Batch job submission failed: User's group not permitted to use this partition", SiteError),
        ("bash: line 1: sbatch: command not found", SiteError),
    ],
)
def test_a_refusal_raises_with_the_schedulers_words(words, error):
    with pytest.raises(error) as caught:
        SlurmScheduler().parse_submit(result("sbatch", "x", stderr=words, exit_code=1))
    assert type(caught.value) is error
    assert words.rpartition("error: ")[2] in caught.value.message


@pytest.mark.parametrize(
    ("said", "native_id"),
    [
        ("12\n", "12"),
        ("12;agh\n", "12"),
        ("Submitted batch job 12\n", "12"),
        ("Submitted batch job 12 on cluster agh\n", "12"),
        ("Your quota: 5 of 9\n12\n", "12"),
    ],
)
def test_the_id_is_found_among_a_sites_chatter(said, native_id):
    assert SlurmScheduler().parse_submit(result("sbatch", "x", stdout=said)) == native_id


@pytest.mark.parametrize(
    ("said", "version", "tools"),
    [
        ("slurm-wlm 22.05.8", (22, 5), set()),
        ("slurm 23.02.7-cray", (23, 2), set()),
        ("slurm 24.11.5", (24, 11), {"scontrol", "sacct"}),
        ("slurm 25.05.0-0rc1", (25, 5), {"scontrol", "sacct"}),
    ],
)
def test_the_version_chooses_the_language(said, version, tools):
    scheduler = SlurmScheduler(array_limit=50).for_version(result("sbatch", "--version", stdout=said))
    assert isinstance(scheduler, SlurmScheduler)
    assert (scheduler.version, scheduler.json, scheduler.array_limit) == (version, tools, 50)


def test_no_version_is_an_error():
    with pytest.raises(SiteError):
        SlurmScheduler().for_version(result("sbatch", "--version", stderr="sh: sbatch: not found", exit_code=127))


def test_a_cancel_that_found_nothing_to_do_is_done():
    SlurmScheduler().parse_cancel(
        result(
            "scancel", "9", stderr="scancel: error: Kill job error on job id 9: Invalid job id specified", exit_code=1
        )
    )
    with pytest.raises(SiteError, match="permission"):
        SlurmScheduler().parse_cancel(
            result(
                "scancel",
                "9",
                stderr="scancel: error: Kill job error on job id 9: Access/permission denied",
                exit_code=1,
            )
        )


def test_partitions_are_read_behind_a_banner_and_their_rows_added_up():
    answer = result(
        "sinfo",
        stdout="Welcome | to | the | old | cluster\n"
        "short|short*|up|30:00|1/0/1/2\n"
        "short|short*|up|30:00|0/3/0/3\n"
        "night*|night*|drain|n/a|0/0/4/4\n",
    )
    found = SlurmScheduler().parse_partitions(answer)
    assert found == {
        "short": Partition(
            up=True, native_state="up", default=True, time_limit=timedelta(minutes=30), nodes=5, nodes_usable=4
        ),
        "night*": Partition(up=False, native_state="drain", nodes=4),
    }
