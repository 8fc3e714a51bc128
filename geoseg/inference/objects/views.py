"""Objects as single tiles see them."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from geoseg.core.detections import Detections
from geoseg.core.tiling import Tile
from geoseg.inference.objects.kernels import Raster, copy_masks, crop, tighten


@dataclass(frozen=True, slots=True, eq=False)
class Views:
    """Objects as single tiles see them; all arrays have shape (view, ...), `ids` int64 rise.

    `groups` int64 is the id of the earliest view of the same object. `tiles` int64 (view, 2) are row and column of the
    tile, `boxes` int64 (view, 4) left, top, right, bottom in the scene's pixels, right and bottom exclusive, as small
    as can be. `class_ids` is uint8, `scores` float32. `beyond` bool marks views with a pixel where the scene goes on
    and nobody looked, `cut` bool those of objects that such an object bears upon. `masks` uint8 (pixel,) holds the
    pixels of the boxes one view after another, those of view i from `offsets[i]` int64 on: 0 outside the object, else
    the bits SEEN and WANTED of `kernels`, and 1 where a closed group has settled that the pixel is this view's. Views
    whose masks are kept elsewhere have none.
    """

    ids: NDArray[np.int64]
    groups: NDArray[np.int64]
    tiles: NDArray[np.int64]
    boxes: NDArray[np.int64]
    class_ids: NDArray[np.uint8]
    scores: NDArray[np.float32]
    beyond: NDArray[np.bool_]
    cut: NDArray[np.bool_]
    offsets: NDArray[np.int64]
    masks: NDArray[np.uint8]

    def __len__(self) -> int:
        """Number of views."""
        return len(self.ids)

    @property
    def raster(self) -> Raster:
        """What the kernels take."""
        return Raster(self.boxes, self.offsets, self.masks)

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        return sum(getattr(self, f.name).nbytes for f in fields(self))

    def take(self, chosen: NDArray[np.bool_]) -> Views:
        """The chosen (view,) ones; all of them, not copied, when none is left out."""
        if chosen.all():
            return self
        index = np.flatnonzero(chosen)
        offsets = np.concatenate([[0], np.cumsum(np.diff(self.offsets)[index])])
        masks = np.empty(offsets[-1], np.uint8)
        copy_masks(self.raster, index, offsets, masks)
        return replace(self, **{name: getattr(self, name)[index] for name in _COLUMNS}, offsets=offsets, masks=masks)

    def regrouped(self, groups: NDArray[np.int64]) -> Views:
        """The same views in other groups."""
        return replace(self, groups=groups)

    def mask(self, index: int) -> NDArray[np.uint8]:
        """The mask of one view (pixel,)."""
        return self.masks[self.offsets[index] : self.offsets[index + 1]]

    def with_masks(self, others: dict[int, NDArray[np.uint8]]) -> Views:
        """The same views, those at some places with other masks (pixel,)."""
        sizes = np.diff(self.offsets)
        places = np.fromiter(others, np.int64, len(others))
        sizes[places] = [len(mask) for mask in others.values()]
        offsets = np.concatenate([[0], np.cumsum(sizes)])
        masks = np.empty(offsets[-1], np.uint8)
        same = np.setdiff1d(np.arange(len(self)), places)
        copy_masks(self.raster, same, offsets[same], masks)
        for place, mask in others.items():
            masks[offsets[place] : offsets[place + 1]] = mask
        return replace(self, offsets=offsets, masks=masks)


_COLUMNS = [f.name for f in fields(Views)][:-2]  # all but masks and where they lie


def packed(mask: NDArray[np.uint8]) -> bytes:
    """Masks (pixel,), compressed."""
    return zlib.compress(mask.tobytes(), 1)


def unpacked(data: bytes) -> NDArray[np.uint8]:
    """Masks (pixel,) that were compressed."""
    return np.frombuffer(zlib.decompress(data), np.uint8)


def stacked(parts: Sequence[Views]) -> Views:
    """One after another; `parts` is not empty and its ids rise."""
    if len(parts) == 1:
        return parts[0]
    ends = np.cumsum([0, *(p.offsets[-1] for p in parts)])
    return replace(
        parts[0],
        **{name: np.concatenate([getattr(p, name) for p in parts]) for name in _COLUMNS},
        offsets=np.concatenate([*(p.offsets[:-1] + end for p, end in zip(parts, ends, strict=False)), ends[-1:]]),
        masks=np.concatenate([p.masks for p in parts]),
    )


def no_views() -> Views:
    """No view at all."""
    numbers, flags = np.zeros(0, np.int64), np.zeros(0, np.bool_)
    return Views(
        numbers, numbers, np.zeros((0, 2), np.int64), np.zeros((0, 4), np.int64), np.zeros(0, np.uint8),
        np.zeros(0, np.float32), flags, flags, np.zeros(1, np.int64), np.zeros(0, np.uint8),
    )  # fmt: skip


def views_of(
    found: Detections, tile: Tile, shape: tuple[int, int], bits: NDArray[np.uint8] | None, first_id: int
) -> Views:
    """The detections of one tile, less those without a pixel inside the scene of `shape` (height, width).

    `bits` (y, x) covers the tile and holds SEEN for each pixel, WANTED where it may get a class, and BEYOND where the
    scene goes on and nobody looked; None says that all are wanted. Ids count from `first_id`.
    """
    inside = np.array([min(tile.y.size, shape[0] - tile.y.start), min(tile.x.size, shape[1] - tile.x.start)])
    raw = Raster(found.boxes.astype(np.int64), found.offsets, found.masks.view(np.uint8))
    tight = np.zeros_like(raw.boxes)
    tighten(raw, inside, tight)
    offsets = np.concatenate([[0], np.cumsum((tight[:, 2] - tight[:, 0]) * (tight[:, 3] - tight[:, 1]))])
    masks = np.zeros(offsets[-1], np.uint8)
    beyond = crop(raw, Raster(tight, offsets, masks), np.empty((0, 0), np.uint8) if bits is None else bits)
    ids = np.arange(first_id, first_id + len(found))
    origin = np.array([tile.x.start, tile.y.start] * 2)
    tiles = np.broadcast_to(np.array([tile.row, tile.column]), (len(found), 2))
    cut = np.zeros(len(found), np.bool_)
    views = Views(ids, ids, tiles, tight + origin, found.class_ids, found.scores, beyond, cut, offsets, masks)
    return views.take(np.diff(offsets) > 0)
