"""Outlines cut into straight segments: the fewest that fit, by dynamic programming over all ways to cut.

Optimal piecewise fits by dynamic programming go back to Bellman, "On the approximation of curves by line segments using
dynamic programming" (1961); what a segment costs here is how far the sides of its pixels lie from its line, and a price
that is lower for directions which the building has anyway.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geoseg.core.compiled import compiled

WEIGHT, X, Y, XX, XY, YY = range(6)  # what is summed over the sides of pixels
FREE = -1  # the type of a segment whose direction is its own
PARALLEL = 0.3  # sine of the angle below which two lines have no good intersection
SKEW = 0.2  # sine of the least angle between a line and a segment of its own direction beside it
_BEND = 0.08  # the same for two segments of their own directions
_KINK = 2.0  # times the price of a free segment: what it costs where there is no other way but a smaller angle
_MOST = 1e300
_ENOUGH = 4.0  # times the price of a free segment: with so much misfit a cut is cheaper


class Prices(NamedTuple):
    """What counts in the choice of segments; lengths are in pixels (the root of a pixel's area).

    A segment costs its misfit, the sum of squared distances over `scale`, plus `given` for a line that is there
    already, `main` for a main direction, or `free`; a cut at a node is cheaper by `node`. No candidate for a cut lies
    farther than `reach` from its segment, or than it has room; corners within `thin` of their neighbours' chord are no
    candidates.
    """

    scale: float
    given: float
    main: float
    free: float
    node: float
    reach: float
    thin: float


@compiled
def prices_for(tolerance: float) -> Prices:
    """Prices for outlines that are right to `tolerance` pixels, 1 at the least.

    A step of the height of the tolerance vanishes from a wall of some 20 pixels, and stays in one of 40. The rougher
    outlines are, the less is a direction of their own worth.
    """
    free = 1.9 + min(3.0, 1.2 * (tolerance - 1.0))
    return Prices(2.5 * tolerance**2, 0.0, 1.0, free, 0.3, 0.3 + tolerance, 0.75)


class Outline(NamedTuple):
    """A chain of corners: local `x` and `y`, `sums` along it, where it has nodes, and how far a line may be from it.

    All are by corner.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    sums: NDArray[np.float64]
    node: NDArray[np.bool_]
    room: NDArray[np.float64]


class Known(NamedTuple):
    """What a segment may take over: `normals` (direction, 2) of main directions, and `lines` (line, 3) that are there.

    A line is the points p with normal . p = offset: normal x, normal y, offset.
    """

    normals: NDArray[np.float64]
    lines: NDArray[np.float64]


@compiled
def sums_along(x: NDArray[np.float64], y: NDArray[np.float64], unit: tuple[float, float]) -> NDArray[np.float64]:
    """Sums (corner, 6) over the sides of pixels before each corner, of their middles weighted by their lengths.

    `unit` is the length of a pixel along x and y.
    """
    sums = np.zeros((x.size, 6))
    for i in range(x.size - 1):
        dx, dy = x[i + 1] - x[i], y[i + 1] - y[i]
        length = abs(dx) + abs(dy)
        sides = length / (unit[0] if abs(dx) > abs(dy) else unit[1])
        spread = length * (1 - 1 / (sides * sides)) / 12 if sides > 1 else 0.0
        mx, my = (x[i] + x[i + 1]) / 2, (y[i] + y[i + 1]) / 2
        sums[i + 1, WEIGHT] = sums[i, WEIGHT] + length
        sums[i + 1, X] = sums[i, X] + length * mx
        sums[i + 1, Y] = sums[i, Y] + length * my
        sums[i + 1, XX] = sums[i, XX] + length * mx * mx + spread * dx * dx
        sums[i + 1, XY] = sums[i, XY] + length * mx * my
        sums[i + 1, YY] = sums[i, YY] + length * my * my + spread * dy * dy
    return sums


@compiled
def scatter(sums: NDArray[np.float64], start: int, stop: int) -> tuple[float, float, float, float, float, float]:
    """Weight, mean x and y, and central second moments xx, xy, yy between two corners."""
    weight = sums[stop, WEIGHT] - sums[start, WEIGHT]
    mx = (sums[stop, X] - sums[start, X]) / weight
    my = (sums[stop, Y] - sums[start, Y]) / weight
    xx = sums[stop, XX] - sums[start, XX] - weight * mx * mx
    xy = sums[stop, XY] - sums[start, XY] - weight * mx * my
    yy = sums[stop, YY] - sums[start, YY] - weight * my * my
    return weight, mx, my, xx, xy, yy


@compiled
def best_normal(xx: float, xy: float, yy: float) -> tuple[float, float, float]:
    """The normal (x, y) of the line that fits best, and its sum of squared distances."""
    half, difference = (xx + yy) / 2, (xx - yy) / 2
    root = np.hypot(difference, xy)
    angle = np.arctan2(xy, difference) / 2 + np.pi / 2  # across the long axis
    return np.cos(angle), np.sin(angle), max(0.0, half - root)


@compiled
def thin_out(
    x: NDArray[np.float64], y: NDArray[np.float64], kept: NDArray[np.bool_], tolerance: float
) -> NDArray[np.int64]:
    """The corners left by Douglas and Peucker, in order; the first, the last and those of `kept` are always left."""
    left = kept.copy()
    left[0] = left[-1] = True
    stack = np.empty((x.size + 1, 2), np.int64)
    depth, previous = 0, 0
    for i in range(1, x.size):
        if left[i]:
            stack[depth, 0], stack[depth, 1] = previous, i
            depth += 1
            previous = i
    while depth:
        depth -= 1
        a, b = stack[depth, 0], stack[depth, 1]
        dx, dy = x[b] - x[a], y[b] - y[a]
        length = np.hypot(dx, dy)
        farthest, place = tolerance, -1
        for i in range(a + 1, b):
            if length > 0:
                distance = abs((x[i] - x[a]) * dy - (y[i] - y[a]) * dx) / length
            else:
                distance = np.hypot(x[i] - x[a], y[i] - y[a])
            if distance > farthest:
                farthest, place = distance, i
        if place >= 0:
            left[place] = True
            stack[depth, 0], stack[depth, 1] = a, place
            stack[depth + 1, 0], stack[depth + 1, 1] = place, b
            depth += 2
    return np.flatnonzero(left)


@compiled
def _fits(outline: Outline, among: NDArray[np.int64], line: tuple[float, float, float]) -> bool:
    """Whether none of the corners `among` lies farther from a line than it may."""
    for i in among:  # noqa: SIM110 - numba compiles no generators
        if abs(line[0] * outline.x[i] + line[1] * outline.y[i] - line[2]) > outline.room[i]:
            return False
    return True


@compiled
def turns(a: NDArray[np.float64], b: NDArray[np.float64], least: float) -> bool:
    """Whether there is a corner between lines of these normals; `least` is the sine of its angle."""
    return bool(abs(a[0] * b[1] - a[1] * b[0]) > least)


@compiled
def _may_follow(lines: NDArray[np.float64], fixed: int) -> NDArray[np.bool_]:
    """Which type may follow which (type, type): two of the first `fixed` need a corner between them."""
    follows = np.ones((len(lines), len(lines)), np.bool_)
    for a in range(fixed):
        for b in range(fixed):
            follows[a, b] = abs(lines[a, 0] * lines[b, 1] - lines[a, 1] * lines[b, 0]) > PARALLEL
    return follows


@compiled
def cut(  # noqa: C901 - one search
    outline: Outline, corners: NDArray[np.int64], known: Known, prices: Prices
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The corners where an outline is cut, both ends among them, and the type of each segment between.

    `corners` are the candidates. A type below len(known.normals) is one of those directions, the next are
    `known.lines`; FREE has a direction of its own.
    """
    x, y, sums = outline.x, outline.y, outline.sums
    mains, free = len(known.normals), len(known.normals) + len(known.lines)
    types, count = free + 1, corners.size
    lines = np.zeros((types, 3))
    lines[:mains, :2] = known.normals
    lines[mains:free] = known.lines
    follows = _may_follow(lines, free)
    best, bearing = np.full((count, types), _MOST), np.zeros((count, 2))  # the normal of the best free segment
    origin, before = np.full((count, types), -1), np.full((count, types), -1)
    entry, entry_type = np.empty(types), np.empty(types, np.int64)
    low, high = np.empty(mains), np.empty(mains)
    for a in range(count - 1):
        i = corners[a]
        for t in range(types):
            entry[t], entry_type[t] = (_MOST if a else 0.0), -1
            for s in range(types if a else 0):
                bends = follows[s, t] and (s < free or t == free or turns(bearing[a], lines[t], SKEW))
                if bends and best[a, s] < entry[t]:
                    entry[t], entry_type[t] = best[a, s], s
            if a and outline.node[i]:
                entry[t] -= prices.node
        for t in range(mains):
            along = lines[t, 0] * x[i] + lines[t, 1] * y[i]
            low[t], high[t] = along - outline.room[i], along + outline.room[i]
        for b in range(a + 1, count):
            j = corners[b]
            weight, mx, my, xx, xy, yy = scatter(sums, i, j)
            nx, ny, error = best_normal(xx, xy, yy)
            normal = np.array([nx, ny])
            if b > a + 1 and error / prices.scale > _ENOUGH * prices.free:  # for this and all that follow
                break
            own = error / prices.scale + prices.free
            if entry[free] + own < best[b, free]:
                cost, kind = entry[free] if a == 0 else _MOST, -1
                for s in range(types if a else 0):
                    straight = not turns(lines[s] if s < free else bearing[a], normal, SKEW if s < free else _BEND)
                    entered = best[a, s] + (_KINK * prices.free if straight else 0.0)
                    if entered < cost and (not straight or b == a + 1):
                        cost, kind = entered, s
                cost += own - (prices.node if a and outline.node[i] else 0.0)
                line = (nx, ny, nx * mx + ny * my)
                if cost < best[b, free] and (b == a + 1 or _fits(outline, corners[a : b + 1], line)):
                    best[b, free], origin[b, free], before[b, free] = cost, a, kind
                    bearing[b] = nx, ny
            for t in range(free):
                nx, ny = lines[t, 0], lines[t, 1]
                middle = nx * mx + ny * my
                error = nx * nx * xx + 2 * nx * ny * xy + ny * ny * yy
                if t < mains:
                    along = nx * x[j] + ny * y[j]
                    low[t], high[t] = max(low[t], along - outline.room[j]), min(high[t], along + outline.room[j])
                    cost = entry[t] + error / prices.scale + prices.main
                    fits = low[t] <= middle <= high[t]
                else:
                    off = middle - lines[t, 2]
                    cost = entry[t] + (error + weight * off * off) / prices.scale + prices.given
                    line = (nx, ny, lines[t, 2])
                    fits = cost < best[b, t] and _fits(outline, corners[a : b + 1], line)
                if fits and cost < best[b, t]:
                    best[b, t], origin[b, t], before[b, t] = cost, a, entry_type[t]
    return _followed(corners, best, origin, before)


@compiled
def _followed(
    corners: NDArray[np.int64],
    best: NDArray[np.float64],
    origin: NDArray[np.int64],
    before: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The cheapest way to the last corner, read backwards."""
    places, types = np.empty(corners.size, np.int64), np.empty(corners.size, np.int64)
    free = best.shape[1] - 1
    at, kind, count = corners.size - 1, int(best[-1].argmin()), 0
    while at > 0:
        places[count], types[count] = corners[at], (FREE if kind == free else kind)
        at, kind = origin[at, kind], before[at, kind]
        count += 1
    places[count] = corners[0]
    return places[: count + 1][::-1].copy(), types[:count][::-1].copy()
