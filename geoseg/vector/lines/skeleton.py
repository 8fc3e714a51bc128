"""The centre pixels of a class's lines, with the width there, from a window of the raster that shows enough around."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from geoseg.core.compiled import compiled
from geoseg.vector.lines.mask import IN, NONE, OUT, carry_on, fill_holes, rows_to, too_wide
from geoseg.vector.lines.thinning import IN_SQUARE, LINK_COUNT, REMOVABLE, neighbourhood, thin

MICRO = 1e-6  # metres: widths are whole micrometres, so that sums of them are exact
SECTIONS = 4

_WIDEST_JUNCTION = 2**0.5  # a right-angled crossing is so many times as wide as its roads
_CORNER = 2**0.5 - 1  # what a disc leaves of a right angle, in radii
_LONG = 4  # a hole that is filled is at most so many times as long as a square one
_TANGENT = 3  # pixels to each side, at least, by which a line's direction is told


class Skeleton(NamedTuple):
    """Centre pixels of lines in the order of rows, then columns; arrays are (pixel,), places those of the raster.

    `radius` and `width` are micrometres to the nearest pixel outside, and across the line. `clear` is true away from
    junctions, where the width is the line's own; `edge` where the line goes on into what is not known.
    """

    y: NDArray[np.int32]
    x: NDArray[np.int32]
    radius: NDArray[np.int64]
    width: NDArray[np.int64]
    clear: NDArray[np.bool_]
    edge: NDArray[np.bool_]


def taken(skeleton: Skeleton, which: NDArray[Any]) -> Skeleton:
    """The pixels that a mask or an index array selects."""
    return Skeleton._make(field[which] for field in skeleton)


def joined(parts: list[Skeleton]) -> Skeleton:
    """The pixels of all parts; there is one at least."""
    return Skeleton._make(np.concatenate(fields) for fields in zip(*parts, strict=True))


@dataclass(frozen=True, slots=True)
class Reach:
    """How far each step from a class raster to its skeleton sees, in pixels unless the name says metres.

    `width_m` is the widest that a line may be: two pixels always. `halo` is what must be known around a pixel to tell
    what becomes of it.
    """

    width_m: float
    radius_m: float
    disc: int
    spread: int
    carry: int
    iterations: int
    hole_m: float
    hole: int
    halo: int

    @classmethod
    def of(cls, max_width_m: float, hole_m: float, sizes: NDArray[np.float64]) -> Reach:
        """The reach for lines up to that width, on pixels of `sizes` (y, 2) metres along x and y."""
        smallest, largest = float(sizes.min()), float(sizes.max())
        radius = max(max_width_m / 2 * _WIDEST_JUNCTION, 1.5 * largest)
        disc = int(radius / smallest + 0.5) + 1
        spread = int(np.ceil(_CORNER * disc))
        iterations = int(np.ceil(2**0.5 * disc)) + 2
        carry = 2 * disc + 2  # enough for a disc to fit beside a road that runs along the edge
        hole = int(_LONG * hole_m / smallest)
        halo = hole + carry + 2 * (2 * disc + 2 * spread) + 2 * iterations + 2 * disc + _TANGENT + 2
        return cls(max(max_width_m, 2 * largest), radius, disc, spread, carry, iterations, hole_m, hole, halo)


def skeleton(mask: NDArray[np.uint8], corner: tuple[int, int], sizes: NDArray[np.float64], reach: Reach) -> Skeleton:
    """The centre pixels in a window without its halo; `mask` (y, x) holds OUT, IN and NONE, and is changed.

    `corner` (x, y) is the raster's place of the window's first pixel, `sizes` (y, 2) are metres per pixel along x and
    y in its rows.
    """
    sizes = np.ascontiguousarray(sizes)
    fill_holes(mask, (reach.hole_m**2 / sizes.prod(axis=1)).astype(np.int64), reach.hole)
    known = (mask != NONE).astype(np.uint8)
    if not known.all():
        carry_on(mask, known, reach.carry)
        mask[too_wide(mask, sizes, reach.radius_m, reach.disc, reach.spread) & (known == 0)] = OUT
    lines = np.where(too_wide(mask, sizes, reach.radius_m, reach.disc, reach.spread), np.uint8(OUT), mask)
    lines[[0, -1]] = lines[:, [0, -1]] = OUT
    thin(lines, reach.iterations, REMOVABLE)
    rows = rows_to(mask, OUT, reach.disc + 1)
    window = Window(mask, known, lines, rows, sizes, reach.radius_m)
    found = _measure(window, reach.halo, reach.disc + 1, LINK_COUNT, IN_SQUARE)
    return found._replace(y=found.y + np.int32(corner[1]), x=found.x + np.int32(corner[0]))


class Window(NamedTuple):
    """Arrays (y, x): what is IN, what is known, the skeleton, rows to the nearest OUT pixel; and pixel sizes (y, 2)."""

    mask: NDArray[np.uint8]
    known: NDArray[np.uint8]
    lines: NDArray[np.uint8]
    rows: NDArray[np.int16]
    sizes: NDArray[np.float64]
    radius_m: float


@compiled
def _radius(window: Window, y: int, x: int) -> float:
    """Metres from a pixel's centre to where the nearest OUT pixel begins; no more than the widest line's."""
    size_x, size_y = window.sizes[y, 0], window.sizes[y, 1]
    most = window.radius_m + size_x + size_y
    nearest = most
    share = 0.0
    across = 0
    while across * size_x < nearest and across < window.rows.shape[1]:
        for side in (-1, 1):
            column = x + side * across
            if column < 0 or column >= window.rows.shape[1]:
                continue
            rows = np.int64(window.rows[y, column])
            distance = np.sqrt((across * size_x) ** 2 + (rows * size_y) ** 2)
            if distance < nearest:
                nearest = distance
                share = 0.5 / (across if across > rows else rows)
        across += 1
    radius: float = min(nearest * (1 - share), window.radius_m)
    return radius


@compiled
def _tangent(window: Window, y: int, x: int, reach: int) -> tuple[float, float]:
    """The direction of the skeleton around a pixel in metres (x, y), of length 1: its main axis."""
    count = sum_x = sum_y = sum_xx = sum_xy = sum_yy = 0
    for v in range(max(0, y - reach), min(window.lines.shape[0], y + reach + 1)):
        for u in range(max(0, x - reach), min(window.lines.shape[1], x + reach + 1)):
            if window.lines[v, u]:
                dx, dy = u - x, v - y
                count += 1
                sum_x += dx
                sum_y += dy
                sum_xx += dx * dx
                sum_xy += dx * dy
                sum_yy += dy * dy
    size_x, size_y = window.sizes[y, 0], window.sizes[y, 1]
    xx = (count * sum_xx - sum_x * sum_x) * size_x * size_x
    xy = (count * sum_xy - sum_x * sum_y) * size_x * size_y
    yy = (count * sum_yy - sum_y * sum_y) * size_y * size_y
    angle = np.arctan2(2 * xy, xx - yy) / 2
    return np.cos(angle), np.sin(angle)


@compiled
def _to_outside(window: Window, start_y: float, start_x: float, along_x: float, along_y: float) -> float:
    """Metres from a point, in a direction in metres, to the first OUT pixel; no more than the widest line's radius."""
    y, x = np.int64(np.floor(start_y)), np.int64(np.floor(start_x))
    along_x /= window.sizes[y, 0]
    along_y /= window.sizes[y, 1]
    step_x = 1 if along_x > 0 else -1
    step_y = 1 if along_y > 0 else -1
    every_x = 1 / abs(along_x) if along_x else np.inf
    every_y = 1 / abs(along_y) if along_y else np.inf
    next_x = every_x * (x + 1 - start_x if along_x > 0 else start_x - x) if along_x else np.inf
    next_y = every_y * (y + 1 - start_y if along_y > 0 else start_y - y) if along_y else np.inf
    height, width = window.mask.shape
    gone = 0.0
    while gone < window.radius_m and 0 <= x < width and 0 <= y < height and window.mask[y, x] == IN:
        if next_x < next_y:
            gone = next_x
            next_x += every_x
            x += step_x
        else:
            gone = next_y
            next_y += every_y
            y += step_y
    return min(gone, window.radius_m)


@compiled
def _across(window: Window, y: int, x: int, along_x: float, along_y: float) -> float:
    """Metres across a line at a pixel, in a right angle to its direction in metres.

    The mean of SECTIONS, evenly spread over one step along the line, so that stairs in the outline even out.
    """
    size_x, size_y = window.sizes[y, 0], window.sizes[y, 1]
    step = 1 / max(abs(along_x) / size_x, abs(along_y) / size_y)
    total = 0.0
    for section in range(SECTIONS):
        shift = step * ((section + 0.5) / SECTIONS - 0.5)
        start_y, start_x = y + 0.5 + shift * along_y / size_y, x + 0.5 + shift * along_x / size_x
        total += _to_outside(window, start_y, start_x, -along_y, along_x)
        total += _to_outside(window, start_y, start_x, along_y, -along_x)
    return total / SECTIONS


@compiled
def _near_junctions(
    window: Window, halo: int, disc: int, links: NDArray[np.uint8], square: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Where, in a window without its halo, a junction's disc lies, bool (y, x) of the window without its halo."""
    height, width = window.lines.shape
    near = np.zeros((height - 2 * halo, width - 2 * halo), np.bool_)
    for y in range(halo - disc, height - halo + disc):
        size_x, size_y = window.sizes[y, 0], window.sizes[y, 1]
        for x in range(halo - disc, width - halo + disc):
            if not window.lines[y, x]:
                continue
            around = neighbourhood(window.lines, y, x)
            if links[around] < 3 and not square[around]:
                continue
            radius = _radius(window, y, x)
            for v in range(max(halo, y - disc), min(height - halo, y + disc + 1)):
                for u in range(max(halo, x - disc), min(width - halo, x + disc + 1)):
                    if ((v - y) * size_y) ** 2 + ((u - x) * size_x) ** 2 <= radius * radius:
                        near[v - halo, u - halo] = True
    return near


@compiled
def _measure(window: Window, halo: int, disc: int, links: NDArray[np.uint8], square: NDArray[np.bool_]) -> Skeleton:
    """The centre pixels of a window without its halo, places those of the window; `disc` pixels hold every radius."""
    height, width = window.lines.shape
    near = _near_junctions(window, halo, disc, links, square)
    count = 0
    for y in range(halo, height - halo):
        for x in range(halo, width - halo):
            count += window.lines[y, x] != 0 and window.known[y, x] != 0
    rows, columns = np.empty(count, np.int32), np.empty(count, np.int32)
    radii, widths = np.empty(count, np.int64), np.empty(count, np.int64)
    clear, edge = np.empty(count, np.bool_), np.empty(count, np.bool_)
    count = 0
    for y in range(halo, height - halo):
        for x in range(halo, width - halo):
            if not window.lines[y, x] or not window.known[y, x]:
                continue
            radius = _radius(window, y, x)
            reach = min(disc, max(_TANGENT, int(np.ceil(radius / window.sizes[y].min()))))
            along_x, along_y = _tangent(window, y, x, reach)
            rows[count], columns[count] = y, x
            radii[count] = np.int64(np.rint(radius / MICRO))
            widths[count] = np.int64(np.rint(_across(window, y, x, along_x, along_y) / MICRO))
            clear[count] = not near[y - halo, x - halo]
            edge[count] = False
            for v in range(y - 1, y + 2):
                for u in range(x - 1, x + 2):
                    if window.lines[v, u] and not window.known[v, u]:
                        edge[count] = True
            count += 1
    return Skeleton(rows, columns, radii, widths, clear, edge)
