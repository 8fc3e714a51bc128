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

    Point j of an arc, 0 <= j < `count`, is number (`first` + j * `step`) modulo `length` of the points that begin at
    `ring`. The direction is canonical: from the end that comes first by (y, x); where both ends are one point, by way
    of the neighbour that comes first. A loop ends with the node that it began with; a ring without nodes begins with
    the ring's first point and does not repeat it. `ring` and `length` are the ring's first point among all and its
    number of distinct points.
    """

    ring: NDArray[np.int64]
    length: NDArray[np.int64]
    first: NDArray[np.int64]
    count: NDArray[np.int64]
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
    step, kind = np.ones(most, np.int8), np.empty(most, np.int8)
    arc = 0
    for ring in range(ring_offsets.size - 1):
        start = ring_offsets[ring]
        length = ring_offsets[ring + 1] - 1 - start
        before = -1  # the last node met
        lead = -1  # the first node of the ring
        for place in range(length):
            if not node[start + place]:
                continue
            if before < 0:
                lead = place
            else:
                _add(fields, step, kind, arc, start, length, before, place - before, points)
                arc += 1
            before = place
        if before < 0:
            before = lead = 0
            _add(fields, step, kind, arc, start, length, 0, length, points)
            kind[arc], fields[3, arc] = RING, length
        else:
            _add(fields, step, kind, arc, start, length, before, lead + length - before, points)
        arc += 1
    return Arcs(fields[0, :arc], fields[1, :arc], fields[2, :arc], fields[3, :arc], step[:arc], kind[:arc])


@compiled
def _add(
    fields: NDArray[np.int64],
    step: NDArray[np.int8],
    kind: NDArray[np.int8],
    arc: int,
    start: int,
    length: int,
    place: int,
    sides: int,
    points: NDArray[np.int32],
) -> None:
    """Note the arc of `sides` sides that begins at `place` of its ring, in its canonical direction."""
    end = (place + sides) % length
    kind[arc] = LOOP if sides == length else OPEN
    one, other = place, end
    if sides == length:
        one, other = (place + 1) % length, (place + length - 1) % length
    y, x = points[start + one, 1], points[start + one, 0]
    other_y, other_x = points[start + other, 1], points[start + other, 0]
    turned = other_y < y or (other_y == y and other_x < x)
    fields[0, arc], fields[1, arc] = start, length
    fields[2, arc], fields[3, arc] = (end if turned else place), sides + 1
    step[arc] = -1 if turned else 1
