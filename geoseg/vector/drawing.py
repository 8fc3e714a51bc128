"""How outlines are drawn: pixels' edges, or simplified, smoothed, squared, or through the pixels by their scores."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import shapely
from numpy.typing import NDArray

from geoseg.vector.arcs.corners import CornerMap
from geoseg.vector.arcs.simplify import simplify
from geoseg.vector.arcs.smooth import smooth
from geoseg.vector.ground import Ground
from geoseg.vector.outlines import RawPolygons, RingBatch
from geoseg.vector.spool import Spool
from geoseg.vector.squaring.foreground import ForegroundMap
from geoseg.vector.squaring.regularize import SquareSettings, square
from geoseg.vector.subpixel.contour import ContourSettings, contour, simplify_contour
from geoseg.vector.subpixel.rowstore import RowStore

_FARTHEST = 20.0  # pixels that an outline moves where its surroundings are looked at

Outline = Literal["exact", "simplify", "smooth", "square", "subpixel"]


@dataclass(frozen=True, slots=True)
class Sheet:
    """A raster of classes that comes in strips: its size, the corner (x, y) of its first pixel, and its empty values.

    `background` and `nodata` become no polygons; a background of None makes every other value a class.
    """

    width: int
    height: int
    origin: tuple[int, int]
    background: int | None
    nodata: int


@dataclass(frozen=True, slots=True)
class Drawing:
    """How to draw, within `tolerance_m` metres; `threshold` (0 to 254) is the score at which an object begins."""

    outline: Outline = "exact"
    tolerance_m: float = 0.0
    threshold: float | None = None


class Pen:
    """Draws closed components; it is shown every row before the components that end there, and remembers what it needs.

    What comes out for a component depends on the rows around it alone, for squared ones on its block.
    """

    def __init__(self, sheet: Sheet, ground: Ground, drawing: Drawing, spool: Spool) -> None:
        """Draw what lies on `sheet`; what has to be remembered of it is kept in `spool`."""
        self._sheet, self._ground, self._drawing = sheet, ground, drawing
        self._foreground: ForegroundMap | None = None
        self._corners: CornerMap | None = None
        self._scores: RowStore | None = None
        if drawing.outline in ("simplify", "smooth"):
            self._corners = CornerMap(
                sheet.width,
                sheet.height,
                background=sheet.background,
                nodata=sheet.nodata,
                origin=sheet.origin,
                spool=spool,
            )
        elif drawing.outline == "square":
            self._foreground = ForegroundMap(
                (sheet.height, sheet.width),
                background=sheet.background,
                nodata=sheet.nodata,
                ahead=_rows_ahead(sheet, ground, drawing.tolerance_m),
                origin=sheet.origin,
                spool=spool,
            )
        elif drawing.outline == "subpixel":
            self._scores = RowStore(sheet.width, sheet.height, spool)

    @property
    def ahead(self) -> int:
        """How many rows below a component have to be shown before it is drawn."""
        return 0 if self._foreground is None else self._foreground.ahead

    def show(self, class_ids: NDArray[Any], scores: NDArray[np.uint8] | None) -> None:
        """Take the next rows (y, x), before the components that end in them are drawn."""
        if self._foreground is not None:
            self._foreground.feed(class_ids)
        elif self._corners is not None:
            self._corners.feed(class_ids)
        elif self._scores is not None and scores is not None:
            self._scores.append(scores)

    def end(self) -> None:
        """There are no more rows."""
        if self._corners is not None:
            self._corners.finish()

    def draw(self, batch: RingBatch) -> RawPolygons:
        """The polygons in pixel coordinates, in the order given."""
        how, tolerance = self._drawing.outline, self._drawing.tolerance_m
        if how == "exact" or not len(batch):
            return batch.polygons()
        if how == "square":
            return self._inside(square(batch, self._ground, SquareSettings(tolerance_m=tolerance), self._foreground))
        if self._corners is not None:
            simple = simplify(batch, self._corners, self._ground, tolerance)
            if how == "simplify":
                return simple.polygons()
            return smooth(simple, batch, self._corners, self._ground, tolerance)
        if self._scores is None or self._drawing.threshold is None:
            raise ValueError(f"an outline {how!r} cannot be drawn without scores and their threshold")
        background = 0 if self._sheet.background is None else self._sheet.background
        settings = ContourSettings(self._drawing.threshold, background, self._sheet.nodata)
        drawn = contour(batch, self._scores, settings, self._sheet.origin)
        return simplify_contour(drawn, self._ground, tolerance) if tolerance > 0 else drawn

    def _inside(self, drawn: RawPolygons) -> RawPolygons:
        """The polygons with what stands out of the sheet pushed back to its edge, the same for neighbours."""
        (left, top), sheet = self._sheet.origin, self._sheet
        low, high = np.array([left, top]), np.array([left + sheet.width, top + sheet.height])
        geometry = shapely.transform(drawn.geometry, lambda points: np.clip(points, low, high))
        broken = ~shapely.is_valid(geometry)
        geometry[broken] = drawn.geometry[broken]
        return replace(drawn, geometry=geometry)


def _rows_ahead(sheet: Sheet, ground: Ground, tolerance_m: float) -> int:
    """How far below a block others may be that its outline can come near to, in rows."""
    x, y = np.meshgrid(np.linspace(0, sheet.width, 3), np.linspace(0, sheet.height, 3))
    sizes = ground.pixel_sizes(np.column_stack([x.ravel(), y.ravel()]) + sheet.origin)
    known = sizes[np.isfinite(sizes) & (sizes > 0)]
    least = known.min() if len(known) else np.inf
    return 3 * math.ceil(min(max(1.0, tolerance_m / least), _FARTHEST)) + 4
