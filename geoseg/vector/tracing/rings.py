"""Kernels that string the vertices of ended components into rings."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geoseg.core.compiled import compiled
from geoseg.vector.tracing.trace import BESIDE, CHAIN, LINK, MARKS, NODE, NONE, SUM, TWIN, Store, X, Y

SEEN = 2  # a mark in X: its ring has been followed
NOWHERE = 1 << 62  # behind every corner

# Where following a component's rings has come to: the vertex of the chain and that of the ring, where the ring began,
# the place of its first point so far and which corner that is, what it encloses so far, and how many points and rings.
LINE, AT, BEGAN, FIRST, CORNER, CONTENT, POINTS, FOUND = 0, 1, 2, 3, 4, 5, 6, 7
STATE_FIELDS = 8

_ONE = np.zeros(1, np.int64)  # the order of a single ring


class Pace(NamedTuple):
    """How many blocks of `1 << shift` entries of an array may be looked at before memory has to be let go of.

    `left` (1,) counts down, `met` are the blocks last seen, a power of two of them. Kernels go through what lies in
    memory without a pace.
    """

    left: NDArray[np.int64]
    met: NDArray[np.int64]
    shift: int


class Found(NamedTuple):
    """Rings of a component as they are found: points as in RingBatch, but no ring is closed, and arrays (ring,).

    `stop` is the place after a ring's last point, `first` that of its topmost, then leftmost one, `corner` which one
    that is, as y << 32 | x.
    """

    points: NDArray[np.int32]
    node: NDArray[np.bool_]
    beside: NDArray[np.int32]
    stop: NDArray[np.int64]
    first: NDArray[np.int64]
    corner: NDArray[np.int64]
    content: NDArray[np.int64]


class Rings(NamedTuple):
    """Outlines of components in order, as RingBatch holds them."""

    points: NDArray[np.int32]
    node: NDArray[np.bool_]
    beside: NDArray[np.int32]
    ring_offsets: NDArray[np.int64]
    polygon_offsets: NDArray[np.int64]
    enclosed: NDArray[np.int64]


@compiled
def patient(pace: Pace | None, entry: int) -> bool:
    """Whether one entry more may be looked at."""
    if pace is None:
        return True
    block = entry >> pace.shift
    place = block & (pace.met.size - 1)
    if pace.met[place] != block:
        pace.met[place] = block
        pace.left[0] -= 1
    return bool(pace.left[0] >= 0)


@compiled
def meet(vertices: NDArray[np.int32], vertex: int, pace: Pace | None) -> int:
    """Exchange the links of twins that turned out to belong to one component, along its chain from a vertex on.

    Comes back with the vertex to go on with, NONE at the end. The first of two twins leaves its number, as
    NONE - 1 - vertex, with the second.
    """
    while vertex != NONE and patient(pace, vertex):
        twin = vertices[vertex, TWIN]
        if twin > NONE:
            vertices[twin, TWIN] = NONE - 1 - vertex
        elif twin < NONE:
            first = NONE - 1 - twin
            for field in (LINK, BESIDE):
                other = vertices[first, field]
                vertices[first, field] = vertices[vertex, field]
                vertices[vertex, field] = other
            vertices[first, TWIN] = vertices[vertex, TWIN] = NONE
        vertex = vertices[vertex, CHAIN]
    return vertex


@compiled
def follow(store: Store, state: NDArray[np.int64], found: Found, pace: Pace | None) -> bool:
    """Follow the rings of a component, whose twins have met; false where there is more to do.

    `state` starts as `fresh`. Twins in other components are forgotten.
    """
    vertices, sums = store.vertices, store.sums
    line, vertex, began = state[LINE], state[AT], state[BEGAN]
    first, corner, content, place = state[FIRST], state[CORNER], state[CONTENT], state[POINTS]
    while True:
        if vertex == NONE:
            while line != NONE and vertices[line, X] & SEEN and patient(pace, line):
                line = np.int64(vertices[line, CHAIN])
            if line == NONE or vertices[line, X] & SEEN:
                break
            vertex = began = line
            corner, content = np.int64(NOWHERE), np.int64(0)
        if not patient(pace, vertex):
            break
        x, y = vertices[vertex, X] >> MARKS, vertices[vertex, Y]
        if np.int64(y) << 32 | x < corner:
            first, corner = place, np.int64(y) << 32 | x
        found.points[place, 0], found.points[place, 1] = x, y
        found.node[place] = (vertices[vertex, X] & NODE) != 0
        found.beside[place] = vertices[vertex, BESIDE]
        place += 1
        if vertices[vertex, TWIN] != NONE:
            vertices[vertices[vertex, TWIN], TWIN] = NONE
        vertices[vertex, X] |= SEEN
        link = np.int64(vertices[vertex, LINK])
        if vertices[link, X] >> MARKS == x:
            content += sums[link, SUM] - sums[vertex, SUM]
        vertex = link
        if vertex == began:
            ring = state[FOUND]
            found.stop[ring], found.first[ring] = place, first
            found.corner[ring], found.content[ring] = corner, abs(content)
            state[FOUND] += 1
            vertex = np.int64(NONE)
    state[LINE], state[AT], state[BEGAN] = line, vertex, began
    state[FIRST], state[CORNER], state[CONTENT], state[POINTS] = first, corner, content, place
    return bool(line == NONE)


@compiled
def fresh(state: NDArray[np.int64], head: int) -> None:
    """Begin with the first vertex of another component."""
    state[LINE], state[AT], state[POINTS], state[FOUND] = head, NONE, 0, 0


@compiled
def copy(found: Found, ring: int, source: int, rings: Rings, span: tuple[int, int], origin: tuple[int, int]) -> int:
    """The point of a ring that comes next, after those from `source` on were copied to the places of a span."""
    start = found.stop[ring - 1] if ring > 0 else 0
    stop, (left, top) = found.stop[ring], origin
    for target in range(span[0], span[1]):
        rings.points[target, 0] = found.points[source, 0] + left
        rings.points[target, 1] = found.points[source, 1] + top
        rings.node[target] = found.node[source]
        rings.beside[target] = found.beside[source]
        source = source + 1 if source + 1 < stop else start
    return source


@compiled
def length(found: Found, ring: int) -> int:
    """How many points a ring has when it is closed."""
    return int(found.stop[ring] - (found.stop[ring - 1] if ring > 0 else 0) + 1)


@compiled
def _finding(most: int) -> Found:
    """Room for the rings of a component that has so many vertices at the most."""
    rings = most // 4
    return Found(
        np.empty((most, 2), np.int32),
        np.empty(most, np.bool_),
        np.empty(most, np.int32),
        np.empty(rings, np.int64),
        np.empty(rings, np.int64),
        np.empty(rings, np.int64),
        np.empty(rings, np.int64),
    )


@compiled
def room(points: int, rings: int, components: int) -> Rings:
    """Room for outlines."""
    return Rings(
        np.empty((points, 2), np.int32),
        np.empty(points, np.bool_),
        np.empty(points, np.int32),
        np.zeros(rings + 1, np.int64),
        np.zeros(components + 1, np.int64),
        np.empty(rings, np.int64),
    )


@compiled
def close(store: Store, heads: NDArray[np.int64], sizes: NDArray[np.int64], origin: tuple[int, int]) -> Rings:
    """The outlines of components, given by the heads of their chains and their numbers of vertices.

    `origin` (x, y) is added to all points.
    """
    total = most = 0
    for component in range(heads.size):
        total += sizes[component]
        most = max(most, sizes[component])
    rings, found = room(total + total // 4, total // 4, heads.size), _finding(most)
    state = np.zeros(STATE_FIELDS, np.int64)
    place = count = 0
    for component in range(heads.size):
        meet(store.vertices, heads[component], None)
        fresh(state, heads[component])
        follow(store, state, found, None)
        order = _ONE if state[FOUND] == 1 else np.argsort(found.corner[: state[FOUND]])
        for ring in order:
            stop = place + length(found, ring)
            copy(found, ring, found.first[ring], rings, (place, stop), origin)
            rings.ring_offsets[count + 1], rings.enclosed[count] = stop, found.content[ring]
            place = stop
            count += 1
        rings.polygon_offsets[component + 1] = count
    return Rings(
        rings.points[:place],
        rings.node[:place],
        rings.beside[:place],
        rings.ring_offsets[: count + 1],
        rings.polygon_offsets,
        rings.enclosed[:count],
    )


@compiled
def interleave(one: Rings, other: Rings, order: NDArray[np.int64]) -> Rings:
    """The components of both in that order, in which those of `other` are counted on from those of `one`."""
    points, count = one.points.shape[0] + other.points.shape[0], one.enclosed.size + other.enclosed.size
    rings = room(points, count, order.size)
    ring = place = 0
    for component in range(order.size):
        number = order[component]
        source = one
        if number >= one.polygon_offsets.size - 1:
            source = other
            number -= one.polygon_offsets.size - 1
        for old in range(source.polygon_offsets[number], source.polygon_offsets[number + 1]):
            for point in range(source.ring_offsets[old], source.ring_offsets[old + 1]):
                rings.points[place, 0], rings.points[place, 1] = source.points[point, 0], source.points[point, 1]
                rings.node[place] = source.node[point]
                rings.beside[place] = source.beside[point]
                place += 1
            rings.enclosed[ring] = source.enclosed[old]
            ring += 1
            rings.ring_offsets[ring] = place
        rings.polygon_offsets[component + 1] = ring
    return rings
