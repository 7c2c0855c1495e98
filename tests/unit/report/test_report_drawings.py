"""Where boxes go, and how spans are summed."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.reports import timeline
from orchestrator.reports.placement import placed
from orchestrator.reports.timeline import Span

GAP = 10.0


@st.composite
def graphs(draw):
    """Boxes with heights, and edges that only lead forward."""
    count = draw(st.integers(1, 12))
    heights = {f"n{number}": draw(st.sampled_from([54.0, 98.0])) for number in range(count)}
    pairs = [(f"n{a}", f"n{b}") for a in range(count) for b in range(a + 1, count)]
    return heights, draw(st.lists(st.sampled_from(pairs), unique=True, max_size=20)) if pairs else []


@given(graphs())
def test_an_edge_always_leads_to_a_later_layer(graph):
    heights, edges = graph
    place = placed(heights, edges, gap=GAP)
    assert all(place.layers[source] < place.layers[target] for source, target in edges)


@given(graphs())
def test_boxes_of_a_layer_never_overlap(graph):
    heights, edges = graph
    place = placed(heights, edges, gap=GAP)
    for layer in set(place.layers.values()):
        column = sorted((place.middles[n], heights[n]) for n in heights if place.layers[n] == layer)
        for (above, above_height), (below, below_height) in pairwise(column):
            assert below - above >= (above_height + below_height) / 2 + GAP - 1e-6


@given(graphs())
def test_everything_lies_between_the_top_and_the_height(graph):
    heights, edges = graph
    place = placed(heights, edges, gap=GAP)
    for name, height in heights.items():
        assert place.middles[name] - height / 2 >= -1e-6
        assert place.middles[name] + height / 2 <= place.height + 1e-6


@given(graphs())
def test_a_long_edge_has_a_point_in_every_layer_that_it_passes(graph):
    heights, edges = graph
    place = placed(heights, edges, gap=GAP)
    for source, target in edges:
        passed = [layer for layer, _ in place.routes[source, target]]
        assert passed == list(range(place.layers[source] + 1, place.layers[target]))


def test_an_input_stands_right_before_its_first_reader():
    place = placed(dict.fromkeys("abcx", 50.0), [("a", "b"), ("b", "c"), ("x", "c")], gap=GAP)
    assert place.layers == {"a": 0, "b": 1, "c": 2, "x": 1}


spans = st.lists(st.tuples(st.floats(0, 90), st.floats(0.01, 10), st.floats(0.1, 5)), min_size=1, max_size=30)


@given(spans)
def test_the_area_of_a_band_is_the_sum_of_its_spans(drawn):
    clock = timeline._Clock(start=0.0, end=100.0)
    listed = [Span(row="", start=a, end=a + length, state="", amount=m, tip="") for a, length, m in drawn]
    area = sum(timeline._sums(listed, clock)) * 100.0 / timeline._SLICES
    assert area == pytest.approx(sum(length * amount for _, length, amount in drawn), rel=1e-6)


@pytest.mark.parametrize("length", [0.2, 7, 95, 3000, 40_000, 3e6])
def test_the_axis_has_a_handful_of_ticks_whatever_the_length(length):
    ticks = timeline._ticks(timeline._Clock(start=0.0, end=max(length, 1.0)))
    assert 1 <= len(ticks) <= 11
    assert len({text for _, text in ticks}) == len(ticks)
