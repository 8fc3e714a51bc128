"""Objects that a part of a scene does not tell for certain: none of them may reach what was asked for."""

from __future__ import annotations

import math
from collections.abc import Generator
from contextlib import closing

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from geoseg.core.protocols import Strip
from geoseg.core.tiling import Block, Span
from geoseg.io.region import RegionMask
from geoseg.jobs.area import CutObjectError
from geoseg.jobs.product import Product

_RIM = 2  # pixels around the area that count for it: an outline that touches it belongs to it


class Guard:
    """Looks through strips for objects that are cut, and for what is nobody's, in an area or next to it."""

    def __init__(self, area: RegionMask, grid: GeoBox, block: Block, reach: int) -> None:
        """Guard the area and `reach` pixels of the grid around it; strips are those of the block."""
        self._area, self._grid, self._columns, self._reach = area, grid, block.x, reach
        self._cut = np.empty(0, np.int32)
        self._last_row = np.empty(0, np.int64)

    @classmethod
    def of(cls, product: Product) -> Guard | None:
        """The guard of the product's area; None where all that could matter is computed."""
        if product.area is None or product.complete:
            return None
        moved = product.postprocess.simplify_m / (product.resolution or 1.0)
        return cls(product.area, product.grid, product.block, _RIM + math.ceil(moved))

    def check(self, strip: Strip) -> None:
        """Look at the next strip. Raises CutObjectError."""
        if strip.instance_ids is None:
            return
        self._learn(strip)
        unsure = strip.instance_ids < 0
        if len(self._cut):
            unsure |= np.isin(strip.instance_ids, self._cut)
        if unsure.any() and (unsure & self._near(strip.y)).any():
            raise CutObjectError

    def _learn(self, strip: Strip) -> None:
        open_still = self._last_row >= strip.y.start
        self._cut, self._last_row = self._cut[open_still], self._last_row[open_still]
        table = strip.objects
        if table is not None and table.cut is not None:
            self._cut = np.append(self._cut, table.instance_id[table.cut])
            self._last_row = np.append(self._last_row, table.last_row[table.cut])

    def _near(self, y: Span) -> NDArray[np.bool_]:
        reach, x = self._reach, self._columns
        mask = self._area.mask(self._grid, Span(y.start - reach, y.stop + reach), Span(x.start - reach, x.stop + reach))
        return _widened(_widened(mask, y.size).T, x.size).T


def guarded(strips: Generator[Strip, None, None], product: Product) -> Generator[Strip, None, None]:
    """The strips as they are. Raises CutObjectError when they show that the product's area needs more of the scene."""
    guard = Guard.of(product)
    with closing(strips):
        for strip in strips:
            if guard is not None:
                guard.check(strip)
            yield strip


def _widened(mask: NDArray[np.bool_], size: int) -> NDArray[np.bool_]:
    """Which of the `size` rows in the middle have a row with a True pixel as near as the first row is to them."""
    rows = [mask[start : start + size] for start in range(len(mask) - size + 1)]
    return np.asarray(np.logical_or.reduce(rows), np.bool_)
