"""The planar graph of a batch of outlines: nodes, and walls between them that two polygons may share."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from geoseg.core.compiled import compiled

if TYPE_CHECKING:
    from geoseg.vector.outlines import RingBatch

NOWHERE = -1
_FORK = 3  # walls that meet at a node at the least
_STEPS = 3  # bits for the direction in which an outline leaves a corner


class Walls(NamedTuple):
    """Rings as runs of walls; a wall is the outline between two nodes, or a whole ring without nodes.

    A side is a wall as one ring runs through it: `ring_sides[i]` to `ring_sides[i + 1]` are those of ring i, in order.
    For each side: `first` the corner where it begins (an index into the batch's points), `length` the corners it takes
    (counted round the ring), `wall` its wall, and `node` the node where it begins, NOWHERE for rings without nodes.
    `beside` (wall, 2) are the polygons on both sides of a wall, NOWHERE where there is none; `nodes` counts the nodes.
    """

    ring_sides: NDArray[np.int64]
    first: NDArray[np.int64]
    length: NDArray[np.int64]
    wall: NDArray[np.int64]
    node: NDArray[np.int64]
    beside: NDArray[np.int64]
    nodes: int


def find_walls(batch: RingBatch) -> Walls:
    """The graph of a batch: what two rings share, they share as one wall."""
    forks = _forks(batch)
    ring_sides, first, length, ring = _cut(forks, batch.ring_offsets)
    points, (x, y) = batch.points, batch.points.T.astype(np.int64)
    start = batch.ring_offsets[ring]
    around = batch.ring_offsets[ring + 1] - 1 - start
    after = start + (first - start + 1) % around
    last = start + (first - start + length) % around
    before = start + (last - start - 1) % around
    leaves = _key(x[first], y[first], points[after] - points[first])
    arrives = _key(x[last], y[last], points[before] - points[last])
    wall = np.unique(np.minimum(leaves, arrives), return_inverse=True)[1]
    real = forks[first]
    node = np.full(len(first), NOWHERE)
    places, node[real] = np.unique(leaves[real] >> _STEPS, return_inverse=True)
    polygon = np.repeat(np.arange(len(batch)), np.diff(batch.polygon_offsets))[ring]
    return Walls(ring_sides, first, length, wall, node, _beside(wall, polygon), len(places))


def _forks(batch: RingBatch) -> NDArray[np.bool_]:
    """Nodes (point,) at which three walls or more of the batch still meet: those beside what was dropped may not."""
    places = np.flatnonzero(batch.node)
    if not len(places):
        return batch.node
    ring = np.searchsorted(batch.ring_offsets, places, side="right") - 1
    start = batch.ring_offsets[ring]
    around = batch.ring_offsets[ring + 1] - 1 - start
    x, y = batch.points[places].T.astype(np.int64)
    ways = []
    for step in (1, -1):
        other = start + (places - start + step) % around
        ways.append(_key(x, y, batch.points[other] - batch.points[places]))
    corner, count = np.unique(np.unique(np.concatenate(ways)) >> _STEPS, return_counts=True)
    forks = np.zeros(len(batch.node), np.bool_)
    forks[places] = count[np.searchsorted(corner, ways[0] >> _STEPS)] >= _FORK
    return forks


def _key(x: NDArray[np.int64], y: NDArray[np.int64], step: NDArray[np.int32]) -> NDArray[np.int64]:
    """One number for a corner and the direction in which an outline leaves it."""
    direction = (step[:, 0] > 0) + 2 * (step[:, 1] > 0) + 4 * (step[:, 1] != 0)
    key: NDArray[np.int64] = ((y << 31) + x << _STEPS) + direction
    return key


def _beside(wall: NDArray[np.int64], polygon: NDArray[np.int64]) -> NDArray[np.int64]:
    """The polygons of the first and the last side of each wall, the second NOWHERE where there is one side only."""
    order = np.argsort(wall, kind="stable")
    starts = np.flatnonzero(np.diff(wall[order], prepend=-1))
    stops = np.append(starts[1:], len(wall)) - 1
    second = np.where(stops > starts, polygon[order[stops]], NOWHERE)
    return np.column_stack([polygon[order[starts]], second])


@compiled
def _cut(
    node: NDArray[np.bool_], ring_offsets: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Offsets of the sides of each ring, and for each side its first corner, its length and its ring."""
    rings = ring_offsets.size - 1
    most = rings + np.count_nonzero(node)
    first, length, ring = np.empty(most, np.int64), np.empty(most, np.int64), np.empty(most, np.int64)
    offsets = np.zeros(rings + 1, np.int64)
    count = 0
    for i in range(rings):
        start, stop = ring_offsets[i], ring_offsets[i + 1] - 1
        before = count
        for corner in range(start, stop):
            if node[corner]:
                first[count], ring[count] = corner, i
                if count > before:
                    length[count - 1] = corner - first[count - 1]
                count += 1
        if count == before:
            first[count], ring[count] = start, i
            count += 1
        length[count - 1] = stop - first[count - 1] + first[before] - start
        offsets[i + 1] = count
    return offsets, first[:count], length[:count], ring[:count]
