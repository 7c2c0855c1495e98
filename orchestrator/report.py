"""A run as one HTML file: what was done where, what moved, what came out, and whether it went as predicted.

The file needs nothing from outside: style, drawings and pictures are in it. It has no script, and a content security
policy that forbids any. All text goes through jinja's autoescape.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from metadata.history import EventRecord, RunRecord
from orchestrator.plans import Plan
from orchestrator.quantities import shown_duration, shown_rate, shown_size
from orchestrator.reports import listings
from orchestrator.reports.dag import draw_dag
from orchestrator.reports.efficiency import RunEfficiency, step_efficiencies
from orchestrator.reports.measures import SKIPPED, StepMeasure, glyph, horizon, site_numbers, step_measures, tone
from orchestrator.reports.pictures import Picture, exhibition
from orchestrator.reports.timeline import draw_timeline

__all__ = ["Picture", "render_report"]

_TEMPLATES = Path(__file__).parent / "reports"
_MOST_EVENTS = 500


@dataclass(frozen=True, kw_only=True)
class _Fact:
    """One of the large numbers below the title."""

    name: str
    value: str
    note: str = ""


def render_report(
    record: RunRecord,
    plan: Plan,
    *,
    pictures: Sequence[Picture] = (),
    versions: Mapping[str, str] | None = None,
    efficiency: RunEfficiency | None = None,
) -> str:
    """The report of a run as HTML. Anything may be missing: a run that was only planned has a report too.

    Args:
        record: The run.
        plan: What it carries out.
        pictures: Results to look at; those past the first 24 are left out, and the report says so.
        versions: What ran it: Convoy, Python, schedulers... by name.
        efficiency: What its tasks asked for and used; without accounts of any site the page says nothing of it.
    """
    used = efficiency or RunEfficiency(run=record.id, tasks=(), silent={})
    measures = step_measures(record, plan)
    sites = site_numbers(record, plan)
    return _environment().get_template("report.html").render(
        run=record, plan=plan, steps=measures, sites=sites, facts=_facts(record, measures), now=horizon(record),
        dag=draw_dag(record, plan, measures, sites), timeline=draw_timeline(record, sites),
        exhibition=exhibition(pictures), tasks=listings.task_rows(record), transfers=listings.transfer_rows(record),
        inputs=listings.input_rows(plan), outputs=listings.output_rows(record, plan), values=listings.value_rows(plan),
        versions=versions or {}, events=_events(record), longest_s=_longest(measures),
        efficiencies=step_efficiencies(used), silent=used.silent,
    )  # fmt: skip


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {
        "size": shown_size, "duration": shown_duration, "rate": shown_rate, "tone": tone, "glyph": glyph,
        "moment": _shown_moment, "iso": _iso, "share": _shown_share,
    }  # fmt: skip
    return environment


def _facts(record: RunRecord, measures: Sequence[StepMeasure]) -> list[_Fact]:
    now = record.ended_at or horizon(record)
    duration = shown_duration(now - record.started_at) if record.started_at is not None else "not started"
    active = [step for step in measures if step.state != SKIPPED]
    done, tasks = sum(step.done for step in active), sum(step.tasks or 0 for step in active)
    where = {step.site for step in active}
    verified = sum(row.state == "COMPLETED" for row in record.transfers)
    return [
        _Fact(name="Duration", value=duration, note=_predicted_note(measures)),
        _Fact(name="Tasks completed", value=f"{done} of {tasks}", note=_tasks_note(measures)),
        _Fact(name="Data moved", value=shown_size(record.bytes_moved), note=_transfers_note(record, verified)),
        _Fact(name="Sites", value=str(len(where)), note=", ".join(sorted(where))),
    ]


def _predicted_note(measures: Sequence[StepMeasure]) -> str:
    """The longest way through the steps, as predicted: what ran side by side counts once."""
    reached: dict[str, float] = {}
    for step in measures:
        before = max((reached.get(name, 0.0) for name in step.planned.after), default=0.0)
        reached[step.name] = before + step.planned.prediction.total_s
    return f"predicted {shown_duration(max(reached.values(), default=0.0))}"


def _tasks_note(measures: Sequence[StepMeasure]) -> str:
    failed = sum(step.counts.get("FAILED", 0) for step in measures)
    counted = {"failed": failed, "retried": sum(s.retried for s in measures), "reused": sum(s.reused for s in measures)}
    return ", ".join(f"{number} {word}" for word, number in counted.items() if number)


def _transfers_note(record: RunRecord, verified: int) -> str:
    total = len(record.transfers)
    return f"{verified} of {total} transfers verified" if total else "no transfers"


def _events(record: RunRecord) -> listings.Listing[EventRecord]:
    """The newest events, oldest first."""
    return listings.Listing(rows=record.events[-_MOST_EVENTS:], total=len(record.events))


def _longest(measures: Sequence[StepMeasure]) -> float:
    """What a full bar means where predictions stand beside what happened."""
    return max(
        [1.0, *(step.whole_s or 0.0 for step in measures), *(step.planned.prediction.total_s for step in measures)]
    )


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _shown_moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _shown_share(value: float) -> str:
    return f"{100 * value:.0f} %"
