"""Answers that one line can give: what draws tables takes longer to load than a small verb takes."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.operations import Carried
from orchestrator.quantities import shown_size

MOST_ROWS = 100
"""Of a table that people still read."""


def carried_line(rows: Sequence[Carried]) -> str:
    """How much lies where it should."""
    moved = shown_size(sum(row.bytes_moved for row in rows))
    return f"{sum(row.good for row in rows)} of {len(rows)} are there, verified; {moved} travelled"


def tells_all(rows: Sequence[Carried]) -> bool:
    """Whether the line is enough: many files, and nothing amiss."""
    return len(rows) > MOST_ROWS and all(row.good for row in rows)
