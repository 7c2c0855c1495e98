"""The rows of link measurements: what transfers between two sites took."""

from __future__ import annotations

import dataclasses

from metadata.errors import InvalidInputError
from metadata.records import Measurement
from metadata.sessions import Session, insertion

_NEWEST = 40
_COLUMNS = tuple(field.name for field in dataclasses.fields(Measurement))
_RECENT = f"""
    SELECT {", ".join(_COLUMNS)} FROM (
        SELECT *, row_number() OVER (
            PARTITION BY source_site, destination_site, mover, direction, streams ORDER BY measured_at DESC, id DESC
        ) AS age
        FROM link_measurements
    ) AS numbered WHERE age <= :newest ORDER BY measured_at DESC, age
"""


def add(session: Session, measurement: Measurement) -> None:
    """Notes one measurement. Raises InvalidInputError for one that has no duration or no bytes: it tells no rate."""
    if measurement.seconds <= 0 or measurement.size_bytes <= 0:
        raise InvalidInputError(
            f"{measurement.size_bytes} bytes in {measurement.seconds} s tell no rate; measure one that moved bytes"
        )
    session.change(insertion("link_measurements", _COLUMNS), **vars(measurement))


def recent(session: Session) -> list[Measurement]:
    """The newest 40 measurements of each way over each link, the newest first."""
    return [Measurement(**row) for row in session.rows(_RECENT, newest=_NEWEST)]
