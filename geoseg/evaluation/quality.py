"""Panoptic quality: Kirillov, He, Girshick, Rother, Dollár, "Panoptic Segmentation" (CVPR 2019)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoseg.evaluation.counts import Pairs
from geoseg.evaluation.matching import MATCH, one_to_one, per_cell
from geoseg.evaluation.pixels import iou, ratio

OVER = float(np.nextafter(MATCH, 1))  # segments are one where their IoU is more than a half


def thing_segments(pairs: Pairs, class_ids: tuple[int, ...], cells: int) -> NDArray[np.float64]:
    """Matched segments, the sum of their IoU, missed and false ones, of each cell and class: float64 (cell, C, 4)."""
    partner = one_to_one(pairs, OVER, "iou")
    matched = np.flatnonzero(partner >= 0)
    best = np.zeros(len(pairs.truth_class))
    chosen = partner[pairs.pairs[:, 1]] == pairs.pairs[:, 0]
    best[pairs.pairs[chosen, 0]] = pairs.iou[chosen]
    hit = np.zeros(len(pairs.truth_class), np.bool_)
    hit[partner[matched]] = True
    truth = pairs.truth_cell, pairs.truth_class, class_ids, cells
    found = pairs.found_cell, pairs.found_class, class_ids, cells
    tables = [
        per_cell(*truth, hit),
        per_cell(*truth, best),
        per_cell(*truth, ~hit),
        per_cell(*found, partner < 0),
    ]
    return np.stack(tables, axis=-1)


def stuff_segments(confusion: NDArray[Any]) -> NDArray[np.float64]:
    """The same for stuff, all of which is one segment of a scene: (..., C, 4) from confusions (..., C, C)."""
    both = np.diagonal(confusion, axis1=-2, axis2=-1).astype(np.float64)
    truth, found = confusion.sum(-1), confusion.sum(-2)
    overlap = np.nan_to_num(iou(both, truth, found))
    matched = overlap > MATCH
    missed, false = (truth > 0) & ~matched, (found > 0) & ~matched
    return np.stack([matched, np.where(matched, overlap, 0), missed, false], axis=-1).astype(np.float64)


def panoptic(segments: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Panoptic quality `pq` and its factors, `sq` of segmentation and `rq` of recognition, (...,) from (..., 4)."""
    matched, summed, missed, false = np.moveaxis(segments, -1, 0)
    weight = matched + (missed + false) / 2
    return {"pq": ratio(summed, weight), "sq": ratio(summed, matched), "rq": ratio(matched, weight)}
