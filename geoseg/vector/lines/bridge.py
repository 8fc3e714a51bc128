"""Which free ends of lines belong together: near, pointing at each other, and nothing in between."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import shapely
from numpy.typing import NDArray

from geoseg.vector.lines.graph import NONE
from geoseg.vector.lines.net import Net, mean_width
from geoseg.vector.lines.shape import Frame, Lines

_ASTRAY = np.cos(np.radians(35))  # how far from straight ahead the other end may lie


class _Tips(NamedTuple):
    """Free ends, arrays (tip,): the end of an edge, its line, the place (x, y), the aim in metres, the radius there."""

    end: NDArray[np.int64]
    line: NDArray[np.int64]
    place: NDArray[np.float64]
    aim: NDArray[np.float64]
    radius: NDArray[np.float64]


def bridge(lines: Lines, net: Net, frame: Frame, gap_m: float) -> NDArray[np.int64]:
    """Ends of edges to be joined, shape (pair, 2), in a defined order; no end comes twice.

    Two ends are joined where each is the other's nearest of all that it points at, where the road between them is
    missing for no more than `gap_m` metres, and where no other line passes between.
    """
    tips = _free(lines, net, frame)
    if len(tips.end) < 2 or gap_m <= 0:
        return np.empty((0, 2), np.int64)
    one, other = _candidates(tips, frame, gap_m)
    met = ~_crossed(tips, lines, one, other)
    one, other = one[met], other[met]
    size = _sizes(tips.place[one], frame)
    distance = np.hypot(*((tips.place[other] - tips.place[one]) * size).T)
    order = np.lexsort((other, one, distance))
    nearest = _nearest(len(tips.end), one[order], other[order])
    mutual = (nearest[one] == other) & (nearest[other] == one)
    return np.column_stack([tips.end[one[mutual]], tips.end[other[mutual]]])


def _free(lines: Lines, net: Net, frame: Frame) -> _Tips:
    """The ends that end nowhere, but for those that the raster's edge cuts, by line.

    They are told where they are half a line's width before the road's end.
    """
    node = lines.nodes
    free = node != NONE
    free[free] = (net.degree[node[free]] == 1) & ~net.at_edge[node[free]]
    line, side = np.nonzero(free)
    radius, half = net.radius[node[free]], mean_width(lines.sums)[line] / 2
    place, aim = lines.tips[line, side], lines.aims[line, side]
    size = _sizes(place, frame)
    ahead = np.maximum(0.0, radius - half)
    return _Tips(lines.ends[line, side], line, place + aim * ahead[:, None] / size, aim, radius - ahead)


def _sizes(places: NDArray[np.float64], frame: Frame) -> NDArray[np.float64]:
    """Metres per pixel along x and y at each place, shape (place, 2)."""
    return frame.sizes[np.clip(places[:, 1].astype(np.int64), 0, len(frame.sizes) - 1)]


def _candidates(tips: _Tips, frame: Frame, gap_m: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs of tips, each once, the lower number first, that lie near enough and point at each other."""
    points = np.asarray(shapely.points(tips.place))
    farthest = (gap_m + 2 * tips.radius.max()) / frame.sizes.min()
    one, other = shapely.STRtree(points).query(points, predicate="dwithin", distance=farthest)
    once = (one < other) & (tips.line[one] != tips.line[other])
    one, other = one[once], other[once]
    size = _sizes(tips.place[one], frame)
    way = (tips.place[other] - tips.place[one]) * size
    distance = np.hypot(*way.T)
    straight = _ASTRAY * distance
    ahead = ((tips.aim[one] * way).sum(axis=1) >= straight) & ((tips.aim[other] * -way).sum(axis=1) >= straight)
    near = distance - tips.radius[one] - tips.radius[other] <= gap_m
    return one[ahead & near], other[ahead & near]


def _crossed(tips: _Tips, lines: Lines, one: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether a third line passes between two tips, shape (pair,)."""
    drawn = shapely.from_ragged_array(shapely.GeometryType.LINESTRING, lines.points, (lines.offsets,))
    between = shapely.linestrings(np.stack([tips.place[one], tips.place[other]], axis=1))
    pair, line = shapely.STRtree(drawn).query(between, predicate="intersects")
    third = (line != tips.line[one[pair]]) & (line != tips.line[other[pair]])
    crossed = np.zeros(len(one), np.bool_)
    crossed[pair[third]] = True
    return crossed


def _nearest(tips: int, one: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each tip the one that it comes first with in a list of pairs, NONE for none, shape (tip,)."""
    both = np.column_stack([one, other]).ravel()
    partner = np.column_stack([other, one]).ravel()
    found, place = np.unique(both, return_index=True)
    nearest = np.full(tips, NONE, np.int64)
    nearest[found] = partner[place]
    return nearest
