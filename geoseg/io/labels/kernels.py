"""Loops over pixels: polygons are filled, and pixels that touch are told apart."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoseg.core.compiled import compiled


@compiled
def fill(
    points: NDArray[np.float64],
    rings: NDArray[Any],
    parts: NDArray[Any],
    class_ids: NDArray[np.uint8],
    numbers: NDArray[np.int32],
    classes: NDArray[np.uint8],
    objects: NDArray[np.int32],
    top: int,
    left: int,
) -> NDArray[np.int64]:
    """How many pixels each polygon got, shape (polygon,); `classes` and `objects` (y, x) are painted.

    Polygon p has the rings `parts[p]` to `parts[p + 1]`, ring r the points `rings[r]` to `rings[r + 1]`, which are
    (x, y) in pixels; the arrays begin at pixel (`top`, `left`). Even-odd rule: an edge turns over all that lies to the
    right of where it crosses the middle of a row. Both directions of an edge cross at the same place to the bit.
    """
    height, width = classes.shape
    turns = np.zeros((height, width), np.uint8)
    filled = np.zeros(len(parts) - 1, np.int64)
    for p in range(len(parts) - 1):
        low, high, first, last = height, -1, width, 0
        for ring in range(parts[p], parts[p + 1]):
            for i in range(rings[ring], rings[ring + 1] - 1):
                xa, ya, xb, yb = points[i, 0], points[i, 1], points[i + 1, 0], points[i + 1, 1]
                if ya > yb:
                    xa, ya, xb, yb = xb, yb, xa, ya
                last = max(last, min(width, int(min(max(np.ceil(max(xa, xb)) - left, 0.0), float(width)))))
                start = max(int(min(max(np.ceil(ya - 0.5) - top, 0.0), float(height))), 0)
                stop = int(min(max(np.ceil(yb - 0.5) - top, 0.0), float(height)))
                for row in range(start, stop):
                    x = xa + (row + top + 0.5 - ya) * ((xb - xa) / (yb - ya))
                    column = int(min(max(np.ceil(x - 0.5) - left, 0.0), float(width)))
                    if column < width:
                        turns[row, column] ^= 1
                        first = min(first, column)
                if stop > start:
                    low, high = min(low, start), max(high, stop - 1)
        for row in range(low, high + 1):
            inside = 0
            for column in range(first, width):
                inside ^= turns[row, column]
                turns[row, column] = 0
                if inside:
                    classes[row, column] = class_ids[p]
                    objects[row, column] = numbers[p]
                    filled[p] += 1
                elif column >= last:
                    break
    return filled


@compiled
def holds_no_centre(points: NDArray[np.float64], rings: NDArray[Any], first: int, last: int) -> bool:
    """Whether no pixel of an endless grid has its centre inside the polygon of rings `first` to `last`."""
    low, high = np.inf, -np.inf
    for i in range(rings[first], rings[last]):
        low, high = min(low, points[i, 1]), max(high, points[i, 1])
    crossings = np.empty(rings[last] - rings[first], np.float64)
    row = np.ceil(low - 0.5)
    while row + 0.5 < high:
        count = 0
        for ring in range(first, last):
            for i in range(rings[ring], rings[ring + 1] - 1):
                xa, ya, xb, yb = points[i, 0], points[i, 1], points[i + 1, 0], points[i + 1, 1]
                if ya > yb:
                    xa, ya, xb, yb = xb, yb, xa, ya
                if ya <= row + 0.5 < yb:
                    crossings[count] = np.ceil(xa + (row + 0.5 - ya) * ((xb - xa) / (yb - ya)) - 0.5)
                    count += 1
        ordered = np.sort(crossings[:count])
        for i in range(0, count - 1, 2):
            if ordered[i + 1] > ordered[i]:
                return False
        row += 1.0
    return True


@compiled
def touching(classes: NDArray[np.uint8], things: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Numbers (y, x) from 1 of what touches along an edge and has one class, 0 where `things` (class id,) says no.

    Numbers rise with the first pixel of each.
    """
    height, width = classes.shape
    numbers = np.zeros((height, width), np.int32)
    above = np.zeros(1024, np.int32)
    count = 0
    for y in range(height):
        for x in range(width):
            if not things[classes[y, x]]:
                continue
            left = numbers[y, x - 1] if x > 0 and classes[y, x - 1] == classes[y, x] else 0
            up = numbers[y - 1, x] if y > 0 and classes[y - 1, x] == classes[y, x] else 0
            if left == 0 and up == 0:
                count += 1
                if count == len(above):
                    longer = np.zeros(2 * len(above), np.int32)
                    longer[: len(above)] = above
                    above = longer
                above[count] = count
                numbers[y, x] = count
                continue
            first, second = max(left, up), min(left, up)
            while above[first] != first:
                first = above[first]
            if second > 0:
                while above[second] != second:
                    second = above[second]
                first, second = max(first, second), min(first, second)
                above[first] = second
                first = second
            numbers[y, x] = first
    final = np.zeros(count + 1, np.int32)
    found = 0
    for number in range(1, count + 1):
        if above[number] == number:
            found += 1
            final[number] = found
        else:
            final[number] = final[above[number]]
    for y in range(height):
        for x in range(width):
            numbers[y, x] = final[numbers[y, x]]
    return numbers
