"""Which pixels of a raster belong to objects, a bit a pixel, for those who have to keep away from other objects."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoseg.vector.spool import Spool

_RELAXED_AFTER = 1 << 24  # bits after which pages of files are given back


class ForegroundMap:
    """Takes the strips of a class raster from top to bottom; a spool bounds its memory.

    `bits` (y, byte) hold eight pixels a byte, the first in the highest bit. Its first pixel has its corner at `origin`
    (x, y), `shape` is its height and width. Who asks has seen `ahead` rows below the last one of his own.
    """

    def __init__(
        self,
        shape: tuple[int, int],
        *,
        background: int | None,
        nodata: int,
        ahead: int,
        origin: tuple[int, int] = (0, 0),
        spool: Spool | None = None,
    ) -> None:
        """Expect a raster of `shape` (height, width), the first pixel of which has its corner at `origin` (x, y).

        Pixels that are `background` or `nodata` belong to none. Raises WriteError where the spool finds no room.
        """
        self.ahead = ahead
        self.shape, self.origin = shape, origin
        self._height, self._width = shape
        self._empty = {nodata} if background is None else {nodata, background}
        self._spool = Spool() if spool is None else spool
        self.bits = self._spool.empty((self._height, -(-self._width // 8)), np.uint8)
        self._rows = self._fresh = 0

    def feed(self, class_ids: NDArray[Any]) -> None:
        """Take the next rows (y, x). Raises ValueError where they do not fit."""
        rows = self._height - self._rows
        if class_ids.ndim != 2 or class_ids.shape[1] != self._width or len(class_ids) > rows:
            expected = f"expected {self._width} columns and at most {rows} rows"
            raise ValueError(f"a strip of shape {class_ids.shape} (y, x) does not fit: {expected}")
        full = np.ones(class_ids.shape, np.bool_)
        for value in self._empty:
            full &= class_ids != value
        self.bits[self._rows : self._rows + len(class_ids)] = np.packbits(full, axis=1)
        self._rows += len(class_ids)
        self._fresh += class_ids.size
        if self._fresh >= _RELAXED_AFTER:
            self._fresh = 0
            self._spool.relax()

    def full(self, x: NDArray[np.int64], y: NDArray[np.int64], last: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether the pixels whose first corners are given may belong to objects; none outside the raster does.

        `last` is the last row of who asks for each pixel: those more than `ahead` rows below may always. Raises
        ValueError for other rows that did not come yet.
        """
        column, row = x - self.origin[0], y - self.origin[1]
        inside = (column >= 0) & (column < self._width) & (row >= 0) & (row < self._height)
        full = inside & (y > last + self.ahead)
        known = inside & ~full
        column, row = column[known], row[known]
        if (row >= self._rows).any():
            raise ValueError(f"row {row.max()} was asked for; expected one of the {self._rows} that came")
        full[known] = self.bits[row, column >> 3] >> (7 - (column & 7)) & 1
        return full
