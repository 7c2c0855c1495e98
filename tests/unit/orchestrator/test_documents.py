"""YAML files whose faults are told with their place."""

from __future__ import annotations

from pathlib import Path

import pytest

from metadata.errors import InvalidInputError, InvalidWorkflowError, NotFoundError
from orchestrator.documents import Problem, did_you_mean, load_document, parse_document
from tests.unit.orchestrator.builders import workflow_of

TEXT = """\
name: toy
steps:
  make:
    command: [echo, hello]
    with: {seed: 7}
"""


def told(text: str) -> str:
    """What is said of a workflow that cannot be read."""
    with pytest.raises(InvalidInputError) as caught:
        workflow_of(text)
    return str(caught.value)


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ((), (1, 1)),
        (("steps",), (2, 1)),
        (("steps", "make"), (3, 3)),
        (("steps", "make", "command", 1), (4, 21)),
        (("steps", "make", "with", "seed"), (5, 12)),
        (("steps", "make", "with", "absent", "deeper"), (5, 5)),
    ],
)
def test_every_value_knows_its_line_and_column(place: tuple[str | int, ...], expected: tuple[int, int]) -> None:
    """A place that is not in the file is told by the nearest thing around it."""
    position = parse_document(TEXT, file="w.yaml").position(place)
    assert (position.line, position.column) == expected


def test_a_misspelt_key_is_told_with_its_place_and_the_word_that_was_meant() -> None:
    """The author sees where to look and what to write."""
    assert told("steps:\n  make:\n    comand: echo\n").startswith(
        "w.yaml:4:5: 'comand' is not known here; did you mean command?"
    )


def test_every_fault_is_told_at_once_in_the_order_of_the_file() -> None:
    """Nobody likes to mend one fault a run."""
    lines = told("stesp: {}\nsteps:\n  make: {command: echo, resources: {cpus: 0}}\n").splitlines()
    assert [line.split(":")[1] for line in lines] == ["2", "4"]


def test_a_missing_key_is_named() -> None:
    """The place is that of the thing that lacks it."""
    assert told("description: no steps\n") == "w.yaml:1:1: 'steps' is missing"


@pytest.mark.parametrize(
    ("text", "line", "word"),
    [
        ("steps: {a: {command: x}\n", 3, "while parsing|expected"),
        ("steps:\n\tmake: x\n", 3, "tab|cannot start"),
        ("steps: {}\nsteps: {}\n", 3, "duplicate key"),
        ("a: 1\n---\nb: 2\n", 3, "another document"),
        ("a: *nowhere\n", 2, "undefined alias"),
    ],
)
def test_broken_yaml_is_told_with_its_line(text: str, line: int, word: str) -> None:
    """YAML's own words are kept, on one line."""
    message = told(text)
    assert message.startswith(f"w.yaml:{line}:")
    assert any(part in message for part in word.split("|"))
    assert len(message.splitlines()) == 1


@pytest.mark.parametrize("text", ["", "# only a comment\n", "just words\n", "- a list\n"])
def test_a_file_that_is_no_mapping_is_refused(text: str, tmp_path: Path) -> None:
    """An empty file is the most common of them."""
    from orchestrator.workflows import load_workflow

    path = tmp_path / "w.yaml"
    path.write_text(text)
    with pytest.raises(InvalidWorkflowError, match="a mapping was expected"):
        load_workflow(path)


def test_a_file_that_is_not_there_and_one_that_is_no_text_are_told_apart(tmp_path: Path) -> None:
    """The two need different remedies."""
    with pytest.raises(NotFoundError, match="there is no file"):
        load_document(tmp_path / "absent.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InvalidInputError, match="cannot read"):
        load_document(tmp_path / "binary.yaml")
    with pytest.raises(InvalidInputError, match="cannot read"):
        load_document(tmp_path)


def test_anchors_aliases_and_merge_keys_may_be_used() -> None:
    """They are how people avoid writing resources twice."""
    document = parse_document("a: &big {cpus: 4}\nb: *big\nc:\n  <<: *big\n  gpus: 1\n", file="f")
    assert document.content["b"] == {"cpus": 4}
    assert document.content["c"] == {"cpus": 4, "gpus": 1}
    assert document.position(("c", "gpus")).line == 5


def test_a_word_far_from_any_known_one_gets_the_whole_list() -> None:
    """A wild guess would mislead."""
    assert did_you_mean("zzz", ["b", "a"]) == "; known are: a, b"
    assert did_you_mean("zzz", []) == ""


def test_no_problem_is_no_error() -> None:
    """Only problems are refused."""
    document = parse_document(TEXT, file="w.yaml")
    document.refuse([], InvalidWorkflowError)
    with pytest.raises(InvalidWorkflowError, match=r"w\.yaml:3:3: first\nw\.yaml:4:5: second"):
        document.refuse(
            [
                Problem(place=("steps", "make", "command"), message="second"),
                Problem(place=("steps", "make"), message="first"),
            ],
            InvalidWorkflowError,
        )
