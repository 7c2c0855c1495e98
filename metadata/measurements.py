"""The rows of link measurements: what transfers between two sites took."""

from __future__ import annotations

import dataclasses

from sqlalchemy import Connection, func, select

from metadata.errors import InvalidInputError
from metadata.records import Measurement
from metadata.tables import LINK_MEASUREMENTS

_NEWEST = 40


def add(connection: Connection, measurement: Measurement) -> None:
    """Notes one measurement. Raises InvalidInputError for one that has no duration or no bytes: it tells no rate."""
    if measurement.seconds <= 0 or measurement.size_bytes <= 0:
        raise InvalidInputError(
            f"{measurement.size_bytes} bytes in {measurement.seconds} s tell no rate; measure one that moved bytes"
        )
    connection.execute(LINK_MEASUREMENTS.insert(), dataclasses.asdict(measurement))


def recent(connection: Connection) -> list[Measurement]:
    """The newest 40 measurements of each way over each link, the newest first."""
    way = [LINK_MEASUREMENTS.c[name] for name in ("source_site", "destination_site", "mover", "direction", "streams")]
    newest_first = (LINK_MEASUREMENTS.c.measured_at.desc(), LINK_MEASUREMENTS.c.id.desc())
    age = func.row_number().over(partition_by=way, order_by=newest_first).label("age")
    columns = [LINK_MEASUREMENTS.c[field.name] for field in dataclasses.fields(Measurement)]
    numbered = select(*columns, age).subquery()
    newest = select(numbered).where(numbered.c.age <= _NEWEST).order_by(numbered.c.measured_at.desc(), numbered.c.age)
    rows = connection.execute(newest).mappings()
    return [Measurement(**{key: value for key, value in row.items() if key != "age"}) for row in rows]
