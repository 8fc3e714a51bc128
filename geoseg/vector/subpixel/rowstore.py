"""Rows of bytes kept as they come, in memory or beyond it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoseg.vector.spool import Spool

RELAXED_AFTER = 64 << 20  # bytes appended


class RowStore:
    """The rows of a raster of uint8, taken strip by strip from top to bottom; a spool bounds the memory."""

    def __init__(self, width: int, height: int, spool: Spool) -> None:
        """Expect `height` rows of `width` pixels. Raises WriteError where the spool finds no room for them."""
        self._spool = spool
        self._rows = spool.empty((height, width), np.uint8)
        self._count = 0
        self._fresh = 0

    def __len__(self) -> int:
        """Number of rows that were appended."""
        return self._count

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the whole raster."""
        height, width = self._rows.shape
        return height, width

    def append(self, strip: NDArray[Any]) -> None:
        """Take the next rows (y, x). Raises ValueError where they do not fit."""
        height, width = self.shape
        if strip.ndim != 2 or strip.shape[1] != width or self._count + len(strip) > height:
            expected = f"expected {width} columns and at most {height - self._count} rows"
            raise ValueError(f"a strip of shape {strip.shape} (y, x) does not fit: {expected}")
        self._rows[self._count : self._count + len(strip)] = strip
        self._count += len(strip)
        self._fresh += strip.size
        if self._fresh >= RELAXED_AFTER:
            self._fresh = 0
            self._spool.relax()

    def window(self, start: int, stop: int) -> NDArray[np.uint8]:
        """Rows `start` to `stop`, a view (y, x) not to be written. Raises ValueError for rows that did not come yet."""
        if not 0 <= start <= stop <= self._count:
            raise ValueError(f"rows {start} to {stop} were asked for; expected some of the {self._count} that came")
        return self._rows[start:stop]
