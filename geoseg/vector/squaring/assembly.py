"""Rings put together again from walls and nodes that have their places."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from geoseg.core.compiled import compiled
from geoseg.vector.squaring.contact import GRID, Loops
from geoseg.vector.squaring.net import Net
from geoseg.vector.squaring.walls import NOWHERE, Walls

_TRIANGLE = 3


@compiled
def assemble(walls: Walls, net: Net, places: NDArray[np.float64], lengths: NDArray[np.int64]) -> Loops:
    """The rings in pixel coordinates.

    `places` (ring, 5) as `ring_corners` takes them, `lengths` (ring,) are the points of the exact rings.
    """
    rings = walls.ring_sides.size - 1
    points = np.empty((lengths.sum() + rings, 2))
    offsets = np.zeros(rings + 1, np.int64)
    count = 0
    for ring in range(rings):
        begin = count
        for side in range(walls.ring_sides[ring], walls.ring_sides[ring + 1]):
            wall, node = walls.wall[side], walls.node[side]
            if node != NOWHERE:
                count = _add(points, begin, count, net.xy[node], places[ring])
            start, stop = net.spans[wall]
            for i in range(stop - start):
                vertex = start + i if net.side[wall] == side else stop - 1 - i
                count = _add(points, begin, count, net.vertices[vertex], places[ring])
        while count > begin + 1 and (points[count - 1] == points[begin]).all():
            count -= 1
        if count - begin < _TRIANGLE:
            count = begin
        else:
            points[count] = points[begin]
            count += 1
        offsets[ring + 1] = count
    return Loops(points[:count].copy(), offsets)


@compiled
def _add(
    points: NDArray[np.float64], begin: int, count: int, xy: NDArray[np.float64], place: NDArray[np.float64]
) -> int:
    """The number of points after one is added, unless it is the last one again."""
    points[count, 0] = np.round((xy[0] / place[2] + place[0]) * GRID) / GRID
    points[count, 1] = np.round((xy[1] / place[3] + place[1]) * GRID) / GRID
    if count > begin and (points[count] == points[count - 1]).all():
        return count
    return count + 1
