"""From single runs to medians, ratios and bars."""

import json

import pytest

from benchmarks.orchestration.results import Bar, Measurement, Summary, bars, summaries
from benchmarks.orchestration.tables import render_document, render_sustained, render_table


def run(
    contender: str, wall_s: float, *, tasks: int = 100, peak_mb: int = 90, sustained_s: float | None = None
) -> Measurement:
    return Measurement(
        contender=contender,
        tasks=tasks,
        wall_s=wall_s,
        cpu_s=wall_s,
        peak_bytes=peak_mb * 10**6,
        sustained_s=sustained_s,
    )


def only(rows: list[Summary], contender: str) -> Summary:
    (found,) = [row for row in rows if row.contender == contender]
    return found


def test_the_middle_run_counts_and_the_extremes_are_kept():
    row = only(summaries([run("convoy", 1.0), run("convoy", 9.0), run("convoy", 2.0)]), "convoy")
    assert (row.min_s, row.median_s, row.max_s, row.runs) == (1.0, 2.0, 9.0, 3)
    assert row.tasks_per_s == 50


def test_a_peer_is_compared_with_convoy_by_medians():
    rows = summaries([run("convoy", 1.0), run("peer", 3.0), run("convoy", 2.0), run("peer", 6.0)])
    assert only(rows, "peer").ratio == pytest.approx(3.0)
    assert only(rows, "convoy").ratio == 1


def test_without_convoy_there_is_no_ratio():
    assert only(summaries([run("peer", 3.0)]), "peer").ratio is None


def test_the_peak_is_that_of_the_largest_run():
    assert (
        only(summaries([run("convoy", 1, peak_mb=80), run("convoy", 1, peak_mb=95)]), "convoy").peak_bytes == 95_000_000
    )


def test_numbers_of_tasks_are_kept_apart_and_sorted():
    rows = summaries([run("convoy", 5, tasks=1000), run("convoy", 1), run("peer", 2)])
    assert [(row.tasks, row.contender) for row in rows] == [(100, "convoy"), (100, "peer"), (1000, "convoy")]


def test_the_sustained_rate_leaves_the_start_out():
    row = only(summaries([run("convoy", 5, tasks=1000, sustained_s=2.5)]), "convoy")
    assert row.sustained_per_s == 400
    assert row.tasks_per_s == 200
    assert "400 tasks/s from the first submission" in render_sustained([row])[0]


def test_bars_tell_what_was_found_and_whether_it_is_enough():
    rows = summaries([
        run("convoy", 1.0), run("streamflow", 3.5), run("snakemake", 1.4),
        run("convoy", 5, tasks=1000, peak_mb=160, sustained_s=4.0),
    ])  # fmt: skip
    assert list(map(str, bars(rows))) == [
        "bar: at least 3x faster than StreamFlow for 100 tasks: 3.50x, met",
        "bar: at least 1.5x faster than Snakemake for 100 tasks: 1.40x, missed",
        "bar: at least 300 tasks/s sustained for 1,000 tasks with the journal on: 250 tasks/s, missed",
        "bar: engine's peak below 150 MB: 160 MB, missed",
    ]


def test_a_bar_that_was_not_measured_is_not_told():
    assert bars(summaries([run("streamflow", 3.0)])) == []
    assert [bar.promise for bar in bars(summaries([run("convoy", 1.0)]))] == ["engine's peak below 150 MB"]


def test_results_become_a_table_and_a_document():
    measured = [run("convoy", 1.0, sustained_s=0.5), run("psij", 0.5)]
    rows = summaries(measured)
    assert render_table(rows, {"convoy": "Convoy 1", "psij": "PSI/J 2"}).row_count == 2
    document = json.loads(json.dumps(render_document(measured, rows, bars(rows), {"convoy": "1"})))
    assert document["summaries"][1]["ratio"] == 0.5
    assert document["machine"]["cpus"] >= 1
    assert Bar(**document["bars"][0]).met
