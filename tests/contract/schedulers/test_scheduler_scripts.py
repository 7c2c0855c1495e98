"""A rendered script does what the job says, whatever its words are."""

from __future__ import annotations

import hashlib
import itertools
import json
import signal
import subprocess
import sys
import time
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metadata.errors import InvalidJobError
from orchestrator import registry
from orchestrator.jobs import ExpectedOutput, JobAttributes, JobState, ResourceSpec, StagedLink
from orchestrator.ports import SupportsArrays

TELL = "import json, os, sys; print(json.dumps([sys.argv[1:], os.environ.get('WORD'), os.getcwd()]))"
NASTY = [
    "",
    "-n",
    "--",
    "a b",
    "a\nb",
    "'",
    '"',
    "$(touch pwned)",
    "`id`",
    "\\",
    "*",
    "~",
    "#x",
    "é☃",
    "a;b",
    "!1",
    "%s",
    "\t",
]


def receipt(tmp_path: Path, native_id: str) -> str:
    return (tmp_path / "receipts" / native_id).read_text()


def test_a_script_runs_the_job_and_leaves_a_receipt(native_id, scheduler, make_spec, execute, tmp_path):
    spec = make_spec(executable="/bin/sh", arguments=("-c", "echo out; echo err >&2; exit 3"))
    script = scheduler.render_script(spec, receipts=PurePosixPath(tmp_path / "receipts"))
    assert execute(script) == 3
    status = scheduler.parse_receipt(receipt(tmp_path, native_id))
    assert (status.state, status.exit_code, status.outputs) == (JobState.FAILED, 3, ())
    assert Path(spec.stdout_path).read_text() == "out\n"
    assert Path(spec.stderr_path).read_text() == "err\n"


def test_outputs_are_hashed_and_inputs_linked(native_id, scheduler, make_spec, execute, tmp_path):
    (tmp_path / "input").write_text("data")
    spec = make_spec(
        executable="/bin/cp",
        arguments=("in/linked", "copy of it"),
        stage_in=(StagedLink(source=PurePosixPath(tmp_path / "input"), target=PurePosixPath("in/linked")),),
        stage_out=(ExpectedOutput(name="copy", path="copy*", many=True),),
    )
    assert execute(scheduler.render_script(spec, receipts=PurePosixPath(tmp_path / "receipts"))) == 0
    (output,) = scheduler.parse_receipt(receipt(tmp_path, native_id)).outputs
    assert output.path == spec.directory / "copy of it"
    assert (output.output, output.size_bytes, output.sha256) == ("copy", 4, hashlib.sha256(b"data").hexdigest())


NUMBERS = itertools.count()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    words=st.lists(
        st.sampled_from(NASTY) | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), max_size=5
    )
)
def test_every_word_arrives_as_it_was_written(scheduler, make_spec, execute, tmp_path, words):
    spec = make_spec(
        f"r.s.{next(NUMBERS)}.1",
        executable=sys.executable,
        arguments=("-c", TELL, "--", *words),
        environment={"WORD": "".join(words)},
        directory=PurePosixPath(tmp_path / "odd '\"$(id) \n name"),
    )
    assert execute(scheduler.render_script(spec, receipts=PurePosixPath(tmp_path / "re ceipts"))) == 0
    arguments, word, directory = json.loads(Path(spec.stdout_path).read_text())
    assert (arguments[1:], word, directory) == (words, "".join(words), str(spec.directory))
    assert not list(tmp_path.rglob("pwned"))


def test_a_job_that_has_ended_is_not_done_again(native_id, scheduler, make_spec, execute, tmp_path):
    """A scheduler that lost its memory in a crash starts it once more, under the same number."""
    receipts = PurePosixPath(tmp_path / "receipts")
    again, other = (
        make_spec(token, executable="/bin/sh", arguments=("-c", f"echo {token} >>{tmp_path}/count; exit 3"))
        for token in ("r.s.0.1", "r.s.1.1")
    )
    for spec in (again, again, other, again):
        assert execute(scheduler.render_script(spec, receipts=receipts)) == 3
    assert (tmp_path / "count").read_text().split() == ["r.s.0.1", "r.s.1.1", "r.s.0.1"]
    assert scheduler.parse_receipt(receipt(tmp_path, native_id)).token == again.token


def test_each_element_of_an_array_is_its_own_job(array_id, scheduler, make_spec, execute, tmp_path):
    assert isinstance(scheduler, SupportsArrays)
    specs = [make_spec(f"r.s.{n}.1", executable="/bin/echo", arguments=(f"I am {n}",)) for n in range(12)]
    script = scheduler.render_array(specs, receipts=PurePosixPath(tmp_path / "receipts"), throttle=5)
    ids = scheduler.array_ids(array_id, len(specs))
    for index in (0, 11):
        assert execute(script, index=index) == 0
        assert Path(specs[index].stdout_path).read_text() == f"I am {index}\n"
        assert scheduler.parse_receipt(receipt(tmp_path, ids[index])).state is JobState.COMPLETED
    assert not Path(specs[1].directory).exists()


def test_unlike_jobs_are_not_put_into_one_array(scheduler, make_spec):
    big = ResourceSpec(cpu_cores_per_process=8)
    specs = [make_spec(f"r.s.{n}.1", resources=big if n % 2 else ResourceSpec()) for n in range(6)]
    groups = scheduler.group(specs)
    assert [[spec.token for spec in group] for group in groups] == [
        ["r.s.0.1", "r.s.2.1", "r.s.4.1"],
        ["r.s.1.1", "r.s.3.1", "r.s.5.1"],
    ]


def test_a_group_is_no_larger_than_an_array_may_be(scheduler, make_spec):
    specs = [make_spec(f"r.s.{n}.1") for n in range(scheduler.array_limit + 3)]
    assert [len(group) for group in scheduler.group(specs)] == [scheduler.array_limit, 3]
    assert scheduler.group([]) == ()


def test_a_directory_that_cannot_be_made_is_told_in_the_receipt(native_id, scheduler, make_spec, execute, tmp_path):
    (tmp_path / "file").touch()
    spec = make_spec(directory=PurePosixPath(tmp_path / "file" / "below"))
    assert execute(scheduler.render_script(spec, receipts=PurePosixPath(tmp_path / "receipts"))) != 0
    assert "file" in scheduler.parse_receipt(receipt(tmp_path, native_id)).message


@pytest.mark.parametrize(
    "field",
    [
        {"launcher": "mpriun"},
        {"directory": PurePosixPath("not/absolute")},
        {"arguments": ("a\0b",)},
        {"environment": {"A-B": "1"}},
    ],
)
def test_what_cannot_be_rendered_is_refused(scheduler, make_spec, field):
    with pytest.raises(InvalidJobError):
        scheduler.render_script(make_spec(**field), receipts=PurePosixPath("/r"))


@pytest.mark.parametrize("field", ["queue_name", "account", "reservation_id"])
@given(value=st.text(min_size=1))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_directive_stays_on_its_line(scheduler, make_spec, field, value):
    plain = scheduler.render_script(
        make_spec(attributes=JobAttributes(**{field: "plain"})), receipts=PurePosixPath("/r")
    )
    try:
        odd = scheduler.render_script(
            make_spec(attributes=JobAttributes(**{field: value})), receipts=PurePosixPath("/r")
        )
    except InvalidJobError:
        return
    assert len(odd.split("\n")) == len(plain.split("\n"))
    assert sum(line.startswith("#") for line in odd.splitlines()) == sum(
        line.startswith("#") for line in plain.splitlines()
    )


def test_copies_of_a_program_run_side_by_side(scheduler, make_spec, execute, tmp_path):
    spec = make_spec(
        executable="/bin/sh",
        arguments=("-c", 'echo "$CONVOY_PROCESS"; exit $CONVOY_PROCESS'),
        launcher="multiple",
        resources=ResourceSpec(process_count=3),
    )
    assert execute(scheduler.render_script(spec, receipts=PurePosixPath(tmp_path / "receipts"))) in {1, 2}
    assert sorted(Path(spec.stdout_path).read_text().split()) == ["0", "1", "2"]


def test_without_room_for_it_there_is_no_receipt(native_id, scheduler, make_spec, execute, tmp_path):
    """Half of one would be taken for all of it."""
    (tmp_path / "receipts").mkdir()
    (tmp_path / "receipts" / f"{native_id}.part").symlink_to("/dev/full")
    assert execute(scheduler.render_script(make_spec(), receipts=PurePosixPath(tmp_path / "receipts"))) == 0
    assert not (tmp_path / "receipts" / native_id).is_symlink()


def test_a_receipt_of_a_stranger_is_refused(scheduler):
    with pytest.raises(Exception, match="receipt"):
        scheduler.parse_receipt("hello\n")


def test_a_signal_for_the_script_reaches_the_program(make_spec, tmp_path):
    custom = {"slurm.signal": "B:USR1@60"}
    words = "trap 'echo heard; exit 5' USR1; touch ready; while :; do sleep 0.05; done"
    spec = make_spec(executable="/bin/sh", arguments=("-c", words), attributes=JobAttributes(custom_attributes=custom))
    script = registry.load("schedulers", "slurm")().render_script(spec, receipts=PurePosixPath(tmp_path))
    job = subprocess.Popen(["bash", "-c", script], env={"PATH": "/usr/bin:/bin", "SLURM_JOB_ID": "7"})
    deadline = time.monotonic() + 60
    while not Path(spec.directory / "ready").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    job.send_signal(signal.SIGUSR1)
    assert job.wait(timeout=60) == 5
    assert Path(spec.stdout_path).read_text() == "heard\n"
