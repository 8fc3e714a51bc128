"""How much room there is around outlines: how far other blocks are, as far as a window shows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from geoseg.core.compiled import compiled
from geoseg.vector.outlines import RingBatch
from geoseg.vector.squaring.foreground import ForegroundMap

_WIDEST = 12  # pixels that are looked at to either side at the most


def find_room(batch: RingBatch, foreground: ForegroundMap, reach: float) -> NDArray[np.float64]:
    """Half the distance from each point (point,) to the next object that is not its own, in pixels; infinite without.

    Objects are looked for up to twice `reach` pixels away, and 12 at the most. What is not joined to the point's own
    pixels within sight counts as another one, another arm of the same building too. So do rows that are not known.
    """
    side = int(min(_WIDEST, np.ceil(2 * reach)))
    blocks = np.append(np.flatnonzero(np.diff(batch.group, prepend=-1)), len(batch))
    rings = batch.polygon_offsets[blocks]
    pixels = np.add.reduceat(batch.pixels, blocks[:-1]) if len(batch) else np.empty(0, np.int64)
    room = np.full(len(batch.points), np.inf)
    place = np.array([*foreground.origin, *foreground.shape, foreground.ahead], np.int64)
    _measure(room, batch.points, batch.ring_offsets[rings], pixels, foreground.bits, place, side)
    return room


@compiled
def _measure(
    room: NDArray[np.float64],
    points: NDArray[np.int32],
    blocks: NDArray[np.int64],
    pixels: NDArray[np.int64],
    bits: NDArray[np.uint8],
    place: NDArray[np.int64],
    side: int,
) -> None:
    """Fill in `room` block by block; `place` is the raster's origin x and y, its height and width, and rows ahead."""
    window = np.empty((2 * side, 2 * side), np.uint8)
    stack = np.empty((4 * side * side, 2), np.int64)
    for block in range(pixels.size):
        first, stop = blocks[block], blocks[block + 1]
        left, right = points[first, 0], points[first, 0]
        top, bottom = points[first, 1], points[first, 1]
        for i in range(first, stop):
            left, right = min(left, points[i, 0]), max(right, points[i, 0])
            top, bottom = min(top, points[i, 1]), max(bottom, points[i, 1])
        last = bottom - 1
        full = 0
        for y in range(top - side, bottom + side):
            for x in range(left - side, right + side):
                full += _full(bits, place, x, y, last)
        if full == pixels[block]:
            continue
        for i in range(first, stop):
            room[i] = _around(window, stack, bits, place, (points[i, 0], points[i, 1], last))


@compiled
def _full(bits: NDArray[np.uint8], place: NDArray[np.int64], x: int, y: int, last: int) -> int:
    """Whether a pixel belongs to an object, or may: 1 or 0."""
    column, row = x - place[0], y - place[1]
    if column < 0 or row < 0 or row >= place[2] or column >= place[3]:
        return 0
    if y > last + place[4]:
        return 1
    return int(bits[row, column >> 3] >> (7 - (column & 7))) & 1


@compiled
def _around(  # noqa: C901 - one look
    window: NDArray[np.uint8],
    stack: NDArray[np.int64],
    bits: NDArray[np.uint8],
    place: NDArray[np.int64],
    corner: tuple[int, int, int],
) -> float:
    """Half the distance from a corner (x, y, and the last row of its block) to the next pixel of another object."""
    side = window.shape[0] // 2
    x, y, last = corner
    for row in range(2 * side):
        for column in range(2 * side):
            window[row, column] = _full(bits, place, x - side + column, y - side + row, last)
    depth = 0
    for row in range(side - 1, side + 1):
        for column in range(side - 1, side + 1):
            if window[row, column] == 1:
                window[row, column] = 2
                stack[depth, 0], stack[depth, 1] = row, column
                depth += 1
    while depth:
        depth -= 1
        row, column = stack[depth, 0], stack[depth, 1]
        for r in range(max(0, row - 1), min(2 * side, row + 2)):
            for c in range(max(0, column - 1), min(2 * side, column + 2)):
                if window[r, c] == 1:
                    window[r, c] = 2
                    stack[depth, 0], stack[depth, 1] = r, c
                    depth += 1
    nearest = np.inf
    for row in range(2 * side):
        dy = max(row - side, side - row - 1)
        for column in range(2 * side):
            if window[row, column] == 1:
                dx = max(column - side, side - column - 1)
                nearest = min(nearest, float(dx * dx + dy * dy))
    return float(np.sqrt(nearest) / 2)
