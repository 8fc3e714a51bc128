"""Average precision as COCO computes it: 101 recalls, IoU from 0.5 to 0.95, without its limit of objects an image.

Lin et al., "Microsoft COCO: Common Objects in Context" (ECCV 2014). Objects are never left out for their size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoseg.core.compiled import compiled
from geoseg.evaluation.counts import Pairs
from geoseg.evaluation.matching import one_to_one

LEAST = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0, 1, 101)


@dataclass(frozen=True, slots=True, eq=False)
class Ranked:
    """Found objects of one class over scenes, the surest first, and the cells in which they and the truth's lie.

    `hits` bool (threshold, object) says which are in the truth at each of LEAST, `cells` int64 (threshold, object) is
    the cell of the object, that of the truth's for hits. `truth_cells` int64 (object,) are those of the truth's.
    """

    hits: NDArray[np.bool_]
    cells: NDArray[np.int64]
    truth_cells: NDArray[np.int64]

    def average_precision(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """The average precision at each of LEAST, (threshold,), where each cell counts so often; NaN without truth."""
        there = weights[self.truth_cells].sum()
        if there == 0:
            return np.full(len(LEAST), np.nan)
        return np.array(
            [
                _precision(hits, weights[cells], there, RECALLS)
                for hits, cells in zip(self.hits, self.cells, strict=True)
            ]
        )


def ranked(scenes: Sequence[Pairs], first_cells: Sequence[int], class_id: int) -> Ranked | None:
    """The objects of one class over scenes, whose cells count from `first_cells` on; None where a score is unknown."""
    scores, hits, cells, truth_cells = [], [], [], []
    for pairs, first in zip(scenes, first_cells, strict=True):
        found = np.flatnonzero(pairs.found_class == class_id)
        scores.append(pairs.found_score[found])
        partners = np.array([one_to_one(pairs, least, "score")[found] for least in np.minimum(LEAST, 1 - 1e-10)])
        own = np.broadcast_to(pairs.found_cell[found], partners.shape)
        theirs = np.append(pairs.truth_cell, 0)[partners]
        hits.append(partners >= 0)
        cells.append(np.where(partners >= 0, theirs, own) + first)
        truth_cells.append(pairs.truth_cell[pairs.truth_class == class_id].astype(np.int64) + first)
    score = np.concatenate(scores)
    if np.isnan(score).any():
        return None
    order = np.argsort(-score, kind="stable")
    joined = np.concatenate(hits, axis=1)[:, order], np.concatenate(cells, axis=1)[:, order].astype(np.int64)
    return Ranked(*joined, np.concatenate(truth_cells))


@compiled
def _precision(
    hits: NDArray[np.bool_], weights: NDArray[np.float64], there: float, recalls: NDArray[np.float64]
) -> float:
    """The mean over `recalls` of the best precision at that recall or a higher one."""
    size = len(hits)
    precision, recall = np.empty(size), np.empty(size)
    right = wrong = 0.0
    for i in range(size):
        if hits[i]:
            right += weights[i]
        else:
            wrong += weights[i]
        recall[i] = right / there
        precision[i] = right / (right + wrong) if right > 0 else 0.0
    total, best, k = 0.0, 0.0, len(recalls) - 1
    for i in range(size - 1, -1, -1):
        while k >= 0 and recalls[k] > recall[i]:
            total += best  # the first object that reaches this recall is the one after
            k -= 1
        best = max(best, precision[i])
    return (total + (k + 1) * best) / len(recalls)
