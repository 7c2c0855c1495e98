"""Sizes, times and rates as people write them."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from orchestrator.quantities import parse_duration, parse_rate, parse_size, shown_duration, shown_rate, shown_size

UNITS = {
    "B": 1,
    "kB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}


@given(st.integers(0, 10**6), st.sampled_from(sorted(UNITS)), st.sampled_from(["", " "]))
def test_a_size_is_its_number_times_its_unit(number: int, unit: str, gap: str) -> None:
    """Decimal and binary units keep their own meaning."""
    assert parse_size(f"{number}{gap}{unit}") == number * UNITS[unit]


@given(st.integers(0, 30), st.integers(0, 23), st.integers(0, 59), st.integers(0, 59))
def test_a_duration_is_the_sum_of_its_parts(days: int, hours: int, minutes: int, seconds: int) -> None:
    """Parts may be left out and come in any number."""
    text = f"{days}d{hours}h {minutes}m{seconds}s"
    assert parse_duration(text) == days * 86400 + hours * 3600 + minutes * 60 + seconds


@given(st.integers(1, 10**5), st.sampled_from(["", "k", "M", "G"]))
def test_a_rate_in_bits_is_an_eighth_of_that_in_bytes(number: int, prefix: str) -> None:
    """Networks are sold by bits and files are counted in bytes."""
    assert parse_rate(f"{number} {prefix}bit/s") * 8 == parse_rate(f"{number} {prefix}B/s")


@pytest.mark.parametrize("parse", [parse_size, parse_duration, parse_rate])
@pytest.mark.parametrize("text", ["", "much", "-1", "-1s", "1 2", "1.5.2h", "1h30", "8 gib", "1e3s", "8GiB/s"])
def test_what_is_no_quantity_is_refused_with_an_example(parse: object, text: str) -> None:
    """A wrong unit must never be taken for another one."""
    with pytest.raises(ValueError, match="is not a"):
        parse(text)  # type: ignore[operator]


@given(st.integers(0, 2**53))
@example(1023692)
def test_a_shown_size_reads_back_as_nearly_the_same(size: int) -> None:
    """Three digits are kept, and none of them is an exponent."""
    shown = shown_size(size)
    assert "e+" not in shown
    assert abs(parse_size(shown) - size) <= size * 0.006 + 1


@given(st.floats(1e3, 1e12))
def test_a_shown_rate_is_written_without_exponent(rate: float) -> None:
    """Links of 10 Gbit/s are common."""
    assert "e+" not in shown_rate(rate)
    assert "e-" not in shown_rate(max(rate, 1e5))


@given(st.floats(0, 1e7))
def test_a_shown_duration_is_short_and_never_wrong_by_much(seconds: float) -> None:
    """Whole minutes from an hour on, seconds below."""
    shown = shown_duration(seconds)
    assert len(shown) <= 9
    assert abs(parse_duration(shown) - seconds) <= max(0.5, seconds * 0.05)
