"""What was measured between two sites, and what it tells of the next transfer. Pure."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from statistics import geometric_mean, median

from metadata.records import Measurement

NEWEST = 40
"""Measurements of one way that are looked at."""
_FADING = 0.7
"""What a measurement counts beside the next newer like one: two that agree are heard before all that are older, and one
alone is not.
"""
_AGEING = 0.85
"""What is said of transfers of one size counts that much less for each transfer since."""
_PRIOR_WEIGHT = 1e-4
_CERTAIN_AFTER = 4
_MOST_CAUTION = 1.5
_BROKEN_AFTER = 2
_SINGULAR = 1e-15
_ROUNDS, _NEAR, _MOST_FACTOR = 3, 1.05, 10.0
_TINY = 1e-6

Pair = tuple[str, str]
"""Source site, destination site."""
WayKey = tuple[str, str, int]
"""Mover, direction, streams."""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a way costs: so much to start, so much for each file, so much for each byte."""

    start_s: float
    per_file_s: float
    bytes_per_s: float

    def seconds(self, size_bytes: int, files: int) -> float:
        """How long a transfer takes."""
        return self.start_s + self.per_file_s * files + size_bytes / self.bytes_per_s


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """How long a transfer will take."""

    seconds: float
    low_s: float
    high_s: float
    """Eight of ten measured transfers took between these times what their own prediction says."""
    cautious_s: float
    """More than `seconds` where measured times were far apart: a single stream that loses packets may have been lucky
    when it was tried, and a way that keeps its word is worth more."""

    def times(self, factor: float) -> Prediction:
        """So many times as long."""
        return Prediction(
            seconds=factor * self.seconds,
            low_s=factor * self.low_s,
            high_s=factor * self.high_s,
            cautious_s=factor * self.cautious_s,
        )


@dataclass(frozen=True)
class WayModel:
    """One way between two sites, as its measurements show it."""

    samples: tuple[Measurement, ...]
    """The newest first."""
    prior: Cost
    """What is believed as long as they say nothing else."""
    slowness: float = 1.0
    """How many times their best such transfers take over this link, in the mean."""

    @cached_property
    def cost(self) -> Cost:
        """The cost that explains the measurements best.

        Measurements of about the same size speak with one voice, the weighted median of them, so that one that met a
        hiccup is not heard; the cost is then fitted to these. The prior has a small voice of its own, which decides
        what the measurements leave open.
        """
        voices = list(self._voices())
        return _fitted(voices, _believed(self.prior, voices)) if voices else self.prior

    def predict(self, size_bytes: int, files: int) -> Prediction:
        """How long a transfer of this size takes, by what others took."""
        seconds = self.cost.seconds(size_bytes, files)
        low, high = self._spread
        return Prediction(
            seconds=seconds, low_s=seconds * low, high_s=seconds * high, cautious_s=seconds * self._caution
        )

    @cached_property
    def _spread(self) -> tuple[float, float]:
        """What transfers took at least and at most, in eight of ten cases, beside what the cost says of them."""
        if not self.samples:
            return 1 / 3, 3.0
        ratios = self._ratios
        doubt = 0.5 / min(len(ratios), _CERTAIN_AFTER)
        return min(_quantile(ratios, 0.1), 1 - doubt), max(_quantile(ratios, 0.9), 1 + doubt)

    @cached_property
    def _caution(self) -> float:
        """The slowest transfer may have met a hiccup; how slow the others were is how the way is."""
        others = sorted(self._ratios)[:-1]
        own = min(_MOST_CAUTION, _quantile(others, 0.9)) if others else 1.0
        return max(own, self.slowness)

    @cached_property
    def _ratios(self) -> list[float]:
        """What measured transfers took beside what the cost says of them."""
        return [row.seconds / self.cost.seconds(row.size_bytes, row.files) for row in self.samples]

    def telling(self, size_bytes: int, files: int, *, since: float = -math.inf) -> int:
        """How many measurements say something of such a transfer: those of a quarter of its bytes and files or more.

        One large file tells nothing of what a thousand small ones cost.
        """
        return sum(
            1
            for sample in self.samples
            if 4 * sample.size_bytes >= size_bytes and 4 * sample.files >= files and sample.measured_at >= since
        )

    def _voices(self) -> Iterator[_Voice]:
        alike: dict[tuple[int, int], list[tuple[int, Measurement]]] = defaultdict(list)
        for age, sample in enumerate(self.samples):
            alike[_shape(sample)].append((age, sample))
        for some in alike.values():
            middle = _middle([sample for _, sample in some], self.prior)
            yield _Voice(
                size_bytes=middle.size_bytes, files=middle.files, seconds=middle.seconds, weight=_AGEING ** some[0][0]
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Voice:
    """What transfers of one size took."""

    size_bytes: int
    files: int
    seconds: float
    weight: float


def _middle(newest_first: Sequence[Measurement], prior: Cost) -> Measurement:
    """The measurement in the middle of like ones, each counting less than the next newer one."""
    weighted = [
        (row.seconds / prior.seconds(row.size_bytes, row.files), _FADING**age, row)
        for age, row in enumerate(newest_first)
    ]
    rest = sum(weight for _, weight, _ in weighted) / 2
    ranked = sorted(weighted, key=lambda item: item[0])
    for _, weight, row in ranked:
        rest -= weight
        if rest <= 0:
            return row
    return ranked[-1][2]


def _believed(prior: Cost, voices: Sequence[_Voice]) -> list[_Voice]:
    """The prior as measurements, all of them slower or quicker by what the real ones were beside it."""
    factor = median(voice.seconds / prior.seconds(voice.size_bytes, voice.files) for voice in voices)
    return [
        _Voice(size_bytes=size, files=files, seconds=factor * prior.seconds(size, files), weight=_PRIOR_WEIGHT)
        for size, files in ((0, 1), (0, 1000), (1 << 30, 1))
    ]


def _fitted(voices: Sequence[_Voice], believed: Sequence[_Voice]) -> Cost:
    """The cost that is nearest to all voices, by factors: half and twice what was measured are equally wrong.

    The relative error alone would rather believe a lucky transfer than a slow one: it is never more than one for what
    is expected too low.
    """
    cost = _fitted_once([*voices, *believed])
    for _ in range(_ROUNDS):
        ratios = [_ratio(voice, cost) for voice in voices]
        if max(*ratios, 1 / min(ratios)) < _NEAR:
            break
        weights = [voice.weight * _weight_by_factor(ratio) for voice, ratio in zip(voices, ratios, strict=True)]
        weighed = [replace(voice, weight=weight) for voice, weight in zip(voices, weights, strict=True)]
        cost = _fitted_once([*weighed, *believed])
    return cost


def _ratio(voice: _Voice, cost: Cost) -> float:
    """What is expected beside what was measured."""
    return max(cost.seconds(voice.size_bytes, voice.files) / voice.seconds, 1 / _MOST_FACTOR)


def _weight_by_factor(ratio: float) -> float:
    """With this weight the square of the relative error grows as the square of the ratio's logarithm does."""
    return math.log(ratio) / (ratio - 1) / ratio if abs(ratio - 1) > _TINY else 1.0


def _fitted_once(voices: Sequence[_Voice]) -> Cost:
    """The cost of least squared relative error, no part of it below zero."""
    rows = [
        (voice.weight, (1 / voice.seconds, voice.files / voice.seconds, voice.size_bytes / voice.seconds))
        for voice in voices
    ]
    scale = [sum(weight * row[part] for weight, row in rows) or 1.0 for part in range(3)]
    scaled = [(weight, [row[part] / scale[part] for part in range(3)]) for weight, row in rows]
    best: tuple[float, list[float]] = (float("inf"), [0.0, 0.0, 0.0])
    for free in ((0, 1, 2), (1, 2), (0, 2), (0, 1), (2,), (1,), (0,)):
        solution = _least_squares(scaled, free)
        if solution and min(solution) >= 0:
            error = sum(
                weight * (sum(x * value for x, value in zip(row, solution, strict=True)) - 1) ** 2
                for weight, row in scaled
            )
            best = min(best, (error, solution))
    start, per_file, per_byte = (value / unit for value, unit in zip(best[1], scale, strict=True))
    return Cost(start_s=start, per_file_s=per_file, bytes_per_s=1 / max(per_byte, 1e-12))


def _least_squares(rows: Sequence[tuple[float, Sequence[float]]], free: Sequence[int]) -> list[float] | None:
    """The values of the free parts, the others being zero, for which every row comes nearest to one."""
    matrix = [
        [sum(weight * row[i] * row[j] for weight, row in rows) for j in free]
        + [sum(weight * row[i] for weight, row in rows)]
        for i in free
    ]
    for column in range(len(free)):
        pivot = max(range(column, len(free)), key=lambda line: abs(matrix[line][column]))
        matrix[column], matrix[pivot] = matrix[pivot], matrix[column]
        if abs(matrix[column][column]) < _SINGULAR:
            return None
        for line in range(len(free)):
            if line != column:
                factor = matrix[line][column] / matrix[column][column]
                matrix[line] = [a - factor * b for a, b in zip(matrix[line], matrix[column], strict=True)]
    found = {part: matrix[line][-1] / matrix[line][line] for line, part in enumerate(free)}
    return [found.get(part, 0.0) for part in range(3)]


def _quantile(values: Sequence[float], share: float) -> float:
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, max(0, round(share * (len(ranked) - 1))))]


@dataclass
class LinkHistory:
    """All measurements, by link and way. It learns of new ones while an engine works."""

    _samples: dict[Pair, dict[WayKey, tuple[Measurement, ...]]] = field(default_factory=lambda: defaultdict(dict))
    _models: dict[tuple[Pair, WayKey, Cost], WayModel] = field(default_factory=dict)
    _rates: dict[Pair, float | None] = field(default_factory=dict)
    _slowness: dict[tuple[Pair, bool], float] = field(default_factory=dict)
    _failures: dict[tuple[Pair, WayKey], int] = field(default_factory=dict)

    @classmethod
    def of(cls, measurements: Iterable[Measurement]) -> LinkHistory:
        """The history of these measurements, in any order."""
        history = cls()
        for measurement in sorted(measurements, key=lambda row: row.measured_at):
            history.note(measurement)
        return history

    def note(self, measurement: Measurement) -> None:
        """A new measurement."""
        ways = self._samples[measurement.source_site, measurement.destination_site]
        key = (measurement.mover, measurement.direction, measurement.streams)
        ways[key] = (measurement, *ways.get(key, ())[: NEWEST - 1])
        self._failures.pop(((measurement.source_site, measurement.destination_site), key), None)
        self._models, self._rates, self._slowness = {}, {}, {}

    def note_failure(self, pair: Pair, way: WayKey) -> None:
        """A way could not, or broke off."""
        self._failures[pair, way] = self._failures.get((pair, way), 0) + 1

    def is_broken(self, pair: Pair, way: WayKey) -> bool:
        """Whether a way failed twice since it was last of use. The next engine begins without a grudge."""
        return self._failures.get((pair, way), 0) >= _BROKEN_AFTER

    def model(self, pair: Pair, way: WayKey, prior: Cost) -> WayModel:
        """What is known of a way, or else believed."""
        key = (pair, way, prior)
        if key not in self._models:
            samples = self._samples.get(pair, {}).get(way, ())
            self._models[key] = WayModel(samples, prior, self.slowness(pair, parallel=way[2] > 1))
        return self._models[key]

    def slowness(self, pair: Pair, *, parallel: bool) -> float:
        """How many times the best of their like transfers take over a link, in the mean, by one stream or by several.

        Where packets get lost every single stream may be the one that is slow, whatever mover it belongs to; each of
        them was tried too seldom to tell that.
        """
        if (pair, parallel) not in self._slowness:
            ways = [samples for way, samples in self._samples.get(pair, {}).items() if (way[2] > 1) == parallel]
            ratios = [ratio for samples in ways for ratio in _ratios_to_best(samples)]
            self._slowness[pair, parallel] = geometric_mean(ratios) if ratios else 1.0
        return self._slowness[pair, parallel]

    def newest(self, pair: Pair) -> float:
        """When something was last measured over a link, seconds since the epoch; minus infinity for never."""
        ways = self._samples.get(pair, {}).values()
        return max((samples[0].measured_at for samples in ways), default=-math.inf)

    def all(self) -> list[Measurement]:
        """Every measurement that is remembered."""
        return [row for ways in self._samples.values() for samples in ways.values() for row in samples]

    def rate(self, pair: Pair) -> float | None:
        """What the ways over a link reached lately with large files, in the middle; None when nobody tried."""
        if pair not in self._rates:
            large = [
                [row for row in samples if row.size_bytes >= _LARGE_BYTES * row.files]
                for samples in self._samples.get(pair, {}).values()
            ]
            rates = [samples[0].size_bytes / samples[0].seconds for samples in large if samples]
            self._rates[pair] = median(rates) if rates else None
        return self._rates[pair]


def _ratios_to_best(newest_first: Iterable[Measurement]) -> Iterator[float]:
    """What each of the newest transfers took beside the quickest of those like it."""
    alike: dict[tuple[int, int], list[float]] = defaultdict(list)
    for row in newest_first:
        rows = alike[_shape(row)]
        if row.size_bytes >= _LARGE_BYTES and len(rows) < _LIKE:
            rows.append(row.seconds)
    for rows in alike.values():
        if len(rows) > 1:
            yield from (seconds / min(rows) for seconds in rows)


def _shape(row: Measurement) -> tuple[int, int]:
    """The same for transfers of about the same size."""
    return row.size_bytes.bit_length(), row.files.bit_length()


_LIKE = 5
"""As many like transfers tell whether a link is steady."""
_LARGE_BYTES = 1 << 20
"""Smaller files tell how long it takes to begin, not how fast the link is."""
