"""References, templates and conditions."""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.references import filled, holds, names_in, parse_reference
from tests.unit.orchestrator.builders import problems_of

WORDS = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=20)
NASTY = st.sampled_from(
    [
        "",
        " ",
        "-rf",
        "a b",
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
        "é",
        "!x",
        "#",
        ";ls",
        "&",
    ]
)


def shell_words(text: str) -> list[str]:
    """The arguments that /bin/sh gives to a program."""
    # A trailing mark shows an empty last word, which a split would lose.
    script = f"printf '%s\\0' {text} end"
    return (
        subprocess.run(["/bin/sh", "-eu", "-c", script], capture_output=True, check=True)
        .stdout.decode()
        .split("\0")[:-2]
    )


@settings(max_examples=60, deadline=None)
@given(st.lists(WORDS | NASTY, max_size=5))
def test_any_value_reaches_a_program_unchanged_through_the_shell(values: list[str]) -> None:
    """Quotes, newlines, substitutions and wildcards mean nothing."""
    assert shell_words(filled("{{with.xs}}", {"with.xs": values}, quoted=True)) == values


@settings(max_examples=60, deadline=None)
@given(WORDS | NASTY)
def test_a_value_inside_a_word_stays_in_that_word(value: str) -> None:
    """`--name={{with.x}}` is one argument."""
    assert shell_words(filled("--name={{ with.x }}/end", {"with.x": value}, quoted=True)) == [f"--name={value}/end"]


@pytest.mark.parametrize(
    "text", ['echo "{{inputs.slide}}"', "echo '{{inputs.slide}}'", 'echo "slide: {{inputs.slide}}."']
)
def test_a_template_between_the_authors_own_quotes_never_runs_what_a_file_is_called(text: str) -> None:
    """Either the check refuses it, or the shell gets the bare name."""
    head = "inputs: {s: dataset://d}\nsteps:\n  a:\n    scatter: {slide: inputs.s}\n    command: |\n      "
    if problems_of(f"{head}{text}\n"):
        return
    with tempfile.TemporaryDirectory() as folder:
        command = filled(text, {"inputs.slide": "in/$(touch pwned)'$(touch pwned)'.tif"}, quoted=True)
        subprocess.run(["/bin/sh", "-c", command], cwd=folder, check=False, capture_output=True)
        assert not (Path(folder) / "pwned").exists()


def test_a_text_that_is_one_template_keeps_the_values_type() -> None:
    """Parameters of use cases are checked for their type."""
    assert filled(" {{params.n}} ", {"params.n": 3}) == 3
    assert filled("n={{params.n}}", {"params.n": 3}) == "n=3"
    with pytest.raises(KeyError):
        filled("{{params.absent}}", {})


@pytest.mark.parametrize("text", ["a.b", " extract.patches ", "my-step.out_1"])
def test_a_reference_reads_back_as_it_was_written(text: str) -> None:
    """Owner and name, with a dot between."""
    assert str(parse_reference(text)) == text.strip()


@pytest.mark.parametrize("text", ["", "a", "a.b.c", "dataset://a/b.c", "1a.b", "a/b.c", "a b.c"])
def test_what_is_no_reference_is_none(text: str) -> None:
    """Paths and dataset names are something else."""
    assert parse_reference(text) is None


def test_names_are_found_in_order() -> None:
    """Braces with anything else in them are no templates."""
    assert names_in("{{ a.b }} {c.d} {{e}}{{1x}} ${{f.g}}") == ["a.b", "e", "f.g"]


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (True, True),
        ("params.n > 2 and not params.quick", True),
        ("params.n in [1, 2] or params.name == 'x'", True),
        ("1 < params.n <= 2", False),
        ("params.n > -1", True),
        ("params.n >= -1.5 and +1 == 1", True),
        ("params.name not in ('a', 'b')", True),
    ],
)
def test_a_condition_compares_parameters_with_literals(condition: str | bool, expected: bool) -> None:
    """Negative numbers are literals too."""
    assert holds(condition, {"n": 3, "quick": False, "name": "x"}) is expected


@pytest.mark.parametrize(
    "condition",
    [
        "__import__('os').system('id')", "params.n.real", "params['n']", "n > 1", "len(params.n)", "params.n + 1 > 2", "(x := 1)",
        "lambda: 1", "[p for p in params.n]", "params.n is 3", "f'{params.n}'", "params.absent == 1", "params.n >", "", "params.n < 'a'",
        "true", "params.n\nimport os", "not " * 5000 + "1", "(" * 500 + "1" + ")" * 500,
    ],
    ids=lambda condition: condition[:20],
)  # fmt: skip
def test_a_condition_with_anything_else_in_it_is_refused(condition: str) -> None:
    """Calls, attributes, arithmetic and names of one's own are no conditions; nothing but ValueError comes out."""
    with pytest.raises(ValueError, match=r"\S"):
        holds(condition, {"n": 3})


@settings(max_examples=200)
@given(st.text(alphabet="params.n <>=!()[]'\"0123456789andortif-+*", max_size=30))
def test_no_condition_does_anything_but_hold_or_be_refused(condition: str) -> None:
    """Whatever is typed, the answer is a boolean or a ValueError."""
    with contextlib.suppress(ValueError):
        assert holds(condition, {"n": 3}) in (True, False)
