"""What a script says of itself."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest

from metadata.errors import InvalidJobError
from orchestrator.jobs import JobAttributes, ResourceSpec
from orchestrator.operations.job_scripts import check_script, interpreter_of, new_row, spec_of


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
