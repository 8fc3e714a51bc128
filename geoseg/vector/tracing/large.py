"""Outlines of large groups, in arrays of a spool: memory does not grow with their size."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from geoseg.core.compiled import compiled
from geoseg.vector.spool import Spool
from geoseg.vector.tracing import rings as kernels
from geoseg.vector.tracing.rings import FOUND, STATE_FIELDS, Found, Pace, Rings
from geoseg.vector.tracing.trace import FIRST_Y, HEAD, LAST_Y, NONE, VERTEX_FIELDS, VERTICES, Store

POINT_BYTES = 13  # that an outline takes for each of its points
_SHARE = 8  # this part of the budget may come into memory between two breaths
_READ_AHEAD = 16  # bits of the bytes that come into memory with one that is read, as Linux does it
_MET = 1 << 10  # blocks that are remembered
_VERTEX_BITS = (4 * VERTEX_FIELDS - 1).bit_length()
_POINT_BITS = 3  # of the bytes of a point

# Where copying rings has come to: the ring by its place in order, the point of it that is next or NONE, and where to.
NUMBER, SOURCE, PLACE = 0, 1, 2


def close(store: Store, components: NDArray[np.int64], origin: tuple[int, int], spool: Spool) -> Rings:
    """The outlines of components (component, field) in that order, with the origin (x, y) added to all points.

    Small components are closed many at a time, each large one by itself and step by step.
    """
    sizes = components[:, VERTICES].copy()
    most = max(1, spool.budget // _SHARE // POINT_BYTES)
    rings = _room(int(sizes.sum()), len(components), spool)
    points = count = 0
    for start, stop in pairwise(_runs(sizes, most)):
        if sizes[start] > most:
            points, count = _Large(store, components[start], spool).close(rings, points, count, origin)
            rings.polygon_offsets[stop] = count
        else:
            part = kernels.close(store, components[start:stop, HEAD].copy(), sizes[start:stop].copy(), origin)
            rings.polygon_offsets[start + 1 : stop + 1] = part.polygon_offsets[1:] + count
            points, count = _append(rings, part, points, count)
        spool.relax()
    return Rings(
        rings.points[:points],
        rings.node[:points],
        rings.beside[:points],
        rings.ring_offsets[: count + 1],
        rings.polygon_offsets,
        rings.enclosed[:count],
    )


def _runs(sizes: NDArray[np.int64], most: int) -> list[int]:
    """Where runs of components begin that have `most` vertices at the most or are one, and where the last one ends."""
    ends = np.cumsum(sizes)
    starts = [0]
    while starts[-1] < len(sizes):
        before = int(ends[starts[-1] - 1]) if starts[-1] else 0
        starts.append(max(starts[-1] + 1, int(np.searchsorted(ends, before + most, side="right"))))
    return starts


def _room(vertices: int, components: int, spool: Spool) -> Rings:
    points, rings = vertices + vertices // 4, vertices // 4  # a ring has four vertices at least, and is closed by one
    offsets = spool.empty(rings + 1, np.int64)
    offsets[0] = 0
    return Rings(
        spool.empty((points, 2), np.int32),
        spool.empty(points, np.bool_),
        spool.empty(points, np.int32),
        offsets,
        np.zeros(components + 1, np.int64),
        spool.empty(rings, np.int64),
    )


def _append(rings: Rings, part: Rings, points: int, count: int) -> tuple[int, int]:
    """The numbers of points and rings, with those of a part put behind the first ones."""
    stop, last = points + len(part.points), count + len(part.enclosed)
    rings.points[points:stop] = part.points
    rings.node[points:stop] = part.node
    rings.beside[points:stop] = part.beside
    rings.ring_offsets[count + 1 : last + 1] = part.ring_offsets[1:] + points
    rings.enclosed[count:last] = part.enclosed
    return stop, last


class _Large:
    """One component whose vertices lie in a file for the most part."""

    def __init__(self, store: Store, component: NDArray[np.int64], spool: Spool) -> None:
        self._store, self._spool, self._component = store, spool, component
        self._slice = max(1, spool.budget // _SHARE // POINT_BYTES)  # points or rings
        size = int(component[VERTICES])
        self._found = Found(
            spool.empty((size, 2), np.int32),
            spool.empty(size, np.bool_),
            spool.empty(size, np.int32),
            *(spool.empty(size // 4, np.int64) for _ in range(4)),
        )

    def close(self, rings: Rings, points: int, count: int, origin: tuple[int, int]) -> tuple[int, int]:
        """The numbers of points and rings, with this component's put behind the first ones."""
        found = self._follow()
        order = self._in_order(found)
        state = np.array([0, NONE, points])
        pace = self._pace(_POINT_BITS)
        while not copy(self._found, order, rings, count, state, (*origin, self._slice), pace):
            self._breathe(pace)
        for array in (*self._found, order):
            self._spool.release(array)
        return int(state[PLACE]), count + found

    def _follow(self) -> int:
        """The number of rings; they are in `_found`."""
        pace = self._pace(_VERTEX_BITS)
        vertex = int(self._component[HEAD])
        while (vertex := int(kernels.meet(self._store.vertices, vertex, pace))) != NONE:
            self._breathe(pace)
        state = np.zeros(STATE_FIELDS, np.int64)
        kernels.fresh(state, int(self._component[HEAD]))
        while not kernels.follow(self._store, state, self._found, pace):
            self._breathe(pace)
        return int(state[FOUND])

    def _in_order(self, count: int) -> NDArray[np.int64]:
        """The rings by their first corners: put into rows, which are sorted one by one."""
        corner, order = self._found.corner[:count], self._spool.empty(count, np.int64)
        top, bottom = int(self._component[FIRST_Y]), int(self._component[LAST_Y])
        starts = np.zeros(bottom - top + 3, np.int64)
        for start in range(0, count, self._slice):
            starts[1:] += np.bincount((corner[start : start + self._slice] >> 32) - top, minlength=len(starts) - 1)
            self._spool.relax()
        np.cumsum(starts, out=starts)
        filled = starts.copy()
        for start in range(0, count, self._slice):
            put(corner, (start, min(count, start + self._slice)), top, filled, order)
            self._spool.relax()
        for first, last in pairwise(_runs(np.diff(starts), self._slice)):
            sort(corner, order, starts[first : last + 1])
            self._spool.relax()
        return order

    def _pace(self, bits: int) -> Pace:
        left = max(1, self._spool.budget // _SHARE >> _READ_AHEAD)
        return Pace(np.array([left]), np.full(_MET, NONE), _READ_AHEAD - bits)

    def _breathe(self, pace: Pace) -> None:
        self._spool.relax()
        pace.left[0] = max(1, self._spool.budget // _SHARE >> _READ_AHEAD)
        pace.met[:] = NONE


@compiled
def put(
    corner: NDArray[np.int64], span: tuple[int, int], top: int, filled: NDArray[np.int64], order: NDArray[np.int64]
) -> None:
    """Put the rings of a span into their rows of `order`, which are `filled` so far; `top` is the first row."""
    for ring in range(span[0], span[1]):
        row = (corner[ring] >> 32) - top
        order[filled[row]] = ring
        filled[row] += 1


@compiled
def sort(corner: NDArray[np.int64], order: NDArray[np.int64], starts: NDArray[np.int64]) -> None:
    """Sort rows of rings, each by itself; `starts` are their places in `order`, and where the last one ends."""
    for row in range(starts.size - 1):
        rings = order[starts[row] : starts[row + 1]]
        rings[:] = rings[np.argsort(corner[rings])]


@compiled
def copy(
    found: Found,
    order: NDArray[np.int64],
    rings: Rings,
    count: int,
    state: NDArray[np.int64],
    settings: tuple[int, int, int],
    pace: Pace,
) -> bool:
    """Copy rings in order behind the first `count`; false where there is more to do.

    `settings` are the origin's x and y, and how many points are copied at the most.
    """
    left, top, most = settings
    while state[NUMBER] < order.size:
        ring = order[state[NUMBER]]
        begin = rings.ring_offsets[count + state[NUMBER]]
        if state[SOURCE] == NONE:
            state[SOURCE], state[PLACE] = found.first[ring], begin
        if most <= 0 or not kernels.patient(pace, state[SOURCE]):
            return False
        stop = begin + kernels.length(found, ring)
        end = min(stop, state[PLACE] + most)
        most -= end - state[PLACE]
        state[SOURCE] = kernels.copy(found, ring, state[SOURCE], rings, (state[PLACE], end), (left, top))
        state[PLACE] = end
        if end == stop:
            rings.ring_offsets[count + state[NUMBER] + 1] = stop
            rings.enclosed[count + state[NUMBER]] = found.content[ring]
            state[NUMBER] += 1
            state[SOURCE] = NONE
    return True
