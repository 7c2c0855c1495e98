"""Tokens survive in a job's name."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.schedulers._names import parse_name, render_name
from orchestrator.jobs import Token

tokens = st.lists(st.text().map(Token), min_size=1, max_size=6)
numbered = st.tuples(st.text(), st.lists(st.integers(0, 200), min_size=1, max_size=20), st.text()).map(
    lambda parts: [Token(f"{parts[0]}{number}{parts[2]}") for number in parts[1]]
)


@given(tokens | numbered)
def test_tokens_are_read_back_in_their_order(words):
    name = render_name(words)
    assert list(parse_name(name)) == words
    assert re.fullmatch(r"[\w.~%\[+\]-]*", name, re.ASCII)


@given(st.text())
def test_the_name_of_a_stranger_breaks_nothing(name):
    assert parse_name(name)


@pytest.mark.parametrize("name", ["[0-99999999999]", "a[1-99999999999999999999]b", "[9-1]", "a[b", "[[1]]"])
def test_a_strangers_brackets_are_harmless(name):
    assert len(parse_name(name)) <= 1


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["r.s.7.1"], "r.s.7.1"),
        ([f"r.s.{n}.1" for n in range(100)], "r.s.[0-99].1"),
        ([f"r.s.{n}.2" for n in (3, 7, 8, 9)], "r.s.[3+7-9].2"),
        ([f"r.s.{n}.1" for n in (9, 10, 11)], "r.s.[9-11].1"),
        (["r.s.01.1", "r.s.02.1"], "r.s.[01+02].1"),
        (["r.s.a-b.1", "r.s.c.1"], "r.s.[a%2Db+c].1"),
    ],
)
def test_a_name_stays_short_and_can_be_read(words, name):
    assert render_name([Token(word) for word in words]) == name
