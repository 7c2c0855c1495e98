import pytest
from hypothesis import given
from hypothesis import strategies as st

from metadata.errors import InvalidInputError
from metadata.globs import compile_glob, is_glob, literal_prefix


@pytest.mark.parametrize(
    ("pattern", "name", "matches"),
    [
        ("*.tif", "a.tif", True),
        ("*.tif", "a/b.tif", False),
        ("**/*.tif", "b.tif", True),
        ("**/*.tif", "a/b/c.tif", True),
        ("a/**", "a/b/c", True),
        ("a/**", "a", False),
        ("?.x", "/.x", False),
        ("[a-c]1", "b1", True),
        ("[!a-c]1", "b1", False),
        ("a[!b]c", "a/c", False),
        ("a[+-9]c", "a/c", False),
        ("[]a]", "]", True),
        ("[]", "[]", True),
        ("[!]", "[!]", True),
        ("a[", "a[", True),
        ("[^a]", "^", True),
        ("[[&&]", "[", True),
        ("*", "a\nb", True),
    ],
)
def test_a_pattern_means_what_it_means_to_a_shell(pattern: str, name: str, matches: bool):
    assert bool(compile_glob(pattern).fullmatch(name)) == matches


@given(st.text().filter(lambda text: not is_glob(text)))
def test_a_name_without_special_characters_matches_itself_only(name: str):
    assert compile_glob(name).fullmatch(name)
    assert not compile_glob(name).fullmatch(name + "x")


@given(st.text(st.sampled_from("ab/*?[]!^-&~|.")), st.text(st.sampled_from("ab/.-")))
def test_whatever_matches_begins_with_the_literal_prefix(pattern: str, name: str):
    try:
        found = compile_glob(pattern).fullmatch(name)
    except InvalidInputError:
        return
    assert not found or name.startswith(literal_prefix(pattern))


def test_a_range_that_runs_backwards_is_refused():
    with pytest.raises(InvalidInputError, match="bad character range"):
        compile_glob("[z-a]")
