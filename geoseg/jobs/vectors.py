"""Strips of classes to the task's polygons, while the next strips are predicted."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

from geoseg.core.protocols import Strip
from geoseg.io.vector_sink import VectorSink
from geoseg.vector.attributes import measure
from geoseg.vector.polygonize import Polygonizer, RawPolygons
from geoseg.vector.postprocess import postprocess

if TYPE_CHECKING:
    from geoseg.jobs.plan import Plan


class CutObjectError(Exception):
    """An object that belongs to the region reaches the rim of what is computed: the margin was too small."""


class PolygonSink:
    """Polygonises, postprocesses, measures and writes, strip by strip; keeps the totals for each class."""

    def __init__(self, plan: Plan, sink: VectorSink) -> None:
        """Write the plan's polygons to `sink`; those that do not meet its region are left out."""
        self._plan, self._sink = plan, sink
        grid = plan.block_grid
        self._transform = grid.affine
        height, width = grid.shape
        self._polygonizer = Polygonizer(width, height, background=plan.card.classes.background)
        self._region = None if plan.region is None else shapely.union_all(plan.region.polygons)
        self._whole: Any = None
        if self._region is not None:
            shapely.prepare(self._region)
        if plan.region is not None and not plan.job.region.clip:
            pixel = np.sqrt(abs(grid.affine.determinant))
            self._whole = shapely.union_all(plan.region.reach).buffer(-2 * pixel)
            shapely.prepare(self._whole)
        self.counts: dict[str, int] = defaultdict(int)
        self.areas: dict[str, float] = defaultdict(float)

    def write(self, strip: Strip) -> None:
        """Take the next strip. Raises CutObjectError, WriteError."""
        self._take(self._polygonizer.feed(strip.class_ids, strip.scores).polygons())

    def commit(self) -> None:
        """Close what is still open, and write the file. Raises CutObjectError, WriteError."""
        self.finish()
        self._sink.commit()

    def finish(self) -> None:
        """Close what is still open."""
        self._take(self._polygonizer.finish().polygons())

    def abort(self) -> None:
        """Remove everything written so far."""
        self._sink.abort()

    def _take(self, raw: RawPolygons) -> None:
        if not len(raw):
            return
        plan = self._plan
        kept = postprocess(raw, self._transform, plan.postprocess, plan.resolution)
        kept = self._inside(kept)
        batch = measure(kept, plan.grid.crs, plan.card.classes, plan.resolution)
        for name, area in zip(batch.class_name, batch.area_m2, strict=True):
            self.counts[name] += 1
            self.areas[name] += float(area)
        self._sink.write(batch)

    def _inside(self, polygons: RawPolygons) -> RawPolygons:
        """The polygons that meet the region: whole, or cut at its border when the job clips."""
        if self._region is None:
            return polygons
        kept = polygons.take(shapely.intersects(self._region, polygons.geometry))
        if self._plan.job.region.clip:
            return cut(kept, self._region)
        cut_off = kept.touches_edge & ~shapely.contains(self._whole, kept.geometry)
        if cut_off.any():
            raise CutObjectError
        return kept


def cut(polygons: RawPolygons, region: Any) -> RawPolygons:
    """The parts of polygons inside a region, one polygon each; order kept."""
    parts, owner = shapely.get_parts(shapely.intersection(polygons.geometry, region), return_index=True)
    solid = shapely.get_dimensions(parts) == 2
    taken = polygons.take(owner[solid])
    return RawPolygons(parts[solid], taken.class_id, taken.pixels, taken.score_sum, taken.touches_edge)
