"""What of a class can be a line: pinholes filled, areas too wide taken out, roads carried on where the scene ends.

Masks are uint8 (y, x): OUT, IN, or where nothing is known NONE. Each step sees no further than it is told to, so that
a window with enough around it gives the same pixels as the whole raster.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from geoseg.core.compiled import compiled

OUT, IN, NONE = 0, 1, 2
_SEEN = 3


@compiled
def fill_holes(mask: NDArray[np.uint8], most: NDArray[np.int64], extent: int) -> None:
    """Fill, in place, the holes of at most `most` (y,) pixels, by their topmost row, and no longer than `extent`.

    A hole is a component of OUT pixels, joined by their sides, with IN all around: none on the rim, and no more than a
    third of its sides beside NONE.
    """
    height, width = mask.shape
    members = np.empty((most.max() + 4, 2), np.int64)
    for y in range(1, height - 1):
        for x in range(1, width - 1):
            if mask[y, x] != OUT or mask[y - 1, x] == OUT or mask[y, x - 1] == OUT or most[y] < 1:
                continue
            mask[y, x] = _SEEN
            members[0, 0], members[0, 1] = y, x
            count = _flood(mask, members, most[y], extent)
            for place in range(abs(count)):
                mask[members[place, 0], members[place, 1]] = IN if count > 0 else OUT


@compiled
def _flood(mask: NDArray[np.uint8], members: NDArray[np.int64], most: int, extent: int) -> int:
    """How many OUT pixels are joined with the first of `members`, negative where that is no hole; all become _SEEN."""
    height, width = mask.shape
    top, left, right = members[0, 0], members[0, 1], members[0, 1]
    count, done, sides, unknown = 1, 0, 0, 0
    while done < count:
        y, x = members[done, 0], members[done, 1]
        done += 1
        for dy, dx in ((-1, 0), (0, 1), (1, 0), (0, -1)):
            row, column = y + dy, x + dx
            if mask[row, column] != OUT:
                sides += mask[row, column] != _SEEN
                unknown += mask[row, column] == NONE
                continue
            left, right = min(left, column), max(right, column)
            rim = row <= 0 or row >= height - 1 or column <= 0 or column >= width - 1
            if rim or row < top or max(row - top, right - left) >= extent or count == most:
                return -count
            mask[row, column] = _SEEN
            members[count, 0], members[count, 1] = row, column
            count += 1
    return count if 3 * unknown <= sides else -count


@compiled
def down_to(mask: NDArray[np.uint8], value: int, cap: int) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
    """How many rows up, and how many down, the nearest pixel of that value lies in a pixel's column; `cap` at most."""
    height, width = mask.shape
    up = np.empty((height, width), np.int16)
    down = np.empty((height, width), np.int16)
    for y in range(height):
        for x in range(width):
            if mask[y, x] == value:
                up[y, x] = 0
            else:
                up[y, x] = min(cap, up[y - 1, x] + 1) if y else cap
    for y in range(height - 1, -1, -1):
        for x in range(width):
            if mask[y, x] == value:
                down[y, x] = 0
            else:
                down[y, x] = min(cap, down[y + 1, x] + 1) if y < height - 1 else cap
    return up, down


@compiled
def rows_to(mask: NDArray[np.uint8], value: int, cap: int) -> NDArray[np.int16]:
    """How many rows up or down the nearest pixel of that value lies in a pixel's column; `cap` at most."""
    up, down = down_to(mask, value, cap)
    for y in range(mask.shape[0]):
        for x in range(mask.shape[1]):
            up[y, x] = min(up[y, x], down[y, x])
    return up


@compiled
def carry_on(mask: NDArray[np.uint8], known: NDArray[np.uint8], reach: int) -> None:
    """Give each NONE pixel, in place, the value of the nearest pixel that has one, no more than `reach` pixels away.

    `known` is 1 where `mask` is not NONE. Distances are Euclidean, in pixels; of equal ones the leftmost column counts,
    then the upper pixel. Further away everything is OUT.
    """
    height, width = mask.shape
    up, down = down_to(known, 1, reach + 1)
    for y in range(height):
        last = -reach - 1  # the last column with something known within reach of this row
        ahead = -1  # the next one
        for x in range(width):
            if up[y, x] <= reach or down[y, x] <= reach:
                last = x
            if known[y, x]:
                continue
            if ahead <= x:
                ahead = x
                while ahead < width and up[y, ahead] > reach and down[y, ahead] > reach:
                    ahead += 1
            mask[y, x] = OUT
            if x - last > reach and ahead - x > reach:
                continue
            nearest = (reach + 1) ** 2
            for column in range(max(0, x - reach), min(width, x + reach + 1)):
                across = (column - x) ** 2
                rows = min(up[y, column], down[y, column])
                if rows > reach or across + rows * rows >= nearest:
                    continue
                nearest = across + rows * rows
                mask[y, x] = mask[y - rows, column] if up[y, column] == rows else mask[y + rows, column]


@compiled
def _within(rows: NDArray[np.int16], y: int, x: int, reach: NDArray[np.int64]) -> bool:
    """Whether a pixel lies within reach: `rows` (y, x) are distances in a column, `reach` rows for each column off."""
    width = rows.shape[1]
    for across in range(reach.size):
        if reach[across] < 0:
            break
        if x >= across and rows[y, x - across] <= reach[across]:
            return True
        if x + across < width and rows[y, x + across] <= reach[across]:
            return True
    return False


@compiled
def disc(radius: float, size_y: float, size_x: float, columns: int) -> NDArray[np.int64]:
    """How many rows up and down a disc in metres reaches, 0, 1, .. columns off its centre; -1 where it does not."""
    reach = np.full(columns, -1, np.int64)
    for across in range(columns):
        left = radius * radius - (across * size_x) ** 2
        if left >= 0:
            reach[across] = np.int64(np.sqrt(left) / size_y)
    return reach


@compiled
def _near(
    mask: NDArray[np.uint8], rows: NDArray[np.int16], sizes: NDArray[np.float64], radius: float, reach: int
) -> NDArray[np.bool_]:
    """Which IN pixels have what `rows` (y, x) leads to within `radius` metres, and half a pixel."""
    height, width = mask.shape
    near = np.zeros((height, width), np.bool_)
    for y in range(height):
        around = disc(radius + sizes[y].min() / 2, sizes[y, 1], sizes[y, 0], reach + 1)
        for x in range(width):
            near[y, x] = mask[y, x] == IN and _within(rows, y, x, around)
    return near


@compiled
def _spread(mask: NDArray[np.uint8], area: NDArray[np.bool_], steps: int) -> None:
    """Carry `area`, in place, so many steps on through what is IN, to the eight neighbours at each."""
    height, width = mask.shape
    places = np.empty((mask.size, 2), np.int32)
    count = start = 0
    for y in range(height):
        for x in range(width):
            if area[y, x]:
                places[count, 0], places[count, 1] = y, x
                count += 1
    for _ in range(steps):
        end = count
        for place in range(start, end):
            y, x = places[place, 0], places[place, 1]
            for v in range(max(0, y - 1), min(height, y + 2)):
                for u in range(max(0, x - 1), min(width, x + 2)):
                    if mask[v, u] == IN and not area[v, u]:
                        area[v, u] = True
                        places[count, 0], places[count, 1] = v, u
                        count += 1
        start = end


def too_wide(
    mask: NDArray[np.uint8], sizes: NDArray[np.float64], radius: float, reach: int, spread: int
) -> NDArray[np.bool_]:
    """Where an area is too wide for a line, bool (y, x).

    That is where discs of `radius` metres fit between OUT pixels, and the corners that discs leave: what of IN is at
    most `spread` steps from there, and more from all the rest. `sizes` (y, 2) are metres per pixel along x and y;
    `reach` pixels hold the radius, and one half more.
    """
    middle: NDArray[np.bool_] = (mask == IN) & ~_near(mask, rows_to(mask, OUT, reach + 1), sizes, radius, reach)
    if not middle.any():
        return middle
    wide: NDArray[np.bool_] = middle | _near(
        mask, rows_to(middle.astype(np.uint8), IN, reach + 1), sizes, radius, reach
    )
    corners: NDArray[np.bool_] = wide.copy()
    _spread(mask, corners, spread)
    narrow = (mask == IN) & ~corners
    _spread((corners & ~wide).astype(np.uint8), narrow, spread)
    corners &= ~narrow
    return corners
