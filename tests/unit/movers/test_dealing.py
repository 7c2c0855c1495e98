"""How files are dealt out to streams."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.movers._ssh.dealing import Dealer, shared_out

SIZES = st.lists(st.integers(0, 1 << 24), max_size=60)


def carried(sizes: Sequence[int], rates: Sequence[float]) -> list[tuple[float, list[int]]]:
    """When each stream has done, and what it took, if it moves so many bytes a second."""
    dealer = Dealer(sorted(sizes, reverse=True), streams=len(rates), at=0.0)
    took = [list[int]() for _ in rates]
    ends = [0.0 for _ in rates]
    events: list[tuple[float, int, int]] = []

    def deal(stream: int, now: float) -> None:
        for number in dealer.deal(stream):
            took[stream].append(number)
            ends[stream] = max(ends[stream], now) + (sorted(sizes, reverse=True)[number] + 4096) / rates[stream]
            heapq.heappush(events, (ends[stream], stream, number))

    for stream in range(len(rates)):
        deal(stream, 0.0)
    while events:
        now, stream, number = heapq.heappop(events)
        dealer.arrived(stream, [number], at=now)
        deal(stream, now)
    assert dealer.done
    return list(zip(ends, took, strict=True))


@given(SIZES, st.lists(st.floats(1e4, 1e8), min_size=1, max_size=8))
def test_every_file_is_dealt_once(sizes: list[int], rates: list[float]) -> None:
    """Whatever the streams reach."""
    assert sorted(number for _, took in carried(sizes, rates) for number in took) == list(range(len(sizes)))


def test_a_slow_stream_takes_fewer_files() -> None:
    """And all are done at about the same time, which is that of the sum of their rates."""
    rates = [4e6, 4e6, 3e5, 2e6]
    ends = [end for end, _ in carried([20_000] * 5000, rates)]
    best = 5000 * 24_096 / sum(rates)
    assert max(ends) < 1.1 * best
    assert min(ends) > 0.9 * best


def test_a_single_stream_is_told_all_at_once() -> None:
    """It waits for nobody's reports."""
    assert Dealer([1 << 30] * 50, streams=1, at=0.0).deal(0) == range(50)


def test_a_stream_that_has_enough_to_do_gets_no_more() -> None:
    """Others may be quicker."""
    dealer = Dealer([1 << 18] * 100, streams=2, at=0.0)
    first = dealer.deal(0)
    assert first
    assert not dealer.deal(0)
    dealer.arrived(0, first, at=0.1)
    assert len(dealer.deal(0)) > len(first)


@given(SIZES, st.integers(1, 8))
def test_what_is_shared_out_at_once_is_balanced(sizes: list[int], streams: int) -> None:
    """No stream has more than another by more than one file."""
    shares = shared_out(sizes, streams)
    assert sorted(number for share in shares for number in share) == list(range(len(sizes)))
    assert len(shares) == streams
    loads = [sum(sizes[number] + 4096 for number in share) for share in shares]
    assert max(loads) - min(loads) <= max(sizes, default=0) + 4096


@pytest.mark.parametrize("streams", [1, 3])
def test_files_of_a_stream_keep_their_order(streams: int) -> None:
    """A folder's files lie together on the disk."""
    for share in shared_out([5, 9, 1, 7, 7, 0], streams):
        assert share == sorted(share)
