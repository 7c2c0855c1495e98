"""What a kept shell is told, read by real shells on this machine."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.runners.ssh.framing import parse_answer
from adapters.runners.ssh.shell_language import FIRST, LONGEST_BYTES, End, EndSearch, render_ping, render_run, takes

WORD = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=20)
SHELLS = [shell for shell in ("sh", "bash", "dash") if shutil.which(shell)]


def told(shell, *lines):
    """The two streams of a shell that is told these lines."""
    text = b"".join((FIRST, *lines))
    done = subprocess.run([shell], input=text, capture_output=True, check=False, timeout=60, start_new_session=True)
    return bytearray(done.stdout), bytearray(done.stderr)


def answered(streams, marker):
    """One answer: exit code, output, errors."""
    out, err = (EndSearch(marker).find(stream) for stream in streams)
    framed = parse_answer(bytes(streams[0][: out.at]), bytes(streams[1][: err.at]), marker)
    return out.exit_code, framed.stdout, framed.stderr


@pytest.mark.parametrize("shell", SHELLS)
@settings(max_examples=15, deadline=None)
@given(words=st.lists(WORD, max_size=4))
def test_every_word_arrives_as_it_was_written(shell, words):
    streams = told(shell, render_run(("printf", r"%s\0", *words), "mark"))
    assert answered(streams, "mark") == (0, "".join(f"{word}\0" for word in words or [""]).encode(), b"")


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    "script",
    ["exit 7", "cd /; FOO=1; export FOO; exit 7", "trap 'exit 7' EXIT; set -e; false", "kill 0; exit 7"],
)
def test_a_command_leaves_nothing_behind_in_the_shell(shell, script):
    asking = ("sh", "-c", 'pwd; echo "$FOO"; trap; echo $-')
    alone = answered(told(shell, render_run(asking, "after")), "after")
    streams = told(shell, render_run(("sh", "-c", script), "first"), render_run(asking, "after"))
    after = [bytearray(stream.partition(b"\nfirst-end ")[2].partition(b"\n")[2]) for stream in streams]
    assert answered(after, "after") == alone


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    ("argv", "exit_code"),
    [
        (("sh", "-c", "exit 3"), 3),
        (("sh", "-c", "kill -9 $$"), 137),
        (("no-such-command",), 127),
        (("/dev/null",), 126),
    ],
)
def test_exit_codes_are_those_of_a_shell(shell, argv, exit_code):
    assert answered(told(shell, render_run(argv, "mark")), "mark")[0] == exit_code


def test_a_ping_is_answered_on_both_streams():
    assert [EndSearch("mark").find(stream) for stream in told("sh", render_ping("mark"))] == [
        End(at=0, exit_code=0)
    ] * 2


@given(text=st.binary(max_size=60), cuts=st.lists(st.integers(0, 90), max_size=4))
def test_an_end_is_found_wherever_the_stream_is_cut(text, cuts):
    stream = text + b"\nmark-end 12\nlater"
    search, heard, found = EndSearch("mark"), bytearray(), None
    for begin, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(stream)], strict=True):
        heard += stream[begin:end]
        found = search.find(heard)
    assert found == End(at=len(text), exit_code=12)


@pytest.mark.parametrize("argv", [("echo", "x" * LONGEST_BYTES), ("-c", "x")])
def test_long_commands_and_odd_names_need_a_channel_of_their_own(argv):
    assert not takes(argv)
