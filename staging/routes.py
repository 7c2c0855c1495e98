"""Which mover takes data from one site to another, and at what rate. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from metadata.errors import StagingError
from staging.ports import Capabilities, Endpoint, Mover

DEFAULT_RATE_BYTES_PER_S = 12.5e6
"""100 Mbit/s: what is assumed of a link that nobody measured or declared."""

START_COST_S = 0.05
"""What any transfer costs before its first byte moves."""


@dataclass(frozen=True, kw_only=True)
class Rate:
    """How fast a link is, and how that is known."""

    bytes_per_s: float
    basis: str


@dataclass(frozen=True, kw_only=True)
class Route:
    """A way for data."""

    mover: str
    rate: Rate

    def seconds(self, size_bytes: int, files: int = 1) -> float:
        """How long it will take."""
        return size_bytes / self.rate.bytes_per_s + START_COST_S * files


def link_rate(
    pair: tuple[str, str],
    *,
    measured: Mapping[tuple[str, str], Rate],
    declared: Mapping[tuple[str, str], float],
) -> Rate:
    """What is known of a link: measured before declared before assumed."""
    if pair in measured:
        return measured[pair]
    if pair in declared:
        return Rate(bytes_per_s=declared[pair], basis="declared in the site file")
    return Rate(bytes_per_s=DEFAULT_RATE_BYTES_PER_S, basis="assumed")


def capabilities_of(movers: Mapping[str, Mover]) -> dict[str, Capabilities]:
    """What each mover can do, by its name."""
    return {name: mover.capabilities for name, mover in movers.items()}


def choose_mover(source: Endpoint, destination: Endpoint, movers: Mapping[str, Capabilities]) -> str:
    """The first mover, best first, that reaches both ends. Raises StagingError when none does."""
    wanted = {source.scheme, destination.scheme}
    able = [name for name, can in movers.items() if wanted <= can.schemes]
    if not able:
        raise StagingError(
            f"no mover reaches from {source.site} ({source.scheme}) to {destination.site} ({destination.scheme}); "
            f"there are: {', '.join(movers)}"
        )
    return max(able, key=lambda name: _merit(movers[name]))


def _merit(can: Capabilities) -> tuple[bool, bool, bool]:
    return (can.third_party, can.resumes, can.verifies)
