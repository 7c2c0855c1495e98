"""The rows of link measurements: how fast data travelled between two sites."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from statistics import median

from sqlalchemy import Connection, func, select

from metadata.errors import InvalidInputError
from metadata.records import LinkRate, Measurement
from metadata.tables import LINK_MEASUREMENTS

_NEWEST = 20
# Smaller files tell how long it takes to begin, not how fast the link is.
_SMALLEST_BYTES = 1 << 20


def add(connection: Connection, measurement: Measurement) -> None:
    """Notes one measurement. Raises InvalidInputError for one that has no duration or no bytes: it tells no rate."""
    if measurement.seconds <= 0 or measurement.size_bytes <= 0:
        raise InvalidInputError(
            f"{measurement.size_bytes} bytes in {measurement.seconds} s tell no rate; measure one that moved bytes"
        )
    connection.execute(LINK_MEASUREMENTS.insert(), dataclasses.asdict(measurement))


def rates(connection: Connection) -> dict[tuple[str, str], LinkRate]:
    """(source site, destination site) -> the median rate of its newest 20 measurements of 1 MiB or more."""
    pair = (LINK_MEASUREMENTS.c.source_site, LINK_MEASUREMENTS.c.destination_site)
    newest_first = (LINK_MEASUREMENTS.c.measured_at.desc(), LINK_MEASUREMENTS.c.id.desc())
    age = func.row_number().over(partition_by=pair, order_by=newest_first).label("age")
    telling = LINK_MEASUREMENTS.c.size_bytes >= _SMALLEST_BYTES
    numbered = select(*pair, LINK_MEASUREMENTS.c.size_bytes, LINK_MEASUREMENTS.c.seconds, age).where(telling).subquery()
    seen: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
    for source, destination, size_bytes, seconds, _ in connection.execute(
        select(numbered).where(numbered.c.age <= _NEWEST)
    ):
        seen[source, destination].append(size_bytes / seconds)
    return {link: LinkRate(bytes_per_s=median(found), count=len(found)) for link, found in seen.items()}
