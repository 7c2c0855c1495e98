"""What a script says of itself."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest

from metadata.errors import InvalidJobError
from orchestrator.jobs import JobAttributes, ResourceSpec
from orchestrator.operations.job_scripts import check_script, interpreter_of, new_row, spec_of, with_wishes
from orchestrator.ports import Wishes


@pytest.mark.parametrize(
    ("script", "command"),
    [
        ("echo hello", ("/bin/sh",)),
        ("#!/bin/bash\nls", ("/bin/bash",)),
        ("#! /bin/bash -l\nls", ("/bin/bash", "-l")),
        ("#!/usr/bin/env -S python3 -u", ("/usr/bin/env", "-S python3 -u")),
        ("#!/bin/sh\r\nls", ("/bin/sh",)),
        ("#!\nls", ("/bin/sh",)),
        ("# no interpreter\nls", ("/bin/sh",)),
    ],
)
def test_the_first_line_names_the_interpreter_as_the_kernel_reads_it(script: str, command: tuple[str, ...]) -> None:
    assert interpreter_of(script) == command


@pytest.mark.parametrize("script", ["", " \n", "ls\0", "#!/bin/sh\n#SBATCH --time=1\nls", "#PBS -l nodes=2"])
def test_what_would_go_wrong_or_unheard_is_refused(script: str) -> None:
    with pytest.raises(InvalidJobError):
        check_script(script, None)


def test_a_directive_is_named_with_its_line() -> None:
    with pytest.raises(InvalidJobError, match=r"line 3: '#SBATCH --mem=4G' would not be heard"):
        check_script("#!/bin/bash\n# train\n#SBATCH --mem=4G\n", None)


def test_lines_that_the_site_hears_are_allowed() -> None:
    check_script("#!/bin/bash\n#SBATCH --mem=4G\n", None, heard="#SBATCH")
    with pytest.raises(InvalidJobError, match="line 1"):
        check_script("#PBS -l nodes=2\n", None, heard="#SBATCH")


def test_what_is_said_beside_a_script_goes_before_its_own_lines() -> None:
    wishes = Wishes(
        resources=ResourceSpec(process_count=8, memory=1 << 30),
        attributes=JobAttributes(queue_name="gpu", custom_attributes={"slurm.qos": "low", "slurm.hold": "true"}),
    )
    beside = JobAttributes(account="plg", custom_attributes={"slurm.qos": "high"})
    resources, attributes = with_wishes(wishes, ResourceSpec(process_count=2), beside)
    assert resources == ResourceSpec(process_count=2, memory=1 << 30)
    assert attributes == JobAttributes(
        queue_name="gpu", account="plg", custom_attributes={"slurm.qos": "high", "slurm.hold": "true"}
    )


def test_a_directory_is_absolute() -> None:
    check_script("ls", "/data")
    with pytest.raises(InvalidJobError, match="absolute"):
        check_script("ls", "data")


def test_every_wish_survives_the_journal() -> None:
    resources = ResourceSpec(node_count=2, process_count=4, memory=1 << 30)
    attributes = JobAttributes(queue_name="gpu", custom_attributes={"slurm.qos": "high"})
    row = new_row(
        site="agh", workdir="/w", script="#!/bin/bash\nls", directory="/data", tag="", resources=resources, attributes=attributes
    )  # fmt: skip
    spec = spec_of(row)
    assert (spec.resources, spec.attributes) == (resources, attributes)
    assert spec.argv == ("/bin/bash", f"/w/submitted/{row['id']}/script")
    assert spec.directory == PurePosixPath("/data")
    assert spec.token == row["id"]
