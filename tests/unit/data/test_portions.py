"""How many files go at once."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.operations.data.portions import FIRST_BYTES, FIRST_FILES, MOST_BYTES, MOST_FILES, portions


def test_the_first_portion_is_small_and_each_is_twice_the_one_before() -> None:
    """Up to what one question to a site should hold."""
    sizes = [len(portion) for portion in portions(range(40_000), size_bytes=lambda _: 1)]
    assert sizes[:4] == [FIRST_FILES, 2 * FIRST_FILES, 4 * FIRST_FILES, MOST_FILES]
    assert max(sizes) == MOST_FILES
    assert sum(sizes) == 40_000


def test_large_files_are_few_in_a_portion() -> None:
    """And one that is larger than a portion is alone in it."""
    size = FIRST_BYTES // 2 + 1
    assert [len(portion) for portion in portions(range(7), size_bytes=lambda _: size)] == [1, 3, 3]
    assert [len(portion) for portion in portions(range(3), size_bytes=lambda _: 2 * MOST_BYTES)] == [1, 1, 1]


def test_a_portion_is_there_before_what_follows_it() -> None:
    """Or nothing could travel meanwhile."""
    taken = []

    def items() -> Iterator[int]:
        for number in range(10 * FIRST_FILES):
            taken.append(number)
            yield number

    next(portions(items(), size_bytes=lambda _: 1))
    assert len(taken) == FIRST_FILES


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, MOST_BYTES)), max_size=200))
def test_nothing_is_lost_and_groups_are_kept_apart(items: list[tuple[str, int]]) -> None:
    """Within a group the order stays."""
    made = list(portions(items, size_bytes=lambda item: item[1], group=lambda item: item[0]))
    for key in "abc":
        assert [item for portion in made for item in portion if item[0] == key] == [
            item for item in items if item[0] == key
        ]
    assert all(len({item[0] for item in portion}) == 1 for portion in made)
