"""What tasks wrote, as it stands or as it grows."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from orchestrator import operations
from orchestrator.faces.cli.terminal import Terminal

if TYPE_CHECKING:
    from orchestrator.operations import Log

_LOOK_EVERY_S = 0.5


def write_logs(terminal: Terminal, logs: Sequence[Log], *, stdout: bool | None) -> None:
    """Each task's output, below a line that names it where there are several.

    Args:
        terminal: Where to write.
        logs: As `operations.logs` gives them.
        stdout: True for standard output only, False for standard error only.
    """
    if terminal.as_json:
        terminal.write_json(logs)
        return
    parts = [part for log in logs for part in _parts(log, stdout)]
    if not parts:
        terminal.hint("Nothing was written there.")
    for name, text in parts:
        if len(parts) > 1:
            terminal.say(f"==> {name} <==")
        sys.stdout.write(text if text.endswith("\n") else text + "\n")


def follow_logs(terminal: Terminal, run_id: str, *, step: str | None, task: int | None, stdout: bool | None) -> None:
    """Writes what comes, until the run has ended."""
    told: dict[str, int] = {}
    last, ended = "", False
    while not ended:
        # Asked before the files are read: what a task writes as its run ends is not missed.
        ended = operations.progress(terminal.workspace, run_id).ended_at is not None
        logs = operations.logs(terminal.workspace, run_id, step, task=task)
        for name, text in (part for log in logs for part in _parts(log, stdout)):
            new = text[told.get(name, 0) :]
            if new and name != last:
                terminal.say(f"==> {name} <==")
            last = name if new else last
            told[name] = len(text)
            sys.stdout.write(new)
            sys.stdout.flush()
        if not ended:
            time.sleep(_LOOK_EVERY_S)


def _parts(log: Log, stdout: bool | None) -> Iterator[tuple[str, str]]:
    name = f"{log.step}.{log.position}" + (f" ({log.label})" if log.label else "")
    tries = f", try {log.attempt}" if log.attempt > 1 else ""
    tries += f", of {log.reused_from}" if log.reused_from else ""
    for stream, text in (("stdout", log.stdout), ("stderr", log.stderr)):
        wanted = stdout is None or stdout == (stream == "stdout")
        if wanted and text:
            yield f"{name} {stream}{tries}", text
