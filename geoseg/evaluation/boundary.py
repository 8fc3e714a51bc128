"""Pixels near the outlines of classes, for boundary IoU.

Cheng, Girshick, Dollár, Berg, Kirillov, "Boundary IoU: Improving Object-Centric Image Segmentation Evaluation" (CVPR
2021) compare the pixels of two masks that lie within a distance of their own outline. Here the distance is one on the
ground, not a share of the image's diagonal; it is measured along rows and columns (a square), as theirs is.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoseg.core.classes import NODATA
from geoseg.core.compiled import compiled

Reach = tuple[int, int]  # pixels down and across


def reach_of(width_m: float, pixel_size: tuple[float, float] | None) -> Reach:
    """The pixels (down, across) that `width_m` metres are, one at least; one where the pixels' size is unknown."""
    if pixel_size is None:
        return 1, 1
    return max(1, round(width_m / pixel_size[0])), max(1, round(width_m / pixel_size[1]))


def near_outlines(values: NDArray[np.uint8], reach: Reach) -> NDArray[np.bool_]:
    """Where a pixel (y, x) has one of another value within `reach` (down, across) of it.

    Unknown pixels (255) make no outline, and neither do the edges of the array.
    """
    least, most = values, np.where(values == NODATA, np.uint8(0), values)
    for axis in (0, 1):
        least = _extreme(np.minimum, least, reach[axis], axis, NODATA)
        most = _extreme(np.maximum, most, reach[axis], axis, 0)
    return np.asarray((least < most) & (values != NODATA))


def boundary_counts(
    truth: tuple[NDArray[np.uint8], NDArray[np.bool_]], found: tuple[NDArray[np.uint8], NDArray[np.bool_]], classes: int
) -> NDArray[np.int64]:
    """Pixels near the outline of each class: int64 (C, 3), in both, in the truth's, in the map's.

    Both are classes (y, x) counted from 0, 255 for unknown ones, and where those pixels lie near outlines. Only pixels
    with a known truth count.
    """
    counts = np.zeros((classes, 3), np.int64)
    _count(*truth, *found, counts)
    return counts


@compiled
def _count(
    truth: NDArray[np.uint8],
    truth_near: NDArray[np.bool_],
    found: NDArray[np.uint8],
    found_near: NDArray[np.bool_],
    counts: NDArray[np.int64],
) -> None:
    """Add the pixels of a window to `counts`."""
    for y in range(truth.shape[0]):
        for x in range(truth.shape[1]):
            if truth[y, x] == NODATA:
                continue
            near, taken = truth_near[y, x], found_near[y, x] and found[y, x] != NODATA
            if near:
                counts[truth[y, x], 1] += 1
            if taken:
                counts[found[y, x], 2] += 1
            if near and taken and truth[y, x] == found[y, x]:
                counts[truth[y, x], 0] += 1


def _extreme(pick: Any, values: NDArray[np.uint8], reach: int, axis: int, beyond: int) -> NDArray[np.uint8]:
    """The least or largest value within `reach` along an axis, by doubling; `beyond` stands outside the array."""
    size = values.shape[axis]
    padding = [(reach, reach) if each == axis else (0, 0) for each in (0, 1)]
    held = np.moveaxis(np.pad(values, padding, constant_values=beyond), axis, 0)
    wide, length = 2 * reach + 1, 1
    while 2 * length <= wide:
        held = pick(held[:-length], held[length:])
        length *= 2
    return np.moveaxis(pick(held[:size], held[wide - length : wide - length + size]), 0, axis)
