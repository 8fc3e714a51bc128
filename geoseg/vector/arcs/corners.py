"""Where outlines turn: one bit for each corner of a class raster, filled while the strips go by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from geoseg.core.classes import NODATA
from geoseg.core.compiled import compiled

if TYPE_CHECKING:
    from geoseg.vector.spool import Spool

BITS = 64  # corners in a machine word
_PART = 8  # corners looked at together where a word is not empty
_NOWHERE = 1 << 40  # a column right of all others


class CornerMap:
    """The corners at which outlines of the raster's foreground turn or meet, known as far as strips were fed.

    A corner is marked where one of the four pixels around it, at least, is foreground (neither background nor nodata;
    what lies outside the raster is nodata) and the corner is not flat: the four are not equal, and no straight side
    runs through it. So every vertex of every exact outline is marked, nodes included.
    """

    def __init__(
        self,
        width: int,
        height: int,
        *,
        background: int | None,
        nodata: int = NODATA,
        origin: tuple[int, int] = (0, 0),
        spool: Spool | None = None,
    ) -> None:
        """Expect `height` rows of `width` pixels, the first of which has its corner at `origin` (x, y).

        A corner takes one bit, of `spool` where one is given, else of memory.
        """
        self.nodata = nodata
        self._width, self._height = width, height
        self._background = nodata if background is None else background
        self.vacant = self._background != nodata  # whether two values may meet without a mark
        self._fed = 0
        shape = (height + 1, width // BITS + 1)
        self.bits: NDArray[np.uint64] = np.empty(shape, np.uint64) if spool is None else spool.empty(shape, np.uint64)
        small = 0 <= nodata <= np.iinfo(np.uint8).max
        padded = shape[1] * BITS + 1  # the pixel left of corner 0, and all up to the one right of the last bit
        self._lines: NDArray[Any] = np.full((2, padded), nodata, np.uint8 if small else np.int32)
        self.origin = origin

    def feed(self, class_ids: NDArray[Any]) -> None:
        """Take the next rows, `class_ids` (y, x) of uint8 or an integer type whose values fit int32.

        The corners below the last of them become known with the next row. Raises ValueError where the strip does not
        fit the raster.
        """
        rows = self._height - self._fed
        if class_ids.ndim != 2 or class_ids.shape[1] != self._width or class_ids.shape[0] > rows:
            expected = f"expected {self._width} columns and at most {rows} rows"
            raise ValueError(f"a strip of shape {class_ids.shape} (y, x) does not fit: {expected}")
        if class_ids.dtype != np.uint8 and self._lines.dtype == np.uint8:
            self._lines = self._lines.astype(np.int32)
        strip = np.ascontiguousarray(class_ids, dtype=self._lines.dtype)
        _mark(self._lines, strip, self.bits[self._fed : self._fed + len(strip)], self._background, self.nodata)
        self._fed += len(strip)

    def finish(self) -> None:
        """Make the last row of corners known. Raises ValueError where rows are missing."""
        if self._fed != self._height:
            raise ValueError(f"{self._fed} rows were fed; expected {self._height} before the end")
        outside = np.full((1, self._width), self.nodata, self._lines.dtype)
        _mark(self._lines, outside, self.bits[self._height :], self._background, self.nodata)
        self._fed += 1

    def check(self, points: NDArray[np.int32]) -> None:
        """Raise ValueError where a point (x, y) is no corner whose mark is known, or is not marked."""
        if not len(points):
            return
        x, y = points[:, 0] - self.origin[0], points[:, 1] - self.origin[1]
        if min(x.min(), y.min()) < 0 or x.max() > self._width or y.max() >= self._fed:
            known = f"columns 0 to {self._width} and rows 0 to {self._fed - 1} are known, from {self.origin}"
            raise ValueError(f"points from {points.min(axis=0)} to {points.max(axis=0)} (x, y) are given; {known}")
        if _count_marked(self.bits, x, y) < len(x):
            raise ValueError(
                "outlines have vertices that are no corners of this raster; expected those of the raster fed"
            )

    def marked(self) -> NDArray[np.bool_]:
        """The marks as an array (y, x), of the rows that are known."""
        flags = np.unpackbits(self.bits[: self._fed].view(np.uint8), axis=1, bitorder="little")
        return flags[:, : self._width + 1].astype(np.bool_)


@compiled
def _mark(  # noqa: C901 - one pass
    lines: NDArray[Any], class_ids: NDArray[Any], bits: NDArray[np.uint64], background: int, nodata: int
) -> None:
    """Fill the words of the corners above each row of `class_ids`; `lines[0]` is the row before, and then the last.

    Where pixels equal those above them nothing turns: most words are done with one comparison.
    """
    width = class_ids.shape[1]
    above, below = lines[0], lines[1]
    for row in range(class_ids.shape[0]):
        for column in range(width):
            below[column + 1] = class_ids[row, column]
        for word in range(bits.shape[1]):
            first = word * BITS
            changes = above[first] ^ below[first]
            for pixel in range(first + 1, first + BITS + 1):
                changes |= above[pixel] ^ below[pixel]
            marks = np.uint64(0)
            if changes != 0:
                for part in range(first, first + BITS, _PART):
                    changes = above[part] ^ below[part]
                    for pixel in range(part + 1, part + _PART + 1):
                        changes |= above[pixel] ^ below[pixel]
                    if changes == 0:
                        continue
                    for x in range(part, part + _PART):
                        nw, ne, sw, se = above[x], above[x + 1], below[x], below[x + 1]
                        if (nw == sw and ne == se) or (nw == ne and sw == se):
                            continue
                        for value in (nw, ne, sw, se):
                            if value != background and value != nodata:
                                marks |= np.uint64(1) << np.uint64(x - first)
            bits[row, word] = marks
        above, below = below, above
    if class_ids.shape[0] % 2:
        lines[0] = lines[1]


@compiled
def is_marked(bits: NDArray[np.uint64], x: int, y: int) -> bool:
    """Whether a corner is marked, from the map's origin; none outside the map is."""
    if x < 0 or y < 0 or y >= bits.shape[0] or x >= bits.shape[1] * BITS:
        return False
    return bool(bits[y, x // BITS] >> np.uint64(x % BITS) & np.uint64(1))


@compiled
def _count_marked(bits: NDArray[np.uint64], x: NDArray[np.int32], y: NDArray[np.int32]) -> int:
    count = 0
    for point in range(x.size):
        count += is_marked(bits, x[point], y[point])
    return count


@compiled
def _ones(word: np.uint64) -> int:
    """How many bits of a word are set, by sums of pairs, fours and bytes."""
    word -= (word >> np.uint64(1)) & np.uint64(0x5555555555555555)
    word = (word & np.uint64(0x3333333333333333)) + ((word >> np.uint64(2)) & np.uint64(0x3333333333333333))
    word = (word + (word >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return int((word * np.uint64(0x0101010101010101)) >> np.uint64(56))


@compiled
def count_in_row(bits: NDArray[np.uint64], y: int, left: int, right: int) -> int:
    """How many corners of row `y` are marked from `left` to `right`, both included."""
    full = np.uint64(0xFFFFFFFFFFFFFFFF)
    count = 0
    for word in range(left // BITS, right // BITS + 1):
        marks = bits[y, word]
        if marks == 0:
            continue
        if word == left // BITS:
            marks &= full << np.uint64(left % BITS)
        if word == right // BITS:
            marks &= full >> np.uint64(BITS - 1 - right % BITS)
        count += _ones(marks)
    return count


@compiled
def count_in_triangle(bits: NDArray[np.uint64], triangle: tuple[int, int, int, int, int, int], scale: int) -> int:
    """How many marked corners a closed triangle holds, its sides included; it may be flat.

    `triangle` is x and y of three points, in parts of a pixel of which `scale` make one, from the map's origin. Exact.
    """
    ax, ay, bx, by, cx, cy = triangle
    count = 0
    for row in range(-(-min(ay, by, cy) // scale), max(ay, by, cy) // scale + 1):
        y = row * scale
        left, right = _crossing(ax, ay, bx, by, y, scale)
        other_left, other_right = _crossing(bx, by, cx, cy, y, scale)
        left, right = min(left, other_left), max(right, other_right)
        other_left, other_right = _crossing(cx, cy, ax, ay, y, scale)
        left, right = min(left, other_left), max(right, other_right)
        if left <= right:
            count += count_in_row(bits, row, left, right)
    return count


@compiled
def _crossing(px: int, py: int, qx: int, qy: int, y: int, scale: int) -> tuple[int, int]:
    """The first whole column at or right of where a segment meets row `y`, and the last at or left of it."""
    if py > qy:
        px, py, qx, qy = qx, qy, px, py
    if y < py or y > qy:
        return _NOWHERE, -_NOWHERE
    if py == qy:
        return -(-min(px, qx) // scale), max(px, qx) // scale
    over, height = px * (qy - py) + (y - py) * (qx - px), (qy - py) * scale
    column = over // height
    return (column if column * height == over else column + 1), column


@compiled
def in_triangle(triangle: tuple[int, int, int, int, int, int], x: int, y: int) -> bool:
    """Whether a point lies in a closed triangle, which may be flat, in the same units. Exact."""
    ax, ay, bx, by, cx, cy = triangle
    if x < min(ax, bx, cx) or x > max(ax, bx, cx) or y < min(ay, by, cy) or y > max(ay, by, cy):
        return False
    one = (bx - ax) * (y - ay) - (by - ay) * (x - ax)
    two = (cx - bx) * (y - by) - (cy - by) * (x - bx)
    three = (ax - cx) * (y - cy) - (ay - cy) * (x - cx)
    return (one >= 0 and two >= 0 and three >= 0) or (one <= 0 and two <= 0 and three <= 0)
