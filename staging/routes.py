"""Which ways data can take from one site to another, and how long each takes. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from metadata.errors import StagingError
from staging.links import Cost, LinkHistory, Pair, Prediction, WayKey, WayModel
from staging.ports import Capabilities, Credential, Direction, Endpoint, Mover, first_door
from staging.rules import ANY_WAY, LinkRules

DEFAULT_RATE_BYTES_PER_S = 12.5e6
"""100 Mbit/s: what is assumed of a link that nobody measured or declared."""

STREAMS = (1, 4, 8)
"""How many parallel streams are tried of movers that have them."""

PROBES = 3
"""How often a way is tried on purpose."""
MOST_PROBES = 5
"""How often where the first ones contradict each other."""
_CONTRADICTION = 3.0
"""Between the quickest and the slowest transfer that is expected."""
_FORGOTTEN_S = 7 * 86400.0
"""Links change: how a way did so long before the newest transfer is a belief, and it may be tried again."""
PROBE_BYTES = 64 << 20
"""Only transfers of this size or less are given to a way to try it."""
_HOPELESS = 2.0
"""A way that takes this much longer than the best one, even when it is lucky, is tried no further."""
_CHEAP_S = 3.0
"""A trial that is expected to take no longer needs no better reason, and is never the only one: it may be unlucky."""
_UNTRIED = 1.25
"""What is expected of a way that nobody has tried is taken with that much salt."""
_STREAM_S = 0.2
"""What one more stream takes that nobody has tried: a login. Many files by several streams need no other salt: a single
one may be slow where packets get lost, and several are not all slow at once."""
_PER_DOUBLING = 0.03
"""So much quicker has a way to be with twice the streams."""
_FILE_S, _BATCHED_FILE_S = 0.05, 0.002
"""What a file is believed to cost before anything was measured; less for movers made for many."""


@dataclass(frozen=True, kw_only=True, order=True)
class Way:
    """How bytes go from one site to another."""

    mover: str
    direction: Direction
    streams: int = 1
    credential: Credential = Credential.NONE

    @property
    def key(self) -> WayKey:
        """Under what its measurements are kept."""
        return self.mover, str(self.direction), self.streams

    def is_narrower_than(self, other: Way) -> bool:
        """Whether this is the same way with fewer streams."""
        return replace(self, streams=other.streams) == other and self.streams < other.streams

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
    prediction: Prediction
    bytes_per_s: float
    """What it reaches with large files."""
    basis: str
    """What that rests on, for people."""
    measured: int = 0
    """How many transfers it rests on."""
    looks: int = 0
    """How many of these are of the last week in which the link was used."""
    least_s: float = 0.0
    """What it takes at least, by what the same way with fewer streams took."""
    trial: bool = False
    """True when it goes first to see what it is worth."""
    broken: bool = False
    """True when it failed again and again lately; it is the last to be used."""

    @property
    def seconds(self) -> float:
        """How long it will take."""
        return self.prediction.seconds

    @property
    def merit_s(self) -> float:
        """By which ways are compared: what nobody has tried, or what varies, is taken with some salt.

        Streams cost logins and processor time at both ends, so that more of them have to be worth it.
        """
        return self.prediction.cautious_s * (1 + _PER_DOUBLING * (self.way.streams.bit_length() - 1))


@dataclass(frozen=True, kw_only=True)
class Routes:
    """All ways between all sites."""

    endpoints: Mapping[str, Endpoint]
    movers: Mapping[str, Capabilities]
    rules: Mapping[Pair, LinkRules] = field(default_factory=dict)
    declared: Mapping[Pair, float] = field(default_factory=dict)
    """Bytes a second, as the site file says."""
    history: LinkHistory = field(default_factory=LinkHistory)
    _known_ways: dict[Pair, list[Way]] = field(default_factory=dict, init=False, repr=False, compare=False)

    def rules_of(self, source: str, destination: str) -> LinkRules:
        """What transfers from one site to another have to keep to."""
        return self.rules.get((source, destination), ANY_WAY)

    def ranked(
        self, source: str, destination: str, *, size_bytes: int, files: int = 1, explore: bool = False
    ) -> list[Route]:
        """Every way from one site to another, the quickest first. Raises StagingError when there is none.

        Args:
            source: A site.
            destination: Another one.
            size_bytes: What shall be moved.
            files: In how many files.
            explore: Whether a way of which too little is known may go first, to learn of it.
        """
        fitting = [way for way in self._ways(source, destination) if has_files_for(way, self.movers[way.mover], files)]
        routes = _bounded([self._route((source, destination), way, size_bytes, files) for way in fitting])
        # Sorting is stable: among equals the likeliest to be good stays in front.
        ranked = sorted(routes, key=lambda route: (route.broken, route.merit_s))
        fixed = self.rules_of(source, destination).mover is not None
        if explore and not fixed and size_bytes <= PROBE_BYTES and len(ranked) > 1:
            ranked = self._with_trial_first(ranked, routes, files)
        return ranked

    @staticmethod
    def explained(ranked: Sequence[Route]) -> str:
        """Why the first of some ways goes first, for people."""
        best = ranked[0]
        other = next((route for route in ranked[1:] if route.measured), None)
        if best.measured and other:
            return f"{best.basis}; by {other.way} it would take {other.seconds:.3g} s"
        return best.basis

    def _ways(self, source: str, destination: str) -> list[Way]:
        """They follow from what does not change while the routes live."""
        pair = (source, destination)
        if pair not in self._known_ways:
            rules = self.rules_of(source, destination)
            self._known_ways[pair] = ways(self.endpoints[source], self.endpoints[destination], self.movers, rules)
        return self._known_ways[pair]

    def _hoped_s(self, route: Route, best_s: float, files: int) -> float:
        """What a trial takes if all goes well.

        An untried way may be as fast as the best, as parallel streams are where packets get lost.
        """
        if route.looks:
            return _optimistic_s(route)
        hoped_s = min(route.seconds, best_s + self.movers[route.way.mover].start_s + files * self._file_s(route.way))
        return max(route.least_s, hoped_s)

    def _file_s(self, way: Way) -> float:
        return _BATCHED_FILE_S if self.movers[way.mover].batches else _FILE_S

    def _route(self, pair: Pair, way: Way, size_bytes: int, files: int) -> Route:
        rate, basis = self._believed_rate(pair)
        prior = Cost(start_s=self.movers[way.mover].start_s, per_file_s=self._file_s(way), bytes_per_s=rate)
        model = self.history.model(pair, way.key, prior)
        if model.samples:
            basis = "measured once" if len(model.samples) == 1 else f"measured {len(model.samples)} times"
        prediction, measured = model.predict(size_bytes, files), model.telling(size_bytes, files)
        if not measured:
            prediction = replace(prediction, cautious_s=self._doubted_s(way, prediction, model))
        return Route(
            way=way,
            prediction=prediction,
            bytes_per_s=model.cost.bytes_per_s,
            basis=basis,
            measured=measured,
            looks=model.telling(size_bytes, files, since=self.history.newest(pair) - _FORGOTTEN_S),
            broken=self.history.is_broken(pair, way.key),
        )

    def _doubted_s(self, way: Way, prediction: Prediction, model: WayModel) -> float:
        """As what the prediction for a way counts that nobody has tried with such a transfer."""
        if not model.samples and way.streams > 1 and self.movers[way.mover].streams_share_files:
            return prediction.cautious_s + _STREAM_S * (way.streams - 1)
        return prediction.cautious_s * _UNTRIED

    def _believed_rate(self, pair: Pair) -> tuple[float, str]:
        """What a way reaches that nobody tried: what others reached, or what the operator says, if that is more."""
        reached = self.history.rate(pair)
        known = [(reached, "as other ways reached")] if reached else []
        if pair in self.declared:
            known.append((self.declared[pair], "declared in the site file"))
        return max(known, default=(DEFAULT_RATE_BYTES_PER_S, "assumed"))

    def _with_trial_first(self, ranked: list[Route], by_merit: Sequence[Route], files: int) -> list[Route]:
        """A way that was tried too seldom comes first; one that was tried and is hopeless is left where it is."""
        best = min((route.seconds for route in ranked if route.measured), default=float("inf"))
        expected = max(_CHEAP_S, _HOPELESS * ranked[0].seconds)
        for route in sorted(by_merit, key=lambda route: route.looks):
            if _is_known(route, best):
                continue
            if self._hoped_s(route, best, files) > expected:
                continue  # a thousand files are no small matter for a way that opens a connection for each
            most = max(PROBES, route.looks + 1)
            trial = replace(route, basis=f"tried to learn of it ({route.looks + 1} of {most})", trial=True)
            return [trial, *(other for other in ranked if other is not route)]
        return ranked


def _bounded(routes: Sequence[Route]) -> list[Route]:
    """Eight streams are at most eight times as fast as one: nothing better is believed of them until they are tried."""
    return [route if route.measured else _bounded_by(routes, route) for route in routes]


def _bounded_by(others: Sequence[Route], route: Route) -> Route:
    fewer = [other for other in others if other.measured and other.way.is_narrower_than(route.way)]
    least_s = max((other.seconds * other.way.streams / route.way.streams for other in fewer), default=0.0)
    if least_s <= route.seconds:
        return replace(route, least_s=least_s)
    return replace(route, least_s=least_s, prediction=route.prediction.times(least_s / route.seconds))


def _is_known(route: Route, best_s: float) -> bool:
    """Whether one more trial would tell nothing new."""
    expected = route.prediction
    if route.broken or route.looks >= (MOST_PROBES if expected.high_s > _CONTRADICTION * expected.low_s else PROBES):
        return True
    is_dear = route.seconds > _CHEAP_S
    return route.looks > (0 if is_dear else 1) and _optimistic_s(route) > _HOPELESS * best_s


def _optimistic_s(route: Route) -> float:
    """What one more trial may take: the only one so far may have been unlucky, and for what costs little any may."""
    return route.prediction.low_s if route.looks == 1 or route.seconds <= _CHEAP_S else route.seconds


def capabilities_of(movers: Mapping[str, Mover]) -> dict[str, Capabilities]:
    """What each mover can do, by its name."""
    return {name: mover.capabilities for name, mover in movers.items()}


def has_files_for(way: Way, can: Capabilities, files: int) -> bool:
    """Whether all streams of a way have something to do, so that what it takes tells of so many streams."""
    return way.streams <= max(1, files) or not can.streams_share_files


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
