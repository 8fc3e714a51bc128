"""Runs of walls that are built together: from one place that is known to the next, or a whole ring."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geoseg.core.compiled import compiled
from geoseg.vector.squaring.directions import ring_corners
from geoseg.vector.squaring.net import UNKNOWN, Net
from geoseg.vector.squaring.walls import NOWHERE, Walls

TOLERANCE = 4  # its column in the table of rings
SNAP = 1.5  # pixels between a corner and a node that are taken for one


class Places(NamedTuple):
    """What the rings of a batch are built from: its points and offsets, and what was found out about it.

    `ring` (ring, 5) are as `ring_corners` takes them, and the tolerance in pixels; `start` (ring,) is the corner to
    begin at, counted from the ring's first, `room` (point,) how far an outline may move there at the most, in pixels,
    `angles` (polygon, FRAMES) are the main directions.
    """

    points: NDArray[np.int32]
    ring_offsets: NDArray[np.int64]
    polygon_offsets: NDArray[np.int64]
    ring: NDArray[np.float64]
    start: NDArray[np.int64]
    room: NDArray[np.float64]
    angles: NDArray[np.float64]


class Chain(NamedTuple):
    """A run of walls to be built together: corners x and y, the node and the side that begins at each (or NOWHERE).

    `room` is how far the outline may move at each corner.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    node: NDArray[np.int64]
    side: NDArray[np.int64]
    room: NDArray[np.float64]
    closed: bool


@compiled
def is_known(walls: Walls, net: Net, side: int) -> bool:
    """Whether something is known of the node where a side begins."""
    return bool(walls.node[side] != NOWHERE and net.state[walls.node[side]] != UNKNOWN)


@compiled
def side_after(walls: Walls, ring: int, side: int) -> int:
    """The side that follows in the ring."""
    return side + 1 if side + 1 < walls.ring_sides[ring + 1] else walls.ring_sides[ring]


@compiled
def open_chain(walls: Walls, places: Places, net: Net, ring: int, side: int) -> Chain:
    """The walls from one side on, up to a node whose place is known or a wall that is built."""
    start, stop = places.ring_offsets[ring], places.ring_offsets[ring + 1]
    around = stop - start - 1
    x, y = ring_corners(places.points, start, stop, walls.first[side] - start, places.ring[ring])
    node, sides = np.full(around + 1, NOWHERE), np.full(around + 1, NOWHERE)
    at, current = 0, side
    while True:
        node[at], sides[at] = walls.node[current], current
        at += walls.length[current]
        current = side_after(walls, ring, current)
        if current == side or net.side[walls.wall[current]] != NOWHERE or is_known(walls, net, current):
            break
    node[at] = walls.node[current]
    room = _room(places, start, stop, walls.first[side] - start)
    return Chain(x[: at + 1], y[: at + 1], node[: at + 1], sides[: at + 1], room[: at + 1], False)


@compiled
def rotated(chain: Chain, first: int) -> Chain:
    """A closed chain from another corner on."""
    places = (np.arange(chain.x.size) + first) % (chain.x.size - 1)
    return Chain(chain.x[places], chain.y[places], chain.node[places], chain.side[places], chain.room[places], True)


@compiled
def closed_chain(walls: Walls, places: Places, ring: int) -> Chain:
    """The whole ring, from the corner where it turns most sharply, or from a node close to it."""
    start, stop = places.ring_offsets[ring], places.ring_offsets[ring + 1]
    around = stop - start - 1
    first = places.start[ring]
    x, y = ring_corners(places.points, start, stop, first, places.ring[ring])
    nearest = SNAP
    for side in range(walls.ring_sides[ring], walls.ring_sides[ring + 1]):
        if walls.node[side] != NOWHERE:
            corner = walls.first[side] - start
            at = (corner - places.start[ring]) % around
            distance = np.hypot(x[at] - x[0], y[at] - y[0])
            if distance < nearest:
                nearest, first = distance, corner
    if first != places.start[ring]:
        x, y = ring_corners(places.points, start, stop, first, places.ring[ring])
    node, sides = np.full(around + 1, NOWHERE), np.full(around + 1, NOWHERE)
    for side in range(walls.ring_sides[ring], walls.ring_sides[ring + 1]):
        at = (walls.first[side] - start - first) % around
        node[at], sides[at] = walls.node[side], side
    node[-1] = node[0]
    return Chain(x, y, node, sides, _room(places, start, stop, first), True)


@compiled
def _room(places: Places, start: int, stop: int, first: int) -> NDArray[np.float64]:
    """How far a ring may move at its corners, from its corner `first` round to it again."""
    around = stop - start - 1
    room = np.empty(around + 1)
    for i in range(around + 1):
        room[i] = places.room[start + (first + i) % around]
    return room
