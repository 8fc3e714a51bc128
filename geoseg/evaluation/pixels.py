"""Pixels counted by what they are and what they were taken for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoseg.core.classes import NODATA
from geoseg.core.compiled import compiled

OUT = -1  # the place of a value that is not counted
SCORES = 255  # stored scores go from 0 to 254


def confusion(
    truth: NDArray[np.uint8], found: NDArray[np.uint8], class_ids: Sequence[int], background: int | None = 0
) -> NDArray[np.int64]:
    """Pixels by the class that they are and the one that they were taken for: int64 (C, C), both in `class_ids`' order.

    `truth` and `found` have one shape. Pixels whose truth is none of `class_ids` (255: unknown) are left out. Values of
    `found` that are none of them (255: nothing predicted) count as `background`, and are left out where that is none.
    """
    if truth.shape != found.shape:
        raise ValueError(f"truth has shape {truth.shape} and the map {found.shape}; expected the same")
    counts = np.zeros((len(class_ids), len(class_ids)), np.int64)
    _count(_flat(truth), _flat(found), *places(class_ids, background), counts)
    return counts


def places(class_ids: Sequence[int], background: int | None) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
    """Where values of the truth and of the map stand in `class_ids`, int16 (256,) each; OUT for those left out."""
    ids = list(class_ids)
    truth = np.full(NODATA + 1, OUT, np.int16)
    truth[ids] = np.arange(len(ids))
    found = np.where(truth == OUT, ids.index(background), truth) if background in ids else truth
    return truth, found.astype(np.int16)


def score_counts(
    truth: NDArray[np.uint8], scores: NDArray[np.uint8], class_ids: Sequence[int], background: int | None
) -> NDArray[np.int64]:
    """Pixels by truth (0: background, 1: any other of `class_ids`) and stored score (0 to 254): int64 (2, 255).

    Pixels of unknown truth, and those without a score (255), are left out.
    """
    kinds = np.full(NODATA + 1, OUT, np.int16)
    kinds[list(class_ids)] = 1
    if background is not None:
        kinds[background] = 0
    counts = np.zeros((2, SCORES), np.int64)
    stored = np.append(np.arange(SCORES), OUT).astype(np.int16)
    _count(_flat(truth), _flat(scores), kinds, stored, counts)
    return counts


def iou(both: Any, truth: Any, found: Any) -> Any:
    """Intersection over union from what is in both, in the truth, in the map; NaN where nothing is in either."""
    return ratio(both, truth + found - both)


def ratio(part: Any, whole: Any) -> Any:
    """`part / whole` as float64, NaN where `whole` is 0; both broadcast."""
    part, whole = np.broadcast_arrays(np.asarray(part, np.float64), np.asarray(whole, np.float64))
    return np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole != 0)


def _flat(values: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(values, np.uint8).reshape(-1)


@compiled
def _count(
    rows: NDArray[np.uint8],
    columns: NDArray[np.uint8],
    row_places: NDArray[np.int16],
    column_places: NDArray[np.int16],
    counts: NDArray[np.int64],
) -> None:
    """Add one to `counts` at the places of each pair of values."""
    for i in range(rows.size):
        row, column = row_places[rows[i]], column_places[columns[i]]
        if row >= 0 and column >= 0:
            counts[row, column] += 1
