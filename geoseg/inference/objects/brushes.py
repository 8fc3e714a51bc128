"""The hot loops that draw the masks of objects into rasters, compiled by numba."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geoseg.core.compiled import compiled
from geoseg.inference.objects.kernels import Ints, Raster, first_of_row


class Brush(NamedTuple):
    """What is drawn for each view: class ids, scores (0 to 254) and numbers, all (view,)."""

    class_ids: NDArray[np.uint8]
    scores: NDArray[np.uint8]
    numbers: NDArray[np.int32]


class Drawing(NamedTuple):
    """What is drawn on, rasters (y, x) of class ids, scores and numbers whose first pixel is `corner` (x, y)."""

    class_ids: NDArray[np.uint8]
    scores: NDArray[np.uint8]
    numbers: NDArray[np.int32]
    corner: tuple[int, int]


@compiled
def paint(index: Ints, views: Raster, brush: Brush, drawing: Drawing) -> None:
    """Draw the views `index`, as far as they reach into the drawing."""
    boxes = views.boxes
    left, top = drawing.corner
    bottom, right = top + drawing.class_ids.shape[0], left + drawing.class_ids.shape[1]
    for i in range(index.shape[0]):
        v = index[i]
        for y in range(max(boxes[v, 1], top), min(boxes[v, 3], bottom)):
            row = first_of_row(views, v, y)
            for x in range(max(boxes[v, 0], left), min(boxes[v, 2], right)):
                if views.masks[row + x]:
                    drawing.class_ids[y - top, x - left] = brush.class_ids[i]
                    drawing.scores[y - top, x - left] = brush.scores[i]
                    drawing.numbers[y - top, x - left] = brush.numbers[i]


@compiled
def mark(index: Ints, views: Raster, corner: tuple[int, int], marks: NDArray[np.bool_]) -> None:
    """Set `marks` (y, x), the first of which is the pixel `corner` (x, y), where one of the views `index` lies."""
    boxes = views.boxes
    left, top = corner
    bottom, right = top + marks.shape[0], left + marks.shape[1]
    for i in range(index.shape[0]):
        v = index[i]
        for y in range(max(boxes[v, 1], top), min(boxes[v, 3], bottom)):
            row = first_of_row(views, v, y)
            for x in range(max(boxes[v, 0], left), min(boxes[v, 2], right)):
                if views.masks[row + x]:
                    marks[y - top, x - left] = True
