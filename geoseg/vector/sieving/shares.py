"""How much of the least area a pixel takes up, in whole numbers, so that sums do not depend on their order."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from geoseg.vector.ground import Ground

FULL = 1 << 40  # the share that is a whole least area
CELL = 64  # pixels; areas are measured at every such row and column, counted from the scene's first


class PixelShares:
    """The shares of pixels, row by row: `FULL * pixel area / least area`, rounded up, and `FULL` at the most.

    Areas are interpolated between measured rows, and constant over CELL columns of the scene: a pixel's share depends
    on its place in the scene alone. Where nothing can be measured a pixel is large enough by itself.
    """

    def __init__(self, ground: Ground, least: float, width: int, origin: tuple[int, int]) -> None:
        """Expect rows of `width` pixels, the first at `origin` (x, y) of the scene; `least` is in square metres."""
        self._ground, self._least, self._top = ground, least, origin[1]
        cells = np.arange(origin[0] // CELL, (origin[0] + width - 1) // CELL + 1)
        self._x = (cells + 0.5) * CELL
        self._measured: dict[int, NDArray[np.float64]] = {}
        self.shift = origin[0] % CELL  # column c of a row belongs to cell (c + shift) // CELL

    def rows(self, start: int, stop: int) -> NDArray[np.int64]:
        """Shares (y, cell) of the pixels of rows `start` to `stop`; rows are asked for from top to bottom."""
        middles = np.arange(start, stop) + self._top + 0.5
        above = np.floor(middles / CELL).astype(np.int64)
        if start == stop:
            return np.empty((0, len(self._x)), np.int64)
        self._measured = {node: areas for node, areas in self._measured.items() if node >= above[0]}
        upper = np.stack([self._at(int(node)) for node in above])
        lower = np.stack([self._at(int(node) + 1) for node in above])
        part = (middles / CELL - above)[:, None]
        areas = upper * (1 - part) + lower * part
        shares = np.ceil(np.minimum(areas / self._least, 1.0) * FULL)
        return np.where(np.isnan(shares), FULL, shares).astype(np.int64)

    def _at(self, node: int) -> NDArray[np.float64]:
        """Square metres of a pixel in each cell, at the row `node * CELL` of the scene."""
        if node not in self._measured:
            points = np.column_stack([self._x, np.full(len(self._x), float(node * CELL))])
            self._measured[node] = self._ground.pixel_areas(points)
        return self._measured[node]
