"""How far a verb on data has come, for a person and for a log."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from orchestrator.faces.cli import counting
from orchestrator.faces.cli.counting import Counter
from orchestrator.faces.cli.terminal import Terminal

WATCHED = """
import time
from orchestrator.faces.cli.counting import Counter
from orchestrator.faces.cli.terminal import Terminal
with Counter(Terminal(), "copied") as count:
    for done in range(0, 101, 10):
        count("dataset://slides/a.tif", done * 10**6, 10**8)
        time.sleep(0.06)
"""


def seen_by_a_person(code: str) -> str:
    """What a program writes to a terminal, without its colours."""
    ours, theirs = os.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "200", "LINES": "50"}
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=theirs, stdout=theirs, stderr=theirs, env=environment, close_fds=True
    ) as program:
        os.close(theirs)
        shown = b""
        while chunk := read(ours):
            shown += chunk
        os.close(ours)
    assert program.returncode == 0, shown
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode())


def read(descriptor: int) -> bytes:
    """What is there; nothing once the other side is closed."""
    try:
        return os.read(descriptor, 65536)
    except OSError:
        return b""


def test_a_person_sees_a_bar_with_amounts_rate_and_what_is_left() -> None:
    """In one line that goes when the work is done."""
    shown = seen_by_a_person(WATCHED)
    assert "copied" in shown
    assert "━" in shown
    assert re.search(r"\d+ % +\d+(\.\d+)? M\w+ of 95\.\d MiB +[\d.]+ MB/s .*left", shown)
    assert "dataset://slides/a.tif" in shown


def test_a_log_gets_a_line_now_and_then_and_the_answer_stays_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing at all for what is done at once, for --quiet and for --json."""
    clock = [0.0]
    monkeypatch.setattr(counting.time, "monotonic", lambda: clock[0])
    for terminal, lines in ((Terminal(), 2), (Terminal(as_json=True), 0)):
        with Counter(terminal, "read") as count:
            for second in range(25):
                clock[0] += 1
                count("agh: /data/a", second * 10**6, 10**8)
        said = capsys.readouterr()
        assert said.out == ""
        assert len(said.err.splitlines()) == lines
    with Counter(Terminal(), "measuring", unit="cases") as count:
        clock[0] += 11
        count("agh → lrz, rsync", 3, 12)
    assert re.search(r"measuring   25 %  3 of 12  .* so far  agh → lrz, rsync", capsys.readouterr().err)
