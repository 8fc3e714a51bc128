"""Strips of classes to the task's polygons, while the next strips are predicted."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray

from geoseg.core.protocols import Strip
from geoseg.io.vector_sink import VectorSink
from geoseg.vector.attributes import measure
from geoseg.vector.ground import Ground
from geoseg.vector.polygonize import Polygonizer, RawPolygons, RingBatch
from geoseg.vector.postprocess import PostprocessSettings, postprocess

if TYPE_CHECKING:
    from geoseg.jobs.plan import Plan


class CutObjectError(Exception):
    """An object that belongs to the region reaches the rim of what is computed: the margin was too small."""


class PolygonSink:
    """Polygonises, postprocesses, measures and writes, strip by strip; keeps the totals for each class."""

    def __init__(self, plan: Plan, sink: VectorSink) -> None:
        """Write the plan's polygons to `sink`; those that do not meet its region are left out."""
        self._plan, self._sink = plan, sink
        grid, classes, asked = plan.block_grid, plan.card.classes, plan.postprocess
        height, width = grid.shape
        self._ground = Ground.of(grid.affine, grid.crs, plan.resolution)
        self._polygonizer = Polygonizer(width, height, background=classes.background)
        self._settings = PostprocessSettings(
            min_area_m2=asked.min_area_m2 or 0.0,
            fill_holes_m2=asked.fill_holes_m2 or 0.0,
            simplify_m=asked.simplify_m or 0.0,
            adjoining=len(classes.foreground) > 1,
        )
        self._area = None if plan.area is None else in_pixels(plan.area.polygons, grid.affine)
        self._whole: Any = None
        if plan.region is not None and not plan.job.region.clip:
            self._whole = in_pixels(plan.region.polygons, grid.affine).buffer(-2)
            shapely.prepare(self._whole)
        self.counts: dict[str, int] = defaultdict(int)
        self.areas: dict[str, float] = defaultdict(float)

    def write(self, strip: Strip) -> None:
        """Take the next strip. Raises CutObjectError, WriteError."""
        self._take(self._polygonizer.feed(strip.class_ids, strip.scores))

    def commit(self) -> None:
        """Close what is still open, and write the file. Raises CutObjectError, WriteError."""
        self.finish()
        self._sink.commit()

    def finish(self) -> None:
        """Close what is still open."""
        self._take(self._polygonizer.finish())

    def abort(self) -> None:
        """Remove everything written so far."""
        self._sink.abort()

    def _take(self, rings: RingBatch) -> None:
        kept = self._inside(postprocess(rings, self._ground, self._settings))
        batch = measure(kept, self._ground, self._plan.card.classes)
        for name, area in zip(batch.class_name, batch.area_m2, strict=True):
            self.counts[name] += 1
            self.areas[name] += float(area)
        self._sink.write(batch)

    def _inside(self, polygons: RawPolygons) -> RawPolygons:
        """The polygons that meet the region: whole, or cut at its border when the job clips."""
        if self._area is None:
            return polygons
        kept = polygons.take(shapely.intersects(self._area, polygons.geometry))
        if self._plan.job.region.clip:
            return cut(kept, self._area)
        cut_off = kept.touches_edge & ~shapely.contains(self._whole, kept.geometry)
        if cut_off.any():
            raise CutObjectError
        return kept


def in_pixels(polygons: NDArray[Any], affine: Affine) -> Any:
    """One prepared geometry in pixel coordinates of a grid, from polygons in its CRS."""
    back = ~affine
    area = shapely.transform(shapely.union_all(polygons), lambda points: np.column_stack(back * points.T))
    shapely.prepare(area)
    return area


def cut(polygons: RawPolygons, region: Any) -> RawPolygons:
    """The parts of polygons inside a region, one polygon each; order kept."""
    parts, owner = shapely.get_parts(shapely.intersection(polygons.geometry, region), return_index=True)
    solid = shapely.get_dimensions(parts) == 2
    taken = polygons.take(owner[solid])
    return RawPolygons(parts[solid], taken.class_id, taken.pixels, taken.score_sum, taken.touches_edge)
