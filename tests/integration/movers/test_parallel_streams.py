"""Several streams of tar between two real sites, each with a connection of its own."""

from __future__ import annotations

import contextlib
import os
import signal

import pytest

from adapters._openssh.logins import shared_words
from adapters._openssh.sides import Side
from adapters.movers._ssh.lanes import lanes
from metadata.errors import NotFoundError
from orchestrator.registry import load
from staging.ports import Credential, Direction
from tests.integration.movers.pairs import Pair, busy, move, opened_login, sha256, traces
from tests.testbed.fixtures import TestbedSite, wait_until

DIRECTIONS = [Direction.THIRD_PARTY, Direction.RELAY]
# What expires by itself, but not before the next test.
_FORGET = "rm -rf /tmp/convoy-introduction.*; sed -i /convoy-introduction/d /home/alice/.ssh/authorized_keys"


def many(pair: Pair, count: int, size_bytes: int) -> list[str]:
    """Files of the source."""
    names = [f"file-{number}" for number in range(count)]
    for name in names:
        pair.write(name, os.urandom(size_bytes))
    return names


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_each_of_several_streams_has_a_connection_of_its_own(pair: Pair, direction: Direction) -> None:
    """Else the loss of one packet would slow down all of them."""
    names = many(pair, 40, 50_000)
    seen: list[int] = []
    pair.destination.fault("drop-sessions")
    wait_until(lambda: not connections(pair.destination), what="the end of earlier logins")

    def look(_done: int) -> None:
        if len(seen) < 20:
            seen.append(connections(pair.destination))

    request = pair.request(*names, direction=direction, streams=4, limit_bytes_per_s=2e6)
    result = load("movers", "tar")().move(request, progress=look)
    assert max(seen) >= 4
    assert len(result.digests) == 40
    for name in names:
        assert sha256(pair.at_destination(f"new/{name}.part")) == sha256(pair.at_source(name))
    assert traces(pair) == []


def connections(site: TestbedSite) -> int:
    """How many have come in to sshd."""
    return len(site.execute("ss", "-Htn", "state", "established", "sport", "=", ":22").splitlines())


@pytest.mark.usefixtures("agent")
def test_several_streams_go_by_the_users_agent_too(pair: Pair) -> None:
    """It is asked for each."""
    names = many(pair, 10, 1000)
    assert move("tar", pair.request(*names, credential=Credential.AGENT, streams=4)).bytes_moved == 10_000
    assert traces(pair) == []


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_what_ends_one_stream_ends_all_and_is_told(pair: Pair, direction: Direction) -> None:
    """The others would go on for nobody."""
    names = many(pair, 40, 100_000)
    request = pair.request(*names, direction=direction, streams=4, limit_bytes_per_s=4e6)
    pair.at_source("file-20").unlink()
    with pytest.raises(NotFoundError, match="file-20"):
        move("tar", request)
    wait_until(lambda: not busy(pair), within_s=20, what="the end of everything at the sites")
    wait_until(lambda: traces(pair) == [], within_s=20, what="the removal of the key")


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_when_this_program_is_killed_nothing_goes_on_at_the_sites(pair: Pair, direction: Direction) -> None:
    """Nobody would be there to stop it."""
    names = many(pair, 40, 100_000)
    request = pair.request(*names, direction=direction, streams=4, limit_bytes_per_s=2e5)
    child = os.fork()
    if not child:  # pragma: no cover - it is killed
        with contextlib.suppress(BaseException):
            move("tar", request)
        os._exit(0)
    try:
        wait_until(lambda: len(busy(pair)) >= 8, within_s=20, what="all streams")
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    try:
        wait_until(lambda: not busy(pair), within_s=20, what="the end of everything at the sites")
    finally:
        for site in (pair.source, pair.destination):
            site.execute("sh", "-c", _FORGET)


def test_a_site_that_lets_in_no_more_gets_fewer_streams(pair: Pair) -> None:
    """Its limits are no failure of ours."""
    names = many(pair, 40, 1000)
    for site in (pair.source, pair.destination):
        shared_words(site.name, site.ssh_options)
    pair.destination.execute("pkill", "-f", "^sshd: /usr/sbin/sshd .listener")
    try:
        result = move("tar", pair.request(*names, direction=Direction.RELAY, streams=4))
    finally:
        pair.destination.fault("svc", "sshd", "sshd-otp")
    assert result.bytes_moved == 40_000


def test_all_streams_go_by_a_login_that_somebody_opened(pair: Pair) -> None:
    """There is no other; one stream takes all."""
    with opened_login(pair.destination) as door:
        assert len(lanes(Side(site="here", door=None), Side(site="mvb", door=door), 4)) == 1
        names = many(pair, 10, 1000)
        destination = pair.endpoint(pair.destination, **door)
        request = pair.request(*names, direction=Direction.RELAY, destination=destination, streams=4)
        assert move("tar", request).bytes_moved == 10_000
