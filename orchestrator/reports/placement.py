"""Where the boxes of a directed graph go: in layers from left to right, with few crossings. Pure.

Sugiyama's way: longest paths give the layers, edges over several layers pass through unseen points, the order inside a
layer follows the mean place of the neighbours, and so do the heights.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

_SWEEPS = 6

Edge = tuple[str, str]


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Where everything is."""

    layers: Mapping[str, int]
    """Box -> its layer, from 0."""
    middles: Mapping[str, float]
    """Box -> the height of its middle, from 0 at the top."""
    routes: Mapping[Edge, tuple[tuple[int, float], ...]]
    """Edge -> the points (layer, height) between its ends through which it passes."""
    height: float


def placed(heights: Mapping[str, float], edges: Sequence[Edge], *, gap: float) -> Placement:
    """A place for each box. `heights` has every box's height; the edges must have no cycle."""
    layers = _layers(list(heights), edges)
    chains = {edge: _chain(edge, layers) for edge in edges}
    everything = dict(heights) | {point: gap for chain in chains.values() for point in chain[1:-1]}
    depth = dict(layers)
    for (source, _), chain in chains.items():
        depth |= {point: layers[source] + number for number, point in enumerate(chain) if point not in layers}
    neighbours = _neighbours(chains.values())
    columns = _ordered(_columns(everything, depth), neighbours)
    middles = _middles(columns, everything, neighbours, gap=gap)
    routes = {edge: tuple((depth[point], middles[point]) for point in chain[1:-1]) for edge, chain in chains.items()}
    bottom = max((middles[name] + everything[name] / 2 for name in everything), default=0.0)
    return Placement(layers=layers, middles=middles, routes=routes, height=bottom)


def _layers(names: Sequence[str], edges: Sequence[Edge]) -> dict[str, int]:
    sources: dict[str, list[str]] = defaultdict(list)
    targets: dict[str, list[str]] = defaultdict(list)
    for source, target in edges:
        sources[target].append(source)
        targets[source].append(target)
    found: dict[str, int] = {}

    def depth(name: str) -> int:
        if name not in found:
            found[name] = 1 + max((depth(source) for source in sources[name]), default=-1)
        return found[name]

    for name in names:
        depth(name)
    # What nothing leads to stands right before its first reader.
    starts = [name for name in names if not sources[name] and targets[name]]
    return found | {name: min(found[target] for target in targets[name]) - 1 for name in starts}


def _chain(edge: Edge, layers: Mapping[str, int]) -> list[str]:
    source, target = edge
    between = range(layers[source] + 1, layers[target])
    return [source, *(f"{source}\0{target}\0{layer}" for layer in between), target]


def _neighbours(chains: Iterable[Sequence[str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for chain in chains:
        for first, second in pairwise(chain):
            found[first].append(second)
            found[second].append(first)
    return found


def _columns(everything: Mapping[str, float], depth: Mapping[str, int]) -> list[list[str]]:
    columns: list[list[str]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    for name in everything:
        columns[depth[name]].append(name)
    return columns


def _ordered(columns: list[list[str]], neighbours: Mapping[str, list[str]]) -> list[list[str]]:
    """Sorts each column by where its neighbours stand, to and fro."""
    for sweep in range(_SWEEPS):
        for column in columns if sweep % 2 == 0 else reversed(columns):
            rank = {name: number / max(len(each), 1) for each in columns for number, name in enumerate(each)}
            column.sort(key=lambda name: _mean([rank[other] for other in neighbours.get(name, [])], rank[name]))
    return columns


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def _middles(
    columns: Sequence[Sequence[str]], heights: Mapping[str, float], neighbours: Mapping[str, list[str]], *, gap: float
) -> dict[str, float]:
    middles: dict[str, float] = {}
    for column in columns:
        middles |= _stacked(column, dict.fromkeys(column, 0.0), heights, gap=gap)
    for sweep in range(_SWEEPS):
        for column in columns if sweep % 2 else reversed(columns):
            wanted = {n: _mean([middles[other] for other in neighbours.get(n, [])], middles[n]) for n in column}
            middles |= _stacked(column, wanted, heights, gap=gap)
    top = min((middles[name] - heights[name] / 2 for name in middles), default=0.0)
    return {name: middle - top for name, middle in middles.items()}


def _stacked(
    column: Sequence[str], wanted: Mapping[str, float], heights: Mapping[str, float], *, gap: float
) -> dict[str, float]:
    """Heights as wanted, but in order and without overlap; the column as a whole stays where it wanted to be."""
    middles: dict[str, float] = {}
    floor = float("-inf")
    for name in column:
        middles[name] = max(wanted[name], floor + heights[name] / 2)
        floor = middles[name] + heights[name] / 2 + gap
    shift = _mean([middles[name] - wanted[name] for name in column], 0.0)
    return {name: middle - shift for name, middle in middles.items()}
