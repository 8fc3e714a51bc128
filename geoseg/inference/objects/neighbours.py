"""Boxes that meet, found through a grid of cells: near-linear in crowded scenes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geoseg.core.compiled import compiled

Ints = NDArray[np.int64]
_CELLS_PER_BOX = 4  # at most: a grid must not cost more than the boxes in it


class Cells(NamedTuple):
    """The boxes that each cell of a grid with so many columns holds, rising: cell i's from `bounds[i]` on."""

    listed: Ints
    bounds: Ints
    columns: int


def near(boxes: NDArray[np.int64], old: int) -> tuple[NDArray[np.int64], int]:
    """Pairs (pair, 2) of boxes that meet or touch, across corners too, each once, and how many pairs were looked at.

    `boxes` (box, 4) are left, top, right, bottom, right and bottom exclusive. The first of a pair is the later box.
    Pairs among the first `old` boxes are left out. The order of the pairs follows from the boxes.
    """
    if len(boxes) == old:
        return np.empty((0, 2), np.int64), 0
    origin, stop = boxes[:, :2].min(0), boxes[:, 2:].max(0) + 1
    sides = boxes[:, 2:] - boxes[:, :2] + 1
    least = np.sqrt(np.prod(stop - origin, dtype=float) / len(boxes) / _CELLS_PER_BOX)
    size = int(np.ceil(max(1.0, sides.mean(), least)))
    shape = (stop - origin - 1) // size + 1
    first = (boxes[:, :2] - origin) // size
    last = (boxes[:, 2:] - origin) // size  # one pixel beyond the box: boxes that touch share a cell
    pairs, tested = _meeting(boxes, first, _listed(first, last, shape), old)
    return pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))], int(tested)


@compiled
def _listed(first: Ints, last: Ints, shape: Ints) -> Cells:
    bounds = np.zeros(shape[0] * shape[1] + 1, np.int64)
    for i in range(first.shape[0]):
        for y in range(first[i, 1], last[i, 1] + 1):
            for x in range(first[i, 0], last[i, 0] + 1):
                bounds[y * shape[0] + x + 1] += 1
    bounds = np.cumsum(bounds)
    listed, filled = np.empty(bounds[-1], np.int64), bounds[:-1].copy()
    for i in range(first.shape[0]):
        for y in range(first[i, 1], last[i, 1] + 1):
            for x in range(first[i, 0], last[i, 0] + 1):
                listed[filled[y * shape[0] + x]] = i
                filled[y * shape[0] + x] += 1
    return Cells(listed, bounds, shape[0])


@compiled
def _meeting(boxes: Ints, first: Ints, cells: Cells, old: int) -> tuple[Ints, int]:
    """The pairs that meet in each cell; of the cells that two boxes share, the first one lists them."""
    listed, bounds, columns = cells
    pairs, found, tested = np.empty((1024, 2), np.int64), 0, 0
    for cell in range(bounds.shape[0] - 1):
        for p in range(bounds[cell], bounds[cell + 1]):
            a = listed[p]
            if a < old:
                continue
            for q in range(bounds[cell], p):
                b = listed[q]
                tested += 1
                home = max(first[a, 1], first[b, 1]) * columns + max(first[a, 0], first[b, 0])
                if home == cell and _meet(boxes, a, b):
                    if found == pairs.shape[0]:
                        longer = np.empty((2 * found, 2), np.int64)
                        longer[:found] = pairs
                        pairs = longer
                    pairs[found, 0], pairs[found, 1] = a, b
                    found += 1
    return pairs[:found], tested


@compiled
def _meet(boxes: Ints, a: int, b: int) -> bool:
    meet: bool = max(boxes[a, 0], boxes[b, 0]) <= min(boxes[a, 2], boxes[b, 2]) and max(
        boxes[a, 1], boxes[b, 1]
    ) <= min(boxes[a, 3], boxes[b, 3])
    return meet
