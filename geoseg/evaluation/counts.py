"""What is counted when a map is compared with its labels; ratios are made of sums of these, and of nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoseg.core.tiling import Span


@dataclass(frozen=True, slots=True, eq=False)
class Cell:
    """What was counted on one square of a scene: the unit of bootstrap intervals and of the map of errors.

    `y` and `x` are its rows and columns on the scene's grid. With C classes in the order of `SceneCounts.class_ids`:
    `confusion` (truth, found) int64 (C, C) counts pixels with a known truth; `boundary` int64 (C, 3) counts pixels near
    the outlines of a class (Cheng et al. 2021): in both, in the truth's, in the map's; `objects` int64 (C, 3) counts
    objects at IoU 0.5: true positives, false positives, false negatives, each in the cell of its middle.
    """

    y: Span
    x: Span
    confusion: NDArray[np.int64]
    boundary: NDArray[np.int64]
    objects: NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Objects of the truth and of the map, and how far each two of them overlap.

    `truth_class` and `found_class` uint8 are class ids, `found_score` float32 from 0 to 1 (NaN: unknown), `truth_cell`
    and `found_cell` int32 count the scene's cells. `pairs` int32 (pair, 2) index truth and found objects of one class
    that overlap, `iou` float64 (pair,) says how far. Objects of the map that lie mostly where nobody knows the truth
    are left out from the beginning.
    """

    truth_class: NDArray[np.uint8]
    found_class: NDArray[np.uint8]
    found_score: NDArray[np.float32]
    truth_cell: NDArray[np.int32]
    found_cell: NDArray[np.int32]
    pairs: NDArray[np.int32]
    iou: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class SceneCounts:
    """Everything that was counted on one scene.

    `scores` int64 (2, 255) counts pixels with a known truth by their stored score (0 to 254) where the truth is the
    background (0) or not (1); None without a raster of scores, or with several foreground classes. `pairs` is None
    where no objects were compared. `facts` are JSON-able facts of the scene and its labels, for the reader.
    """

    name: str
    class_ids: tuple[int, ...]
    cells: tuple[Cell, ...]
    scores: NDArray[np.int64] | None
    pairs: Pairs | None
    facts: dict[str, Any]
