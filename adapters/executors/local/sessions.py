"""The processes of a job: everything in the session that its shell leads."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterable

import psutil


def resident_bytes() -> dict[int, int]:
    """Resident memory of every session on this machine, by the pid of its leader."""
    totals: dict[int, int] = {}
    for process in psutil.process_iter():
        try:
            session = os.getsid(process.pid)
            totals[session] = totals.get(session, 0) + process.memory_info().rss
        except (ProcessLookupError, psutil.Error):
            continue
    return totals


Known = frozenset[tuple[int, float]]
"""Processes by pid and start time, which tells one from a later one with its number."""


def send_signal(leader: int | None, number: signal.Signals, *, also: Known = frozenset()) -> Known:
    """Signals every process of a session, every descendant of its leader wherever it moved to, and those in `also`.

    Returns the descendants, for a second signal when their leader may be gone.
    """
    if not leader:
        return frozenset()
    descendants = _descendants(leader)
    _signal({*_members({leader}), *_living(descendants | also)}, number)
    return descendants


def end_sessions(leaders: set[int], *, also: Iterable[tuple[int, float]] = ()) -> None:
    """Kills what is left of the sessions of these leaders, and those in `also`."""
    if leaders:
        _signal({*_members(leaders), *_living(also)} - leaders, signal.SIGKILL)


def _signal(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        # A program that runs as somebody else may not be signalled by us; its own limits must hold it.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def _living(known: Iterable[tuple[int, float]]) -> list[int]:
    found = []
    for pid, started_at in known:
        with contextlib.suppress(psutil.Error):
            if psutil.Process(pid).create_time() == started_at:
                found.append(pid)
    return found


def _members(leaders: set[int]) -> list[int]:
    found = []
    for pid in psutil.pids():
        # A plain `try`: this asks for every process of the machine, again and again.
        try:
            if os.getsid(pid) in leaders:
                found.append(pid)
        except (ProcessLookupError, PermissionError):
            continue
    return found


def _descendants(leader: int) -> Known:
    try:
        children = psutil.Process(leader).children(recursive=True)
        return frozenset((child.pid, child.create_time()) for child in children)
    except psutil.Error:
        return frozenset()


def runs_script(pid: int, script: str) -> bool:
    """True when the process is alive and is the shell that runs this very script."""
    try:
        process = psutil.Process(pid)
        return script in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
