"""One engine at most acts on a database."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from metadata.errors import EngineBusyError
from metadata.lease import EngineLease, holder_of
from metadata.sessions import Row, Sessions, insertion
from tests.unit.orchestrator.homes import wait_until

HOLDER = """
import sys, time
from metadata.lease import EngineLease
from metadata.sessions import open_sessions
with EngineLease(open_sessions(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def write_down(database: Sessions, row: Row) -> None:
    """The lease of somebody else."""
    with database.writing() as session:
        session.change(insertion("leases", row), **row)


@pytest.fixture
def other(url: str) -> Iterator[subprocess.Popen[bytes]]:
    """Another process that holds the lease."""
    child = subprocess.Popen([sys.executable, "-c", HOLDER, url], stdout=subprocess.PIPE, cwd=Path(__file__).parents[3])
    assert child.stdout.readline() == b"held\n"
    yield child
    child.kill()
    child.wait()
    child.stdout.close()


def test_a_second_engine_is_refused_with_the_name_of_the_first(
    database: Sessions, other: subprocess.Popen[bytes]
) -> None:
    """A person can go and look at that process."""
    with pytest.raises(EngineBusyError, match=f"process {other.pid} on"), EngineLease(database):
        pass
    assert holder_of(database)["pid"] == other.pid


def test_a_second_engine_may_wait_for_the_first(database: Sessions, other: subprocess.Popen[bytes]) -> None:
    """As long as it was told to."""
    begin = time.monotonic()
    with pytest.raises(EngineBusyError), EngineLease(database, wait_s=0.7):
        pass
    assert time.monotonic() - begin >= 0.7
    other.kill()
    with EngineLease(database, wait_s=20):
        assert holder_of(database)["pid"] == os.getpid()
    assert holder_of(database) is None


def test_a_killed_engine_is_dead_though_nobody_has_waited_for_it(
    database: Sessions, other: subprocess.Popen[bytes]
) -> None:
    """In a container without init it stays a zombie for ever."""
    other.kill()
    wait_until(lambda: psutil.Process(other.pid).status() == psutil.STATUS_ZOMBIE, what="the zombie")
    with EngineLease(database):
        pass


def test_two_engines_of_one_process_are_two(database: Sessions) -> None:
    """A portal runs many threads."""
    with EngineLease(database), pytest.raises(EngineBusyError), EngineLease(database):
        pass


@pytest.mark.parametrize(("silent_s", "free"), [(5, False), (3600, True)])
def test_an_engine_elsewhere_is_dead_when_it_was_silent_for_long(
    database: Sessions, silent_s: float, free: bool
) -> None:
    """Its process cannot be asked."""
    row = {
        "id": 1,
        "holder": "x",
        "host": "elsewhere",
        "pid": 1,
        "process_started_at": 0.0,
        "heartbeat_at": time.time() - silent_s,
    }
    write_down(database, row)
    assert (holder_of(database) is None) == free
    if free:
        with EngineLease(database):
            pass
    else:
        with pytest.raises(EngineBusyError, match="elsewhere"), EngineLease(database):
            pass


def test_a_later_process_with_the_same_number_is_another(database: Sessions) -> None:
    """Numbers of processes come again."""
    row = {
        "id": 1,
        "holder": "x",
        "host": os.uname().nodename,
        "pid": os.getpid(),
        "process_started_at": 1.0,
        "heartbeat_at": time.time(),
    }
    write_down(database, row)
    with EngineLease(database):
        pass


def test_an_engine_whose_lease_was_taken_learns_of_it(database: Sessions) -> None:
    """And must stop at once."""
    with EngineLease(database) as lease:
        assert lease.renew()
        with database.writing() as session:
            session.change("DELETE FROM leases")
        assert not lease.renew()
