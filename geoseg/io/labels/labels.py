"""What is known of a scene: polygons or a raster of classes, and the ground of which anything is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import shapely
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from geoseg.core.classes import NODATA, ClassSet
from geoseg.core.tiling import Span
from geoseg.errors import LabelError
from geoseg.io.labels.painting import Paint, covered, paint
from geoseg.io.labels.raster import KEPT, ClassRaster
from geoseg.io.region import RegionMask
from geoseg.io.transfer import outline


class Truth(NamedTuple):
    """A window of labels: `class_ids` (y, x) uint8 with 255 where nobody knows, `object_ids` (y, x) int32.

    An object's id is the number, from 1, of its polygon, or of the pixels that touch in a raster; 0 is none. Only
    things have objects.
    """

    class_ids: NDArray[np.uint8]
    object_ids: NDArray[np.int32]


class LabelledObjects(NamedTuple):
    """Objects of things, shapes (object,): polygons or multipolygons, `class_ids` uint8, `numbers` int32 from 1."""

    polygons: NDArray[Any]
    class_ids: NDArray[np.uint8]
    numbers: NDArray[np.int32]


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """The labels of the scene on `grid`: `polygons` (polygon,) in its CRS with `class_ids` uint8, or a `raster`.

    `area` is the ground that was labelled (None: all of the scene), `ignored` where nobody knows. `facts` are
    JSON-able: what was read, repaired and left out.
    """

    classes: ClassSet
    grid: GeoBox
    polygons: NDArray[Any]
    class_ids: NDArray[np.uint8]
    area: RegionMask | None = None
    ignored: RegionMask | None = None
    raster: ClassRaster | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    _tree: shapely.STRtree = field(init=False, repr=False)
    _rank: NDArray[np.int64] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Make ready for windows: where polygons lie, and which lies on top of which."""
        order = np.argsort(-shapely.area(self.polygons), kind="stable")
        rank = np.empty(len(order), np.int64)
        rank[order] = np.arange(len(order))
        object.__setattr__(self, "_tree", shapely.STRtree(self.polygons))
        object.__setattr__(self, "_rank", rank)

    @property
    def is_raster(self) -> bool:
        """Whether classes come from a raster; there are no polygons then."""
        return self.raster is not None

    @property
    def object_count(self) -> int:
        """The highest number that an object may have in `window`: that of polygons, or of what touches in a raster."""
        if self.raster is None:
            return len(self.polygons)
        return 0 if self.raster.objects is None else int(self.raster.objects.max(initial=0))

    def check_objects(self) -> None:
        """Nothing. Raises LabelError where `window` has no numbers for things: a raster is too large to tell them."""
        things = any(c.kind == "thing" for c in self.classes.foreground)
        if self.raster is not None and self.raster.objects is None and things:
            raise LabelError(
                f"{self.facts.get('path')}: holds more than {KEPT} pixels of the scene; expected fewer, to tell its "
                "objects apart; give the objects as polygons (geoseg vectorize), or cut the scene into parts"
            )

    def window(self, grid: GeoBox, y: Span, x: Span) -> Truth:
        """The labels of rows `y` and columns `x` of any grid in the scene's CRS; the window may reach beyond the grid.

        A pixel is of the polygon that holds its centre, of the smallest where several do (of the last of equals); an
        object without any gets the nearest pixel. Background is where no polygon lies. Ground outside the scene and the
        labelled area (by its centre), what ignored ground touches, and the raster's nodata are unknown. Each pixel is
        the same in any window of `grid`.
        """
        if grid.crs != self.grid.crs:
            raise ValueError(f"the window's grid is in {grid.crs}, the labels are in {self.grid.crs}")
        truth = self._painted(grid, y, x) if self.raster is None else Truth(*self.raster.window(grid, y, x))
        unknown = self._unknown(grid, y, x) | (truth.class_ids == NODATA)
        truth.class_ids[unknown] = NODATA
        truth.object_ids[unknown] = 0
        return truth

    def objects(self, grid: GeoBox | None = None) -> LabelledObjects:
        """The polygons of things, cut to the scene, or to the part of it under `grid`; none for a raster."""
        place = grid if grid is not None else self.grid
        around = outline(place, Span(0, place.shape[0]), Span(0, place.shape[1]))
        found = np.sort(self._tree.query(around, predicate="intersects"))
        found = found[self._things(found)]
        polygons = self.polygons[found]
        shapely.prepare(around)
        across = ~shapely.contains_properly(around, polygons)
        polygons[across] = shapely.intersection(polygons[across], around)
        kept = shapely.area(polygons) > 0
        return LabelledObjects(polygons[kept], self.class_ids[found[kept]], (found[kept] + 1).astype(np.int32))

    def _painted(self, grid: GeoBox, y: Span, x: Span) -> Truth:
        shape = y.size, x.size
        ground = NODATA if self.classes.background is None else self.classes.background
        truth = Truth(np.full(shape, ground, np.uint8), np.zeros(shape, np.int32))
        found = self._tree.query(outline(grid, y, x))
        found = found[np.argsort(self._rank[found])]
        numbers = np.where(self._things(found), found + 1, 0).astype(np.int32)
        brush = Paint(self.class_ids[found], numbers)
        paint(self.polygons[found], brush, ~grid.affine, (y, x), Paint(*truth))
        return truth

    def _things(self, found: NDArray[np.int64]) -> NDArray[np.bool_]:
        things = [c.id for c in self.classes.foreground if c.kind == "thing"]
        return np.isin(self.class_ids[found], things)

    def _unknown(self, grid: GeoBox, y: Span, x: Span) -> NDArray[np.bool_]:
        unknown = _outside(self.grid, grid, (y, x))
        if self.area is not None:
            unknown |= ~covered(self.area.near(grid, y, x), ~grid.affine, (y, x))
        if self.ignored is not None:
            unknown |= self.ignored.mask(grid, y, x)
        return unknown


def _outside(scene: GeoBox, grid: GeoBox, window: tuple[Span, Span]) -> NDArray[np.bool_]:
    """True (y, x) where a pixel's centre lies outside the scene."""
    y, x = window
    to_scene = ~scene.affine * grid.affine
    corners = [to_scene * (c + 0.5, r + 0.5) for c in (x.start, x.stop - 1) for r in (y.start, y.stop - 1)]
    if all(0 <= right <= scene.shape[1] and 0 <= down <= scene.shape[0] for right, down in corners):
        return np.zeros((y.size, x.size), dtype=bool)
    whole = outline(scene, Span(0, scene.shape[0]), Span(0, scene.shape[1]))
    return ~covered(whole, ~grid.affine, window)
