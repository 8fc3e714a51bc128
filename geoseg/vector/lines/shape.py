"""The shapes of lines: pixel after pixel along a clean net, then smooth, of few points, and as long as the road."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geoseg.core.compiled import compiled
from geoseg.vector.lines.graph import NONE, Graph, Walk
from geoseg.vector.lines.net import Net, mean_width
from geoseg.vector.lines.pieces import EDGE, SUMS

_BATCH = 1 << 20  # points of lines not yet simplified that are held at a time
_AIM = 6.0  # pixels by which, at least, the direction of a line's end is told
_SMOOTH, _SMOOTHEST = 3, 16  # pixels before and after that a point is the mean of, half the width but no fewer or more
_SNAP = 1.5  # pixels within which a line's cut end goes on to the raster's edge


@dataclass(frozen=True, slots=True)
class Frame:
    """The raster (height, width), metres per pixel in its rows (y, 2) along x and y, and the tolerance in metres."""

    height: int
    width: int
    sizes: NDArray[np.float64]
    simplify_m: float

    @property
    def walk(self) -> Walk:
        """How places follow from keys."""
        return Walk.of(self.width + 1)


class Lines(NamedTuple):
    """Lines in pixel coordinates: line i is `points[offsets[i] : offsets[i + 1]]`; arrays (line,) but for these.

    `ends` (line, 2) are the ends of edges where it begins and ends, NONE twice where it closes; `nodes` (line, 2) are
    the nodes there, and `cut` is true where what is not known cuts it; `tips` (line, 2, 2) are
    x and y where its pixels begin and end, `aims` (line, 2, 2) the directions there outwards, in metres; `sums` (line,
    SUMS); `first` is the key of its first pixel, `last_row` its lowest row.
    """

    points: NDArray[np.float64]
    offsets: NDArray[np.int64]
    ends: NDArray[np.int64]
    nodes: NDArray[np.int64]
    cut: NDArray[np.bool_]
    tips: NDArray[np.float64]
    aims: NDArray[np.float64]
    sums: NDArray[np.int64]
    first: NDArray[np.int64]
    last_row: NDArray[np.int64]


def shape(graph: Graph, net: Net, frame: Frame) -> Lines:
    """All lines of a net; from a node's end with the lower number to the other."""
    starts, counts = _begin(graph, net)
    extent = float(frame.width), float(frame.height), frame.simplify_m
    parts = []
    for batch in np.split(np.arange(len(starts)), _batches(counts)):
        ways = _follow(graph, net, starts[batch], counts[batch], frame.walk)
        drawn = _draw(ways, mean_width(ways.sums) / 2, net, frame.sizes, extent)
        parts.append((*drawn, ways.ends, ways.sums, ways.first, ways.last_row))
    points, counts, tips, aims, ends, sums, first, last_row = (np.concatenate(f) for f in zip(*parts, strict=True))
    nodes = np.where(ends == NONE, NONE, net.node[ends])
    cut = sums[:, EDGE] > 0
    cut |= ((nodes != NONE) & np.append(net.at_edge, False)[nodes]).any(axis=1)
    return Lines(points, np.append(0, np.cumsum(counts)), ends, nodes, cut, tips, aims, sums, first, last_row)


class _Ways(NamedTuple):
    """Lines with all their points, as Lines has them."""

    points: NDArray[np.float64]
    offsets: NDArray[np.int64]
    ends: NDArray[np.int64]
    sums: NDArray[np.int64]
    first: NDArray[np.int64]
    last_row: NDArray[np.int64]


class _Drawn(NamedTuple):
    """Points, how many a line has, tips and aims, as Lines has them."""

    points: NDArray[np.float64]
    counts: NDArray[np.int64]
    tips: NDArray[np.float64]
    aims: NDArray[np.float64]


def _batches(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where to cut lines of so many points into batches."""
    batch = np.cumsum(counts) // _BATCH
    cuts: NDArray[np.int64] = np.flatnonzero(np.diff(batch)) + 1
    return cuts


@compiled
def _begin(graph: Graph, net: Net) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The ends at which lines begin, rings last, and how many points each line has at most."""
    edges = net.alive.size
    seen = np.zeros(edges, np.bool_)
    starts, counts = np.empty(edges, np.int64), np.zeros(edges, np.int64)
    count = 0
    for ring in (False, True):
        for start in range(2 * edges):
            if seen[start // 2] or not net.alive[start // 2]:
                continue
            if not ring and (net.node[start] == NONE or net.onward[start] != NONE):
                continue
            starts[count] = start
            end = start
            while end != NONE and not seen[end // 2]:
                seen[end // 2] = True
                counts[count] += graph.offsets[end // 2 + 1] - graph.offsets[end // 2] + 4
                end = net.onward[end ^ 1]
            count += 1
    return starts[:count].copy(), counts[:count].copy()


@compiled
def _along(
    graph: Graph,
    end: int,
    points: NDArray[np.float64],
    walk: Walk,
) -> tuple[int, int, int]:
    """The number of pixels of an edge, its lowest key and its last row; `points` become their centres, from an end."""
    edge = end // 2
    lowest = graph.first[edge]
    y, x = lowest // walk.columns, lowest % walk.columns
    last_row = y
    points[0, 0], points[0, 1] = x + 0.5, y + 0.5
    count = 1
    for place in range(graph.offsets[edge], graph.offsets[edge + 1]):
        x += walk.step_x[graph.steps[place]]
        y += walk.step_y[graph.steps[place]]
        lowest, last_row = min(lowest, y * walk.columns + x), max(last_row, y)
        points[count, 0], points[count, 1] = x + 0.5, y + 0.5
        count += 1
    if end % 2:
        points[:count] = points[:count][::-1].copy()
    return count, lowest, last_row


@compiled
def _follow(
    graph: Graph,
    net: Net,
    starts: NDArray[np.int64],
    counts: NDArray[np.int64],
    walk: Walk,
) -> _Ways:
    """The lines that begin at `starts`, with all their points, of which there are `counts` at most."""
    points = np.empty((counts.sum(), 2))
    offsets = np.zeros(starts.size + 1, np.int64)
    ends = np.full((starts.size, 2), NONE, np.int64)
    sums = np.zeros((starts.size, SUMS), np.int64)
    first, last_row = graph.first[starts // 2], np.zeros(starts.size, np.int64)
    count = 0
    for line in range(starts.size):
        end = away = starts[line]
        while end != NONE:
            node = net.node[end]
            if node != NONE and (count == offsets[line] or node != net.node[away]):  # not twice, but across a gap
                points[count] = net.point[node]
                count += 1
            sums[line] += graph.sums[end // 2]
            added, lowest, row = _along(graph, end, points[count:], walk)
            count += added
            first[line], last_row[line] = min(first[line], lowest), max(last_row[line], row)
            away = end ^ 1
            if net.node[away] != NONE:
                points[count] = net.point[net.node[away]]
                count += 1
            end = net.onward[away]
            if end == starts[line]:
                break
        ring = end != NONE or net.node[away] == NONE
        if not ring:
            ends[line, 0], ends[line, 1] = starts[line], away
        elif (points[count - 1] != points[offsets[line]]).any():
            points[count] = points[offsets[line]]
            count += 1
        offsets[line + 1] = count
    return _Ways(points[:count].copy(), offsets, ends, sums, first, last_row)


@compiled
def _past(points: NDArray[np.float64], size: NDArray[np.float64], radius: float) -> int:
    """The first point that lies farther than `radius` metres from the first one; their number where none does."""
    place = 1
    while place < len(points):
        if np.hypot((points[place, 0] - points[0, 0]) * size[0], (points[place, 1] - points[0, 1]) * size[1]) > radius:
            break
        place += 1
    return place


@compiled
def _smooth(points: NDArray[np.float64], half: int, ring: bool) -> NDArray[np.float64]:
    """Each point's mean with up to `half` points before and after it, as many on both sides; ends stay.

    A ring's first point, which is also its last, is a point like others.
    """
    total = len(points)
    smooth = points.copy()
    for place in range(total - ring):
        reach = min(half, (total - 2) // 2) if ring else min(half, place, total - 1 - place)
        x = y = 0.0
        for other in range(place - reach, place + reach + 1):
            wrapped = other % (total - 1) if ring else other
            x += points[wrapped, 0]
            y += points[wrapped, 1]
        smooth[place, 0], smooth[place, 1] = x / (2 * reach + 1), y / (2 * reach + 1)
    if ring:
        smooth[-1] = smooth[0]
    return smooth


@compiled
def _simplified(points: NDArray[np.float64], size: NDArray[np.float64], tolerance: float) -> NDArray[np.bool_]:
    """Which points stay: Douglas and Peucker, "Algorithms for the reduction of points" (1973), in metres."""
    keep = np.zeros(len(points), np.bool_)
    keep[0] = keep[-1] = True
    if tolerance <= 0:
        keep[:] = True
        return keep
    stack = [(0, len(points) - 1)]
    while stack:
        start, stop = stack.pop()
        along_x = (points[stop, 0] - points[start, 0]) * size[0]
        along_y = (points[stop, 1] - points[start, 1]) * size[1]
        long = along_x * along_x + along_y * along_y
        farthest, at = tolerance * tolerance, NONE
        for place in range(start + 1, stop):
            x = (points[place, 0] - points[start, 0]) * size[0]
            y = (points[place, 1] - points[start, 1]) * size[1]
            share = min(1.0, max(0.0, (x * along_x + y * along_y) / long)) if long > 0 else 0.0
            off = (x - share * along_x) ** 2 + (y - share * along_y) ** 2
            if off > farthest:
                farthest, at = off, place
        if at != NONE:
            keep[at] = True
            stack.append((start, at))
            stack.append((at, stop))
    return keep


@compiled
def _aim(points: NDArray[np.float64], size: NDArray[np.float64], reach: float) -> NDArray[np.float64]:
    """The direction in metres (x, y), of length 1, in which a line came to its first point; 0, 0 for a dot."""
    place = min(_past(points, size, reach), len(points) - 1)
    way = (points[0] - points[place]) * size
    long = np.hypot(way[0], way[1])
    return way / long if long > 0 else np.zeros(2)


@compiled
def _to_edge(point: NDArray[np.float64], along: NDArray[np.float64], extent: tuple[float, float, float]) -> None:
    """Move a point, in place, along a direction in pixels to the raster's edge, or half a pixel where that is far."""
    nearest, side = np.inf, NONE
    for axis in range(2):
        if along[axis] == 0:
            continue
        far = ((extent[axis] if along[axis] > 0 else 0.0) - point[axis]) / along[axis]
        if far < nearest:
            nearest, side = far, axis
    long = np.hypot(along[0], along[1])
    if nearest * long > _SNAP:
        nearest, side = 0.5 / long if long > 0 else 0.0, NONE
    for axis in range(2):
        point[axis] = min(extent[axis], max(0.0, point[axis] + nearest * along[axis]))
    if side != NONE:
        point[side] = extent[side] if along[side] > 0 else 0.0


@compiled
def _lengthen(point: NDArray[np.float64], way: NDArray[np.float64], extent: tuple[float, float, float]) -> None:
    """Move a point, in place, so far in pixels, but not out of the raster."""
    share = 1.0
    for axis in range(2):
        beyond = max(point[axis] + way[axis] - extent[axis], -point[axis] - way[axis])
        if beyond > 0:
            share = min(share, 1 - beyond / abs(way[axis]))
    for axis in range(2):
        point[axis] = min(extent[axis], max(0.0, point[axis] + share * way[axis]))


@compiled
def _without_discs(
    points: NDArray[np.float64], size: NDArray[np.float64], radii: tuple[float, float]
) -> NDArray[np.float64]:
    """The points but for those within the radius of a junction at either end, where the skeleton leans to others."""
    begin = _past(points, size, radii[0]) if radii[0] > 0 else 1
    after = _past(points[::-1], size, radii[1]) if radii[1] > 0 else 1
    inner = points[begin : max(begin, len(points) - after)]
    return np.concatenate((points[:1], inner, points[-1:]))


@compiled
def _draw(
    ways: _Ways, reach: NDArray[np.float64], net: Net, sizes: NDArray[np.float64], extent: tuple[float, float, float]
) -> _Drawn:
    """The lines smooth and with few points: each is the mean of those no more than `reach` (line,) metres away.

    `extent` is the raster's width and height, and the tolerance in metres.
    """
    lines = len(ways.ends)
    drawn = np.empty_like(ways.points)
    counts = np.empty(lines, np.int64)
    tips, aims = np.zeros((lines, 2, 2)), np.zeros((lines, 2, 2))
    count = 0
    for line in range(lines):
        points = ways.points[ways.offsets[line] : ways.offsets[line + 1]]
        ring = ways.ends[line, 1] == NONE
        size = sizes[min(len(sizes) - 1, int(points[len(points) // 2, 1]))]
        nodes = net.node[ways.ends[line]]
        if not ring and nodes[0] != nodes[1]:
            one = net.radius[nodes[0]] if net.degree[nodes[0]] > 2 else 0.0
            other = net.radius[nodes[1]] if net.degree[nodes[1]] > 2 else 0.0
            points = _without_discs(points, size, (one, other))
        half = min(_SMOOTHEST, max(_SMOOTH, int(reach[line] / size.max())))
        smooth = _smooth(points, half, ring)
        kept = smooth[_simplified(smooth, size, extent[2])]
        for side in range(0 if ring else 2):
            node = nodes[side]
            way = smooth if side == 0 else smooth[::-1]
            tips[line, side] = way[0]
            aim = aims[line, side]
            aim[:] = _aim(way, size, max(2 * net.radius[node], _AIM * size.min()))
            point = kept[-side]
            if net.degree[node] == 1 and net.at_edge[node]:
                _to_edge(point, aim / size, extent)
            elif net.degree[node] == 1:
                _lengthen(point, aim * net.radius[node] / size, extent)
        drawn[count : count + len(kept)] = kept
        counts[line] = len(kept)
        count += len(kept)
    return _Drawn(drawn[:count].copy(), counts, tips, aims)
