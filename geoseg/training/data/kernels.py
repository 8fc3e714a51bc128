"""The hot loops of drawing a window, compiled by numba: pixels on another grid, without what may not be seen.

They release the GIL, so that threads draw windows side by side.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from geoseg.core.classes import NODATA
from geoseg.core.compiled import compiled


@compiled
def weigh(pixels: Any, seen: Any, rows: Any, columns: Any, out: Any, cover: Any) -> None:
    """Write weighted means of seen pixels to `out` (band, y, x), and the share of each that was seen to `cover` (y, x).

    `pixels` (band, y, x) in any dtype, `seen` (y, x) float32 is 1 or 0. `rows` and `columns` are each a pair: the first
    pixel that counts for each place of `out` (place,) int64, and the weights (place, tap) float32 of it and of those
    that follow. Pixels of weight 0 are not read. What was not seen at all is 0.
    """
    bands, _, width = pixels.shape
    first_row, row_weights = rows
    first_column, column_weights = columns
    line = np.empty((bands, width), np.float32)
    held = np.empty(width, np.float32)
    for y in range(out.shape[1]):
        line[:] = 0
        held[:] = 0
        for tap in range(row_weights.shape[1]):
            weight = row_weights[y, tap]
            if weight == 0:
                continue
            row = first_row[y] + tap
            for x in range(width):
                held[x] += weight * seen[row, x]
            for band in range(bands):
                for x in range(width):
                    line[band, x] += weight * seen[row, x] * np.float32(pixels[band, row, x])
        for x in range(out.shape[2]):
            total = np.float32(0)
            for tap in range(column_weights.shape[1]):
                if column_weights[x, tap] != 0:
                    total += column_weights[x, tap] * held[first_column[x] + tap]
            cover[y, x] = total
            for band in range(bands):
                value = np.float32(0)
                for tap in range(column_weights.shape[1]):
                    if column_weights[x, tap] != 0:
                        value += column_weights[x, tap] * line[band, first_column[x] + tap]
                out[band, y, x] = value / total if total > 0 else np.float32(0)


@compiled
def pick(truth: Any, rows: Any, columns: Any, classes: Any, objects: Any) -> None:
    """Write the class and the object at some rows and columns to `classes` and `objects`, both (y, x).

    `truth` holds classes, objects and what may be seen, each (y, x). `rows` (y,) and `columns` (x,) may lie beyond it:
    there, where nothing may be seen, and where nobody knows, the class is 255 and the object 0.
    """
    all_classes, all_objects, seen = truth
    height, width = seen.shape
    for y in range(len(rows)):
        row = rows[y]
        for x in range(len(columns)):
            column = columns[x]
            classes[y, x] = NODATA
            objects[y, x] = 0
            if 0 <= row < height and 0 <= column < width and seen[row, column] and all_classes[row, column] != NODATA:
                classes[y, x] = all_classes[row, column]
                objects[y, x] = all_objects[row, column]
