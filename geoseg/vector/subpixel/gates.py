"""Contours with fewer points, none of which can touch another one.

A point of a contour lies on the segment between two pixel centres, its gate. Contours are valid and apart from one
another wherever their points lie in their gates, MARGIN off the ends (see the module `contour`). So a stretch may be
replaced by a straight line if that passes every gate of the stretch, in order: what is left is the contour of other
points in the same gates. It needs no look at any neighbour, whatever the tolerance.

Gates are read off the points: of a point in a gate just one coordinate is a half. Corners that stay have none.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from geoseg.core.compiled import compiled

MARGIN = 0.02  # pixels between a point and the centres of the pixels on both sides, at least
LONGEST = 1024  # points looked at at once

# What a point is: one that stays, or one whose gate lies along x or y.
FIXED, ALONG_X, ALONG_Y = 0, 1, 2


@compiled
def _kind(x: float, y: float) -> int:
    half_x, half_y = x - np.floor(x) == 0.5, y - np.floor(y) == 0.5
    if half_x == half_y:
        return FIXED
    return ALONG_X if half_y else ALONG_Y


@compiled
def _in_one_cell(one: NDArray[np.float64], other: NDArray[np.float64]) -> bool:
    for axis in range(2):
        corner = np.floor((one[axis] + other[axis]) / 2 + 0.5)
        if abs(one[axis] - corner) > 0.5 or abs(other[axis] - corner) > 0.5:
            return False
    return True


@compiled
def _kinds(points: NDArray[np.float64]) -> NDArray[np.uint8]:
    """What the points (point, 2) of a ring are; FIXED too is what cannot be left out."""
    count = points.shape[0]
    plain = np.empty(count, np.uint8)
    for place in range(count):
        plain[place] = _kind(points[place, 0], points[place, 1])
    kinds = plain.copy()
    for place in range(count):
        following = (place + 1) % count
        if FIXED in (plain[place], plain[following]) or not _in_one_cell(points[place], points[following]):
            kinds[place] = kinds[following] = FIXED
    return kinds


@compiled
def _farthest(
    points: NDArray[np.float64], kinds: NDArray[np.uint8], first: int, last: int, measure: tuple[float, float, float]
) -> int:
    """The point between two where to divide a stretch of a ring, or `first` where a straight line does.

    Places count on past the ring's end. `measure` holds metres per pixel along x and y, and the tolerance in metres.
    """
    count = points.shape[0]
    per_x, per_y, tolerance = measure
    x, y = points[first % count, 0], points[first % count, 1]
    right, down = points[last % count, 0] - x, points[last % count, 1] - y
    length = np.hypot(right * per_x, down * per_y)
    worst, most, fits, reached = first + 1, -1.0, True, 0.0
    for place in range(first + 1, last):
        at_x, at_y = points[place % count, 0], points[place % count, 1]
        if length > 0:
            off = abs(right * (at_y - y) - down * (at_x - x)) * per_x * per_y / length
        else:
            off = np.hypot((at_x - x) * per_x, (at_y - y) * per_y)
        if off > most:
            worst, most = place, off
        if fits:
            along_x = kinds[place % count] == ALONG_X
            across, on = (down, at_y - y) if along_x else (right, at_x - x)
            part = on / across if across != 0 else -1.0
            passed = x + part * right if along_x else y + part * down
            start = np.floor((at_x if along_x else at_y) - 0.5) + 0.5
            fits = reached < part < 1 and start + MARGIN <= passed <= start + 1 - MARGIN
            reached = part
    return first if fits and most <= tolerance else worst


@compiled
def _divide(
    points: NDArray[np.float64], kinds: NDArray[np.uint8], keep: NDArray[np.bool_], measure: tuple[float, float, float]
) -> None:
    """Keep what is needed of a ring (Douglas and Peucker, 1973) between neighbouring points that are kept already."""
    count = points.shape[0]
    kept = np.flatnonzero(keep)
    stack = np.empty((count + 2, 2), np.int64)
    for number in range(kept.size):
        stack[0, 0] = kept[number]
        stack[0, 1] = kept[number + 1] if number + 1 < kept.size else kept[0] + count
        size = 1
        while size:
            size -= 1
            first, last = stack[size, 0], stack[size, 1]
            if last - first < 2:
                continue
            middle = _farthest(points, kinds, first, last, measure)
            if middle == first:
                continue
            keep[middle % count] = True
            stack[size, 0], stack[size, 1] = first, middle
            stack[size + 1, 0], stack[size + 1, 1] = middle, last
            size += 2


@compiled
def _reconsider(
    points: NDArray[np.float64],
    kinds: NDArray[np.uint8],
    keep: NDArray[np.bool_],
    places: NDArray[np.int64],
    measure: tuple[float, float, float],
) -> None:
    """Leave out those of some points of a ring that are kept for no reason of theirs."""
    count = points.shape[0]
    left = keep.sum()
    for place in places:
        first, last = place - 1, place + 1
        while not keep[first % count]:
            first -= 1
        while not keep[last % count]:
            last += 1
        if left > 3 and _farthest(points, kinds, first, last, measure) == first:
            keep[place] = False
            left -= 1


@compiled
def _needed(points: NDArray[np.float64], measure: tuple[float, float, float]) -> NDArray[np.bool_]:
    """Which points (point, 2) of a ring, not closed, are needed."""
    count = points.shape[0]
    kinds = _kinds(points)
    keep: NDArray[np.bool_] = kinds == FIXED
    extra = np.zeros(count, np.bool_)
    if not keep.any():
        distances = np.hypot((points[:, 0] - points[0, 0]) * measure[0], (points[:, 1] - points[0, 1]) * measure[1])
        extra[0] = extra[np.argmax(distances)] = True
    extra[::LONGEST] |= ~keep[::LONGEST]
    keep |= extra
    _divide(points, kinds, keep, measure)
    _reconsider(points, kinds, keep, np.flatnonzero(extra), measure)
    return keep


@compiled
def thin(
    points: NDArray[np.float64], offsets: NDArray[np.int64], sizes: NDArray[np.float64], tolerance: float
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Points (x, y) and offsets of closed rings that differ by the tolerance at the most, from fewer points.

    `sizes` (ring, 2) are metres per pixel along x and y; rings for which these are NaN stay as they are.
    """
    kept = np.empty_like(points)
    starts = np.zeros_like(offsets)
    count = 0
    for ring in range(offsets.size - 1):
        first, last = offsets[ring], offsets[ring + 1] - 1
        keep = np.ones(last - first, np.bool_)
        if np.isfinite(sizes[ring]).all():
            keep = _needed(points[first:last], (sizes[ring, 0], sizes[ring, 1], tolerance))
        for place in range(first, last):
            if keep[place - first]:
                kept[count] = points[place]
                count += 1
        kept[count] = kept[starts[ring]]
        count += 1
        starts[ring + 1] = count
    return kept[:count].copy(), starts
