"""Quoting and framing, without any site. The contract suite asks real shells the same."""

from __future__ import annotations

import shlex
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.runners.ssh.framing import kill_command, parse_answer, render_line
from metadata.errors import InvalidInputError, SiteError

WORD = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=20)
ARGV = st.lists(WORD, min_size=1, max_size=5).map(tuple)


@given(argv=ARGV)
def test_a_shell_reads_back_the_words_that_were_quoted(argv):
    words = shlex.split(render_line(argv, "marker").decode())
    assert words[:3] == ["exec", "/bin/sh", "-c"]
    assert tuple(words[4:]) == ("sh", "marker", *argv)


@settings(max_examples=25, deadline=None)
@given(words=st.lists(WORD, max_size=4), noise=st.binary(max_size=40))
def test_a_real_shell_answers_through_the_frame(words, noise):
    line = render_line(("printf", r"%s\0", *words), "convoy-mark")
    done = subprocess.run([b"/bin/sh", b"-c", line], capture_output=True, check=False)
    framed = parse_answer(noise + done.stdout, noise + done.stderr, "convoy-mark")
    assert framed.stdout == "".join(f"{word}\0" for word in words or [""]).encode()
    assert framed.stderr == b""


@given(noise=st.binary(max_size=50), out=st.binary(max_size=50), err=st.binary(max_size=50))
def test_everything_before_the_marker_is_noise_and_everything_after_is_kept(noise, out, err):
    framed = parse_answer(noise + b"\nmark-7\n42\n" + out, noise + b"\nmark-7\n" + err, "mark-7")
    assert (framed.group, framed.stdout, framed.stderr) == (42, out, err)


@pytest.mark.parametrize("argv", [(), ("a\0b",), ("echo", "x" * 200_000)])
def test_what_no_site_can_take_is_refused(argv):
    with pytest.raises(InvalidInputError):
        render_line(argv, "marker")


def test_a_shell_that_ran_nothing_is_quoted():
    with pytest.raises(SiteError, match="This account is currently not available"):
        parse_answer(b"This account is currently not available.\n", b"", "marker")


@given(group=st.integers(min_value=2, max_value=2**22))
def test_a_group_is_killed_by_its_number(group):
    assert kill_command(group)[-1] == str(group)
