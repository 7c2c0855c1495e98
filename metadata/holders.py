"""Processes that hold something in the database, and whether they still live."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from typing import Any

import psutil

LAPSES_AFTER_S = 60.0
"""A process on another machine that said nothing for so long is taken for dead."""

HEARTBEAT_S = 10.0
"""How often a process says that it lives."""


def this_process() -> dict[str, Any]:
    """This process, as the columns of a row tell it."""
    return {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "process_started_at": psutil.Process().create_time(),
        "heartbeat_at": time.time(),
    }


def lives(row: Mapping[str, Any]) -> bool:
    """On this machine the process itself is asked; one elsewhere has to show signs of life."""
    if row["host"] != socket.gethostname():
        return bool(time.time() - row["heartbeat_at"] < LAPSES_AFTER_S)
    try:
        process = psutil.Process(row["pid"])
        same = abs(process.create_time() - row["process_started_at"]) < 1.0
        return same and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
