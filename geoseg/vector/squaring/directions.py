"""Main directions of buildings, from the straight stretches of their outlines."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geoseg.core.compiled import compiled
from geoseg.vector.squaring.segments import Known, Outline, best_normal, cut, prices_for, scatter, sums_along, thin_out

QUARTER = np.pi / 2
FRAMES = 2  # main directions of one building at most
NONE = np.nan
_NOISE = 1.0  # variance of the direction of a stretch of one pixel that is right to one pixel; n pixels have 1 / n^3
_FLOOR = np.radians(0.4)  # no stretch tells its direction better than that
_REFINEMENTS = 3
_DOUBT = np.radians(9)  # stretches of less certain direction say nothing
_LIKELY = 6  # squared differences, in variances, up to which a stretch may well lie along a direction
_SURELY = 9  # and those beyond which two directions surely differ
_TINY = 1e-9
_MAIN_SHARE, _SECOND_SHARE = 0.3, 0.25  # of the outline that must lie along a main direction


class Stretches(NamedTuple):
    """Straight stretches of outlines: those of ring i are `ring_offsets[i]` to `ring_offsets[i + 1]`.

    `angle` is modulo 90 degrees, in radians, `variance` that of the angle. `start` (ring,) is the corner, counted from
    the ring's first, at which the outline turns most sharply.
    """

    ring_offsets: NDArray[np.int64]
    angle: NDArray[np.float64]
    length: NDArray[np.float64]
    variance: NDArray[np.float64]
    start: NDArray[np.int64]


@compiled
def ring_corners(
    points: NDArray[np.int32], start: int, stop: int, first: int, place: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Local x and y of a ring's corners from its corner `first` round to it again.

    `place` holds the origin x and y, and the length of a pixel along x and y.
    """
    around = stop - start - 1
    x, y = np.empty(around + 1), np.empty(around + 1)
    for i in range(around + 1):
        corner = start + (first + i) % around
        x[i] = (points[corner, 0] - place[0]) * place[2]
        y[i] = (points[corner, 1] - place[1]) * place[3]
    return x, y


@compiled
def _farthest(x: NDArray[np.float64], y: NDArray[np.float64]) -> int:
    """The corner farthest from the mean of all corners."""
    mx, my = x[:-1].mean(), y[:-1].mean()
    farthest, place = -1.0, 0
    for i in range(x.size - 1):
        distance = (x[i] - mx) ** 2 + (y[i] - my) ** 2
        if distance > farthest + _TINY:
            farthest, place = distance, i
    return place


@compiled
def find_stretches(
    points: NDArray[np.int32], ring_offsets: NDArray[np.int64], places: NDArray[np.float64]
) -> Stretches:
    """The straight stretches of rings; `places` (ring, 5) as `ring_corners` takes them, and the tolerance in pixels."""
    rings = ring_offsets.size - 1
    offsets, starts = np.zeros(rings + 1, np.int64), np.zeros(rings, np.int64)
    angle, length, variance = np.empty(points.shape[0]), np.empty(points.shape[0]), np.empty(points.shape[0])
    nothing = Known(np.empty((0, 2)), np.empty((0, 3)))
    count = 0
    for ring in range(rings):
        begin, end = ring_offsets[ring], ring_offsets[ring + 1]
        x, y = ring_corners(points, begin, end, 0, places[ring])
        first = _farthest(x, y)
        x, y = ring_corners(points, begin, end, first, places[ring])
        sums = sums_along(x, y, (places[ring, 2], places[ring, 3]))
        prices = prices_for(places[ring, 4])
        outline = Outline(x, y, sums, np.zeros(x.size, np.bool_), np.full(x.size, prices.reach))
        breaks, _ = cut(outline, thin_out(x, y, outline.node, prices.thin), nothing, prices)
        for k in range(breaks.size - 1):
            _, _, _, xx, xy, yy = scatter(sums, breaks[k], breaks[k + 1])
            nx, ny, _ = best_normal(xx, xy, yy)
            along = np.hypot(x[breaks[k + 1]] - x[breaks[k]], y[breaks[k + 1]] - y[breaks[k]])
            angle[count], length[count] = np.arctan2(ny, nx) % QUARTER, along
            variance[count] = _NOISE * places[ring, 4] ** 2 / max(along, 1.0) ** 3 + _FLOOR**2
            count += 1
        starts[ring] = (first + _sharpest(x, y, breaks)) % (end - begin - 1)
        offsets[ring + 1] = count
    return Stretches(offsets, angle[:count].copy(), length[:count].copy(), variance[:count].copy(), starts)


@compiled
def _sharpest(x: NDArray[np.float64], y: NDArray[np.float64], breaks: NDArray[np.int64]) -> int:
    """The break between long stretches that meet most nearly at a right angle; the first corner if there is none."""
    best, place = 0.0, 0
    for k in range(1, breaks.size - 1):
        i, j, n = breaks[k - 1], breaks[k], breaks[k + 1]
        before, after = np.hypot(x[j] - x[i], y[j] - y[i]), np.hypot(x[n] - x[j], y[n] - y[j])
        turn = abs((x[j] - x[i]) * (y[n] - y[j]) - (y[j] - y[i]) * (x[n] - x[j]))
        score = turn * min(before, after) / (before * after + _TINY)
        if score > best + _TINY:
            best, place = score, j
    return place


@compiled
def apart(a: float, b: float) -> float:
    """The signed difference a - b of two directions modulo 90 degrees, in radians."""
    return (a - b + QUARTER / 2) % QUARTER - QUARTER / 2


@compiled
def main_directions(
    stretches: Stretches, polygon_offsets: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Angles (polygon, FRAMES), NaN where there is no main direction, and their variances."""
    polygons = polygon_offsets.size - 1
    angles = np.full((polygons, FRAMES), NONE)
    variances = np.full((polygons, FRAMES), NONE)
    for polygon in range(polygons):
        start = stretches.ring_offsets[polygon_offsets[polygon]]
        stop = stretches.ring_offsets[polygon_offsets[polygon + 1]]
        taken = np.zeros(stop - start, np.bool_)
        total = stretches.length[start:stop].sum()
        for frame in range(FRAMES):
            angle, variance, along, members = _peak(stretches, start, stop, taken)
            if along < (_MAIN_SHARE if frame == 0 else _SECOND_SHARE) * total or (frame and members < 2):
                break
            angles[polygon, frame], variances[polygon, frame] = angle, variance
    return angles, variances


@compiled
def _peak(stretches: Stretches, start: int, stop: int, taken: NDArray[np.bool_]) -> tuple[float, float, float, int]:
    """The direction along which most of what is not taken lies, its variance, that length, and how many stretches.

    Those are taken then.
    """
    peak = _densest(stretches, start, stop, taken)
    if np.isnan(peak):
        return NONE, NONE, 0.0, 0
    weights = 0.0
    for _ in range(_REFINEMENTS):
        weights, moved = 0.0, 0.0
        for i in range(start, stop):
            difference = apart(stretches.angle[i], peak)
            if not taken[i - start] and _agrees(stretches, i, difference):
                weights += 1 / stretches.variance[i]
                moved += difference / stretches.variance[i]
        if weights > 0:
            peak += moved / weights
    along, members = 0.0, 0
    for i in range(start, stop):
        if not taken[i - start] and _agrees(stretches, i, apart(stretches.angle[i], peak)):
            taken[i - start] = True
            along += stretches.length[i]
            members += 1
    return peak % QUARTER, 1 / weights + _FLOOR**2 if weights > 0 else NONE, along, members


@compiled
def _densest(stretches: Stretches, start: int, stop: int, taken: NDArray[np.bool_]) -> float:
    """The direction of the stretch with which the longest others agree, NaN where there is none."""
    best, peak = 0.0, NONE
    for candidate in range(start, stop):
        if taken[candidate - start]:
            continue
        score = 0.0
        for i in range(start, stop):
            if not taken[i - start] and stretches.variance[i] < _DOUBT**2:
                difference = apart(stretches.angle[i], stretches.angle[candidate])
                score += stretches.length[i] * np.exp(-(difference**2) / (2 * (stretches.variance[i] + _FLOOR**2)))
        if score > best * (1 + _TINY):
            best, peak = score, stretches.angle[candidate]
    return peak


@compiled
def _agrees(stretches: Stretches, i: int, difference: float) -> bool:
    """Whether a stretch may well lie along a direction that differs so much from its own."""
    return bool(stretches.variance[i] < _DOUBT**2 and difference**2 < _LIKELY * stretches.variance[i])


@compiled
def join_directions(
    angles: NDArray[np.float64], variances: NDArray[np.float64], pairs: NDArray[np.int64], limit: float
) -> None:
    """Give neighbours one direction where theirs agree, in place; `pairs` (pair, 2) are polygons that share walls.

    The closest are joined first. Directions that were joined already count with all their weight, and none moves by
    more than `limit` radians from what it was.
    """
    own = angles.copy().reshape(-1)
    flat, spread, root = own.copy(), variances.copy().reshape(-1), np.arange(own.size)
    low, high = np.zeros(own.size), np.zeros(own.size)  # where members are, against the common direction
    close = _candidates(own, pairs)
    for pair in close:
        i, j = _root(root, pair[0]), _root(root, pair[1])
        i, j = min(i, j), max(i, j)
        difference = apart(flat[j], flat[i])
        if i == j or difference**2 > _SURELY * (spread[i] + spread[j]):
            continue
        moved = difference * spread[i] / (spread[i] + spread[j])
        least = min(low[i] - moved, low[j] + difference - moved)
        most = max(high[i] - moved, high[j] + difference - moved)
        if max(-least, most) > limit:
            continue
        root[j], low[i], high[i] = i, least, most
        flat[i] = (flat[i] + moved) % QUARTER
        spread[i] = spread[i] * spread[j] / (spread[i] + spread[j])
    for i in range(own.size):
        if not np.isnan(own[i]):
            angles[i // FRAMES, i % FRAMES] = flat[_root(root, i)]


@compiled
def _candidates(own: NDArray[np.float64], pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    """Directions (pair, 2) of neighbours that might be joined, the closest first."""
    most = pairs.shape[0] * FRAMES * FRAMES
    both, distance = np.empty((most, 2), np.int64), np.empty(most)
    count = 0
    for pair in range(pairs.shape[0]):
        for f in range(FRAMES):
            for g in range(FRAMES):
                i, j = pairs[pair, 0] * FRAMES + f, pairs[pair, 1] * FRAMES + g
                if not np.isnan(own[i]) and not np.isnan(own[j]):
                    both[count, 0], both[count, 1] = i, j
                    distance[count] = abs(apart(own[i], own[j]))
                    count += 1
    return both[np.argsort(distance[:count], kind="mergesort")]


@compiled
def _root(root: NDArray[np.int64], i: int) -> int:
    while root[i] != i:
        i = root[i]
    return i
