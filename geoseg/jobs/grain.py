"""Every so many pixels of a raster that is finer than what is looked for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

from geoseg.jobs.frame import Pixels
from geoseg.jobs.product import Product
from geoseg.vector.drawing import Sheet

_ACROSS = 60  # pixels across the widest line, about


@dataclass(frozen=True, slots=True)
class Grain:
    """The middle of each square of `step` x `step` pixels, an odd number; `sheet` is the raster that they make.

    Squares are counted from the raster's origin, so that no strip and no block changes them. `first` are the rows and
    columns before the first middle.
    """

    step: int
    sheet: Sheet
    first: tuple[int, int]

    @classmethod
    def of(cls, sheet: Sheet, product: Product) -> Self:
        """The grain for lines as wide as the product asks for."""
        fine = product.postprocess.max_width_m / _ACROSS / (product.resolution or product.postprocess.max_width_m)
        step = max(1, int((fine + 1) // 2) * 2 - 1)
        if min(sheet.width, sheet.height) < 3 * step:
            step = 1
        x, y = sheet.origin
        top, left = (step // 2 - y) % step, (step // 2 - x) % step
        size = {"width": len(range(left, sheet.width, step)), "height": len(range(top, sheet.height, step))}
        return cls(step, replace(sheet, origin=((x + left) // step, (y + top) // step), **size), (top, left))

    def taken(self, pixels: Pixels, before: int) -> Pixels:
        """The middles in a strip of classes and scores, `before` rows of which came already."""
        top, left = self.first
        which = (slice((top - before) % self.step, None, self.step), slice(left, None, self.step))
        class_ids, scores = pixels
        return class_ids[which], None if scores is None else scores[which]
