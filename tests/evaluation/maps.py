"""Scenes, labels and maps of a few pixels, and counts made by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from geoseg.core.classes import ClassInfo, ClassSet
from geoseg.core.tiling import Span
from geoseg.evaluation.counts import Cell, Pairs, SceneCounts
from tests.factory import make_raster

HOUSES = ClassSet(
    classes=(
        ClassInfo(id=0, name="background", colour="#000000"),
        ClassInfo(id=1, name="building", colour="#e4572e", kind="thing"),
    )
)
LAND = ClassSet(
    classes=(
        ClassInfo(id=0, name="background", colour="#000000"),
        ClassInfo(id=1, name="building", colour="#e4572e", kind="thing"),
        ClassInfo(id=4, name="road", colour="#17bebb"),
    )
)


def class_raster(path: Path, ids, **options) -> Path:
    """A raster of class ids on the factory's grid."""
    return make_raster(path, data=np.asarray(ids, np.uint8)[None], **{"nodata": 255, **options})


def pairs_of(iou, scores=None, truth_class=None, found_class=None, cells=None) -> Pairs:
    """Objects whose overlaps are a matrix (truth, found); classes are 1, and cells 0, unless told."""
    iou = np.asarray(iou, float)
    truths, founds = iou.shape
    truth_class = np.ones(truths) if truth_class is None else truth_class
    found_class = np.ones(founds) if found_class is None else found_class
    truth, found = np.nonzero(iou)
    cells = cells or (np.zeros(truths), np.zeros(founds))
    return Pairs(
        truth_class=np.asarray(truth_class, np.uint8),
        found_class=np.asarray(found_class, np.uint8),
        found_score=np.full(founds, np.nan, np.float32) if scores is None else np.asarray(scores, np.float32),
        truth_cell=np.asarray(cells[0], np.int32),
        found_cell=np.asarray(cells[1], np.int32),
        pairs=np.column_stack([truth, found]).astype(np.int32),
        iou=iou[truth, found],
    )


def counts_of(
    confusions, pairs=None, boundary=None, objects=None, name="scene", ids=(0, 1), scores=None
) -> SceneCounts:
    """A scene with one cell for each confusion."""
    size = len(ids)
    cells = tuple(
        Cell(
            Span(0, 64),
            Span(64 * i, 64 * i + 64),
            np.asarray(confusion, np.int64),
            np.zeros((size, 3), np.int64) if boundary is None else np.asarray(boundary[i], np.int64),
            np.zeros((size, 3), np.int64) if objects is None else np.asarray(objects[i], np.int64),
        )
        for i, confusion in enumerate(confusions)
    )
    return SceneCounts(name, tuple(ids), cells, scores, pairs, {})
