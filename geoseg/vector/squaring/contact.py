"""Neighbours that touch made to hold the same points, and no points that nobody needs."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import shapely
from numpy.typing import NDArray

from geoseg.core.compiled import compiled
from geoseg.vector.outlines import offsets as offsets_of
from geoseg.vector.squaring.segments import thin_out

GRID = 4096.0  # vertices are multiples of 1 / 4096 pixel: the same bits on any machine, but for a rare tie
_REACH = 0.4  # pixels between a corner and a neighbour's wall that are taken for contact
_GATHERED = 0.25  # pixels between corners that are taken for one
_STRAIGHT = 0.1  # pixels between a corner and the line past it that are taken for none
_END = 0.05  # pixels from the end of an edge within which nothing is inserted
_TRIANGLE = 3
_SPECK = 2.0  # square pixels that an outline may lose where it touches itself


class Loops(NamedTuple):
    """Closed rings in pixel coordinates, `points[offsets[i] : offsets[i + 1]]`; a collapsed one has no points."""

    points: NDArray[np.float64]
    offsets: NDArray[np.int64]


def taken(loops: Loops, which: NDArray[np.bool_]) -> Loops:
    """The rings of a mask; the others have no points."""
    lengths = np.diff(loops.offsets)
    return Loops(loops.points[np.repeat(which, lengths)], offsets_of(np.where(which, lengths, 0)))


def merged(first: Loops, second: Loops, which: NDArray[np.bool_]) -> Loops:
    """The rings of `second` where the mask says so, else those of `first`."""
    lengths = np.where(which, np.diff(second.offsets), np.diff(first.offsets))
    points = np.empty((lengths.sum(), 2))
    from_second = np.repeat(which, lengths)
    points[from_second] = taken(second, which).points
    points[~from_second] = taken(first, ~which).points
    return Loops(points, offsets_of(lengths))


class _Corners(NamedTuple):
    """Rings as numbers of corners, open: `corner[offsets[i] : offsets[i + 1]]`; `places` and `group` of each corner."""

    corner: NDArray[np.int64]
    offsets: NDArray[np.int64]
    places: NDArray[np.float64]
    group: NDArray[np.float64]


def tidy(loops: Loops, group: NDArray[np.int64]) -> Loops:
    """The rings, each corner near a wall of its group on that wall and a corner of it; `group` (ring,) are the rings'.

    Where a ring touches itself around a speck, it loses the speck; corners on straight walls go where all polygons that
    hold them can spare them.
    """
    corners = _numbered(loops, group)
    corners = _numbered(_closed(corners._replace(places=_gathered(corners))), group)
    near, on, edges = _contacts(corners)
    if len(near):
        corners = _numbered(_joined(corners, near, on, edges), group)
    for _ in range(2):  # the second time from another corner, as a ring may have begun on a speck
        corner, ends = _without_specks(corners, _SPECK)
        corners = corners._replace(corner=corner, offsets=ends)
    return _closed(_spared(corners))


def _numbered(loops: Loops, group: NDArray[np.int64]) -> _Corners:
    """The rings as corners; points of one group and place are one corner."""
    lengths = np.diff(loops.offsets)
    ring = np.repeat(np.arange(len(lengths)), lengths)
    opened = np.ones(len(ring), np.bool_)
    opened[loops.offsets[1:][lengths > 0] - 1] = False
    keyed = np.column_stack([group[ring[opened]], loops.points[opened]])
    order = np.lexsort(keyed.T)
    new = np.ones(len(order), np.bool_)
    new[1:] = (keyed[order[1:]] != keyed[order[:-1]]).any(axis=1)
    corner = np.empty(len(order), np.int64)
    corner[order] = np.cumsum(new) - 1
    unique = keyed[order[new]]
    return _Corners(corner, offsets_of(np.maximum(lengths - 1, 0)), unique[:, 1:].copy(), unique[:, 0])


def _following(corners: _Corners) -> NDArray[np.int64]:
    """The corner after each point."""
    after = np.roll(corners.corner, -1)
    filled = np.diff(corners.offsets) > 0
    after[corners.offsets[1:][filled] - 1] = corners.corner[corners.offsets[:-1][filled]]
    return after


def _gathered(corners: _Corners) -> NDArray[np.float64]:
    """The places of corners, those of a group that lie close together in the place of the first."""
    points = np.asarray(shapely.points(corners.places))
    a, b = shapely.STRtree(points).query(points, predicate="dwithin", distance=_GATHERED)
    ahead = (a < b) & (corners.group[a] == corners.group[b])
    order = np.lexsort((b[ahead], a[ahead]))
    root = np.arange(len(points))
    for i, j in zip(a[ahead][order].tolist(), b[ahead][order].tolist(), strict=True):
        if root[i] == i and root[j] == j:
            root[j] = i
    return corners.places[root]


def _contacts(corners: _Corners) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Corners and edges of one group within reach of each other, no edge with its own ends, and all edges (edge, 2)."""
    after = _following(corners)
    edges = np.unique(np.sort(np.column_stack([corners.corner, after]), axis=1), axis=0)  # some from a corner to itself
    tree = shapely.STRtree(shapely.linestrings(corners.places[edges]))
    near, on = tree.query(shapely.points(corners.places), predicate="dwithin", distance=_REACH)
    own = (corners.group[near] == corners.group[edges[on, 0]]) & (edges[on] != near[:, None]).all(axis=1)
    near, on = near[own], on[own]
    start, end = corners.places[edges[on, 0]], corners.places[edges[on, 1]]
    length = np.hypot(*(end - start).T)
    along = ((corners.places[near] - start) * (end - start)).sum(axis=1)  # times the length
    inside = (along > _END * length) & (along < (length - _END) * length)
    share = np.divide(along, length**2, out=np.zeros_like(along), where=inside)
    order = np.lexsort((near, share, on))
    order = order[inside[order]]
    return near[order], on[order], edges


def _joined(corners: _Corners, near: NDArray[np.int64], on: NDArray[np.int64], edges: NDArray[np.int64]) -> Loops:
    """The rings with corners moved onto the nearest edge, and edges with those corners in them."""
    start, end = corners.places[edges[on, 0]], corners.places[edges[on, 1]]
    along = end - start
    share = ((corners.places[near] - start) * along).sum(axis=1) / (along**2).sum(axis=1)
    foot = start + share[:, None] * along
    distance = np.hypot(*(foot - corners.places[near]).T)
    order = np.lexsort((on, distance, near))
    first = order[np.flatnonzero(np.diff(near[order], prepend=-1))]
    places = corners.places.copy()
    places[near[first]] = np.round(foot[first] * GRID) / GRID
    after = _following(corners)
    pairs = np.sort(np.column_stack([corners.corner, after]), axis=1)
    edge = np.searchsorted(edges[:, 0] * len(places) + edges[:, 1], pairs[:, 0] * len(places) + pairs[:, 1])
    spans = np.searchsorted(on, np.arange(len(edges) + 1))
    forward = corners.corner == edges[edge, 0]
    return _insert(corners._replace(places=places), edge, forward, spans, near)


@compiled
def _insert(
    corners: _Corners,
    edge: NDArray[np.int64],
    forward: NDArray[np.bool_],
    spans: NDArray[np.int64],
    inserted: NDArray[np.int64],
) -> Loops:
    """The rings with what is to be inserted after each point."""
    rings = corners.offsets.size - 1
    total = 2 * corners.corner.size
    for i in range(corners.corner.size):
        total += spans[edge[i] + 1] - spans[edge[i]]
    points, ends = np.empty((total, 2)), np.zeros(rings + 1, np.int64)
    count = 0
    for ring in range(rings):
        begin = count
        for i in range(corners.offsets[ring], corners.offsets[ring + 1]):
            points[count] = corners.places[corners.corner[i]]
            count += 1
            start, stop = spans[edge[i]], spans[edge[i] + 1]
            for k in range(stop - start):
                points[count] = corners.places[inserted[start + k if forward[i] else stop - 1 - k]]
                count += 1
        if count > begin:
            points[count] = points[begin]
            count += 1
        ends[ring + 1] = count
    return Loops(points[:count].copy(), ends)


@compiled
def _without_specks(corners: _Corners, most: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The corners and offsets of rings that do not come back to a corner around an area smaller than `most`."""
    kept, ends = np.empty(corners.corner.size, np.int64), np.zeros(corners.offsets.size, np.int64)
    seen = np.full(corners.places.shape[0], -1)
    count = 0
    for ring in range(corners.offsets.size - 1):
        begin, start = count, corners.offsets[ring]
        around = corners.offsets[ring + 1] - start
        for i in range(around):
            here = corners.corner[start + (around // 2 + i) % around]
            if count > begin and kept[count - 1] == here:
                continue
            if seen[here] >= 0 and _around(corners, kept[seen[here] : count]) < most:
                for k in range(seen[here] + 1, count):
                    seen[kept[k]] = -1
                count = seen[here] + 1
                continue
            seen[here] = count
            kept[count] = here
            count += 1
        for k in range(begin, count):
            seen[kept[k]] = -1
        if count - begin < _TRIANGLE:
            count = begin
        ends[ring + 1] = count
    return kept[:count].copy(), ends


@compiled
def _around(corners: _Corners, loop: NDArray[np.int64]) -> float:
    """The area within a loop of corners."""
    doubled = 0.0
    for i in range(loop.size):
        a, b = corners.places[loop[i - 1]], corners.places[loop[i]]
        doubled += a[0] * b[1] - b[0] * a[1]
    return abs(doubled) / 2


def _spared(corners: _Corners) -> _Corners:
    """The rings without corners on straight walls, but where polygons that hold them go different ways."""
    after = _following(corners)
    before = np.empty_like(after)
    before[_successor(corners.offsets, len(after))] = corners.corner
    ways = np.column_stack([corners.corner, np.minimum(before, after), np.maximum(before, after)])
    places, count = np.unique(np.unique(ways, axis=0)[:, 0], return_counts=True)
    fork = np.zeros(len(corners.places), np.bool_)
    fork[places] = count > 1
    corner, ends = _thinned(corners, fork, _STRAIGHT)
    return corners._replace(corner=corner, offsets=ends)


def _successor(offsets: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """The place of the point after each point of its ring."""
    after = np.arange(1, count + 1)
    filled = np.diff(offsets) > 0
    after[offsets[1:][filled] - 1] = offsets[:-1][filled]
    return after


@compiled
def _thinned(
    corners: _Corners, fork: NDArray[np.bool_], tolerance: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Corners and offsets without those that lie straight between others, from fork to fork."""
    kept, ends = np.empty(corners.corner.size, np.int64), np.zeros(corners.offsets.size, np.int64)
    count = 0
    for ring in range(corners.offsets.size - 1):
        start, around = corners.offsets[ring], corners.offsets[ring + 1] - corners.offsets[ring]
        begin, whole = count, corners.corner[start : start + around]
        forks = np.flatnonzero(fork[whole])
        if forks.size == 0:
            kept[count : count + around] = whole
            count += around
        for k in range(forks.size):
            length = (forks[(k + 1) % forks.size] - forks[k] - 1) % around + 1
            run = np.empty(length + 1, np.int64)
            for i in range(length + 1):
                run[i] = whole[(forks[k] + i) % around]
            left = _straightened(run, corners.places, tolerance)
            kept[count : count + left.size - 1] = left[:-1]
            count += left.size - 1
        if count - begin < _TRIANGLE:
            count = begin
        ends[ring + 1] = count
    return kept[:count].copy(), ends


@compiled
def _straightened(run: NDArray[np.int64], places: NDArray[np.float64], tolerance: float) -> NDArray[np.int64]:
    """The corners left of a run, the same for the run backwards."""
    backwards = run[0] > run[-1] or (run[0] == run[-1] and run[1] > run[-2])
    if backwards:
        run = run[::-1].copy()
    left = thin_out(places[run, 0], places[run, 1], np.zeros(run.size, np.bool_), tolerance)
    if backwards:
        left = left[::-1].copy()
    return np.take(run, left)


def _closed(corners: _Corners) -> Loops:
    """Rings of points, the first repeated at the end."""
    lengths = np.diff(corners.offsets)
    filled = lengths > 0
    places = np.insert(corners.corner, corners.offsets[1:][filled], corners.corner[corners.offsets[:-1][filled]])
    return Loops(corners.places[places], offsets_of(lengths + filled))
