"""Outlines with fewer vertices, arc by arc, so that what lies on both sides of an arc stays together.

What becomes of an arc depends on the arc and on the exact corners near it, on nothing else: neither on the polygon
that asks, nor on what was done to others. Both polygons beside an arc come to the same points without knowing one
another.

Vertices go one by one, always the one that is nearest to the side that replaces it (in the manner of M. Visvalingam and
J. D. Whyatt, "Line generalisation by repeated elimination of points", 1993, who go by areas). Where none may go alone,
two in a row may: along a staircase, a straight line leaves one corner on either side. A vertex b between a and c
goes when

1. all exact vertices of the arc between a and c lie within the tolerance of the side that joins a and c (for two in a
   row: of the side that replaces both), and
2. the closed triangle a, b, c holds no corner of the raster that an outline turns at, but for exact vertices of the
   arc from a to c.

Lines that do not cross before do not cross after: all lines run between such corners, so a line that met the triangle
would have to enter and leave it through the side from a to c, and a straight one cannot. As no line is ever moved
across a vertex, every area keeps its place among the others. What remains is that two lines between the same two
points could become the same line:

- a ring, and an arc from a node to itself, keep four points;
- where an arc between two nodes a and c is about to lose its last vertex b, another one between them might do so as
  well. If b is right of the line from a to c (as seen on the screen), the arc may go: of two on one side, the triangle
  of the outer one would hold the vertex of the inner one. If b is left of it, another one might go on the right. No
  vertex would be between the two, so the other one would follow this one around both nodes, and its first vertex would
  be the first corner ahead there, within the tolerance; the arc goes where no such corner exists at one of the nodes.
  An exact vertex of the arc on the line itself lies in the triangles of all others, and lets the arc go in any case;
  without one, an arc whose ends are in one row or column stays, because an exact one may join them.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from geoseg.core.compiled import compiled
from geoseg.vector.arcs.arcs import Arcs, split
from geoseg.vector.arcs.corners import CornerMap, count_in_triangle, in_triangle, is_marked
from geoseg.vector.arcs.vertexqueue import (
    NONE,
    PAIR,
    Chain,
    Limits,
    add,
    close,
    drop,
    height_over,
    limits_of,
    near,
    side_of,
    sink,
)
from geoseg.vector.ground import Ground
from geoseg.vector.outlines import RingBatch

LONGEST = 2048  # exact sides that one side may stand for, so that no arc costs more than so many steps a vertex
CELL = 256  # pixels; metres per pixel are taken from the middle of the cell that an arc starts in


def simplify(batch: RingBatch, corners: CornerMap, ground: Ground, tolerance_m: float) -> RingBatch:
    """The same polygons in the same order with fewer of their vertices.

    No exact outline is further than `tolerance_m` (metres on the ground) from the simplified one. Rings start at their
    topmost, then leftmost vertex left. `corners` are those of the raster that the exact outlines of `batch` come from;
    all rows that they reach are known. Arcs are left exact where metres are not known. Raises ValueError where the
    corners do not fit.
    """
    if tolerance_m <= 0 or not len(batch):
        return batch
    corners.check(batch.points)
    arcs = split(batch.points, batch.node, batch.ring_offsets)
    sizes = _pixel_sizes(batch.points[arcs.starts()], ground)
    origin = np.array(corners.origin, np.int64)
    keep = _thin_all(batch.points, arcs, corners.bits, origin, (sizes, float(tolerance_m), corners.vacant))
    points, node, beside, offsets = _rebuild(batch.points, batch.node, batch.beside, batch.ring_offsets, keep)
    return replace(batch, points=points, node=node, beside=beside, ring_offsets=offsets)


def _pixel_sizes(starts: NDArray[np.int32], ground: Ground) -> NDArray[np.float64]:
    """Metres per pixel along x and y, shape (arc, 2), in the middle of the cell that each arc starts in."""
    cells, which = np.unique(starts // CELL, axis=0, return_inverse=True)
    sizes: NDArray[np.float64] = ground.pixel_sizes((cells * CELL + CELL / 2).astype(np.float64))[which.ravel()]
    return sizes


@compiled
def _thin_all(
    points: NDArray[np.int32],
    arcs: Arcs,
    bits: NDArray[np.uint64],
    origin: NDArray[np.int64],
    asked: tuple[NDArray[np.float64], float, bool],
) -> NDArray[np.bool_]:
    """Which points are left, shape (point,); the closing points of rings are not."""
    sizes, tolerance, vacant = asked
    keep = np.zeros(points.shape[0], np.bool_)
    longest = 0
    for arc in range(arcs.ring.size):
        longest = max(longest, arcs.points[arc])
    room = np.empty((9, longest), np.int64)
    chain = Chain(room[0], room[1], room[2], room[3], room[4], room[5], room[6], room[7], room[8])
    for arc in range(arcs.ring.size):
        count = arcs.points[arc]
        place = arcs.first[arc]
        for vertex in range(count):
            point = arcs.ring[arc] + place
            chain.x[vertex] = points[point, 0] - origin[0]
            chain.y[vertex] = points[point, 1] - origin[1]
            chain.before[vertex], chain.after[vertex] = vertex - 1, vertex + 1
            place += arcs.step[arc]
            place += arcs.length[arc] if place < 0 else (-arcs.length[arc] if place >= arcs.length[arc] else 0)
        _thin(chain, limits_of(arcs.kind[arc], count, sizes[arc], tolerance, vacant), bits)
        place = arcs.first[arc]
        for vertex in range(count):
            if chain.after[vertex] != NONE:
                keep[arcs.ring[arc] + place] = True
            place += arcs.step[arc]
            place += arcs.length[arc] if place < 0 else (-arcs.length[arc] if place >= arcs.length[arc] else 0)
    return keep


@compiled
def _thin(chain: Chain, limits: Limits, bits: NDArray[np.uint64]) -> None:  # noqa: C901 - one loop
    """Take the vertices out of an arc that may go; they lose their `after`."""
    left = limits.last - limits.first
    if limits.first == 0:
        chain.before[0], chain.after[limits.points - 1] = limits.points - 1, 0
    chain.slot[: limits.points] = NONE
    if left <= limits.fewest:
        return
    size = 0
    for vertex in range(limits.first, limits.last):
        if _propose(chain, vertex, limits):
            chain.heap[size], chain.slot[vertex] = vertex, size
            size += 1
    for slot in range(size // 2 - 1, -1, -1):
        sink(chain, slot, size)
    while size > 0:
        b = chain.heap[0]
        size = drop(chain, 0, size)
        if not _may_go(chain, b, left, limits, bits):
            if chain.pair[b] == 0 and _propose_pair(chain, b, limits):
                size = add(chain, b, size)
            continue
        a, c = chain.before[b], chain.after[b]
        chain.after[b] = NONE
        left -= 1
        if chain.pair[b]:
            if chain.slot[c] != NONE:
                size = drop(chain, chain.slot[c], size)
            second = c
            c = chain.after[second]
            chain.after[second] = NONE
            left -= 1
        chain.after[a], chain.before[c] = c, a
        for vertex in (chain.before[a], a, c):
            if limits.first <= vertex and vertex < limits.last:
                if chain.slot[vertex] != NONE:
                    size = drop(chain, chain.slot[vertex], size)
                if _propose(chain, vertex, limits):
                    size = add(chain, vertex, size)


@compiled
def _propose(chain: Chain, b: int, limits: Limits) -> bool:
    """Whether a vertex may be worth taking out, alone or else with the next one; its height is brought up to date."""
    a, c = chain.before[b], chain.after[b]
    if not near(chain, a, c, b, limits):
        return _propose_pair(chain, b, limits)
    chain.pair[b] = 0
    chain.side[b] = np.sign(side_of(chain, a, c, b))
    chain.height[b] = height_over(chain, a, c, b, limits)
    return True


@compiled
def _propose_pair(chain: Chain, b: int, limits: Limits) -> bool:
    """Whether a vertex may be worth taking out with the next one; if so, its height is the larger of both."""
    a, c = chain.before[b], chain.after[b]
    if c < limits.first or c >= limits.last:
        return False
    d = chain.after[c]
    if d == a or not near(chain, a, d, b, limits) or not near(chain, a, d, c, limits):
        return False
    chain.pair[b] = 1
    chain.side[b] = PAIR
    chain.height[b] = max(height_over(chain, a, d, b, limits), height_over(chain, a, d, c, limits))
    return True


@compiled
def _may_go(chain: Chain, b: int, left: int, limits: Limits, bits: NDArray[np.uint64]) -> bool:
    """Whether a vertex, or with it the next one, may go from an arc in which `left` vertices that could are left."""
    a, c = chain.before[b], chain.after[b]
    if not chain.pair[b]:
        if left - 1 < limits.fewest or not _within(chain, a, c, limits) or not _empty(chain, (a, b, c), limits, bits):
            return False
        return left > 1 or _may_be_last(chain, b, limits, bits)
    d = chain.after[c]
    if left - 2 < limits.fewest or not _within(chain, a, d, limits):
        return False
    if _empty(chain, (a, b, c), limits, bits) and _empty(chain, (a, c, d), limits, bits):
        return left > 2 or _may_be_last(chain, c, limits, bits)
    if _empty(chain, (b, c, d), limits, bits) and _empty(chain, (a, b, d), limits, bits):
        return left > 2 or _may_be_last(chain, b, limits, bits)
    return False


@compiled
def _within(chain: Chain, a: int, c: int, limits: Limits) -> bool:
    """Whether the side from a to c may stand for all that is between them."""
    if (c - a) % limits.points > LONGEST:
        return False
    vertex = a + 1 if a + 1 < limits.points else 0
    while vertex != c:
        if not near(chain, a, c, vertex, limits):
            return False
        vertex = vertex + 1 if vertex + 1 < limits.points else 0
    return True


@compiled
def _empty(chain: Chain, corners: tuple[int, int, int], limits: Limits, bits: NDArray[np.uint64]) -> bool:
    """Whether the closed triangle of vertices a, b, c holds no marked corner but what is between a and c."""
    a, b, c = corners
    triangle = (chain.x[a], chain.y[a], chain.x[b], chain.y[b], chain.x[c], chain.y[c])
    own = 2
    vertex = a + 1 if a + 1 < limits.points else 0
    while vertex != c:
        own += in_triangle(triangle, chain.x[vertex], chain.y[vertex])
        vertex = vertex + 1 if vertex + 1 < limits.points else 0
    return count_in_triangle(bits, triangle, 1) == own


@compiled
def _may_be_last(chain: Chain, b: int, limits: Limits, bits: NDArray[np.uint64]) -> bool:
    """Whether no other arc between the same two nodes can become the side that joins them, where this one does."""
    a, c = 0, limits.points - 1
    side = side_of(chain, a, c, b)
    if side == 0:
        return True
    for vertex in range(1, c):
        if side_of(chain, a, c, vertex) == 0 and _in_box(chain, a, c, vertex):
            return True
    if chain.x[a] == chain.x[c] or chain.y[a] == chain.y[c]:
        return False
    return side > 0 or not (_other_leaves(chain, a, 1, limits, bits) and _other_leaves(chain, c, c - 1, limits, bits))


@compiled
def _other_leaves(chain: Chain, end: int, neighbour: int, limits: Limits, bits: NDArray[np.uint64]) -> bool:
    """Whether an arc that stays within the tolerance may leave an end, next to this one on the right from a to c.

    Sides that follow one another around a node are a quarter or half of a turn apart, but one of them may separate
    background from nodata and be no arc. `neighbour` is the exact vertex next to the end.
    """
    x, y = np.sign(chain.x[neighbour] - chain.x[end]), np.sign(chain.y[neighbour] - chain.y[end])
    right = (-y, x) if end == 0 else (y, -x)
    if _mark_ahead(chain, end, right, limits, bits) or _mark_ahead(chain, end, (-x, -y), limits, bits):
        return True
    return limits.vacant and _mark_ahead(chain, end, (-right[0], -right[1]), limits, bits)


@compiled
def _mark_ahead(chain: Chain, end: int, step: tuple[int, int], limits: Limits, bits: NDArray[np.uint64]) -> bool:
    """Whether the first marked corner from an end on is another arc's, and within the tolerance of the joined ends.

    Below the arc there may be: what is marked there is not known yet when the first polygon beside it has ended.
    """
    x, y, last = chain.x[end] + step[0], chain.y[end] + step[1], limits.points - 1
    bottom = chain.y[: limits.points].max()
    while y <= bottom and not is_marked(bits, x, y):
        if not close(chain, 0, last, (x, y), limits):
            return False
        x, y = x + step[0], y + step[1]
    for vertex in range(limits.points):
        if chain.x[vertex] == x and chain.y[vertex] == y:
            return False
    return close(chain, 0, last, (x, y), limits)


@compiled
def _in_box(chain: Chain, a: int, c: int, vertex: int) -> bool:
    """Whether a vertex is in the box around a and c; one on their line then is between them."""
    x, y = chain.x[vertex], chain.y[vertex]
    across = min(chain.x[a], chain.x[c]) <= x and x <= max(chain.x[a], chain.x[c])
    return bool(across and min(chain.y[a], chain.y[c]) <= y and y <= max(chain.y[a], chain.y[c]))


@compiled
def _rebuild(
    points: NDArray[np.int32],
    node: NDArray[np.bool_],
    beside: NDArray[np.int32],
    ring_offsets: NDArray[np.int64],
    keep: NDArray[np.bool_],
) -> tuple[NDArray[np.int32], NDArray[np.bool_], NDArray[np.int32], NDArray[np.int64]]:
    """Points, nodes, values beside and offsets of closed rings with the points to keep, from the first by (y, x)."""
    offsets = np.zeros(ring_offsets.size, np.int64)
    for ring in range(ring_offsets.size - 1):
        offsets[ring + 1] = offsets[ring] + 1
        for point in range(ring_offsets[ring], ring_offsets[ring + 1] - 1):
            offsets[ring + 1] += keep[point]
    left = np.empty((offsets[-1], 2), np.int32)
    left_node, left_beside = np.empty(offsets[-1], np.bool_), np.empty(offsets[-1], np.int32)
    for ring in range(ring_offsets.size - 1):
        start, stop = ring_offsets[ring], ring_offsets[ring + 1] - 1
        first = NONE
        for point in range(start, stop):
            if keep[point] and (
                first == NONE
                or points[point, 1] < points[first, 1]
                or (points[point, 1] == points[first, 1] and points[point, 0] < points[first, 0])
            ):
                first = point
        source = first
        target = offsets[ring]
        while target < offsets[ring + 1]:
            if keep[source]:
                left[target, 0], left[target, 1] = points[source, 0], points[source, 1]
                left_node[target], left_beside[target] = node[source], beside[source]
                target += 1
            source = source + 1 if source + 1 < stop else start
    return left, left_node, left_beside, offsets
