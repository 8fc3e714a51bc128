"""Sums of what was counted, and the ratios made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoseg.evaluation.counts import SceneCounts
from geoseg.evaluation.intervals import Draws
from geoseg.evaluation.pixels import iou, ratio
from geoseg.evaluation.quality import panoptic, stuff_segments, thing_segments

Ratios = dict[str, NDArray[np.float64]]


@dataclass(frozen=True, slots=True, eq=False)
class CellTable:
    """What was counted in the cells of one scene, one row a cell; C classes.

    `confusion` (cell, C, C), `boundary` (cell, C, 3), `objects` (cell, C, 3) as in `counts.Cell`; `segments`
    (cell, C, 4) as in `quality.thing_segments`.
    """

    confusion: NDArray[np.int64]
    boundary: NDArray[np.int64]
    objects: NDArray[np.int64]
    segments: NDArray[np.float64]

    @classmethod
    def of(cls, scene: SceneCounts) -> CellTable:
        """The table of a scene."""
        cells, classes = len(scene.cells), len(scene.class_ids)
        segments = np.zeros((cells, classes, 4))
        if scene.pairs is not None:
            segments = thing_segments(scene.pairs, scene.class_ids, cells)
        return cls(
            np.array([cell.confusion for cell in scene.cells], np.int64).reshape(cells, classes, classes),
            np.array([cell.boundary for cell in scene.cells], np.int64).reshape(cells, classes, 3),
            np.array([cell.objects for cell in scene.cells], np.int64).reshape(cells, classes, 3),
            segments,
        )

    def __len__(self) -> int:
        """Number of cells."""
        return len(self.confusion)

    @property
    def used(self) -> NDArray[np.bool_]:
        """Which cells (cell,) hold anything that was compared."""
        return np.asarray(self.confusion.any(axis=(1, 2)) | self.objects.any(axis=(1, 2)))


@dataclass(frozen=True, slots=True, eq=False)
class Sums:
    """Sums over cells, float64, with any axes before those of `CellTable`; `segments` hold stuff as well."""

    confusion: NDArray[np.float64]
    boundary: NDArray[np.float64]
    objects: NDArray[np.float64]
    segments: NDArray[np.float64]

    @classmethod
    def over(cls, tables: Sequence[CellTable], stuff: NDArray[np.bool_], draws: Draws) -> Sums:
        """The sums of the scenes' cells (draw, ...); `stuff` (C,) marks classes that are one segment a scene."""
        sums = [np.zeros(())] * 4
        first = 0
        for table in tables:
            own = Draws(draws.times[:, first : first + len(table)])
            confusion = own.sums(table.confusion)
            segments = np.where(stuff[:, None], stuff_segments(confusion), own.sums(table.segments))
            parts = (confusion, own.sums(table.boundary), own.sums(table.objects), segments)
            sums = [total + part for total, part in zip(sums, parts, strict=True)]
            first += len(table)
        return cls(*sums)

    @property
    def accuracy(self) -> NDArray[np.float64]:
        """The share of known pixels whose class is right, (...,)."""
        right = np.trace(self.confusion, axis1=-2, axis2=-1)
        return np.asarray(ratio(right, self.confusion.sum(axis=(-2, -1))))

    @property
    def pixel_ratios(self) -> Ratios:
        """Ratios of pixels by name, each (..., C)."""
        both = np.diagonal(self.confusion, axis1=-2, axis2=-1)
        truth, found = self.confusion.sum(-1), self.confusion.sum(-2)
        return {
            "iou": iou(both, truth, found),
            "dice": ratio(2 * both, truth + found),
            "precision": ratio(both, found),
            "recall": ratio(both, truth),
            "boundary_iou": iou(*np.moveaxis(self.boundary, -1, 0)),
        }

    @property
    def object_ratios(self) -> Ratios:
        """Ratios of objects by name, each (..., C), average precision apart."""
        matched, false, missed = np.moveaxis(self.objects, -1, 0)
        return {
            "precision": ratio(matched, matched + false),
            "recall": ratio(matched, matched + missed),
            "f1": ratio(2 * matched, 2 * matched + false + missed),
            **panoptic(self.segments),
        }
