"""The objects of a block, from what its tiles see of them, row of tiles by row of tiles.

A group of views that no later tile can add to is closed. Each of its pixels is decided by one tile: of those that see
the object and cover the pixel, the one with the largest blend weight there (ties: the earlier one). A group is dropped
that was seen at borders of tiles only, cut by them, where other tiles see better and saw nothing.

Where groups overlap, the pixel goes to the higher score (ties: the earlier first pixel), and a group that keeps less
than half of its pixels is dropped, best first as in the merging of Kirillov et al. 2019 (arXiv:1801.00868). A group
waits for this until nothing that is still unknown can change it: an overlapping group that is open, or one of a higher
priority that waits itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoseg.core.detections import Detections
from geoseg.core.protocols import ObjectTable
from geoseg.core.tiling import Block, Tiling
from geoseg.core.window import window
from geoseg.inference.objects.grouping import adjacency, grouped
from geoseg.inference.objects.kernels import DROPPED, KEPT, OPEN, WAITING, extents, resolve, settle
from geoseg.inference.objects.matching import Pairs, match, vouching
from geoseg.inference.objects.views import Views, no_views, stacked, views_of

_FIELDS: list[tuple[str, type[np.generic]]] = [
    ("id", np.int64),  # of the earliest view
    ("class_id", np.uint8),
    ("score", np.float32),
    ("state", np.int64),
    ("area", np.int64),  # before overlaps
    ("y", np.int64),  # first pixel: before overlaps while waiting, then the final one inside the block
    ("x", np.int64),
    ("last_row", np.int64),  # inside the block; -1 when the object has no pixel there
    ("number", np.int32),  # 0 until its first row is final
]
GROUP = np.dtype(_FIELDS)


@dataclass(frozen=True, slots=True, eq=False)
class Settled:
    """What is final: every object that reaches into the rows before `stop` is known, with all its pixels.

    `index` (view,) names the `views` with pixels there, `groups` (view,) GROUP the object of each. `objects` are those
    that begin in the rows that became final.
    """

    stop: int
    views: Views
    index: NDArray[np.int64]
    groups: NDArray[np.void]
    objects: ObjectTable


class Joiner:
    """Joins the views of tiles, given row by row. Holds what a later row can still change, and what waits for it."""

    def __init__(self, tiling: Tiling, block: Block) -> None:
        """Begin above the block's first tile row."""
        self._tiling, self._block = tiling, block
        self.views = no_views()
        self._groups = np.zeros(0, GROUP)  # those that are closed, by rising id
        self._apart = self._overlaps = np.zeros((0, 2), np.int64)
        self._next_id, self._numbered, self._stop = 0, 0, block.y.start
        self._weights = (_weights(tiling.y.tile, tiling.y.overlap), _weights(tiling.x.tile, tiling.x.overlap))
        self.compared = 0  # pairs of boxes so far

    @property
    def open_groups(self) -> int:
        """Number of objects that a later tile can still change."""
        return len(np.setdiff1d(self.views.groups, self._groups["id"]))

    def add_row(
        self, row: int, found: Sequence[tuple[int, Detections]], wanted: NDArray[np.bool_] | None, stop: int
    ) -> Settled:
        """What became final with one tile row: its columns, left to right, with what was found there.

        `wanted` (y, x) covers the tile row from the block's first tile on and tells which pixels may get a class; None
        says all. `stop` is the end of the block's rows that no later tile touches.
        """
        self._match(self._views(row, found, wanted))
        self._close(row)
        self._resolve()
        self._stop = max(self._stop, min([stop, *self._unsettled_tops()]))
        settled = self._settled()
        self._forget()
        return settled

    def _views(self, row: int, found: Sequence[tuple[int, Detections]], wanted: NDArray[np.bool_] | None) -> Views:
        left = self._tiling.x.span(self._block.columns[0]).start
        parts = [no_views()]
        for column, detections in found:
            tile = self._tiling.tile(row, column)
            mask = None if wanted is None else wanted[:, tile.x.start - left : tile.x.stop - left]
            parts.append(views_of(detections, tile, self._tiling.shape, mask, self._next_id))
            self._next_id += len(detections)
        return stacked(parts)

    def _match(self, fresh: Views) -> None:
        """Take new views in, and join the groups that they belong to."""
        if not len(fresh):
            return
        views = stacked([self.views, fresh])
        matches = match(views, len(fresh), self._tiling)
        self.compared += matches.compared
        self._apart = np.concatenate([self._apart, matches.apart])
        self._overlaps = np.concatenate([self._overlaps, matches.overlaps])
        _, first, place = np.unique(views.groups, return_index=True, return_inverse=True)
        links, apart = np.searchsorted(views.ids, matches.links), np.searchsorted(views.ids, self._apart)
        self.views = views.regrouped(views.groups[grouped(first[place], links, apart)])

    def _close(self, row: int) -> None:
        """Settle the pixels and scores of groups that reach no row which a later tile covers."""
        views, last = self.views, row == self._block.rows[-1]
        reaching = (views.tiles[:, 0] == row) & (views.boxes[:, 3] > (row + 1) * self._tiling.y.stride) & (not last)
        staying = np.concatenate([self._groups["id"], views.groups[reaching]])
        members = np.flatnonzero(~np.isin(views.groups, staying))
        if not len(members):
            return
        keys = views.tiles[members, 0] * self._tiling.x.count + views.tiles[members, 1]
        order = members[np.lexsort((members, keys, views.groups[members]))]
        keys = views.tiles[order, 0] * self._tiling.x.count + views.tiles[order, 1]
        ids, starts = np.unique(views.groups[order], return_index=True)
        measures = np.zeros((len(order), 2), np.int64)
        y, x = self._tiling.y, self._tiling.x
        grid = np.array([y.stride, y.tile, x.stride, x.tile, y.count, x.count])
        settle(order, np.append(starts, len(order)), keys, views.raster, grid, self._weights, measures)
        closed = np.zeros(len(ids), GROUP)
        closed["id"], closed["class_id"] = ids, views.class_ids[order[starts]]
        closed["area"] = np.add.reduceat(measures[:, 0], starts)
        weighted = np.add.reduceat(measures[:, 0] * views.scores[order].astype(np.float64), starts)
        closed["score"] = weighted / np.maximum(closed["area"], 1)
        first = np.minimum.reduceat(np.where(measures[:, 1] < 0, np.iinfo(np.int64).max, measures[:, 1]), starts)
        closed["y"], closed["x"] = first >> 32, first & 0xFFFFFFFF
        vouched = np.logical_or.reduceat(vouching(views.boxes[order], views.tiles[order], self._tiling), starts)
        closed["state"] = np.where(vouched & (closed["area"] > 0), WAITING, DROPPED)
        groups = np.concatenate([self._groups, closed])
        self._groups = groups[np.argsort(groups["id"])]

    def _resolve(self) -> None:
        """Share out the pixels of closed groups that overlap, as far as that is known."""
        groups, views = self._groups, self.views
        waiting = np.flatnonzero(groups["state"] == WAITING)
        if not len(waiting):
            return
        keys = (groups["id"], groups["class_id"], groups["x"], groups["y"], -groups["score"])
        order = waiting[np.lexsort([key[waiting] for key in keys])]
        rank = np.full(len(groups) + 1, -1)
        rank[order] = np.arange(len(order))
        group_of = self._group_of()  # open views belong to one group more, which is open
        by_group = np.argsort(group_of, kind="stable")
        bounds = np.searchsorted(group_of[by_group], np.arange(len(groups) + 2))
        states = np.append(groups["state"], OPEN)
        areas = np.append(groups["area"], 0)
        edges = adjacency(np.searchsorted(views.ids, self._overlaps), len(views))
        resolve(order, rank, states, areas, (group_of, by_group, bounds), edges, views.raster)
        groups["state"] = states[:-1]
        self._find_extents(waiting[groups["state"][waiting] == KEPT], group_of)

    def _group_of(self) -> NDArray[np.int64]:
        """The place in `_groups` of each view's group; its length for open groups."""
        place = np.searchsorted(self._groups["id"], self.views.groups)
        if not len(self._groups):
            return place
        known = self._groups["id"][np.minimum(place, len(self._groups) - 1)] == self.views.groups
        return np.where(known, place, len(self._groups))

    def _find_extents(self, kept: NDArray[np.int64], group_of: NDArray[np.int64]) -> None:
        """First pixel and last row, inside the block, of groups that were just kept."""
        index = np.flatnonzero(np.isin(group_of, kept))
        index = index[np.argsort(group_of[index], kind="stable")]
        if not len(index):
            return
        block, found = self._block, np.zeros((len(index), 3), np.int64)
        window = np.array([block.x.start, block.y.start, block.x.stop, block.y.stop])
        extents(index, self.views.raster, window, found)
        places, starts = np.unique(group_of[index], return_index=True)
        first = np.where(found[:, 2] < 0, np.iinfo(np.int64).max, found[:, 0] << 32 | found[:, 1])
        first = np.minimum.reduceat(first, starts)
        self._groups["y"][places], self._groups["x"][places] = first >> 32, first & 0xFFFFFFFF
        self._groups["last_row"][places] = np.maximum.reduceat(found[:, 2], starts)

    def _unsettled_tops(self) -> list[int]:
        """The highest row that a group may still take a pixel in, for each kind that is not settled."""
        group_of = self._group_of()
        tops = self.views.boxes[group_of == len(self._groups), 1]
        waiting = self._groups["y"][self._groups["state"] == WAITING]
        return [int(rows.min()) for rows in (tops, waiting) if len(rows)]

    def _settled(self) -> Settled:
        """Number the objects that begin before the rows that are final end, and say what lies there."""
        groups = self._groups
        begun = (groups["state"] == KEPT) & (groups["last_row"] >= 0) & (groups["y"] < self._stop)
        new = np.flatnonzero(begun & (groups["number"] == 0))
        new = new[np.lexsort((groups["x"][new], groups["y"][new]))]
        groups["number"][new] = np.arange(self._numbered + 1, self._numbered + len(new) + 1)
        self._numbered += len(new)
        listed = groups[new]
        objects = ObjectTable(
            listed["number"].copy(), listed["class_id"].copy(), listed["score"].copy(), listed["last_row"].copy()
        )
        group_of = self._group_of()
        shown = np.append(begun, False)[group_of] & (self.views.boxes[:, 1] < self._stop)
        index = np.flatnonzero(shown)
        return Settled(self._stop, self.views, index, groups[group_of[index]], objects)

    def _forget(self) -> None:
        """Let go of what is drawn or dropped."""
        states = np.append(self._groups["state"], OPEN)[self._group_of()]
        drawn = (states == KEPT) & (self.views.boxes[:, 3] <= self._stop)
        self.views = self.views.take(~(drawn | (states == DROPPED)))
        self._groups = self._groups[np.isin(self._groups["id"], self.views.groups)]
        self._overlaps = self._among(self._overlaps)
        self._apart = self._among(self._apart)

    def _among(self, pairs: Pairs) -> Pairs:
        return pairs[np.isin(pairs, self.views.ids).all(1)]


def _weights(tile: int, overlap: int) -> NDArray[np.float32]:
    """Blend weights (4, tile): of a tile in the middle, the first one, the last one, and the only one."""
    return np.stack([window(tile, overlap, first=bool(k & 1), last=bool(k & 2)) for k in range(4)])
