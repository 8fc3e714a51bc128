"""An arc while it loses vertices: what is left of it, and which vertex is next."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geoseg.core.compiled import compiled
from geoseg.vector.arcs.arcs import LOOP, RING

FEWEST = 4  # points of a ring, or of an arc from a node to itself
NONE = -1
PAIR = -2  # a side that comes before all others
_PARTS = 1 << 20  # of the tolerance


class Chain(NamedTuple):
    """An arc at work, from the map's origin; the arrays are changed in place, all (vertex,).

    `before` and `after` are the neighbours left. `heap` holds the vertices that may be worth taking out, those of the
    smallest `height` first, which is the distance from the line that would replace them; `slot` is where a vertex is
    in it. `side` tells on which side of that line a vertex is, `pair` is 1 where the next vertex goes with it.
    """

    x: NDArray[np.int64]
    y: NDArray[np.int64]
    before: NDArray[np.int64]
    after: NDArray[np.int64]
    heap: NDArray[np.int64]
    slot: NDArray[np.int64]
    side: NDArray[np.int64]
    pair: NDArray[np.int64]
    height: NDArray[np.int64]


class Limits(NamedTuple):
    """What an arc may become: metres per pixel along x and y, the tolerance's square, and the vertices that may go.

    Those are `first` to `last`, the latter not included, of `points`; `fewest` of them stay. `vacant` says that there
    are two values, background and nodata, between which no corner is marked.
    """

    x: float
    y: float
    square: float
    first: int
    last: int
    points: int
    fewest: int
    vacant: bool


@compiled
def limits_of(kind: int, points: int, size: NDArray[np.float64], tolerance: float, vacant: bool) -> Limits:
    """The limits of an arc of `points` points, where `size` (2,) are metres per pixel."""
    first, last, fewest = 1, points - 1, 0
    if kind == RING:
        first, last, fewest = 0, points, FEWEST
    elif kind == LOOP:
        fewest = FEWEST - 1
    return Limits(size[0], size[1], tolerance * tolerance, first, last, points, fewest, vacant)


@compiled
def near(chain: Chain, a: int, c: int, vertex: int, limits: Limits) -> bool:
    """Whether a vertex is within the tolerance of the side from a to c."""
    return close(chain, a, c, (chain.x[vertex], chain.y[vertex]), limits)


@compiled
def close(chain: Chain, a: int, c: int, point: tuple[int, int], limits: Limits) -> bool:
    """Whether a point is within the tolerance of the side from a to c."""
    ux, uy = (chain.x[c] - chain.x[a]) * limits.x, (chain.y[c] - chain.y[a]) * limits.y
    vx, vy = (point[0] - chain.x[a]) * limits.x, (point[1] - chain.y[a]) * limits.y
    along, square = ux * vx + uy * vy, ux * ux + uy * uy
    if along <= 0.0:
        return bool(vx * vx + vy * vy <= limits.square)
    if along >= square:
        return bool((vx - ux) * (vx - ux) + (vy - uy) * (vy - uy) <= limits.square)
    cross = ux * vy - uy * vx
    return bool(cross * cross <= limits.square * square)


@compiled
def height_over(chain: Chain, a: int, c: int, vertex: int, limits: Limits) -> int:
    """The distance of a vertex from the line through a and c, rounded to parts of the tolerance.

    Equal distances of unlike triangles come out equal, so that the rule for ties holds for them.
    """
    ux, uy = (chain.x[c] - chain.x[a]) * limits.x, (chain.y[c] - chain.y[a]) * limits.y
    side = abs(side_of(chain, a, c, vertex))
    return int(side * limits.x * limits.y / np.sqrt((ux * ux + uy * uy) * limits.square) * _PARTS + 0.5)


@compiled
def side_of(chain: Chain, a: int, c: int, vertex: int) -> int:
    """More than 0 where a vertex is right of the line from a to c on the screen, less where it is left of it."""
    ux, uy = chain.x[c] - chain.x[a], chain.y[c] - chain.y[a]
    return int(ux * (chain.y[vertex] - chain.y[a]) - uy * (chain.x[vertex] - chain.x[a]))


@compiled
def _before(chain: Chain, one: int, other: int) -> bool:
    """Whether a vertex goes before another one: the lower one, else one of two, one on the left, the upper, the left.

    The side counts because an arc may always lose its last vertex where that is on the right.
    """
    if chain.height[one] != chain.height[other]:
        return bool(chain.height[one] < chain.height[other])
    if chain.side[one] != chain.side[other]:
        return bool(chain.side[one] < chain.side[other])
    if chain.y[one] != chain.y[other]:
        return bool(chain.y[one] < chain.y[other])
    return bool(chain.x[one] < chain.x[other])


@compiled
def sink(chain: Chain, slot: int, size: int) -> None:
    """Move the vertex at a slot of the heap down until none of those below it goes before it."""
    vertex = chain.heap[slot]
    while 2 * slot + 1 < size:
        child = 2 * slot + 1
        if child + 1 < size and _before(chain, chain.heap[child + 1], chain.heap[child]):
            child += 1
        if not _before(chain, chain.heap[child], vertex):
            break
        chain.heap[slot] = chain.heap[child]
        chain.slot[chain.heap[slot]] = slot
        slot = child
    chain.heap[slot] = vertex
    chain.slot[vertex] = slot


@compiled
def _rise(chain: Chain, slot: int) -> None:
    """Move the vertex at a slot of the heap up until it does not go before the one above it."""
    vertex = chain.heap[slot]
    while slot > 0:
        parent = (slot - 1) // 2
        if not _before(chain, vertex, chain.heap[parent]):
            break
        chain.heap[slot] = chain.heap[parent]
        chain.slot[chain.heap[slot]] = slot
        slot = parent
    chain.heap[slot] = vertex
    chain.slot[vertex] = slot


@compiled
def add(chain: Chain, vertex: int, size: int) -> int:
    """The size of the heap after a vertex was put into it."""
    chain.heap[size] = vertex
    _rise(chain, size)
    return size + 1


@compiled
def drop(chain: Chain, slot: int, size: int) -> int:
    """The size of the heap after the vertex at a slot was taken out of it."""
    chain.slot[chain.heap[slot]] = NONE
    size -= 1
    if slot < size:
        moved = chain.heap[size]
        chain.heap[slot] = moved
        chain.slot[moved] = slot
        _rise(chain, slot)
        sink(chain, chain.slot[moved], size)
    return size
