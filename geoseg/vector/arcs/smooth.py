"""Outlines with rounded corners, the same on both sides.

A corner b between a and c gives way to the quadratic Bezier curve that leaves the side to a at a point p, is drawn
towards b, and joins the side to c at a point q: where p and q are the middles of the sides, the curves are a quadratic
B-spline. They are closer to b where the curve would be further from b than asked. A node stays where it is, and a
curve next to it may begin there; so does a corner where the raster or its data end, which no object caused.

A corner is rounded only where the closed triangle p, b, q holds no corner of the raster that an outline turns at, but
for exact vertices of the same arc between a and c. No other line enters such a triangle (see `simplify`), so no two of
them overlap, and the curves, which stay inside, do not cross. All points are multiples of 1/8192 of a pixel, computed
without rounding: both sides of an arc come to the same bits, and what is true of the geometry is true of the numbers.
"""

from __future__ import annotations

import numpy as np
import shapely
from numpy.typing import NDArray

from geoseg.core.compiled import compiled
from geoseg.vector.arcs.corners import CornerMap, count_in_triangle, in_triangle
from geoseg.vector.ground import Ground
from geoseg.vector.outlines import RawPolygons, RingBatch

CELL = 256  # pixels; metres per pixel are taken from the middle of the cell that a corner lies in
_SHARES = 64  # of half a side: p and q are so many parts of it away from b
_FINE = 2 * _SHARES  # parts of a pixel of which p and q are whole numbers
_PIECES = 8  # of a curve at the most
_ERROR = 1 / 16  # pixels between a curve and its pieces, where there may be enough of them
_SHARP = 4  # shares below which a corner stays
_FLAT = 1 / 32  # pixels; a curve that stays closer to its corner is not worth its points


def smooth(batch: RingBatch, exact: RingBatch, corners: CornerMap, ground: Ground, tolerance_m: float) -> RawPolygons:
    """The polygons of a simplified batch with rounded corners, in the same order.

    Nothing moves further than `tolerance_m` (metres on the ground). `exact` is the batch that was simplified, `corners`
    those of its raster. Where metres are not known corners stay. Raises ValueError where these do not belong together.
    """
    if not len(batch):
        return batch.polygons()
    corners.check(exact.points)
    places = _align(batch.points, batch.ring_offsets, exact.points, exact.ring_offsets)
    if len(places) != len(batch.points):
        raise ValueError(
            "the rings are not simplified ones of the exact batch; expected the same rings in the same order"
        )
    origin = np.array(corners.origin, np.int64)
    bounds = _bounds(batch, ground, tolerance_m)
    still = batch.node | (batch.beside == corners.nodata)
    lines = (batch.points - origin, batch.node, batch.ring_offsets)
    shares = _share(lines, (exact.points - origin, exact.ring_offsets, places, still), bounds, corners.bits)
    points, ring_offsets = _draw(lines, shares)
    geometry = shapely.from_ragged_array(
        shapely.GeometryType.POLYGON, points / (_FINE * _PIECES**2) + origin, (ring_offsets, batch.polygon_offsets)
    )
    return RawPolygons(geometry, batch.class_id, batch.pixels, batch.score_sum, batch.touches_edge, batch.group)


def _bounds(batch: RingBatch, ground: Ground, tolerance: float) -> NDArray[np.float64]:
    """Pixels along x and y that make the tolerance at each point, shape (point, 2)."""
    cells = batch.points.astype(np.int64) // CELL
    low = cells.min(axis=0)
    width = int(cells[:, 0].max() - low[0]) + 1
    numbers, which = np.unique((cells - low) @ np.array([1, width]), return_inverse=True)
    middles = (np.column_stack([numbers % width, numbers // width]) + low + 0.5) * CELL
    with np.errstate(divide="ignore"):
        bounds: NDArray[np.float64] = (tolerance / ground.pixel_sizes(middles))[which.ravel()]
    return bounds


@compiled
def _align(
    points: NDArray[np.int32],
    ring_offsets: NDArray[np.int64],
    exact: NDArray[np.int32],
    exact_offsets: NDArray[np.int64],
) -> NDArray[np.int64]:
    """The place of each point among the exact ones, shape (point,); none at all where rings do not fit."""
    places = np.full(points.shape[0], -1, np.int64)
    none = places[:0]
    if ring_offsets.size != exact_offsets.size:
        return none
    for ring in range(ring_offsets.size - 1):
        start, stop = exact_offsets[ring], exact_offsets[ring + 1] - 1
        place = start
        steps = 0
        for point in range(ring_offsets[ring], ring_offsets[ring + 1]):
            while exact[place, 0] != points[point, 0] or exact[place, 1] != points[point, 1]:
                place = place + 1 if place + 1 < stop else start
                steps += 1
                if steps > 2 * (stop - start):
                    return none
            places[point] = place
    return places


@compiled
def _share(
    lines: tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.int64]],
    origins: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]],
    bounds: NDArray[np.float64],
    bits: NDArray[np.uint64],
) -> NDArray[np.int64]:
    """How much of its sides each corner's curve takes, in parts of `_SHARES`, shape (point,); 0 where it stays."""
    points, node, ring_offsets = lines
    exact, exact_offsets, places, still = origins
    shares = np.zeros(points.shape[0], np.int64)
    for ring in range(ring_offsets.size - 1):
        start, stop = ring_offsets[ring], ring_offsets[ring + 1] - 1
        span = (exact_offsets[ring], exact_offsets[ring + 1] - 1)
        for b in range(start, stop):
            if still[b]:
                continue
            a, c = (b - 1 if b > start else stop - 1), b + 1
            share = _largest(points, node, (a, b, c), bounds[b])
            while share >= _SHARP:
                triangle = _triangle(points, node, (a, b, c), share)
                if count_in_triangle(bits, triangle, _FINE) == _own(exact, span, (places[a], places[c]), triangle):
                    shares[b] = share
                    break
                share //= 2
    return shares


@compiled
def _largest(
    points: NDArray[np.int64], node: NDArray[np.bool_], corner: tuple[int, int, int], bound: NDArray[np.float64]
) -> int:
    """The largest share with which a corner's curve stays close enough; 0 where it is not worth its points."""
    a, b, c = corner
    across = (_reach(points, node, b, a, 0) + _reach(points, node, b, c, 0)) / 8
    down = (_reach(points, node, b, a, 1) + _reach(points, node, b, c, 1)) / 8
    if across * across + down * down < _FLAT**2:
        return 0
    away = np.sqrt((across / bound[0]) ** 2 + (down / bound[1]) ** 2)  # in tolerances, with all shares
    return int(_SHARES * min(1.0, 1.0 / away)) if away > 0 else 0


@compiled
def _reach(points: NDArray[np.int64], node: NDArray[np.bool_], b: int, other: int, axis: int) -> int:
    """The way along an axis, in half pixels, from b to where its curve may begin: half of a side, all up to a node."""
    return int((points[other, axis] - points[b, axis]) * (2 if node[other] else 1))


@compiled
def _triangle(
    points: NDArray[np.int64], node: NDArray[np.bool_], corner: tuple[int, int, int], share: int
) -> tuple[int, int, int, int, int, int]:
    """Where a corner's curve begins, the corner, and where the curve ends: x and y in parts of `_FINE` of a pixel."""
    a, b, c = corner
    x, y = _FINE * points[b, 0], _FINE * points[b, 1]
    px, py = x + share * _reach(points, node, b, a, 0), y + share * _reach(points, node, b, a, 1)
    qx, qy = x + share * _reach(points, node, b, c, 0), y + share * _reach(points, node, b, c, 1)
    return px, py, x, y, qx, qy


@compiled
def _own(
    exact: NDArray[np.int64],
    span: tuple[int, int],
    ends: tuple[int, int],
    triangle: tuple[int, int, int, int, int, int],
) -> int:
    """How many exact points of a ring from one place to another, both included, lie in a triangle."""
    place = ends[0]
    count = 0
    while True:
        count += in_triangle(triangle, _FINE * exact[place, 0], _FINE * exact[place, 1])
        if place == ends[1]:
            return count
        place = place + 1 if place + 1 < span[1] else span[0]


@compiled
def _draw(
    lines: tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.int64]],
    shares: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Points of closed rings, in parts of `_FINE * _PIECES ** 2` of a pixel, and where the rings begin."""
    points, node, ring_offsets = lines
    drawn = np.empty((points.shape[0] * (_PIECES + 2), 2), np.int64)
    offsets = np.zeros(ring_offsets.size, np.int64)
    count = 0
    for ring in range(ring_offsets.size - 1):
        start, stop = ring_offsets[ring], ring_offsets[ring + 1] - 1
        for b in range(start, stop):
            corner = ((b - 1 if b > start else stop - 1), b, b + 1)
            triangle = _triangle(points, node, corner, shares[b])
            pieces = _pieces(triangle) if shares[b] else 0
            for step in range(pieces + 1):
                x, y = _on_curve(triangle, step, max(pieces, 1))
                if count > offsets[ring] and drawn[count - 1, 0] == x and drawn[count - 1, 1] == y:
                    continue
                drawn[count, 0], drawn[count, 1] = x, y
                count += 1
        if drawn[count - 1, 0] != drawn[offsets[ring], 0] or drawn[count - 1, 1] != drawn[offsets[ring], 1]:
            drawn[count] = drawn[offsets[ring]]
            count += 1
        offsets[ring + 1] = count
    return drawn[:count], offsets


@compiled
def _pieces(triangle: tuple[int, int, int, int, int, int]) -> int:
    """In how many pieces a curve is drawn; it is as far from its corner as one piece would be from it."""
    px, py, x, y, qx, qy = triangle
    away = np.sqrt(float((px - 2 * x + qx) ** 2 + (py - 2 * y + qy) ** 2)) / (4 * _FINE)
    pieces = 2
    while pieces < _PIECES and away > _ERROR * pieces * pieces:
        pieces *= 2
    return pieces


@compiled
def _on_curve(triangle: tuple[int, int, int, int, int, int], step: int, pieces: int) -> tuple[int, int]:
    """The point of a curve after so many of its pieces, in parts of `_FINE * _PIECES ** 2` of a pixel."""
    px, py, x, y, qx, qy = triangle
    rest = pieces - step
    scale = (_PIECES // pieces) ** 2
    across = rest * rest * px + 2 * step * rest * x + step * step * qx
    down = rest * rest * py + 2 * step * rest * y + step * step * qy
    return scale * across, scale * down
