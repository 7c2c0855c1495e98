"""Quoting and framing, without any site. The contract suite asks real shells the same."""

from __future__ import annotations

import shlex
import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.runners.ssh.framing import Start, kill_command, parse_answer, render_line
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
    assert (framed.start, framed.stdout, framed.stderr) == (Start(group=42), out, err)


@pytest.mark.parametrize("argv", [(), ("a\0b",), ("echo", "x" * 200_000)])
def test_what_no_site_can_take_is_refused(argv):
    with pytest.raises(InvalidInputError):
        render_line(argv, "marker")


def test_a_shell_that_ran_nothing_is_quoted():
    with pytest.raises(SiteError, match="This account is currently not available"):
        parse_answer(b"This account is currently not available.\n", b"", "marker")


@pytest.mark.parametrize("name", ["sh", "a b", "x) S 9 9 9", ""])
def test_a_kept_shells_command_is_known_by_its_group_and_its_start(name):
    told = f"71 ({name}) S 70 69 68 {' '.join(map(str, range(7, 53)))}"
    framed = parse_answer(f"\nmark\n{told}\nout".encode(), b"err", "mark")
    assert (framed.start, framed.stdout, framed.stderr) == (Start(group=69, since=22), b"out", b"err")


def test_a_group_is_killed_by_its_number():
    assert kill_command(Start(group=4711))[-2:] == ("4711", "0")


def test_of_a_shared_group_only_those_die_that_started_since():
    """Three sleepers in one group; the bound is the start of the second."""
    sleepers = [subprocess.Popen(["sleep", "60"], process_group=0)]
    group = sleepers[0].pid
    for _ in range(2):
        time.sleep(0.05)  # the kernel counts starts in hundredths of a second
        sleepers.append(subprocess.Popen(["sleep", "60"], process_group=group))
    since = int(Path(f"/proc/{sleepers[1].pid}/stat").read_text().rpartition(") ")[2].split()[19])
    try:
        subprocess.run(kill_command(Start(group=group, since=since)), check=True, timeout=30)
        assert [sleepers[n].wait(timeout=30) for n in (1, 2)] == [-15, -15]
        assert sleepers[0].poll() is None
    finally:
        for sleeper in sleepers:
            sleeper.kill()
            sleeper.wait()
