"""What stands around a block of classes where it ends before the scene does, and outside the region."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from geoseg.core.protocols import Strip
from geoseg.core.tiling import Block
from geoseg.io.region import RegionMask
from geoseg.jobs.product import Product
from geoseg.vector.drawing import Sheet

Pixels = tuple[NDArray[Any], NDArray[np.uint8] | None]  # classes and scores, each (y, x)


@dataclass(frozen=True, slots=True)
class Frame:
    """A block with a side of pixels wherever it ends before the scene does.

    The sides, and what lies outside the region, are nothing, rather than missing data, so that objects there do not
    look as if the scene's edge had cut them. `hollow` is a class id that is never drawn; `sides` are the pixels of it
    at the top, left, bottom, right.
    """

    grid: GeoBox
    block: Block
    region: RegionMask | None
    hollow: int | None
    nodata: int
    scored: bool
    sides: tuple[int, int, int, int]

    @classmethod
    def of(cls, product: Product) -> Frame:
        """The frame of a product's block."""
        block, (height, width) = product.block, product.grid.shape
        inner = (block.y.start > 0, block.x.start > 0, block.y.stop < height, block.x.stop < width)
        hollow = product.background
        if hollow is None and (any(inner) or product.region is not None):
            ids = {c.id for c in product.naming.classes().classes}
            hollow = next(i for i in range(product.nodata) if i not in ids)
        top, left, bottom, right = (int(side) for side in inner)
        return cls(
            product.grid, block, product.region, hollow, product.nodata, product.scored, (top, left, bottom, right)
        )

    @property
    def sheet(self) -> Sheet:
        """The block with its sides; its coordinates are the scene's, so that no bit depends on the block."""
        top, left, bottom, right = self.sides
        return Sheet(
            width=self.block.x.size + left + right,
            height=self.block.y.size + top + bottom,
            origin=(self.block.x.start - left, self.block.y.start - top),
            background=self.hollow,
            nodata=self.nodata,
        )

    def around(self, strip: Strip) -> Pixels:
        """The strip's classes and scores with the frame's sides, and its top where the strip is the first."""
        top, left, _, right = self.sides
        classes: NDArray[Any] = strip.class_ids
        if self.region is not None:
            inside = self.region.mask(self.grid, strip.y, self.block.x)
            classes = np.where(inside, classes, classes.dtype.type(self.hollow))
        margins = ((top if strip.y.start == self.block.y.start else 0, 0), (left, right))
        if self.hollow is None or not any(side for pair in margins for side in pair):
            return classes, strip.scores
        scores = None if strip.scores is None else np.pad(strip.scores, margins)
        return np.pad(classes, margins, constant_values=self.hollow), scores

    def below(self) -> Pixels | None:
        """The frame's last row, where it has one."""
        _, left, bottom, right = self.sides
        if not bottom:
            return None
        row = np.full((1, self.block.x.size + left + right), self.hollow, np.uint8)
        return row, np.zeros_like(row) if self.scored else None
