"""Commands wrapped for Apptainer. A stand-in for its program says what it was given."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.containers.apptainer.runtime import ApptainerRuntime, outermost
from metadata.errors import InvalidSiteError
from orchestrator.ports import Compression, SiteSettings

DIRECTORY = PurePosixPath("/home/alice/convoy/runs/r1/extract/0/1")
IMAGE = "/home/alice/convoy/data/ab/abcd"
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=30)


def runtime(environment: dict[str, str] | None = None, **options: Any) -> ApptainerRuntime:
    """The runtime of a site whose site file says this."""
    return ApptainerRuntime(
        SiteSettings(
            name="agh", workdir=PurePosixPath("/home/alice/convoy"), environment=environment or {}, options=options
        )
    )


def wrapped(made: ApptainerRuntime, *argv: str, binds: tuple[str, ...] = (), gpus: int = 0) -> list[str]:
    """The words from `apptainer` on."""
    command = made.command(
        argv or ("python", "-m", "x"),
        image=IMAGE, directory=DIRECTORY, binds=[PurePosixPath(bind) for bind in binds], gpus=gpus,
    )  # fmt: skip
    assert command[:2] == ("/bin/sh", "-c")
    return list(command[6:])


def mounts(words: list[str]) -> list[tuple[str, str, bool]]:
    """(outside, inside, read-only) of each mount, as apptainer reads them."""
    rows = [next(csv.reader([text])) for flag, text in pairwise(words) if flag == "--mount"]
    parsed = [dict(field.split("=", 1) for field in row if "=" in field) | {"ro": str("ro" in row)} for row in rows]
    assert all(row["type"] == "bind" for row in parsed)
    return [(row["source"], row["destination"], row["ro"] == "True") for row in parsed]


def test_without_an_image_the_command_stays_as_it_is() -> None:
    """A step that names no image runs on the host."""
    made = runtime({"SITE": "1"})
    assert made.command(("a", "b"), image=None, directory=DIRECTORY, binds=[], gpus=1) == ("a", "b")
    assert made.environment({"X": "2"}, image=None) == {"SITE": "1", "X": "2"}


def test_the_command_runs_in_the_jobs_directory_and_nothing_of_the_user_is_inside() -> None:
    """Clean environment, no home, no second reading of values by a shell, no privileges asked for."""
    words = wrapped(runtime(), "python", "-m", "x", "--name", "$(id)")
    assert words[:3] == ["apptainer", "--quiet", "exec"]
    assert {"--cleanenv", "--no-eval", "--no-home", "--no-mount=cwd"} <= set(words)
    at = words.index(IMAGE)
    assert words[at - 2 : at] == ["--pwd", str(DIRECTORY)]
    assert words[at + 1 :] == ["python", "-m", "x", "--name", "$(id)"]
    assert not {"--fakeroot", "--writable", "--nv", "--rocm", "--contain"} & set(words)


def test_data_are_read_only_and_the_jobs_directory_lies_upon_them() -> None:
    """The last mount is the directory, because earlier runs' results may lie around it."""
    words = wrapped(runtime(), binds=("/home/alice/convoy/runs/r0/s/0/1", "/home/alice/convoy/data/ab", "/lustre/x"))
    assert mounts(words) == [
        ("/home/alice/convoy/data", "/home/alice/convoy/data", True),
        ("/home/alice/convoy/runs", "/home/alice/convoy/runs", True),
        ("/lustre/x", "/lustre/x", True),
        (str(DIRECTORY), str(DIRECTORY), False),
    ]


def test_a_sites_own_folders_are_bound_too() -> None:
    """`binds` of the site file, with another name inside or without."""
    words = wrapped(runtime(binds=["/opt/models", "/scratch/a:/scratch"]))
    assert mounts(words)[:2] == [("/opt/models", "/opt/models", True), ("/scratch/a", "/scratch", True)]


@given(name=TEXTS.filter(lambda text: "/" not in text and text not in ("", ".", "..")))
def test_a_folder_of_any_name_is_one_mount(name: str) -> None:
    """Commas, quotes and colons included: `--mount` is a line of CSV."""
    words = wrapped(runtime(), binds=(f"/data/{name}",))
    if "\r" not in name and "\n" not in name:
        assert mounts(words)[0] == (f"/data/{name}", f"/data/{name}", True)


@pytest.mark.parametrize(
    ("options", "gpus", "flag"),
    [
        ({}, 0, None),
        ({}, 1, "--nv"),
        ({"rocm": True}, 2, "--rocm"),
        ({"nv": False}, 1, None),
        ({"rocm": True}, 0, None),
    ],
)
def test_gpus_come_as_the_site_file_says(options: dict[str, Any], gpus: int, flag: str | None) -> None:
    """Only for a step that asks for GPUs."""
    words = wrapped(runtime(**options), gpus=gpus)
    assert {"--nv", "--rocm"} & set(words) == ({flag} if flag else set())


def test_contained_programs_have_their_scratch_files_in_the_jobs_directory() -> None:
    """--contain alone would give them 64 MiB of memory for /tmp."""
    words = wrapped(runtime(contain=True))
    assert words[words.index("--contain") :][:3] == ["--contain", "--workdir", str(DIRECTORY)]


def test_the_programs_path_is_not_the_sites() -> None:
    """A step's PATH reaches the program alone; a site's variables reach both."""
    made = runtime({"HDF5_USE_FILE_LOCKING": "FALSE"})
    assert made.environment({"PATH": "/opt/x/bin"}, image=IMAGE) == {
        "HDF5_USE_FILE_LOCKING": "FALSE",
        "APPTAINERENV_HDF5_USE_FILE_LOCKING": "FALSE",
        "APPTAINERENV_PATH": "/opt/x/bin",
    }


def test_singularity_has_its_own_prefix() -> None:
    """The sister reads other variables."""
    made = runtime(executable="/opt/bin/singularity")
    assert wrapped(made)[0] == "/opt/bin/singularity"
    assert made.environment({"A": "1"}, image=IMAGE) == {"SINGULARITYENV_A": "1"}


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program that writes its variables as JSON, in place of apptainer."""
    path = tmp_path_factory.mktemp("bin") / "apptainer"
    path.write_text(f"#!{sys.executable}\nimport json, os\nprint(json.dumps(dict(os.environ)))\n")
    path.chmod(0o755)
    return path


@settings(max_examples=30, deadline=None)
@given(value=TEXTS)
def test_what_the_scheduler_told_the_job_reaches_the_program_unchanged(stand_in: Path, value: str) -> None:
    """Whatever the values hold: they are never read as shell text. Other variables of the host stay outside."""
    told = {"CUDA_VISIBLE_DEVICES": value, "SLURM_PROCID": "3", "OMP_NUM_THREADS": "2", "LD_PRELOADED": "no"}
    made = runtime(executable=str(stand_in))
    command = made.command(("true",), image=IMAGE, directory=DIRECTORY, binds=[], gpus=1)
    answer = subprocess.run(command, env={**os.environ, **told}, capture_output=True, check=True)
    seen = json.loads(answer.stdout)
    inside = {name: text for name, text in seen.items() if name.startswith("APPTAINERENV_")}
    assert inside["APPTAINERENV_CUDA_VISIBLE_DEVICES"] == value
    assert (inside["APPTAINERENV_SLURM_PROCID"], inside["APPTAINERENV_OMP_NUM_THREADS"]) == ("3", "2")
    assert "APPTAINERENV_LD_PRELOADED" not in inside
    assert answer.stderr == b""


@given(st.lists(st.sampled_from(["/w/data/a", "/w/data/b", "/w/runs/r/1", "/x", "/x/y", "/x/y/z", "/w", "/xy"])))
def test_every_folder_is_covered_and_none_twice(texts: list[str]) -> None:
    """Each lies in exactly one of the mounts."""
    kept = outermost(map(PurePosixPath, texts), PurePosixPath("/w"))
    for text in texts:
        path = PurePosixPath(text)
        assert sum(folder == path or folder in path.parents for folder in kept) == 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"executible": "x"}, "did you mean 'executable'"),
        ({"nv": "yes"}, "'nv' is a bool"),
        ({"binds": "/data"}, "'binds' is a list"),
        ({"binds": ["data"]}, "cannot be bound"),
        ({"binds": ["/a:b"]}, "cannot be bound"),
    ],
)
def test_a_wrong_option_is_refused_with_what_was_meant(options: dict[str, Any], words: str) -> None:
    """Before anything is submitted."""
    with pytest.raises(InvalidSiteError, match=words):
        runtime(**options)


@pytest.mark.parametrize(
    ("source", "compression", "options"),
    [
        ("/x/cpu.def", None, ["--fakeroot"]),
        ("docker-archive:/x/cpu.tar", None, ["--disable-cache"]),
        ("oci-archive:/x/cpu.tar", Compression.GZIP, ["--disable-cache", "--mksquashfs-args", "-comp gzip"]),
        ("/x/c.def", Compression.ZSTD, ["--fakeroot", "--mksquashfs-args", "-comp zstd -Xcompression-level 3"]),
    ],
)
def test_an_image_is_made_without_root_and_without_filling_the_home(
    source: str, compression: Compression | None, options: list[str]
) -> None:
    """Scratch files lie beside the image, archives are not kept twice, and it is packed as was asked."""
    target = PurePosixPath("/home/alice/convoy/images/i-1/image.sif")
    words = runtime().build_command(source, target, context=PurePosixPath("/ctx"), compression=compression)
    assert words[:3] == ("env", "--chdir=/ctx", f"APPTAINER_TMPDIR={target.parent}")
    assert list(words[4:]) == ["apptainer", "build", *options, str(target), source]
