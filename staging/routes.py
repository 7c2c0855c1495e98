"""Which ways data can take from one site to another, and how long each takes. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from metadata.errors import StagingError
from staging.ports import Capabilities, Credential, Direction, Endpoint, Mover, first_door

DEFAULT_RATE_BYTES_PER_S = 12.5e6
"""100 Mbit/s: what is assumed of a link that nobody measured or declared."""

START_COST_S = 0.05
"""What any transfer costs before its first byte moves."""

STREAMS = (1, 4, 8)
"""How many parallel streams are tried of movers that have them."""


@dataclass(frozen=True, kw_only=True)
class LinkRules:
    """What transfers over a link have to keep to."""

    direct: Credential | None = None
    """By what right its sites may talk to each other; None has data of plain SSH sites relayed."""
    limit_bytes_per_s: float | None = None
    """For all transfers over it together."""
    window: tuple[int, int] | None = None
    """When transfers may begin, in minutes of the day; it may go past midnight."""
    at_once: int | None = None
    mover: str | None = None
    """The only one to use."""

    @property
    def share_bytes_per_s(self) -> float | None:
        """What one transfer may take of the limit."""
        return None if self.limit_bytes_per_s is None else self.limit_bytes_per_s / (self.at_once or 1)


ANY_WAY = LinkRules()
"""Nothing is asked of the link."""


@dataclass(frozen=True, kw_only=True)
class Rate:
    """How fast a link is, and how that is known."""

    bytes_per_s: float
    basis: str


@dataclass(frozen=True, kw_only=True, order=True)
class Way:
    """How bytes go from one site to another."""

    mover: str
    direction: Direction
    streams: int = 1
    credential: Credential = Credential.NONE

    def __str__(self) -> str:
        parts = [self.mover]
        if self.direction in (Direction.RELAY, Direction.THIRD_PARTY):
            parts.append("relayed" if self.direction is Direction.RELAY else "direct")
        if self.streams > 1:
            parts.append(f"{self.streams} streams")
        return ", ".join(parts)


@dataclass(frozen=True, kw_only=True)
class Route:
    """A way, and what is expected of it."""

    way: Way
    seconds: float
    reason: str
    """What that rests on, for people."""


@dataclass(frozen=True, kw_only=True)
class Routes:
    """All ways between all sites."""

    endpoints: Mapping[str, Endpoint]
    movers: Mapping[str, Capabilities]
    rules: Mapping[tuple[str, str], LinkRules] = field(default_factory=dict)
    measured: Mapping[tuple[str, str], Rate] = field(default_factory=dict)
    declared: Mapping[tuple[str, str], float] = field(default_factory=dict)

    def rules_of(self, source: str, destination: str) -> LinkRules:
        """What transfers from one site to another have to keep to."""
        return self.rules.get((source, destination), ANY_WAY)

    def ranked(self, source: str, destination: str, *, size_bytes: int, files: int = 1) -> list[Route]:
        """Every way from one site to another, the quickest first. Raises StagingError when there is none."""
        rules = self.rules_of(source, destination)
        found = ways(self.endpoints[source], self.endpoints[destination], self.movers, rules)
        rate = link_rate((source, destination), measured=self.measured, declared=self.declared)
        seconds = size_bytes / rate.bytes_per_s + START_COST_S * files
        return [Route(way=way, seconds=seconds, reason=rate.basis) for way in found]


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


def ways(
    source: Endpoint, destination: Endpoint, movers: Mapping[str, Capabilities], rules: LinkRules = ANY_WAY
) -> list[Way]:
    """Every way between two endpoints, the likeliest to be good first. Raises StagingError when there is none."""
    offered = {name: can for name, can in movers.items() if rules.mover in (None, name)}
    found = [way for name, can in offered.items() for way in _ways_of(name, can, source, destination, rules)]
    if rules.limit_bytes_per_s:
        found = [way for way in found if movers[way.mover].limits_rate] or found
    if not found:
        raise StagingError(
            f"no mover reaches from {source.site} ({_shown_doors(source)}) to {destination.site} "
            f"({_shown_doors(destination)}); there are: {', '.join(offered) or rules.mover}"
        )
    return sorted(found, key=lambda way: _merit(way, movers[way.mover]), reverse=True)


def _ways_of(name: str, can: Capabilities, source: Endpoint, destination: Endpoint, rules: LinkRules) -> Iterator[Way]:
    doors = first_door(source, can.schemes), first_door(destination, can.schemes)
    if None in doors:
        return
    for direction in _directions(source, destination):
        if direction not in can.directions:
            continue
        credential = _credential(can, doors, rules) if direction is Direction.THIRD_PARTY else Credential.NONE
        if credential is None:
            continue
        for streams in STREAMS if can.parallel_streams else (1,):
            yield Way(mover=name, direction=direction, streams=streams, credential=credential)


def _directions(source: Endpoint, destination: Endpoint) -> tuple[Direction, ...]:
    if source.local and destination.local:
        return (Direction.LOCAL,)
    if source.local:
        return (Direction.PUSH,)
    if destination.local:
        return (Direction.PULL,)
    return (Direction.THIRD_PARTY, Direction.RELAY)


def _credential(can: Capabilities, doors: tuple[str | None, ...], rules: LinkRules) -> Credential | None:
    """By what right the sites talk to each other; None when they may not.

    Plain SSH needs the operator's word, for it takes a right of the user's from one site to the other. Other doors
    have identities of their own.
    """
    if rules.direct in can.credentials:
        return rules.direct
    return Credential.NONE if Credential.NONE in can.credentials and "ssh" not in doors else None


def _merit(way: Way, can: Capabilities) -> tuple[bool, bool, bool, bool, bool]:
    """What speaks for a way that nobody has tried: the direct one before all."""
    direct = way.direction is not Direction.RELAY
    return (direct, can.resumes, can.verifies, can.batches, way.streams == 1)


def _shown_doors(endpoint: Endpoint) -> str:
    return ", ".join(endpoint.doors)
