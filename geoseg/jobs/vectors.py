"""Strips of classes to the task's polygons, while the next strips are predicted."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from geoseg.core.classes import NODATA
from geoseg.core.protocols import Strip
from geoseg.core.tiling import Block
from geoseg.io.region import RegionMask
from geoseg.io.vector_sink import VectorSink
from geoseg.vector.attributes import ground_areas, measure
from geoseg.vector.ground import Ground
from geoseg.vector.outlines import RawPolygons, RingBatch
from geoseg.vector.polygonize import Polygonizer
from geoseg.vector.postprocess import PostprocessSettings, postprocess

if TYPE_CHECKING:
    from geoseg.jobs.plan import Plan


class CutObjectError(Exception):
    """An object that belongs to the region reaches the rim of what is computed: the margin was too small."""


class PolygonSink:
    """Polygonises, postprocesses, measures and writes, strip by strip; keeps the totals for each class."""

    def __init__(self, plan: Plan, sink: VectorSink) -> None:
        """Write the plan's polygons to `sink`; those that do not meet its area are left out."""
        self._plan, self._sink = plan, sink
        classes, asked = plan.card.classes, plan.postprocess
        self._frame = Frame.of(plan)
        self._ground = Ground.of(plan.grid.affine, plan.grid.crs, plan.resolution)
        self._polygonizer = self._frame.polygonizer()
        self._settings = PostprocessSettings(
            min_area_m2=asked.min_area_m2 or 0.0,
            fill_holes_m2=asked.fill_holes_m2 or 0.0,
            simplify_m=asked.simplify_m or 0.0,
            adjoining=len(classes.foreground) > 1,
        )
        self._things = np.array([c.id for c in classes.foreground if c.kind == "thing"])
        self._area = None if plan.area is None else in_pixels(plan.area.polygons, plan.grid.affine)
        self._whole: Any = None
        if plan.region is not None and not plan.covers_scene:
            self._whole = in_pixels(plan.region.polygons, plan.grid.affine).buffer(-2)
            shapely.prepare(self._whole)
        self.counts: dict[str, int] = defaultdict(int)
        self.areas: dict[str, float] = defaultdict(float)

    def write(self, strip: Strip) -> None:
        """Take the next strip. Raises CutObjectError, WriteError."""
        self._take(self._polygonizer.feed(*self._frame.around(strip)))

    def commit(self) -> None:
        """Close what is still open, and write the file. Raises CutObjectError, WriteError."""
        self.finish()
        self._sink.commit()

    def finish(self) -> None:
        """Close what is still open."""
        below = self._frame.below()
        if below is not None:
            self._take(self._polygonizer.feed(*below))
        self._take(self._polygonizer.finish())

    def abort(self) -> None:
        """Remove everything written so far."""
        self._sink.abort()

    def _take(self, batches: list[RingBatch]) -> None:
        for batch in batches:
            self._put(batch)

    def _put(self, rings: RingBatch) -> None:
        kept = self._large(postprocess(rings, self._ground, self._settings))
        batch = measure(self._inside(kept), self._ground, self._plan.card.classes)
        for name, area in zip(batch.class_name, batch.area_m2, strict=True):
            self.counts[name] += 1
            self.areas[name] += float(area)
        self._sink.write(batch)

    def _large(self, polygons: RawPolygons) -> RawPolygons:
        """The polygons that are large enough still, now that their outlines are simplified."""
        least = self._settings.min_area_m2
        if least <= 0 or not len(polygons):
            return polygons
        return polygons.take(ground_areas(polygons.geometry, self._ground) >= least)

    def _inside(self, polygons: RawPolygons) -> RawPolygons:
        """The polygons that meet the area: things whole, stuff cut at its border; with clip, everything is cut.

        A thing is cut only when all of it is known: its simplified outline depends on the whole.
        """
        if self._area is None:
            return polygons
        kept = polygons.take(shapely.intersects(self._area, polygons.geometry))
        thing = np.isin(kept.class_id, self._things)
        if self._whole is not None and not shapely.contains(self._whole, kept.geometry[thing]).all():
            raise CutObjectError
        which = np.full(len(kept), True) if self._plan.job.region.clip else ~thing
        return cut(kept, self._area, which) if which.any() else kept


@dataclass(frozen=True, slots=True)
class Frame:
    """What stands around the block where it ends before the scene does, and outside the region.

    It is nothing, rather than missing data, so that objects there do not look as if the scene's edge had cut them.
    `hollow` is a class id that is never polygonised; `sides` are the pixels of it at the top, left, bottom, right.
    """

    grid: GeoBox
    block: Block
    region: RegionMask | None
    hollow: int
    scored: bool
    sides: tuple[int, int, int, int]

    @classmethod
    def of(cls, plan: Plan) -> Frame:
        """The frame of a plan's block."""
        block, (height, width) = plan.block, plan.grid.shape
        inner = (block.y.start > 0, block.x.start > 0, block.y.stop < height, block.x.stop < width)
        ids = {c.id for c in plan.card.classes.classes}
        background = plan.card.classes.background
        hollow = background if background is not None else next(i for i in range(NODATA) if i not in ids)
        top, left, bottom, right = (int(side) for side in inner)
        return cls(plan.grid, block, plan.region, hollow, plan.needs_scores, (top, left, bottom, right))

    def polygonizer(self) -> Polygonizer:
        """A polygonizer for the block with its frame; its coordinates are the scene's, so that no bit depends on it."""
        top, left, bottom, right = self.sides
        width, height = self.block.x.size + left + right, self.block.y.size + top + bottom
        origin = (self.block.x.start - left, self.block.y.start - top)
        return Polygonizer(width, height, background=self.hollow, origin=origin)

    def around(self, strip: Strip) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
        """The strip's classes and scores with the frame's sides, and its top where the strip is the first."""
        top, left, _, right = self.sides
        classes = strip.class_ids
        if self.region is not None:
            inside = self.region.mask(self.grid, strip.y, self.block.x)
            classes = np.where(inside, classes, np.uint8(self.hollow))
        margins = ((top if strip.y.start == self.block.y.start else 0, 0), (left, right))
        scores = None if strip.scores is None else np.pad(strip.scores, margins)
        return np.pad(classes, margins, constant_values=self.hollow), scores

    def below(self) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None] | None:
        """The frame's last row, where it has one."""
        _, left, bottom, right = self.sides
        if not bottom:
            return None
        row = np.full((1, self.block.x.size + left + right), self.hollow, np.uint8)
        return row, np.zeros_like(row) if self.scored else None


def in_pixels(polygons: NDArray[Any], affine: Affine) -> Any:
    """One prepared geometry in pixel coordinates of a grid, from polygons in its CRS."""
    back = ~affine
    area = shapely.transform(shapely.union_all(polygons), lambda points: np.column_stack(back * points.T))
    shapely.prepare(area)
    return area


def cut(polygons: RawPolygons, area: Any, which: NDArray[np.bool_]) -> RawPolygons:
    """The polygons, those of `which` cut at the border of an area, one polygon a part; order kept."""
    geometry = polygons.geometry.copy()
    geometry[which] = shapely.intersection(geometry[which], area)
    parts, owner = shapely.get_parts(geometry, return_index=True)
    solid = shapely.get_dimensions(parts) == 2
    taken = polygons.take(owner[solid])
    return RawPolygons(parts[solid], taken.class_id, taken.pixels, taken.score_sum, taken.touches_edge, taken.group)
