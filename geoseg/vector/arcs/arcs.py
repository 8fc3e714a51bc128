"""The arcs of outlines: what lies between two nodes, seen in the same direction from both sides."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geoseg.core.compiled import compiled

# What an arc joins: two nodes, a node with itself, or nothing: a ring without a node.
OPEN, LOOP, RING = 0, 1, 2


class Arcs(NamedTuple):
    """The arcs of rings; arrays of shape (arc,), in the order of the rings and along them.

    Point j of an arc, 0 <= j < `points`, is number (`first` + j * `step`) modulo `length` of the points that begin at
    `ring`. The direction is canonical: from the end that comes first by (y, x); where both ends are one point, by way
    of the neighbour that comes first. A loop ends with the node that it began with; a ring without nodes begins with
    the ring's first point and does not repeat it. `ring` and `length` are the ring's first point among all and its
    number of distinct points.
    """

    ring: NDArray[np.int64]
    length: NDArray[np.int64]
    first: NDArray[np.int64]
    points: NDArray[np.int64]
    step: NDArray[np.int8]
    kind: NDArray[np.int8]

    def starts(self) -> NDArray[np.int64]:
        """The place of each arc's first point among all points."""
        return self.ring + self.first


def split(points: NDArray[np.int32], node: NDArray[np.bool_], ring_offsets: NDArray[np.int64]) -> Arcs:
    """The arcs of closed rings that start at their topmost, then leftmost point.

    `points` (point, 2) are x and y, `node` (point,) marks those where arcs end, `ring_offsets` as in a RingBatch.
    """
    return _split(points, node, ring_offsets)


@compiled
def _split(points: NDArray[np.int32], node: NDArray[np.bool_], ring_offsets: NDArray[np.int64]) -> Arcs:
    most = ring_offsets.size - 1
    for point in range(node.size):
        most += node[point]
    fields = np.empty((4, most), np.int64)
    kinds = np.empty((2, most), np.int8)
    arcs = Arcs(fields[0], fields[1], fields[2], fields[3], kinds[0], kinds[1])
    arc = 0
    for ring in range(ring_offsets.size - 1):
        start, stop = ring_offsets[ring], ring_offsets[ring + 1] - 1
        first = last = -1  # the ring's first node, and the last one met
        for place in range(stop - start):
            if node[start + place]:
                if first < 0:
                    first = place
                else:
                    _note(arcs, arc, points[start:stop], (last, place - last))
                    arcs.ring[arc] = start
                    arc += 1
                last = place
        if first < 0:
            first = last = 0
        _note(arcs, arc, points[start:stop], (last, first + stop - start - last))
        arcs.ring[arc] = start
        if not node[start + first]:
            arcs.kind[arc], arcs.points[arc] = RING, stop - start
        arc += 1
    return Arcs(fields[0, :arc], fields[1, :arc], fields[2, :arc], fields[3, :arc], kinds[0, :arc], kinds[1, :arc])


@compiled
def _note(arcs: Arcs, arc: int, ring: NDArray[np.int32], span: tuple[int, int]) -> None:
    """Note an arc of a ring's distinct points in its canonical direction; `span` is its first place and its sides."""
    length = ring.shape[0]
    start, end = span[0], (span[0] + span[1]) % length
    one, other = start, end
    if start == end:
        one, other = (start + 1) % length, (start + length - 1) % length
    backwards = ring[other, 1] < ring[one, 1] or (ring[other, 1] == ring[one, 1] and ring[other, 0] < ring[one, 0])
    arcs.length[arc], arcs.points[arc] = length, span[1] + 1
    arcs.first[arc], arcs.step[arc] = (end, -1) if backwards else (start, 1)
    arcs.kind[arc] = LOOP if start == end else OPEN
