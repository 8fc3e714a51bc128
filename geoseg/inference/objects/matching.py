"""Which views of neighbouring tiles show the same object.

1. Two views of one class are the same object when their masks, inside both tiles, have an intersection over union of
   at least a half: best first, and one to one within a pair of tiles.
2. A view that its own tile's border cuts inside the other tile is a part of the view there that it shares most with,
   when they share at least half of the smaller one. So the arms of a U whose bend lies in the next tile find each
   other. It joins the best one only: a blur at a tile's border that covers two roofs does not make them one.
3. Views that touch in one tile and are told apart there stay apart, whatever other tiles make of them; unless they
   share half of their union: then that tile has found one object twice.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoseg.core.compiled import compiled
from geoseg.core.tiling import Axis, Tiling
from geoseg.core.window import window
from geoseg.inference.objects.kernels import Grid, Side, shared_pixels, touching, within
from geoseg.inference.objects.neighbours import near
from geoseg.inference.objects.views import Views

AGREE = 0.5  # the least intersection over union, or over the smaller view, that makes two views one object

Pairs = NDArray[np.int64]
_ALL = Side(0, 1 << 60, 1, 0, np.zeros((4, 0), np.float32))
_ONE_TILE = Grid(_ALL, _ALL)  # which holds everything


@dataclass(frozen=True, slots=True, eq=False)
class Matches:
    """What new views have to do with each other and with those before; all pairs (pair, 2) are ids of views.

    `links` are to be joined in this order, unless that brings two of `apart` together. `overlaps` share pixels.
    `compared` counts the pairs of boxes that were looked at.
    """

    links: Pairs
    apart: Pairs
    overlaps: Pairs
    compared: int


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    """Pairs of views of one class in neighbouring tiles: the pixels they share, and what each has in both tiles."""

    pairs: Pairs
    shared: NDArray[np.int64]
    areas: NDArray[np.int64]  # (pair, 2)
    cut: NDArray[np.bool_]  # (pair, 2)


def match(views: Views, fresh: int, tiling: Tiling) -> Matches:
    """The matches of the last `fresh` views, which are one tile row's, among themselves and with the row above's."""
    old = np.arange(len(views) - fresh)
    row = views.tiles[-1, 0] if fresh else 0
    beside = (views.tiles[old, 0] == row - 1) & (views.boxes[old, 3] > tiling.y.span(int(row)).start)
    index = np.concatenate([old[beside], np.arange(len(old), len(views))])
    pairs, compared = near(views.boxes[index], len(index) - fresh)
    pairs = index[pairs]
    shared = shared_pixels(pairs, views.raster)
    one_class = views.class_ids[pairs[:, 0]] == views.class_ids[pairs[:, 1]]
    one_tile = (views.tiles[pairs[:, 0]] == views.tiles[pairs[:, 1]]).all(1)
    apart = _apart(views, pairs[one_class & one_tile], shared[one_class & one_tile])
    links = _links(_seen(views, pairs[one_class & ~one_tile], shared[one_class & ~one_tile], tiling), views)
    return Matches(views.ids[links], views.ids[apart], views.ids[pairs[shared > 0]], compared)


def _apart(views: Views, pairs: Pairs, shared: NDArray[np.int64]) -> Pairs:
    """Of pairs of one class in one tile, those that are two objects side by side."""
    touch = touching(pairs, views.raster)
    pairs, shared = pairs[touch], shared[touch]
    areas, _ = _measured(views, pairs, _ONE_TILE)
    side_by_side: Pairs = pairs[shared < AGREE * (areas.sum(1) - shared)]
    return side_by_side


def _seen(views: Views, pairs: Pairs, shared: NDArray[np.int64], tiling: Tiling) -> _Seen:
    pairs, shared = pairs[shared > 0], shared[shared > 0]
    return _Seen(pairs, shared, *_measured(views, pairs, grid_of(tiling)))


def grid_of(tiling: Tiling) -> Grid:
    """The tiles, as kernels take them."""
    return Grid(_side(tiling.y), _side(tiling.x))


def _side(axis: Axis) -> Side:
    ends = [window(axis.tile, axis.overlap, first=bool(k & 1), last=bool(k & 2)) for k in range(4)]
    return Side(axis.stride, axis.tile, axis.count, _border(axis), np.stack(ends))


def _measured(views: Views, pairs: Pairs, grid: Grid) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Areas, and whether each view is cut, inside the other one's tile; both (pair, 2)."""
    areas, cut = np.zeros(pairs.shape, np.int64), np.zeros(pairs.shape, np.bool_)
    for side in (0, 1):
        areas[:, side], cut[:, side] = within(np.roll(pairs, side, 1), views.raster, views.tiles, grid)
    return areas, cut


def vouching(boxes: NDArray[np.int64], tiles: NDArray[np.int64], tiling: Tiling) -> NDArray[np.bool_]:
    """Views (view,) that their tile does not cut, or that reach to where it sees better than its neighbours.

    Others are what a network makes of the last few pixels of an object, or of nothing.
    """
    cut, inside = np.zeros(len(boxes), np.bool_), np.ones(len(boxes), np.bool_)
    for ends, axis, index in ((boxes[:, 0::2], tiling.x, tiles[:, 1]), (boxes[:, 1::2], tiling.y, tiles[:, 0])):
        start, before, after = index * axis.stride, index > 0, index < axis.count - 1
        cut |= before & (ends[:, 0] < start + _border(axis))
        cut |= after & (ends[:, 1] > start + axis.tile - _border(axis))
        first = start + np.where(before, axis.overlap - axis.overlap // 2, 0)
        stop = start + axis.tile - np.where(after, axis.overlap // 2, 0)
        inside &= (ends[:, 0] < stop) & (ends[:, 1] > first)
    vouched: NDArray[np.bool_] = inside | ~cut
    return vouched


def _border(axis: Axis) -> int:
    """Pixels from a tile's border within which a view counts as cut by it: networks end a little short of it."""
    return min(8, max(1, axis.overlap // 8))


def _links(seen: _Seen, views: Views) -> Pairs:
    """The pairs to be joined, in order: those of rule 1 by falling agreement, then those of rule 2."""
    agreement = seen.shared / (seen.areas.sum(1) - seen.shared)
    towards = np.stack([_direction(views, seen.pairs), _direction(views, seen.pairs[:, ::-1])], 1)
    slots = seen.pairs * 9 + towards  # a view has one place for each of its neighbouring tiles
    order = np.lexsort((seen.pairs[:, 1], seen.pairs[:, 0], -agreement))
    taken: NDArray[np.int64] = _one_to_one(order[agreement[order] >= AGREE], slots, 9 * len(views))
    part = seen.shared / seen.areas.min(1)
    parts = np.union1d(*(_best_of_cut(seen, agreement, slots, side) for side in (0, 1)))
    parts = np.setdiff1d(parts[part[parts] >= AGREE], taken)
    parts = parts[np.lexsort((seen.pairs[parts, 1], seen.pairs[parts, 0], -part[parts]))]
    links: Pairs = seen.pairs[np.concatenate([taken, parts])]
    return links


def _direction(views: Views, pairs: Pairs) -> NDArray[np.int64]:
    """Where the second view's tile lies from the first one's: 0 to 8, row by row."""
    step: NDArray[np.int64] = views.tiles[pairs[:, 1]] - views.tiles[pairs[:, 0]] + 1
    return step[:, 0] * 3 + step[:, 1]


def _best_of_cut(seen: _Seen, agreement: NDArray[np.float64], slots: Pairs, side: int) -> NDArray[np.int64]:
    """For each cut view and neighbouring tile, the pair with the view there that it shares most with."""
    own = np.flatnonzero(seen.cut[:, side])
    own = own[np.lexsort((seen.pairs[own, 1 - side], -agreement[own], -seen.shared[own], slots[own, side]))]
    return own[np.unique(slots[own, side], return_index=True)[1]]


@compiled
def _one_to_one(order: NDArray[np.int64], slots: Pairs, count: int) -> NDArray[np.int64]:
    """The pairs, in `order`, whose two `slots` (pair, 2) no pair before has taken."""
    used = np.zeros(count, np.bool_)
    kept, found = np.empty(order.shape[0], np.int64), 0
    for k in order:
        if not (used[slots[k, 0]] or used[slots[k, 1]]):
            used[slots[k, 0]] = used[slots[k, 1]] = True
            kept[found] = k
            found += 1
    return kept[:found]
