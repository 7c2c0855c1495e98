"""Words of a command line become values."""

from __future__ import annotations

import doctest
import io

import pytest
from rich.console import Console

from metadata.errors import InvalidInputError
from orchestrator.faces.cli import values
from orchestrator.faces.cli.tables.style import sheet


def test_the_examples_in_the_docstrings_hold() -> None:
    assert doctest.testmod(values).failed == 0


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("7", 7),
        ("0.5", 0.5),
        ("true", True),
        ("resnet50", "resnet50"),
        ('"7"', "7"),
        ("null", "null"),
        ("", ""),
        ("{}", "{}"),
    ],
)
def test_a_value_is_what_json_says_and_else_a_text(text: str, value: object) -> None:
    assert values.parse_value(text) == value


def test_a_value_may_hold_further_equal_signs() -> None:
    assert values.parse_pairs(["filter=a=b"], option="--param") == [("filter", "a=b")]


@pytest.mark.parametrize("word", ["seed", "=7", " =7"])
def test_a_pair_without_name_or_value_is_refused_by_the_options_name(word: str) -> None:
    with pytest.raises(InvalidInputError, match=r"--param .*NAME=VALUE"):
        values.parse_pairs([word], option="--param")


def test_an_input_that_comes_twice_has_both_paths() -> None:
    assert values.parse_inputs(["a=x", "b=y", "a=z"]) == {"a": ["x", "z"], "b": "y"}


def test_an_attribute_without_value_is_to_be_removed() -> None:
    assert values.parse_attributes(["mpp=0.25", "stain=", "good=true"], option="tag") == {
        "mpp": 0.25,
        "stain": None,
        "good": "true",
    }


@pytest.mark.parametrize("text", ["extract.x", "extract."])
def test_a_task_is_named_by_its_number(text: str) -> None:
    with pytest.raises(InvalidInputError, match=r"STEP\.NUMBER"):
        values.parse_task(text)


def test_a_wait_that_is_no_time_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="--wait: 'soon' is not a duration"):
        values.parse_wait("soon")


def test_a_cell_that_is_cut_is_seen_to_be_cut() -> None:
    table = sheet("run", "state", "message", wrapped=("message",))
    table.add_row("hello-1122-79bdd5", "completed", "a long message that gives way first")
    written = io.StringIO()
    console = Console(width=24, file=written)
    console.print(table)
    assert "…" in written.getvalue()
