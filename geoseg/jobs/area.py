"""Objects of the area of interest: those that meet it, whole where that is asked and known, else cut at its border."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray

from geoseg.core.classes import NODATA
from geoseg.jobs.product import Product
from geoseg.vector.lines.centerlines import RawLines
from geoseg.vector.outlines import RawPolygons

_RIM = 2  # pixels at the border of what is computed, in which an object may be cut
_NEIGHBOURLY = ("simplify", "smooth", "square")  # outlines that depend on those of others, as near as they may move


class CutObjectError(Exception):
    """An object that belongs to the area reaches the rim of what is computed: the margin was too small."""


@dataclass(frozen=True, slots=True)
class Area:
    """An area of interest in pixel coordinates; `known` is where classes are known, None for the whole scene.

    Objects of `things` (None: of every class) come out whole, the others are cut at the border, with `clip` all are.
    With `by_group` an object's outline depends on its group: all of it has to be known. With `joined` a group is one
    object.
    """

    polygon: Any
    known: Any
    things: frozenset[int] | None
    clip: bool
    by_group: bool
    joined: bool

    @classmethod
    def of(cls, product: Product, step: int = 1) -> Self | None:
        """The product's area in coordinates of `step` pixels each, None where there is none."""
        if product.area is None:
            return None
        affine, known, wanted = product.grid.affine * Affine.scale(step), None, product.postprocess
        if product.region is not None and not product.complete:
            reach = wanted.simplify_m / (product.resolution or 1.0) if wanted.outline in _NEIGHBOURLY else 0.0
            known = _in_pixels(product.region.polygons, affine).buffer(-_RIM - math.ceil(reach))
            shapely.prepare(known)
        joined = wanted.connectivity == 8
        by_group = wanted.outline == "square" or joined
        return cls(_in_pixels(product.area.polygons, affine), known, product.things, product.clip, by_group, joined)

    def polygons(self, drawn: RawPolygons) -> RawPolygons:
        """The polygons that meet the area, one a part where they are cut. Raises CutObjectError."""
        meets = shapely.intersects(self.polygon, drawn.geometry)
        if self.joined and len(drawn):
            meets = np.bincount(drawn.group, weights=meets)[drawn.group] > 0
        thing = self._whole(drawn.class_id)
        if self.known is not None:
            needed = meets & thing
            if self.by_group and len(drawn):
                needed = np.bincount(drawn.group, weights=needed)[drawn.group] > 0
            if not shapely.contains(self.known, drawn.geometry[needed]).all():
                raise CutObjectError
        kept = drawn.take(meets)
        cut = np.full(len(kept), True) if self.clip else ~thing[meets]
        if not cut.any():
            return kept
        parts, owner = _cut(kept.geometry, self.polygon, cut, dimension=2)
        return replace(kept.take(owner), geometry=parts)

    def lines(self, drawn: RawLines) -> RawLines:
        """The lines that meet the area, cut at its border, one a part."""
        kept = drawn.take(shapely.intersects(self.polygon, drawn.geometry))
        parts, owner = _cut(kept.geometry, self.polygon, np.full(len(kept), True), dimension=1)
        return replace(kept.take(owner), geometry=parts)

    def _whole(self, class_id: NDArray[np.int32]) -> NDArray[np.bool_]:
        if self.things is None:
            return np.full(len(class_id), True)
        return np.isin(class_id, list(self.things)) | (class_id > NODATA)  # ids beyond those of classes are objects


def _in_pixels(polygons: NDArray[Any], affine: Affine) -> Any:
    """One prepared geometry in pixel coordinates of a grid, from polygons in its CRS."""
    back = ~affine
    area = shapely.transform(shapely.union_all(polygons), lambda points: np.column_stack(back * points.T))
    shapely.prepare(area)
    return area


def _cut(
    geometry: NDArray[Any], area: Any, which: NDArray[np.bool_], dimension: int
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """The parts of geometries, those of `which` cut at the border of an area, and the place that each comes from."""
    cut = geometry.copy()
    cut[which] = shapely.intersection(cut[which], area)
    parts, owner = shapely.get_parts(cut, return_index=True)
    solid = (shapely.get_dimensions(parts) == dimension) & ~shapely.is_empty(parts)  # parts outside are empty
    return parts[solid], owner[solid]
