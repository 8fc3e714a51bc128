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
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from geoseg.core.detections import Detections
from geoseg.core.tiling import Block, Tiling
from geoseg.inference.objects.finished import GROUP, Finished, Settled
from geoseg.inference.objects.grouping import adjacency, grouped
from geoseg.inference.objects.kernels import (
    BEYOND,
    DROPPED,
    KEPT,
    OPEN,
    SEEN,
    WAITING,
    WANTED,
    Closed,
    Contest,
    Members,
    extents,
    resolve,
    settle,
)
from geoseg.inference.objects.matching import Pairs, grid_of, match, vouching
from geoseg.inference.objects.views import Views, no_views, packed, stacked, unpacked, views_of

_NONE = np.zeros((0, 2), np.int64)


class Joiner:
    """Joins the views of tiles, given row by row. Holds what a later row can still change, and what waits for it."""

    def __init__(self, tiling: Tiling, block: Block) -> None:
        """Begin above the block's first tile row."""
        self._tiling, self._block, self._grid = tiling, block, grid_of(tiling)
        self.views = no_views()  # of objects that are open or wait, and of those that contend with them
        self._packed: dict[int, bytes] = {}  # masks of views that nothing can be done with yet, by id
        self._groups = np.zeros(0, GROUP)  # those that are closed, by rising id
        self._finished = Finished(block)
        self._apart = self._overlaps = self._refused = _NONE
        self._next_id, self._stop = 0, block.y.start
        self.compared = 0  # pairs of boxes so far

    @property
    def open_groups(self) -> int:
        """Number of objects that a later tile can still change."""
        return len(np.setdiff1d(self.views.groups, self._groups["id"]))

    @property
    def nbytes(self) -> int:
        """Bytes that are held for later rows."""
        pairs = sum(pairs.nbytes for pairs in (self._apart, self._overlaps, self._refused))
        return self.views.nbytes + sum(map(len, self._packed.values())) + self._finished.nbytes + pairs

    def add_row(
        self,
        row: int,
        found: Sequence[tuple[int, Detections]],
        wanted: NDArray[np.bool_] | None = None,
        beyond: NDArray[np.bool_] | None = None,
    ) -> Settled:
        """What became final with one tile row: its columns, left to right, with what was found there.

        `wanted` and `beyond` (y, x) cover the tile row from the block's first tile on and tell which pixels may get a
        class (None: all), and at which one would see more, had the scene been looked at there (None: at none).
        """
        self._match(self._views(row, found, _bits(wanted, beyond)))
        self._spread()
        self._close(row)
        self._resolve()
        last = row == self._block.rows[-1]
        final = self._block.y.stop if last else min(self._tiling.y.final(row), self._block.y.stop)
        self._stop = max(self._stop, min([final, *self._unsettled_tops()]))
        self._hand_over()
        self._pack(row)
        return self._finished.settle(self._stop)

    def _views(self, row: int, found: Sequence[tuple[int, Detections]], bits: NDArray[np.uint8] | None) -> Views:
        left = self._tiling.x.span(self._block.columns[0]).start
        parts = [no_views()]
        for column, detections in found:
            tile = self._tiling.tile(row, column)
            own = None if bits is None else bits[:, tile.x.start - left : tile.x.stop - left]
            parts.append(views_of(detections, tile, self._tiling.shape, own, self._next_id))
            self._next_id += len(detections)
        views = stacked(parts)
        starts = (self._block.x.start, self._block.y.start)
        outside = (views.boxes[:, :2] < starts) | (views.boxes[:, 2:] > (self._block.x.stop, self._block.y.stop))
        return replace(views, beyond=views.beyond | outside.any(1))

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
        self._refused = np.concatenate([self._refused, matches.links])
        groups = self.views.groups[np.searchsorted(views.ids, self._refused)]
        self._refused = self._refused[groups[:, 0] != groups[:, 1]]

    def _spread(self) -> None:
        """Mark views that were not joined to an object from beyond: what is not known of it might have let them."""
        views = self.views
        ends = np.searchsorted(views.ids, self._refused)
        while len(ends):
            marked = np.isin(views.groups[ends], views.groups[views.beyond])
            uneven = marked[:, 0] != marked[:, 1]
            if not uneven.any():
                return
            views.beyond[ends[uneven]] = True

    def _close(self, row: int) -> None:
        """Settle the pixels and scores of groups that reach no row which a later tile covers."""
        views, last = self.views, row == self._block.rows[-1]
        reaching = (views.tiles[:, 0] == row) & (views.boxes[:, 3] > (row + 1) * self._tiling.y.stride) & (not last)
        staying = np.concatenate([self._groups["id"], views.groups[reaching]])
        members = np.flatnonzero(~np.isin(views.groups, staying))
        if not len(members):
            return
        self._unpack(members)
        views = self.views
        keys = views.tiles[:, 0] * self._tiling.x.count + views.tiles[:, 1]
        order = members[np.lexsort((members, keys[members], views.groups[members]))]
        ids, starts = np.unique(views.groups[order], return_index=True)
        self._finished.leave_out(_wanted(views.take(np.isin(views.groups, _beyond(views, members)))))
        measures = settle(Closed(order, np.append(starts, len(order)), keys[order]), views.raster, self._grid)
        closed = np.zeros(len(ids), GROUP)
        closed["id"], closed["class_id"] = ids, views.class_ids[order[starts]]
        closed["area"] = np.add.reduceat(measures[:, 0], starts)
        weighted = np.add.reduceat(measures[:, 0] * views.scores[order].astype(np.float64), starts)
        closed["score"] = weighted / np.maximum(closed["area"], 1)
        first = np.minimum.reduceat(np.where(measures[:, 1] < 0, np.iinfo(np.int64).max, measures[:, 1]), starts)
        closed["y"], closed["x"] = first >> 32, first & 0xFFFFFFFF
        vouched = np.logical_or.reduceat(vouching(views.boxes[order], views.tiles[order], self._tiling), starts)
        closed["state"] = np.where(vouched & (closed["area"] > 0), WAITING, DROPPED)
        closed["cut"] = np.logical_or.reduceat(views.beyond[order], starts)
        self._bear_upon(closed["id"][(closed["state"] == DROPPED) & closed["cut"]])
        groups = np.concatenate([self._groups, closed])
        self._groups = groups[np.argsort(groups["id"])]

    def _bear_upon(self, groups: NDArray[np.int64]) -> None:
        """Mark the views that share pixels with those of some groups."""
        ends = np.searchsorted(self.views.ids, self._overlaps)
        theirs = np.isin(self.views.groups[ends], groups)
        self.views.cut[ends[theirs[:, ::-1] & ~theirs]] = True

    def _resolve(self) -> None:
        """Share out the pixels of closed groups that overlap, as far as that is known."""
        groups, group_of = self._groups, self._group_of()  # open views belong to one group more, which is open
        waiting = np.flatnonzero(groups["state"] == WAITING)
        if not len(waiting):
            return
        self._unpack(np.flatnonzero((group_of < len(groups)) & ~self._blocked(group_of)))
        views = self.views
        keys = (groups["id"], groups["class_id"], groups["x"], groups["y"], -groups["score"])
        order = waiting[np.lexsort([key[waiting] for key in keys])]
        rank = np.full(len(groups) + 1, -1)
        rank[order] = np.arange(len(order))
        by_group = np.argsort(group_of, kind="stable")
        bounds = np.searchsorted(group_of[by_group], np.arange(len(groups) + 2))
        contest = Contest(
            order,
            rank,
            np.append(groups["state"], OPEN),
            np.append(groups["area"], 0),
            np.bincount(group_of, views.beyond, len(groups) + 1) > 0,
            views.cut,
            np.append(groups["cut"], False),
        )
        edges = adjacency(np.searchsorted(views.ids, self._overlaps), len(views))
        resolve(contest, Members(group_of, by_group, bounds), edges, views.raster)
        groups["state"], groups["cut"] = contest.states[:-1], contest.cut_groups[:-1]
        kept = waiting[groups["state"][waiting] == KEPT]
        self._find_extents(kept, group_of)
        whole = groups[kept]
        self._finished.add(whole[whole["last_row"] >= 0], views.take(np.isin(group_of, kept[whole["last_row"] >= 0])))

    def _group_of(self) -> NDArray[np.int64]:
        """The place in `_groups` of each view's group; its length for open groups."""
        place = np.searchsorted(self._groups["id"], self.views.groups)
        if not len(self._groups):
            return place
        known = self._groups["id"][np.minimum(place, len(self._groups) - 1)] == self.views.groups
        return np.where(known, place, len(self._groups))

    def _blocked(self, group_of: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Views (view,) of groups that overlap an open one: nothing can be done with them yet."""
        pairs = group_of[np.searchsorted(self.views.ids, self._overlaps)]
        blocked = np.zeros(len(self._groups) + 1, np.bool_)
        blocked[pairs[(pairs == len(self._groups)).any(1)]] = True
        return blocked[group_of]

    def _find_extents(self, kept: NDArray[np.int64], group_of: NDArray[np.int64]) -> None:
        """First pixel and last row, inside the block, of groups that were just kept."""
        index = np.flatnonzero(np.isin(group_of, kept))
        index = index[np.argsort(group_of[index], kind="stable")]
        if not len(index):
            return
        block = self._block
        window = np.array([block.x.start, block.y.start, block.x.stop, block.y.stop])
        found = extents(index, self.views.raster, window)
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

    def _hand_over(self) -> None:
        """Let go of what is decided and contends with nothing that is not, and say what was left out but might be."""
        group_of = self._group_of()
        states = np.append(self._groups["state"], OPEN)[group_of]
        dropped, undecided = states == DROPPED, states < KEPT
        self._finished.leave_out(self.views.take(dropped & np.append(self._groups["cut"], False)[group_of]))
        ends = np.searchsorted(self.views.ids, self._overlaps)
        contending = np.zeros(len(self._groups) + 1, np.bool_)
        contending[group_of[ends[undecided[ends].any(1)]]] = True
        self.views = self.views.take(undecided | (~dropped & contending[group_of]))
        self._groups = self._groups[np.isin(self._groups["id"], self.views.groups)]
        self._overlaps, self._apart, self._refused = map(self._among, (self._overlaps, self._apart, self._refused))

    def _among(self, pairs: Pairs) -> Pairs:
        return pairs[np.isin(pairs, self.views.ids).all(1)]

    def _pack(self, row: int) -> None:
        """Compress the masks that no later tile is compared with, of groups that are open or blocked by such a one."""
        views, group_of = self.views, self._group_of()
        idle = (views.tiles[:, 0] < row) & ((group_of == len(self._groups)) | self._blocked(group_of))
        places = np.flatnonzero(idle & (np.diff(views.offsets) > 0)).tolist()
        if len(places):
            self._packed |= {int(views.ids[i]): packed(views.mask(i)) for i in places}
            self.views = views.with_masks(dict.fromkeys(places, np.zeros(0, np.uint8)))

    def _unpack(self, places: NDArray[np.int64]) -> None:
        """Bring back the masks of some views."""
        idle = places[np.diff(self.views.offsets)[places] == 0].tolist()
        if idle:
            self.views = self.views.with_masks({i: unpacked(self._packed.pop(int(self.views.ids[i]))) for i in idle})


def _beyond(views: Views, members: NDArray[np.int64]) -> NDArray[np.int64]:
    """The groups of `members` with a view from beyond: other views might be theirs, or not, were all of them known."""
    return views.groups[members[views.beyond[members]]]


def _wanted(views: Views) -> Views:
    """The same views, their pixels those that may get a class; on masks of their own."""
    return replace(views, masks=(views.masks & np.uint8(WANTED)) >> np.uint8(1))


def _bits(wanted: NDArray[np.bool_] | None, beyond: NDArray[np.bool_] | None) -> NDArray[np.uint8] | None:
    """What each pixel (y, x) of a tile row tells of objects there; None where all are wanted."""
    if wanted is None and beyond is None:
        return None
    bits = np.uint8(SEEN) | (np.uint8(WANTED) if wanted is None else wanted * np.uint8(WANTED))
    return np.asarray(bits if beyond is None else bits | beyond * np.uint8(BEYOND), np.uint8)
