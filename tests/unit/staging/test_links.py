"""What measurements tell of the next transfer."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metadata.records import Measurement
from staging.links import Cost, LinkHistory, WayModel

MIB = 1 << 20
PRIOR = Cost(start_s=0.05, per_file_s=0.02, bytes_per_s=12.5e6)
WAY = ("rsync", "pull", 1)
SHAPES = [(64 * MIB, 1), (20_000_000, 1000), (MIB, 1), (200 * MIB, 4), (5_000, 1), (512 * MIB, 1), (1_000_000, 50)]
COSTS = st.builds(Cost, start_s=st.floats(0.01, 5), per_file_s=st.floats(1e-4, 0.2), bytes_per_s=st.floats(1e6, 1e9))


def measured(cost: Cost, size_bytes: int, files: int, *, at: float = 0.0, factor: float = 1.0) -> Measurement:
    """What a transfer takes that costs so much."""
    return Measurement(
        source_site="agh", destination_site="lrz", mover=WAY[0], direction=WAY[1], size_bytes=size_bytes, files=files,
        seconds=factor * cost.seconds(size_bytes, files), measured_at=at,
    )  # fmt: skip


def model_of(rows: list[Measurement]) -> WayModel:
    """What is known after these, in their order."""
    return LinkHistory.of(rows).model(("agh", "lrz"), WAY, PRIOR)


@given(COSTS, st.integers(0, 1000))
@settings(max_examples=60, deadline=None)
def test_what_was_measured_is_predicted(cost: Cost, seed: int) -> None:
    """With a tenth of noise, every shape of transfer that was seen is predicted to a quarter."""
    noise = random.Random(seed)
    rows = [
        measured(cost, *SHAPES[number % len(SHAPES)], at=number, factor=noise.uniform(0.95, 1.05))
        for number in range(28)
    ]
    model = model_of(rows)
    for size, files in SHAPES:
        assert model.predict(size, files).seconds == pytest.approx(cost.seconds(size, files), rel=0.25)


@given(COSTS, st.sampled_from(SHAPES))
@settings(deadline=None)
def test_one_measurement_is_enough_for_transfers_like_it(cost: Cost, shape: tuple[int, int]) -> None:
    """Whatever was believed before."""
    predicted = model_of([measured(cost, *shape)]).predict(*shape)
    assert predicted.seconds == pytest.approx(cost.seconds(*shape), rel=0.05)
    assert predicted.low_s < predicted.seconds < predicted.high_s


def test_without_any_the_belief_is_all() -> None:
    """With a wide interval."""
    predicted = model_of([]).predict(100 * MIB, 1)
    assert predicted.seconds == pytest.approx(PRIOR.seconds(100 * MIB, 1))
    assert (predicted.low_s, predicted.high_s) == (predicted.seconds / 3, predicted.seconds * 3)


def test_one_hiccup_changes_nothing_and_two_in_a_row_do() -> None:
    """A link that has changed is noticed soon; a transfer that met a backup is forgiven."""
    fast, slow = (Cost(start_s=0.1, per_file_s=0.001, bytes_per_s=rate) for rate in (1e8, 1e7))
    rows = [measured(fast, 64 * MIB, 1, at=number) for number in range(10)]
    one = model_of([*rows, measured(slow, 64 * MIB, 1, at=10)])
    two = model_of([*rows, measured(slow, 64 * MIB, 1, at=10), measured(slow, 64 * MIB, 1, at=11)])
    assert one.predict(64 * MIB, 1).seconds == pytest.approx(fast.seconds(64 * MIB, 1), rel=0.05)
    assert two.predict(64 * MIB, 1).seconds == pytest.approx(slow.seconds(64 * MIB, 1), rel=0.05)


@pytest.mark.parametrize("unlucky", range(3))
def test_of_three_the_one_that_met_a_hiccup_is_not_heard(unlucky: int) -> None:
    """Be it the newest; and the way is trusted as if it had not been."""
    rows = [measured(PRIOR, 64 * MIB, 1, at=at, factor=5.0 if at == unlucky else 1.0 + at / 50) for at in range(3)]
    predicted = model_of(rows).predict(64 * MIB, 1)
    assert predicted.seconds == pytest.approx(PRIOR.seconds(64 * MIB, 1), rel=0.05)
    assert predicted.cautious_s < 2 * predicted.seconds


def test_the_interval_tells_how_much_transfers_differ() -> None:
    """Eight of ten lie in it."""
    noise = random.Random(7)
    cost = Cost(start_s=0.1, per_file_s=0.001, bytes_per_s=1e8)
    rows = [measured(cost, 64 * MIB, 1, at=at, factor=noise.choice([0.7, 1.0, 1.0, 1.0, 1.6])) for at in range(30)]
    predicted = model_of(rows).predict(64 * MIB, 1)
    inside = [row for row in rows if predicted.low_s <= row.seconds <= predicted.high_s]
    assert len(inside) >= 24
    steady = model_of([measured(cost, 64 * MIB, 1, at=at) for at in range(30)]).predict(64 * MIB, 1)
    assert steady.high_s - steady.low_s < predicted.high_s - predicted.low_s


@given(COSTS, st.integers(0, 10**12), st.integers(0, 10**12), st.integers(1, 10**5))
@settings(deadline=None)
def test_more_bytes_and_more_files_never_take_less(cost: Cost, size: int, more: int, files: int) -> None:
    """Whatever was measured."""
    model = model_of([measured(cost, *shape, at=number) for number, shape in enumerate(SHAPES)])
    seconds = model.predict(size, files).seconds
    assert seconds <= model.predict(size + more, files).seconds
    assert seconds <= model.predict(size, files + 1).seconds


def test_a_link_remembers_what_large_files_reached() -> None:
    """Many small ones tell nothing of its rate."""
    cost = Cost(start_s=0.0, per_file_s=1.0, bytes_per_s=1e8)
    assert LinkHistory.of([measured(cost, 100 * MIB, 1000)]).rate(("agh", "lrz")) is None
    rate = LinkHistory.of([measured(cost, 100 * MIB, 1), measured(cost, 10**9, 1, at=1)]).rate(("agh", "lrz"))
    assert rate == pytest.approx(10**9 / 11)
    assert LinkHistory().rate(("agh", "lrz")) is None


def test_a_lucky_transfer_is_believed_no_more_than_a_slow_one() -> None:
    """Of two that no cost explains the middle is expected: half and twice what was measured are equally wrong."""
    model = model_of(
        [replace(measured(PRIOR, 16 * MIB, 1), seconds=8.0), replace(measured(PRIOR, 16 * MIB, 500), seconds=1.0)]
    )
    low, high = model.predict(16 * MIB, 1).seconds, model.predict(16 * MIB, 500).seconds
    assert low == pytest.approx(8.0**0.5, rel=0.25)
    assert high == pytest.approx(8.0**0.5, rel=0.25)


def test_single_streams_are_trusted_less_where_some_of_them_were_slow() -> None:
    """Also those that were lucky when they were tried, and those that nobody tried."""
    history = LinkHistory()
    seconds = {("tar", 1): (3.0, 8.0), ("sftp", 1): (2.0, 2.0, 10.0), ("rsync", 1): (5.0, 5.0), ("tar", 8): (3.0, 3.2)}
    for (mover, streams), times in seconds.items():
        for at, took in enumerate(times):
            row = measured(PRIOR, 16 * MIB, 1, at=at)
            history.note(replace(row, mover=mover, streams=streams, seconds=took))
    pair = ("agh", "lrz")
    assert history.slowness(pair, parallel=False) == pytest.approx((8 / 3 * 5) ** (1 / 7), rel=0.01)
    assert history.slowness(pair, parallel=True) == pytest.approx(1.03, rel=0.01)
    for mover in ("rsync", "scp"):
        predicted = history.model(pair, (mover, "pull", 1), PRIOR).predict(16 * MIB, 1)
        assert predicted.cautious_s > 1.4 * predicted.seconds
    steady = history.model(pair, ("tar", "pull", 8), PRIOR).predict(16 * MIB, 1)
    assert steady.cautious_s < 1.2 * steady.seconds


def test_what_is_old_can_be_left_out_when_measurements_are_counted() -> None:
    """And the newest of a link is known."""
    history = LinkHistory.of([measured(PRIOR, MIB, 1, at=at) for at in (1.0, 5.0, 9.0)])
    model = history.model(("agh", "lrz"), WAY, PRIOR)
    assert [model.telling(MIB, 1, since=since) for since in (0.0, 5.0, 9.5)] == [3, 2, 0]
    assert history.newest(("agh", "lrz")) == 9.0
    assert history.newest(("lrz", "agh")) < 0


def test_a_link_that_nobody_knows_is_taken_to_be_steady() -> None:
    """And a single transfer tells nothing of that."""
    assert LinkHistory().slowness(("agh", "lrz"), parallel=False) == 1.0
    assert LinkHistory.of([measured(PRIOR, MIB, 1)]).slowness(("agh", "lrz"), parallel=False) == 1.0
