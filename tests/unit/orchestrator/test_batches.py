"""Which transfers go together, and which go first."""

from __future__ import annotations

import itertools
import time
from datetime import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.engine.batches import ALONE_BYTES, AT_ONCE, MOST_BYTES, MOST_FILES, Queue, importance_of
from orchestrator.engine.live import LiveTransfer
from orchestrator.jobs import JobState
from staging.rules import ANY_WAY, LinkRules

NOW = datetime(2026, 5, 4, 12, 0).timestamp()  # noqa: DTZ001 - noon of this machine's day
NUMBERS = itertools.count(1)


def transfer(size_bytes: int = 10, *, pair: tuple[str, str] = ("agh", "lrz"), **facts: object) -> LiveTransfer:
    """A transfer of its own content."""
    number = next(NUMBERS)
    return LiveTransfer(
        id=number, step_id=1, name=f"f{number}", sha256=f"{number:064x}", size_bytes=size_bytes, source_site=pair[0],
        source_path="/s", destination_site=pair[1], destination_path="/d", mover="m", state=JobState.NEW,
        **facts,  # type: ignore[arg-type]
    )  # fmt: skip


def queue_of(*transfers: LiveTransfer, rules: LinkRules = ANY_WAY) -> Queue:
    """A queue in which these wait; all links have the same rules."""
    queue = Queue(rules=lambda _pair: rules)
    for one in transfers:
        queue.add(one)
    return queue


def by_age(transfer: LiveTransfer) -> tuple[float, ...]:
    """The oldest first."""
    return (transfer.id,)


def test_small_files_go_together_and_large_ones_alone() -> None:
    """What is said of a large one is true of it alone."""
    small, large = [transfer() for _ in range(5)], [transfer(ALONE_BYTES), transfer(ALONE_BYTES)]
    queue = queue_of(*small[:2], large[0], *small[2:], large[1], rules=LinkRules(at_once=9))
    assert [batch.transfers for batch in queue.take(NOW, by_age)] == [tuple(small), (large[0],), (large[1],)]
    assert queue.take(NOW, by_age) == []


@given(st.lists(st.integers(0, MOST_BYTES), max_size=40))
@settings(max_examples=50)
def test_every_transfer_is_taken_once_and_no_batch_is_too_large(sizes: list[int]) -> None:
    """However they come."""
    queue = queue_of(*(transfer(size) for size in sizes))
    taken: list[LiveTransfer] = []
    while batches := queue.take(NOW, by_age):
        for batch in batches:
            assert len(batch.transfers) == 1 or batch.size_bytes <= MOST_BYTES
            taken += batch.transfers
            queue.done(batch)
    assert sorted(one.size_bytes for one in taken) == sorted(sizes)


def test_fifty_thousand_files_are_fifty_batches() -> None:
    """And dividing them takes little time."""
    queue = queue_of(*(transfer() for _ in range(50_000)))
    begin = time.process_time()
    sizes = []
    while batches := queue.take(NOW, by_age):
        for batch in batches:
            sizes.append(len(batch.transfers))
            queue.done(batch)
    assert sizes == [MOST_FILES] * 50
    assert time.process_time() - begin < 15


def test_a_link_and_a_site_have_their_limits() -> None:
    """So that one busy link leaves room for others."""
    pairs = [("agh", "lrz"), ("agh", "uva"), ("psnc", "lrz"), ("psnc", "uva"), ("here", "uva"), ("here", "lrz")]
    queue = queue_of(*(transfer(ALONE_BYTES, pair=pair) for pair in pairs for _ in range(5)))
    batches = queue.take(NOW, by_age)
    links = [batch.pair for batch in batches]
    sites = [site for pair in links for site in pair]
    assert len(batches) <= AT_ONCE
    assert max(links.count(pair) for pair in pairs) == 2
    assert max(sites.count(site) for site in sites) == 4
    queue.done(batches[0])
    assert [batch.pair for batch in queue.take(NOW, by_age)] == [batches[0].pair]


@pytest.mark.parametrize(("rules", "expected"), [(LinkRules(at_once=3), 3), (LinkRules(limit_bytes_per_s=1e6), 1)])
def test_the_operator_says_how_many_go_over_a_link_at_one_time(rules: LinkRules, expected: int) -> None:
    """A limited link carries one after the other, each with all of the limit."""
    queue = queue_of(*(transfer(ALONE_BYTES) for _ in range(5)), rules=rules)
    assert len(queue.take(NOW, by_age)) == expected


def test_what_lets_a_task_begin_goes_first_then_what_most_tasks_lack() -> None:
    """The rest by age."""
    image, slide, other = transfer(ALONE_BYTES), transfer(ALONE_BYTES), transfer(ALONE_BYTES)
    waiting = {
        (other.sha256, "lrz"): [{"a", "b", other.sha256}],
        (slide.sha256, "lrz"): [{slide.sha256}],
        (image.sha256, "lrz"): [{image.sha256, "x"}, {image.sha256, "y"}],
    }
    queue = queue_of(other, image, slide, rules=LinkRules(at_once=3))
    assert [batch.transfers[0] for batch in queue.take(NOW, importance_of(waiting))] == [slide, image, other]


def test_what_steps_of_a_higher_priority_need_goes_before_all_else() -> None:
    """However much others lack."""
    first, urgent = transfer(ALONE_BYTES), transfer(ALONE_BYTES)
    waiting = {(first.sha256, "lrz"): [{first.sha256}] * 9, (urgent.sha256, "lrz"): [{urgent.sha256, "x"}]}
    queue = queue_of(first, urgent, rules=LinkRules(at_once=2))
    taken = queue.take(NOW, importance_of(waiting, {(urgent.sha256, "lrz"): 1}))
    assert [batch.transfers[0] for batch in taken] == [urgent, first]


def test_what_people_hold_is_not_taken_and_holds_nothing_up() -> None:
    """Its fellows go without it."""
    held, other = transfer(), transfer()
    queue = queue_of(held, other)
    queue.held = lambda found: found is held
    assert [batch.transfers for batch in queue.take(NOW, by_age)] == [(other,)]
    queue.held = lambda _: False
    assert [batch.transfers for batch in queue.take(NOW, by_age)] == [(held,)]


def test_a_retry_waits_for_its_time_and_goes_with_other_retries_only() -> None:
    """A file that broke off does not hold up those that never did."""
    early, late, again = transfer(), transfer(not_before=NOW + 5), transfer(attempts=1)
    queue = queue_of(early, late, again)
    assert [batch.transfers for batch in queue.take(NOW, by_age)] == [(early,), (again,)]
    assert list(queue.due_at(NOW)) == [NOW + 5]


@pytest.mark.parametrize(
    ("window", "hour", "opens"),
    [
        (None, 12, 12),
        ((22 * 60, 6 * 60), 23, 23),
        ((22 * 60, 6 * 60), 5, 5),
        ((22 * 60, 6 * 60), 12, 22),
        ((22 * 60, 6 * 60), 6, 22),
        ((8 * 60, 18 * 60), 12, 12),
        ((8 * 60, 18 * 60), 18, 24 + 8),
        ((8 * 60, 18 * 60), 7, 8),
    ],
)
def test_a_window_opens_by_this_machines_clock(window: tuple[int, int] | None, hour: int, opens: int) -> None:
    """Past midnight, too."""
    now = datetime(2026, 5, 4, hour).timestamp()  # noqa: DTZ001
    assert LinkRules(window=window).opens_at(now) - now == pytest.approx(3600 * (opens - hour))


def test_transfers_wait_for_their_links_window() -> None:
    """And the engine knows for how long."""
    queue = queue_of(transfer(), rules=LinkRules(window=(22 * 60, 6 * 60)))
    assert queue.take(NOW, by_age) == []
    assert queue.closed(NOW) == {("agh", "lrz"): NOW + 10 * 3600}
    assert list(queue.due_at(NOW)) == [NOW + 10 * 3600]
    assert len(queue.take(NOW + 10 * 3600, by_age)) == 1
