"""Which objects of the map are which of the truth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import shapely
from numpy.typing import NDArray

from geoseg.core.compiled import compiled
from geoseg.evaluation.counts import Pairs

CHUNK = 20_000  # pairs of polygons that are intersected at a time
MATCH = 0.5  # IoU from which two objects are one (SpaceNet)


@dataclass(frozen=True, slots=True, eq=False)
class Objects:
    """Objects, all arrays of shape (object,): valid polygons on one plane, class ids, scores (NaN: unknown)."""

    geometry: NDArray[Any]
    class_id: NDArray[np.uint8]
    score: NDArray[np.float32]

    def __len__(self) -> int:
        """Number of objects."""
        return len(self.geometry)

    def take(self, which: NDArray[Any]) -> Objects:
        """The objects that a mask or an index array selects."""
        return Objects(self.geometry[which], self.class_id[which], self.score[which])


def overlaps(truth: Objects, found: Objects) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Objects of one class that overlap: int32 (pair, 2) truth and found, ordered, and their IoU, float64 (pair,)."""
    tree = shapely.STRtree(truth.geometry)
    kept, ious = [np.empty((0, 2), np.int32)], [np.empty(0)]
    sizes = shapely.area(truth.geometry), shapely.area(found.geometry)
    for first in range(0, len(found), CHUNK):
        asked, hit = tree.query(found.geometry[first : first + CHUNK])
        asked = asked + first
        same = truth.class_id[hit] == found.class_id[asked]
        hit, asked = hit[same], asked[same]
        for start in range(0, len(hit), CHUNK):
            t, f = hit[start : start + CHUNK], asked[start : start + CHUNK]
            both = shapely.area(shapely.intersection(truth.geometry[t], found.geometry[f]))
            meets = both > 0
            kept.append(np.column_stack([t, f])[meets].astype(np.int32))
            ious.append(np.minimum(both / (sizes[0][t] + sizes[1][f] - both), 1)[meets])
    pairs, iou = np.concatenate(kept), np.concatenate(ious)
    order = np.lexsort((pairs[:, 1], pairs[:, 0]))
    return pairs[order], iou[order]


def one_to_one(pairs: Pairs, least: float, by: Literal["score", "iou"]) -> NDArray[np.int32]:
    """The object of the truth that each found one is, -1 for none, int32 (found,).

    Greedy among pairs whose IoU is `least` or more: by score, each object in turn takes the free one that it overlaps
    most; by IoU, the best pair goes first. Objects without a score make it IoU.
    """
    enough = np.flatnonzero(pairs.iou >= least)
    found, iou = pairs.pairs[enough, 1], pairs.iou[enough]
    if by == "score" and not np.isnan(pairs.found_score).any():
        order = np.lexsort((-iou, found, -pairs.found_score[found]))
    else:
        order = np.lexsort((found, -iou))
    return _greedy(pairs.pairs[enough[order]], len(pairs.truth_class), len(pairs.found_class))


@compiled
def _greedy(pairs: NDArray[np.int32], truths: int, founds: int) -> NDArray[np.int32]:
    """Take pairs in order where both sides are free."""
    taken = np.zeros(truths, np.bool_)
    partner = np.full(founds, -1, np.int32)
    for i in range(len(pairs)):
        t, f = pairs[i, 0], pairs[i, 1]
        if not taken[t] and partner[f] < 0:
            taken[t] = True
            partner[f] = t
    return partner


def object_counts(pairs: Pairs, class_ids: tuple[int, ...], cells: int) -> NDArray[np.int64]:
    """True positives, false positives and false negatives at IoU 0.5 of each cell and class: int64 (cell, C, 3)."""
    partner = one_to_one(pairs, MATCH, "score")
    missed = np.ones(len(pairs.truth_class), np.bool_)
    missed[partner[partner >= 0]] = False
    truth = pairs.truth_cell, pairs.truth_class
    found = pairs.found_cell, pairs.found_class
    tables = [
        per_cell(*truth, class_ids, cells, ~missed),
        per_cell(*found, class_ids, cells, partner < 0),
        per_cell(*truth, class_ids, cells, missed),
    ]
    return np.stack(tables, axis=-1).astype(np.int64)


def per_cell(
    cell: NDArray[np.int32], class_id: NDArray[np.uint8], class_ids: tuple[int, ...], cells: int, value: NDArray[Any]
) -> NDArray[np.float64]:
    """The sum of objects' values in each cell for each class: float64 (cell, C)."""
    place = np.zeros(256, np.int64)
    place[list(class_ids)] = np.arange(len(class_ids))
    flat = cell.astype(np.int64) * len(class_ids) + place[class_id]
    sums = np.bincount(flat, weights=value.astype(np.float64), minlength=cells * len(class_ids))
    return sums.astype(np.float64).reshape(cells, len(class_ids))
