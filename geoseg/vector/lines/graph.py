"""Lines between the places where they meet or end: one graph from pieces, the same however the pieces were cut."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geoseg.core.compiled import compiled
from geoseg.vector.lines.pieces import AHEAD, SUMS, Nodes, Pieces
from geoseg.vector.lines.thinning import STEP_X, STEP_Y

NONE = -1


class Walk(NamedTuple):
    """How places follow from keys and steps: `columns` keys a row, and what a step adds along x and y, and to a key."""

    columns: int
    step_x: NDArray[np.int64]
    step_y: NDArray[np.int64]
    neighbour: NDArray[np.int64]

    @classmethod
    def of(cls, columns: int) -> Walk:
        """The walk through a raster with so many keys a row: more than it is wide, so that none wraps."""
        return cls(columns, STEP_X, STEP_Y, STEP_Y * columns + STEP_X)


class _Edges(NamedTuple):
    """Edges in no order, as a Graph has them."""

    ends: NDArray[np.int64]
    first: NDArray[np.int64]
    offsets: NDArray[np.int64]
    steps: NDArray[np.uint8]
    sums: NDArray[np.int64]


class Graph(NamedTuple):
    """Nodes (node,) in the order of their first pixel, and edges (edge,) in that of their first pixel.

    `point` (node, 2) is the middle of a node's pixels as x and y, `radius` (node,) the largest of theirs in
    micrometres, `at_edge` (node,) whether the line goes on into what is not known. `ends` (edge, 2) are the nodes where
    an edge begins and ends, NONE twice where it closes. Its pixels start with the one whose key is `first`, follow
    `steps[offsets[i] : offsets[i + 1]]`, and end with `last`; `sums` (edge, SUMS) are those of the pieces.
    """

    point: NDArray[np.float64]
    radius: NDArray[np.int64]
    at_edge: NDArray[np.bool_]
    ends: NDArray[np.int64]
    first: NDArray[np.int64]
    last: NDArray[np.int64]
    offsets: NDArray[np.int64]
    steps: NDArray[np.uint8]
    sums: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Clusters:
    """Nodes joined where they touch: the number of each node's cluster, and what is known of the clusters."""

    key: NDArray[np.int64]
    number: NDArray[np.int64]
    point: NDArray[np.float64]
    radius: NDArray[np.int64]
    edge: NDArray[np.bool_]


def assemble(nodes: Nodes, pieces: Pieces, walk: Walk) -> Graph:
    """The graph of all nodes and pieces of a raster; they may come in any order."""
    clusters = _clusters(nodes, walk.columns)
    neighbour = walk.neighbour
    tips = np.column_stack([pieces.first, pieces.last])
    numbers = np.column_stack([pieces.before, pieces.after])
    beyond = tips + neighbour[numbers]
    end = _lookup(clusters.key, beyond)
    node = np.where(end == NONE, NONE, clusters.number[end] if len(clusters.number) else NONE)
    mate = _mates(tips, beyond, numbers, node)
    edges = _edges(pieces, node.ravel(), mate, tips.ravel(), neighbour)
    order = np.argsort(edges.first, kind="stable")
    lengths = np.diff(edges.offsets)[order]
    way = np.append(0, np.cumsum(neighbour[edges.steps]))
    sources = np.repeat(edges.offsets[:-1][order] - _starts(lengths)[:-1], lengths)
    return Graph(
        point=clusters.point,
        radius=clusters.radius,
        at_edge=clusters.edge,
        ends=edges.ends[order],
        first=edges.first[order],
        last=(edges.first + way[edges.offsets[1:]] - way[edges.offsets[:-1]])[order],
        offsets=_starts(lengths),
        steps=edges.steps[sources + np.arange(len(sources))],
        sums=edges.sums[order],
    )


def _starts(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where runs of those lengths start, and where the last one ends."""
    starts = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=starts[1:])
    return starts


def _lookup(keys: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.int64]:
    """The place of each wanted key among sorted ones, NONE where it is not there; the shape of `wanted`."""
    if not len(keys):
        return np.full(wanted.shape, NONE, np.int64)
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[place] == wanted, place, NONE)


def _clusters(nodes: Nodes, columns: int) -> _Clusters:
    """Nodes that touch, by a side or a corner, as one; clusters are numbered by their first pixel."""
    order = np.argsort(nodes.key, kind="stable")
    key = nodes.key[order]
    right, below = _lookup(key, key + 1), [_lookup(key, key + columns + shift) for shift in (-1, 0, 1)]
    root = union(np.column_stack([right, *below]))
    roots, number = np.unique(root, return_inverse=True)
    count = np.bincount(number, minlength=len(roots))
    y, x = np.divmod(key, columns)
    middle = np.column_stack([np.bincount(number, axis, len(roots)) / count + 0.5 for axis in (x, y)])
    radius = np.zeros(len(roots), np.int64)
    np.maximum.at(radius, number, nodes.radius[order])
    edge = np.zeros(len(roots), np.bool_)
    np.logical_or.at(edge, number, nodes.edge[order])
    return _Clusters(key, number, middle, radius, edge)


@compiled
def union(touching: NDArray[np.int64]) -> NDArray[np.int64]:
    """The first member of each one's component; `touching` (member, k) are others that it touches, or NONE."""
    root = np.arange(len(touching))
    for place in range(len(touching)):
        for other in touching[place]:
            if other == NONE:
                continue
            one, two = place, other
            while root[one] != one:
                root[one] = root[root[one]]
                one = root[one]
            while root[two] != two:
                root[two] = root[root[two]]
                two = root[two]
            root[max(one, two)] = min(one, two)
    for place in range(len(touching)):
        root[place] = root[root[place]]
    return root


def _mates(
    tips: NDArray[np.int64], beyond: NDArray[np.int64], numbers: NDArray[np.uint8], node: NDArray[np.int64]
) -> NDArray[np.int64]:
    """For each end of each piece, flat (2 * piece,), the end of a piece that it goes on with, NONE at a node."""
    link = (tips * AHEAD + numbers).ravel()
    reverse = (beyond * AHEAD + (numbers + 4) % 8).ravel()
    order = np.argsort(link, kind="stable")
    place = _lookup(link[order], reverse)
    return np.where((place == NONE) | (node.ravel() != NONE), NONE, order[place] if len(order) else NONE)


@compiled
def _append(pieces: Pieces, end: int, steps: NDArray[np.uint8], count: int) -> int:
    """The number of steps after those of a piece were added, entered at one of its ends."""
    piece = end // 2
    start, stop = pieces.offsets[piece], pieces.offsets[piece + 1]
    for place in range(stop - start):
        steps[count + place] = pieces.steps[start + place] if end % 2 == 0 else (pieces.steps[stop - 1 - place] + 4) % 8
    return int(count + stop - start)


@compiled
def _edges(
    pieces: Pieces,
    node: NDArray[np.int64],
    mate: NDArray[np.int64],
    tips: NDArray[np.int64],
    neighbour: NDArray[np.int64],
) -> _Edges:
    """Edges in no order: `node`, `mate` and `tips` are for each end of each piece, 2 * piece for its first.

    An edge runs from the end whose pixel comes first; one that closes from its first pixel, to the neighbour that
    comes first.
    """
    total = len(pieces.first)
    ends = np.full((total, 2), NONE, np.int64)
    first = np.empty(total, np.int64)
    offsets = np.zeros(total + 1, np.int64)
    steps = np.empty(pieces.steps.size + total, np.uint8)  # one more where two pieces meet
    sums = np.zeros((total, SUMS), np.int64)
    seen = np.zeros(total, np.bool_)
    count = stepped = 0
    for closed in (False, True):
        for start in range(2 * total):
            if seen[start // 2] or (node[start] == NONE and not closed):
                continue
            begin = stepped
            end = start
            while True:
                piece = end // 2
                seen[piece] = True
                for field in range(SUMS):
                    sums[count, field] += pieces.sums[piece, field]
                stepped = _append(pieces, end, steps, stepped)
                away = end ^ 1
                if mate[away] == NONE or (closed and mate[away] == start):
                    break
                steps[stepped] = pieces.after[piece] if away % 2 else pieces.before[piece]
                stepped += 1
                end = mate[away]
            first[count] = tips[start]
            if closed:
                steps[stepped] = pieces.after[away // 2] if away % 2 else pieces.before[away // 2]
                stepped += 1
                first[count] = _rotated(steps[begin:stepped], first[count], neighbour)
                stepped -= 1  # the last step, back to the first pixel, goes without saying
            else:
                ends[count, 0], ends[count, 1] = node[start], node[away]
                if (tips[away], node[away]) < (tips[start], node[start]):
                    ends[count, 0], ends[count, 1] = node[away], node[start]
                    first[count] = tips[away]
                    _reverse(steps[begin:stepped])
            count += 1
            offsets[count] = stepped
    return _Edges(
        ends[:count].copy(),
        first[:count].copy(),
        offsets[: count + 1].copy(),
        steps[:stepped].copy(),
        sums[:count].copy(),
    )


@compiled
def _reverse(steps: NDArray[np.uint8]) -> None:
    """The same way back, in place."""
    for place in range((steps.size + 1) // 2):
        one, other = steps[place], steps[steps.size - 1 - place]
        steps[place], steps[steps.size - 1 - place] = (other + 4) % 8, (one + 4) % 8


@compiled
def _rotated(steps: NDArray[np.uint8], key: int, neighbour: NDArray[np.int64]) -> int:
    """The first pixel of a closed way, whose steps then start there, in place, towards the earlier neighbour."""
    lowest: int = key
    at, here = 0, key
    for place in range(steps.size):
        if here < lowest:
            lowest, at = here, place
        here += neighbour[steps[place]]
    turned = np.concatenate((steps[at:], steps[:at]))
    if neighbour[(turned[-1] + 4) % 8] < neighbour[turned[0]]:
        _reverse(turned)
    steps[:] = turned
    return lowest
