"""Jobs as shell text, run by a real /bin/sh."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from metadata.errors import InvalidJobError, SiteError
from orchestrator.jobs import ExpectedOutput, JobSpec, ProducedFile, StagedLink
from orchestrator.scripts import NO_DIRECTORY, NO_LIST, parse_outputs, render_job
from tests.unit.orchestrator.builders import job

ANY = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=15)
NASTY = st.sampled_from(
    [
        "",
        " ",
        "-n",
        "--",
        "it's",
        '"',
        "$(id)",
        "`id`",
        "$HOME",
        "a\nb",
        "\\",
        "\\n",
        "*",
        "~",
        "é ü 漢",
        "!x",
        "#",
        ";ls",
        "&",
        "{a,b}",
        "\r",
        "\t",
        "=",
    ]
)
WORDS = ANY | NASTY
NAMES = st.text(st.characters(exclude_characters="\0/", exclude_categories=("Cs",)), min_size=1, max_size=15).filter(
    lambda n: n not in (".", "..")
)
ODD_NAMES = [
    "a\nb",
    "a\\nb",
    "a\\",
    "\\n",
    "a\rb",
    "a\x0cb",
    "a\x85b",
    "a\u2028b",
    " a ",
    "-n",
    "a\tb",
    "it's",
    '"',
    "$(id)",
    "é",
    "*",
    "[a]",
    "~",
]

SHOW = "import os, sys; sys.stdout.buffer.write(b'\\0'.join(os.fsencode(word) for word in sys.argv[1:]))"


def run(spec: JobSpec, manifest: Path | None = None) -> int:
    """The exit code of a job that /bin/sh carries out."""
    listing = PurePosixPath(manifest or Path(str(spec.directory) + ".outputs"))
    script = f"{render_job(spec, outputs_path=listing)}convoy_job\nexit $?\n"
    return subprocess.run(["/bin/sh"], input=script.encode(), check=False, capture_output=True, timeout=60).returncode


@settings(max_examples=40, deadline=None)
@given(st.lists(WORDS, max_size=6))
def test_every_argument_reaches_the_program_unchanged(words: list[str]) -> None:
    """Whatever characters it has."""
    with tempfile.TemporaryDirectory() as folder:
        spec = job(f"{folder}/it's $(here) ü", sys.executable, "-c", SHOW, *words)
        assert run(spec) == 0
        assert Path(spec.stdout_path).read_bytes() == "\0".join(words).encode()


@settings(max_examples=30, deadline=None)
@given(st.dictionaries(st.from_regex(r"\A[A-Z_][A-Z0-9_]{0,8}\Z").map(lambda name: f"X{name}"), WORDS, max_size=4))
def test_every_variable_reaches_the_program_unchanged(variables: dict[str, str]) -> None:
    """Newlines and quotes in them too."""
    shown = "import os, sys; sys.stdout.buffer.write(b'\\0'.join(os.environb[n.encode()] for n in sys.argv[1:]))"
    with tempfile.TemporaryDirectory() as folder:
        spec = job(f"{folder}/d", sys.executable, "-c", shown, *variables, environment=variables)
        assert run(spec) == 0
        assert Path(spec.stdout_path).read_bytes() == "\0".join(variables.values()).encode()


@settings(max_examples=30, deadline=None)
@given(st.lists(NAMES, min_size=1, max_size=3, unique=True))
@example(["-n", "$(id)", "it's"])
def test_links_are_made_under_any_name(names: list[str]) -> None:
    """A job that its scheduler starts again finds them and is none the worse."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "so'urce"
        source.write_text("content")
        links = tuple(StagedLink(source=PurePosixPath(source), target=PurePosixPath("in/x") / name) for name in names)
        spec = job(f"{folder}/d", "true", stage_in=links)
        assert [run(spec), run(spec)] == [0, 0]
        assert [Path(folder, "d", "in", "x", name).read_text() for name in names] == ["content"] * len(names)


def outputs_of(folder: Path, spec: JobSpec) -> tuple[ProducedFile, ...]:
    """What a job says that it left."""
    manifest = folder / "outputs"
    assert run(spec, manifest) == 0
    return parse_outputs(manifest.read_bytes().decode(), spec.directory)


@settings(max_examples=40, deadline=None)
@given(NAMES)
@example("a\nb")
def test_an_output_of_any_name_is_listed_with_its_size_and_hash(name: str) -> None:
    """A declared path is never taken for a pattern."""
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        spec = job(
            folder / "d",
            "tee",
            "--",
            name,
            stage_out=(ExpectedOutput(name="o", path=name),),
            stdin_path=PurePosixPath(folder / "stdin"),
        )
        (folder / "stdin").write_text("content")
        [made] = outputs_of(folder, spec)
    digest = hashlib.sha256(b"content").hexdigest()
    assert made == ProducedFile(output="o", path=spec.directory / name, size_bytes=7, sha256=digest)


@pytest.mark.parametrize("names", [[name] for name in ODD_NAMES] + [ODD_NAMES], ids=repr)
def test_a_pattern_finds_files_of_any_name(names: list[str], tmp_path: Path) -> None:
    """Newlines, backslashes and spaces at the end come back as they are."""
    spec = job(tmp_path / "d", "true", stage_out=(ExpectedOutput(name="many", path="out/*", many=True),))
    (tmp_path / "d/out").mkdir(parents=True)
    for name in names:
        (tmp_path / "d/out" / name).write_text(name)
    made = outputs_of(tmp_path, spec)
    assert sorted(str(row.path.relative_to(spec.directory / "out")) for row in made) == sorted(names)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.txt", ["a b.txt", "a.txt", "b.txt", "ü ü.txt"]),
        ("?.txt", ["a.txt", "b.txt"]),
        ("[a-b].txt", ["a.txt", "b.txt"]),
        ("[!a].txt", ["b.txt"]),
        ("a[ x]b.txt", ["a b.txt"]),
        ("[$(touch pwned)z]*", []),
        ("[`touch pwned`z]*", []),
        ("[;touch pwned;z]*", []),
        ("$(touch pwned)*", []),
        ("absent/*", []),
    ],
)
def test_only_wildcards_mean_anything_in_a_pattern(pattern: str, expected: list[str], tmp_path: Path) -> None:
    """What stands between brackets is quoted too."""
    folder = tmp_path / "d"
    folder.mkdir()
    for name in ("a.txt", "b.txt", "ü ü.txt", "a b.txt"):
        (folder / name).write_text("x")
    made = outputs_of(tmp_path, job(folder, "true", stage_out=(ExpectedOutput(name="o", path=pattern, many=True),)))
    assert sorted(row.path.name for row in made if row.path.name not in ("stdout.txt", "stderr.txt")) == expected
    assert not (folder / "pwned").exists()


@pytest.mark.parametrize(
    "name", ["exit", "return", "cd", "set", "if", "case", "while", "eval", ":", "A=1", "!", "absent"]
)
def test_the_first_word_is_a_program_and_never_a_word_of_the_shell(name: str, tmp_path: Path) -> None:
    """There is no such program: 127, and the job ends like any other."""
    assert run(job(tmp_path / "d", name, "7")) == 127


def test_a_program_whose_name_would_be_an_option_is_refused() -> None:
    """The message says how to write it."""
    with pytest.raises(InvalidJobError, match=r"\./-x"):
        render_job(job("/d", "-x"), outputs_path=PurePosixPath("/o"))


def test_a_program_of_ones_own_may_be_called_like_a_word_of_the_shell(tmp_path: Path) -> None:
    """It is found by PATH like any other."""
    program = tmp_path / "bin/exit"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho mine\n")
    program.chmod(0o755)
    spec = job(tmp_path / "d", "exit", environment={"PATH": f"{tmp_path}/bin:/usr/bin:/bin"})
    assert run(spec) == 0
    assert Path(spec.stdout_path).read_text() == "mine\n"


def test_the_environment_of_a_job_is_not_that_of_its_bookkeeping(tmp_path: Path) -> None:
    """A job without a PATH still has its outputs hashed."""
    outputs = (ExpectedOutput(name="o", path="o"),)
    spec = job(
        tmp_path / "d",
        "/bin/sh",
        "-c",
        "echo x > o",
        environment={"PATH": "/nowhere", "IFS": "o", "code": "9"},
        stage_out=outputs,
    )
    assert len(outputs_of(tmp_path, spec)) == 1


def test_a_failed_command_gives_its_code_and_lists_nothing(tmp_path: Path) -> None:
    """Half a result is none; and a scheduler that starts the job again does not take it for done."""
    spec = job(
        tmp_path / "d",
        "sh",
        "-c",
        "echo x > o; echo out; echo err >&2; exit 7",
        stage_out=(ExpectedOutput(name="o", path="o"),),
    )
    manifest = tmp_path / "outputs"
    assert run(spec, manifest) == 7
    assert not manifest.exists()
    assert run(spec, manifest) == 7
    assert Path(spec.stdout_path).read_text() == "out\n"
    assert Path(spec.stderr_path).read_text() == "err\n"


def test_standard_input_is_empty_unless_it_is_given(tmp_path: Path) -> None:
    """A program that reads must not wait for a terminal."""
    spec = job(tmp_path / "d", "cat")
    assert run(spec) == 0
    assert Path(spec.stdout_path).read_text() == ""


def test_a_directory_that_cannot_be_made_has_a_code_of_its_own(tmp_path: Path) -> None:
    """The program is not run anywhere else instead."""
    (tmp_path / "file").write_text("")
    assert run(job(tmp_path / "file" / "d", "touch", str(tmp_path / "ran"))) == NO_DIRECTORY
    assert not (tmp_path / "ran").exists()


def test_a_pattern_does_not_take_the_jobs_own_words_for_results(tmp_path: Path) -> None:
    """They are results only where they are named."""
    outputs = (ExpectedOutput(name="many", path="*.txt", many=True), ExpectedOutput(name="log", path="stdout.txt"))
    made = outputs_of(tmp_path, job(tmp_path / "d", "touch", "a.txt", stage_out=outputs))
    assert [(row.output, row.path.name) for row in made] == [("many", "a.txt"), ("log", "stdout.txt")]


def test_an_output_that_is_a_folder_is_none(tmp_path: Path) -> None:
    """Only files are results."""
    spec = job(tmp_path / "d", "mkdir", "o", stage_out=(ExpectedOutput(name="o", path="o"),))
    assert outputs_of(tmp_path, spec) == ()


def test_an_output_that_cannot_be_read_fails_its_job(tmp_path: Path) -> None:
    """A list that lacks it would be taken for the whole of it."""
    outputs = tuple(ExpectedOutput(name=name, path=name, optional=True) for name in ("bad", "good"))
    # Whoever reads that gets an error, root too.
    spec = job(tmp_path / "d", "sh", "-c", "ln -sf /proc/self/mem bad; echo x > good", stage_out=outputs)
    manifest = tmp_path / "outputs"
    assert run(spec, manifest) == NO_LIST
    assert list(tmp_path.glob("outputs*")) == []


def test_a_result_is_write_protected(tmp_path: Path) -> None:
    """Its hash is known now, and must stay true."""
    spec = job(tmp_path / "d", "touch", "o", stage_out=(ExpectedOutput(name="o", path="o"),))
    outputs_of(tmp_path, spec)
    assert (tmp_path / "d/o").stat().st_mode & 0o222 == 0


def test_a_file_that_is_passed_through_is_not_touched(tmp_path: Path) -> None:
    """An output may be a link to an input, whose rights are its owner's."""
    source = tmp_path / "source"
    source.write_text("x")
    source.chmod(0o644)
    spec = job(tmp_path / "d", "ln", "-s", str(source), "o", stage_out=(ExpectedOutput(name="o", path="o"),))
    assert len(outputs_of(tmp_path, spec)) == 1
    assert source.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize(("field", "facts"), [("arguments", {}), ("environment", {"environment": {"A": "\0"}})])
def test_what_no_shell_can_carry_is_refused(field: str, facts: dict) -> None:
    """Before anything is submitted."""
    with pytest.raises(InvalidJobError, match="NUL"):
        render_job(
            job("/d", "echo", "a\0b" if field == "arguments" else "a", **facts), outputs_path=PurePosixPath("/o")
        )


@pytest.mark.parametrize("name", ["", "A B", "A=B", "1A", "A-B", "A;id", "É"])
def test_a_name_that_no_variable_can_have_is_refused(name: str) -> None:
    """It would end up as shell text."""
    with pytest.raises(InvalidJobError, match="cannot be the name"):
        render_job(job("/d", "true", environment={name: "x"}), outputs_path=PurePosixPath("/o"))


@pytest.mark.parametrize("text", ["nonsense\n", "o\tx\t" + "0" * 64 + " *o\n", "o\t1\tabc *o\n", "o\t1\t"])
def test_a_list_of_outputs_that_makes_no_sense_is_an_error(text: str) -> None:
    """It is never taken for an empty one."""
    with pytest.raises(SiteError, match="cannot be read"):
        parse_outputs(text, PurePosixPath("/d"))
