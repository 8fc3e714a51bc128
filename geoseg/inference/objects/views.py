"""Objects as single tiles see them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoseg.core.detections import Detections
from geoseg.core.tiling import Tile
from geoseg.inference.objects.kernels import copy_masks, crop, tighten


@dataclass(frozen=True, slots=True, eq=False)
class Views:
    """Objects as single tiles see them; all arrays have shape (view, ...), `ids` int64 rise.

    `groups` int64 is the id of the earliest view of the same object. `tiles` int64 (view, 2) are row and column of the
    tile, `boxes` int64 (view, 4) left, top, right, bottom in the scene's pixels, right and bottom exclusive, as small
    as can be. `class_ids` is uint8, `scores` float32. `masks` uint8 (pixel,) holds the pixels of the boxes one view
    after another, those of view i from `offsets[i]` int64 on: 0 outside the object, else the bits SEEN and WANTED of
    `kernels`, and 1 where a closed group has settled that the pixel is this view's.
    """

    ids: NDArray[np.int64]
    groups: NDArray[np.int64]
    tiles: NDArray[np.int64]
    boxes: NDArray[np.int64]
    class_ids: NDArray[np.uint8]
    scores: NDArray[np.float32]
    offsets: NDArray[np.int64]
    masks: NDArray[np.uint8]

    def __len__(self) -> int:
        """Number of views."""
        return len(self.ids)

    @property
    def raster(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.uint8]]:
        """What the kernels take: boxes, offsets, masks."""
        return self.boxes, self.offsets, self.masks

    def take(self, chosen: NDArray[np.bool_]) -> Views:
        """The chosen (view,) ones; all of them, not copied, when none is left out."""
        if chosen.all():
            return self
        index = np.flatnonzero(chosen)
        offsets = np.concatenate([[0], np.cumsum(np.diff(self.offsets)[index])])
        masks = np.empty(offsets[-1], np.uint8)
        copy_masks(self.masks, self.offsets, index, offsets, masks)
        return Views(
            self.ids[index],
            self.groups[index],
            self.tiles[index],
            self.boxes[index],
            self.class_ids[index],
            self.scores[index],
            offsets,
            masks,
        )

    def regrouped(self, groups: NDArray[np.int64]) -> Views:
        """The same views in other groups."""
        return Views(self.ids, groups, self.tiles, self.boxes, self.class_ids, self.scores, self.offsets, self.masks)


def stacked(parts: Sequence[Views]) -> Views:
    """One after another; `parts` is not empty and its ids rise."""
    if len(parts) == 1:
        return parts[0]
    ends = np.cumsum([0, *(p.offsets[-1] for p in parts)])
    return Views(
        np.concatenate([p.ids for p in parts]),
        np.concatenate([p.groups for p in parts]),
        np.concatenate([p.tiles for p in parts]),
        np.concatenate([p.boxes for p in parts]),
        np.concatenate([p.class_ids for p in parts]),
        np.concatenate([p.scores for p in parts]),
        np.concatenate([*(p.offsets[:-1] + end for p, end in zip(parts, ends, strict=False)), ends[-1:]]),
        np.concatenate([p.masks for p in parts]),
    )


def no_views() -> Views:
    """No view at all."""
    numbers = np.zeros(0, np.int64)
    return Views(
        numbers, numbers, np.zeros((0, 2), np.int64), np.zeros((0, 4), np.int64), np.zeros(0, np.uint8),
        np.zeros(0, np.float32), np.zeros(1, np.int64), np.zeros(0, np.uint8),
    )  # fmt: skip


def views_of(
    found: Detections, tile: Tile, shape: tuple[int, int], wanted: NDArray[np.bool_] | None, first_id: int
) -> Views:
    """The detections of one tile, less those without a pixel inside the scene of `shape` (height, width).

    `wanted` (y, x) covers the tile and says which of its pixels may get a class; None says all. Ids count from
    `first_id`.
    """
    inside = np.array([min(tile.y.size, shape[0] - tile.y.start), min(tile.x.size, shape[1] - tile.x.start)])
    boxes = found.boxes.astype(np.int64)
    tight = np.zeros_like(boxes)
    tighten(boxes, found.masks, found.offsets, inside, tight)
    offsets = np.concatenate([[0], np.cumsum((tight[:, 2] - tight[:, 0]) * (tight[:, 3] - tight[:, 1]))])
    masks = np.zeros(offsets[-1], np.uint8)
    crop(boxes, found.masks, found.offsets, tight, offsets, np.empty((0, 0), bool) if wanted is None else wanted, masks)
    ids = np.arange(first_id, first_id + len(found))
    origin = np.array([tile.x.start, tile.y.start] * 2)
    tiles = np.broadcast_to(np.array([tile.row, tile.column]), (len(found), 2))
    views = Views(ids, ids, tiles, tight + origin, found.class_ids, found.scores, offsets, masks)
    return views.take(np.diff(offsets) > 0)
