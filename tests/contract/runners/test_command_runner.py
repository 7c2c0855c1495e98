"""What every CommandRunner promises. One suite, run on this machine, on a real sshd and on a real site."""

from __future__ import annotations

import os
import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import PurePosixPath

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metadata.errors import InvalidInputError, NotFoundError, SiteError, SiteUnavailableError

WORDS = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=30)


def test_a_command_answers_with_its_output_errors_and_exit_code(place):
    result = place.runner.run(("sh", "-c", "echo out; echo err >&2; exit 3"))
    assert (result.stdout, result.stderr, result.exit_code) == ("out\n", "err\n", 3)
    assert result.argv == ("sh", "-c", "echo out; echo err >&2; exit 3")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(words=st.lists(WORDS, max_size=6))
def test_every_word_arrives_as_it_was_written(place, words):
    result = place.runner.run(("printf", "%s\\0", *words))
    assert result.stdout == "".join(f"{word}\0" for word in words or [""])


def test_a_word_that_is_no_utf8_arrives_as_it_was_written(place):
    name = os.fsdecode(b"caf\xe9 $(touch x)")
    result = place.runner.run(("sh", "-c", 'printf %s "$1" | od -An -tx1', "sh", name))
    assert bytes.fromhex(result.stdout) == b"caf\xe9 $(touch x)"


def test_a_command_that_does_not_exist_ends_with_127(place):
    result = place.runner.run(("no-such-command",))
    assert result.exit_code == 127
    assert "no-such-command" in result.stderr


def test_a_file_that_is_not_executable_ends_with_126(place):
    (place.seen / "plain").write_text("hello")
    assert place.runner.run((str(place.folder / "plain"),)).exit_code == 126


def test_a_killed_command_ends_with_128_and_the_signal(place):
    assert place.runner.run(("sh", "-c", "kill -9 $$")).exit_code == 137


def test_standard_input_is_delivered_and_ended(place):
    assert place.runner.run(("cat",), stdin="grüße\n").stdout == "grüße\n"
    assert place.runner.run(("cat",)).stdout == ""


def test_much_input_and_much_output_at_the_same_time_do_not_block(place):
    text = "0123456789abcdef" * 400_000
    assert place.runner.run(("cat",), stdin=text).stdout == text


def test_a_command_that_does_not_read_its_input_is_no_error(place):
    assert place.runner.run(("echo", "done"), stdin="x" * 5_000_000).stdout == "done\n"


def test_many_errors_do_not_block_the_output(place):
    script = "head -c 5000000 /dev/zero >&2; head -c 5000000 /dev/zero"
    result = place.runner.run(("sh", "-c", script))
    assert (len(result.stdout), len(result.stderr)) == (5_000_000, 5_000_000)


def test_bytes_that_are_no_text_are_replaced(place):
    assert place.runner.run(("printf", r"a\377b")).stdout == "a\ufffdb"


def test_a_command_that_takes_too_long_is_reported_and_killed_with_its_children(place):
    mark = f"3{time.time_ns() % 10**8:08d}"
    started = time.monotonic()
    with pytest.raises(SiteUnavailableError, match=r"sh did not end within 0\.5 s"):
        place.runner.run(("sh", "-c", f"sleep {mark} & sleep {mark}; wait"), timeout_s=0.5)
    assert time.monotonic() - started < 40  # and not the 60 s of a command that is not told otherwise
    deadline = time.monotonic() + 60
    while place.runner.run(("pgrep", "-f", f"sleep [{mark[0]}]{mark[1:]}")).exit_code == 0:
        assert time.monotonic() < deadline, "the children live on"
        time.sleep(0.05)


@pytest.mark.parametrize("argv", [(), ("echo", "a\0b")])
def test_a_command_that_no_system_can_take_is_refused(place, argv):
    with pytest.raises(InvalidInputError):
        place.runner.run(argv)


def test_eight_threads_get_their_own_answers(place):
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: place.runner.run(("echo", str(n))).stdout, range(64)))
    assert answers == [f"{n}\n" for n in range(64)]


def test_a_text_comes_back_as_it_was_put(place):
    path = place.folder / "deep er" / "$(id) 'x'" / "-n"
    place.runner.put_text(path, "zażółć\n\n")
    assert place.runner.get_text(path) == "zażółć\n\n"
    assert (place.seen / "deep er" / "$(id) 'x'" / "-n").read_text() == "zażółć\n\n"


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o755])
def test_a_file_has_the_mode_that_was_asked_for(place, mode):
    place.runner.put_text(place.folder / "script", "x", mode=mode)
    assert (place.seen / "script").stat().st_mode & 0o777 == mode


def test_an_old_file_is_replaced_and_no_part_is_left(place):
    place.runner.put_text(place.folder / "file", "old" * 1000)
    place.runner.put_text(place.folder / "file", "")
    assert place.runner.get_text(place.folder / "file") == ""
    assert [path.name for path in place.seen.iterdir()] == ["file"]


def test_a_large_text_arrives_whole(place):
    text = "ä" * 3_000_000
    place.runner.put_text(place.folder / "large", text)
    assert place.runner.get_text(place.folder / "large") == text


def test_readers_never_see_half_a_file(place):
    path = place.folder / "file"
    texts = {"a" * 200_000, "b" * 200_000}
    place.runner.put_text(path, max(texts))
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(lambda: [place.runner.put_text(path, text) for _ in range(5) for text in sorted(texts)])
        while not writing.done():
            assert (place.seen / "file").read_text() in texts
        writing.result()


def test_a_folder_in_the_way_is_told(place):
    (place.seen / "taken").mkdir()
    with pytest.raises(SiteError, match="cannot write"):
        place.runner.put_text(place.folder / "taken", "x")
    assert list((place.seen / "taken").iterdir()) == []


def test_a_missing_file_is_not_found(place):
    for path in (place.folder / "nothing", place.folder / "no" / "folder"):
        with pytest.raises(NotFoundError):
            place.runner.get_text(path)


def test_an_unreadable_file_is_told_with_the_systems_words(place):
    (place.seen / "folder").mkdir()
    with pytest.raises(SiteError, match="Is a directory"):
        place.runner.get_text(place.folder / "folder")


def test_undecodable_bytes_in_a_file_are_replaced(place):
    (place.seen / "bytes").write_bytes(b"a\xff\r\nb")
    assert place.runner.get_text(place.folder / "bytes") == "a\ufffd\r\nb"


def test_a_relative_path_starts_where_commands_start(place):
    start = place.runner.run(("pwd",)).stdout.strip()
    name = f"convoy-contract-{time.time_ns()}"
    place.runner.put_text(PurePosixPath(name), "here")
    try:
        assert place.runner.get_text(PurePosixPath(start) / name) == "here"
    finally:
        place.runner.run(("rm", f"{start}/{name}"))


def test_a_closed_runner_may_be_closed_again(place):
    place.runner.close()
    place.runner.close()


def test_latency_is_measured(place, record_property, capsys):
    times_ms = []
    for _ in range(50):
        started = time.perf_counter()
        place.runner.run(("true",))
        times_ms.append(1e3 * (time.perf_counter() - started))
    median, worst = statistics.median(times_ms), max(times_ms)
    record_property("latency_ms", median)
    with capsys.disabled():
        sys.stdout.write(f"\n  {place.name}: {median:.1f} ms a command (median of 50; slowest {worst:.1f} ms)\n")
