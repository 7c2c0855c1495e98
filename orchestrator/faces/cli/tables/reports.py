"""Where a run's report, pictures and crate are."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from orchestrator.faces.cli.endings import report_lines
from orchestrator.operations import Report


def report_view(report: Report) -> RenderableType:
    """One line a file, never broken: people copy them."""
    return Group(*(Text(line, overflow="ignore", no_wrap=True) for line in report_lines(report)))
