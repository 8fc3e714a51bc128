"""Strips of classes to the task's polygons or lines, while the next strips are predicted."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray

from geoseg.core.features import PolygonBatch
from geoseg.core.protocols import Sink, Strip
from geoseg.core.values import SCORE_UNIT
from geoseg.io.outputs import Staging
from geoseg.io.vector_sink import VectorOptions, VectorSink
from geoseg.jobs.area import Area, CutObjectError
from geoseg.jobs.frame import Frame, Pixels
from geoseg.jobs.gathering import Gathering
from geoseg.jobs.grain import Grain
from geoseg.jobs.guard import Guard
from geoseg.jobs.naming import Naming
from geoseg.jobs.objects import ObjectNaming, coded
from geoseg.jobs.product import Product
from geoseg.vector.attributes import CONFIDENCE_DIGITS, Named, ground_areas, measure, measure_lines
from geoseg.vector.drawing import Drawing, Pen
from geoseg.vector.ground import Ground
from geoseg.vector.lines.centerlines import LineSettings, LineTracer
from geoseg.vector.outlines import RawPolygons, RingBatch, summed
from geoseg.vector.postprocess import TidySettings, tidy
from geoseg.vector.sieving.sieve import Sieve, SieveSettings
from geoseg.vector.spool import Spool
from geoseg.vector.tracing.polygonize import Grouping, Polygonizer

HOLE_M = 5.0  # across: smaller holes in roads are filled before their middle is sought
SPOOLED = 128 << 20  # bytes in memory of what polygons that are still open need


class Drawn(Sink, Protocol):
    """A sink that draws vectors, and keeps totals."""

    def totals(self) -> dict[str, Any]:
        """How many objects of each class were written, and how large they are together, JSON-able."""
        ...


@dataclass(frozen=True, slots=True)
class Target:
    """The file `final` that vectors go to, in `dst_crs` (None: the raster's), and what it says of how it was made.

    `warn` is called with what the user should know; `threads` is how many cores polygons may take.
    """

    staging: Staging
    final: Path
    dst_crs: str | None
    metadata: Mapping[str, str]
    warn: Callable[[str], None]
    threads: int = 1
    scratch: str | None = None

    @property
    def path(self) -> Path:
        """Where the file is written."""
        return self.staging.path(self.final) if self.scratch is None else self.staging.scratch(self.final, self.scratch)


def open_vectors(product: Product, source: str, target: Target) -> Drawn:
    """The sink that draws what the product's postprocess asks for; `source` is the scene's name."""
    wanted = product.postprocess
    said = VectorOptions(
        target.metadata,
        target.warn,
        named=target.final,
        kind=wanted.shape,
        source=source,
        classes=product.naming.fixed,
        multi=wanted.connectivity == 8 or isinstance(product.naming, ObjectNaming),
    )
    sink = VectorSink(target.path, product.grid.crs, target.dst_crs, said)
    if wanted.shape == "lines":
        return LineOutlet(product, sink)
    spool = Spool(target.path.parent, SPOOLED)
    if isinstance(product.naming, ObjectNaming):
        return ObjectOutlet(product, product.naming.fresh(), sink, spool, target.threads)
    return PolygonOutlet(product, sink, spool, target.threads)


@dataclass(slots=True)
class Totals:
    """Objects and their areas or lengths, by class."""

    counts: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    sizes: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    def add(self, names: NDArray[Any], sizes: NDArray[np.float64]) -> None:
        """Count some more."""
        for name, size in zip(names, sizes, strict=True):
            self.counts[name] += 1
            self.sizes[name] += float(size)

    def rounded(self) -> dict[str, float]:
        """The sizes to a tenth."""
        return {name: round(size, 1) for name, size in self.sizes.items()}


class PolygonOutlet:
    """Polygonises, tidies, draws, measures and writes, strip by strip."""

    def __init__(self, product: Product, sink: VectorSink, spool: Spool, threads: int) -> None:
        """Write the product's polygons to `sink`; those that do not meet its area are left out."""
        self._product, self._sink, self._spool = product, sink, spool
        self._frame, self._ground = Frame.of(product), product.ground
        sheet, wanted = self._frame.sheet, product.postprocess
        threshold = None if product.threshold is None else product.threshold * SCORE_UNIT
        self._pen = Pen(sheet, self._ground, Drawing(wanted.outline, wanted.simplify_m, threshold), self._spool)
        self._sieve = self._new_sieve() if wanted.small == "merge" and wanted.min_area_m2 > 0 else None
        self._polygonizer = Polygonizer(
            sheet.width,
            sheet.height,
            background=sheet.background,
            nodata=sheet.nodata,
            origin=sheet.origin,
            grouping=self._grouping,
            threads=threads,
            spool=self._spool,
        )
        least = 0.0 if self._sieve else wanted.min_area_m2
        self._tidy = TidySettings(least, wanted.fill_holes_m2, whole_groups=wanted.connectivity == 8)
        self._area = Area.of(product)
        self._waiting: deque[tuple[int, RingBatch]] = deque()  # with the rows that had been shown when they ended
        self._rows = 0
        self._totals = Totals()

    @property
    def _grouping(self) -> Grouping:
        if self._product.postprocess.connectivity == 8:
            return "diagonal"
        return "adjoining" if self._product.postprocess.outline == "square" else "none"

    def _new_sieve(self) -> Sieve:
        sheet = self._frame.sheet
        settings = SieveSettings(self._product.postprocess.min_area_m2, sheet.background, sheet.nodata)
        return Sieve((sheet.height, sheet.width), self._ground, settings, sheet.origin)

    def totals(self) -> dict[str, Any]:
        """Polygons and square metres of each class."""
        return {"polygons": dict(self._totals.counts), "area_m2": self._totals.rounded()}

    def write(self, strip: Strip) -> None:
        """Take the next strip. Raises CutObjectError, WriteError."""
        self._clean(self._frame.around(strip))

    def finish(self) -> None:
        """Close what is still open. Raises CutObjectError, WriteError."""
        below = self._frame.below()
        if below is not None:
            self._clean(below)
        if self._sieve is not None:
            self._trace(self._sieve.finish())
        self._pen.end()
        self._waiting += [(self._rows, batch) for batch in self._ended(self._polygonizer.finish(), last=True)]
        self._draw(self._rows)

    def commit(self) -> None:
        """Close what is still open, and write the file. Raises CutObjectError, WriteError."""
        self.finish()
        self._sink.commit(self._product.naming.classes())

    def abort(self) -> None:
        """Remove everything written so far."""
        self._sink.abort()
        self._spool.close()

    def _clean(self, pixels: Pixels) -> None:
        self._trace([pixels] if self._sieve is None else self._sieve.feed(*pixels))

    def _trace(self, strips: Iterable[Pixels]) -> None:
        for class_ids, scores in strips:
            self._show(class_ids, scores)
            self._rows += len(class_ids)
            ended = self._ended(self._polygonizer.feed(class_ids, scores), last=False)
            self._waiting += [(self._rows, batch) for batch in ended]
            self._draw(self._rows - self._pen.ahead)

    def _draw(self, until: int) -> None:
        """Draw what ended before so many rows were shown."""
        while self._waiting and self._waiting[0][0] <= until:
            _, batch = self._waiting.popleft()
            self._put(self._features(batch))

    def _show(self, class_ids: NDArray[Any], scores: NDArray[np.uint8] | None) -> None:
        """Look at the next rows, before their components end."""
        self._pen.show(class_ids, scores)

    def _ended(self, batches: list[RingBatch], *, last: bool) -> Iterable[RingBatch]:
        """What can be drawn of the groups that have ended."""
        return batches

    def _features(self, batch: RingBatch) -> RawPolygons:
        """The polygons that are written."""
        kept = self._large(self._pen.draw(tidy(batch, self._ground, self._tidy)))
        inside = kept if self._area is None else self._area.polygons(kept)
        return inside.objects() if self._tidy.whole_groups else inside

    def _large(self, polygons: RawPolygons) -> RawPolygons:
        """The polygons that are large enough still, now that their outlines are drawn."""
        least = self._tidy.min_area_m2
        if least <= 0 or not len(polygons):
            return polygons
        areas, group = ground_areas(polygons.geometry, self._ground), polygons.group
        if self._tidy.whole_groups:
            areas = summed(areas, group, int(group.max()) + 1)[group]
        return polygons.take(areas >= least)

    def _put(self, polygons: RawPolygons) -> None:
        batch = self._measured(polygons)
        self._totals.add(batch.class_name, batch.area_m2)
        self._sink.write(batch)

    def _measured(self, polygons: RawPolygons) -> PolygonBatch:
        return measure(polygons, self._ground, named(polygons.class_id, self._product.naming))


class ObjectOutlet(PolygonOutlet):
    """Does the same where objects are told apart: each is one feature, of all its parts.

    Sizes are those of whole objects. A hole is filled where it holds nothing but background and parts of the same
    object: what else lies in it may be a part of one that is kept.
    """

    def __init__(self, product: Product, naming: ObjectNaming, sink: VectorSink, spool: Spool, threads: int) -> None:
        """Write the product's polygons to `sink`; objects are learned into `naming`, which knows none."""
        super().__init__(product, sink, spool, threads)
        self._naming, self._guard = naming, Guard.of(product)
        self._gathering = Gathering(self._naming, self._ground, self._tidy.whole_groups)
        self._least, blocks = self._tidy.min_area_m2, self._area if self._grouping == "adjoining" else None
        self._tidy = replace(self._tidy, whole_groups=True)
        self._blocks = None if blocks is None else replace(blocks, clip=False)
        if self._area is not None:
            self._area = replace(self._area, by_group=True, joined=True)

    def write(self, strip: Strip) -> None:
        """Take the next strip. Raises CutObjectError, WriteError."""
        if self._guard is not None:
            self._guard.check(strip)
        if strip.objects is not None:
            self._naming.learn(strip.objects)
            self._gathering.learn()
        super().write(coded(strip))

    @property
    def _until(self) -> int:
        """The last row of the scene of which all is known that ends there."""
        return self._frame.sheet.origin[1] + self._rows - 2

    def _show(self, class_ids: NDArray[Any], scores: NDArray[np.uint8] | None) -> None:
        left, top = self._frame.sheet.origin
        self._gathering.show(class_ids, (left, top + self._rows))
        super()._show(class_ids, scores)

    def _ended(self, batches: list[RingBatch], *, last: bool) -> Iterable[RingBatch]:
        return self._gathering.arranged(batches, None if last else self._until)

    def _features(self, batch: RingBatch) -> RawPolygons:
        if self._blocks is not None:
            self._blocks_are_certain(batch, self._blocks)
        areas = self._gathering.areas(batch) if self._least > 0 else np.full(len(batch), np.inf)
        large = batch.take(~(areas < self._least))  # what has no measure stays
        self._gathering.drawing(batch)
        fill = self._tidy.fill_holes_m2
        if self._grouping != "adjoining":  # there an object's parts may come with different blocks
            large = self._gathering.without_islands(large, fill)
        drawn = self._pen.draw(tidy(large, self._ground, TidySettings(0.0, fill)))
        if self._blocks is not None:
            self._blocks.polygons(drawn)  # all of a block has to be known, which its objects do not tell
        kept = self._large(self._gathering.joined(drawn))
        inside = kept if self._area is None else self._gathering.features(self._area.polygons(kept))
        return inside.objects()

    def _blocks_are_certain(self, batch: RingBatch, area: Area) -> None:
        """Nothing where no object of a block that may meet the area is cut. Raises CutObjectError."""
        cut = self._naming.cut(batch.class_id)
        if self._guard is None or not cut.any():
            return
        starts = batch.ring_offsets[batch.polygon_offsets[:-1]]
        low, high = np.minimum.reduceat(batch.points, starts), np.maximum.reduceat(batch.points, starts)
        for group in np.unique(batch.group[cut]):
            own = batch.group == group
            if shapely.intersects(area.polygon, shapely.box(*low[own].min(0), *high[own].max(0))):
                raise CutObjectError

    def _draw(self, until: int) -> None:
        super()._draw(until)
        self._gathering.forget(self._until)

    def _measured(self, polygons: RawPolygons) -> PolygonBatch:
        batch = measure(polygons, self._ground, named(polygons.class_id, self._naming))
        scores = self._naming.scores(polygons.class_id, batch.confidence)
        return replace(batch, confidence=np.round(scores, CONFIDENCE_DIGITS))


class LineOutlet:
    """Follows the middle of what is narrow, strip by strip, and writes lines when the last row is known.

    Where pixels are much finer than roads are wide, every so many pixels are enough.
    """

    def __init__(self, product: Product, sink: VectorSink) -> None:
        """Write the product's lines to `sink`; those that do not meet its area are left out."""
        self._product, self._sink = product, sink
        self._frame = Frame.of(product)
        self._grain = Grain.of(self._frame.sheet, product)
        affine, resolution = product.grid.affine * Affine.scale(self._grain.step), product.resolution
        coarse = None if resolution is None else resolution * self._grain.step
        self._ground = Ground.of(affine, product.grid.crs, coarse)
        wanted, sheet = product.postprocess, self._grain.sheet
        settings = LineSettings(
            max_width_m=wanted.max_width_m,
            spur_m=wanted.spur_m,
            gap_m=wanted.gap_m,
            min_length_m=wanted.min_length_m,
            simplify_m=wanted.simplify_m,
            hole_m=max(HOLE_M, 2 * (coarse or 0.0)),
        )
        self._tracer = LineTracer(
            sheet.width,
            sheet.height,
            ground=self._ground,
            settings=settings,
            background=sheet.background,
            nodata=sheet.nodata,
            origin=sheet.origin,
        )
        self._rows = 0
        self._area = Area.of(product, self._grain.step)
        self._totals = Totals()

    def totals(self) -> dict[str, Any]:
        """Lines and metres of each class."""
        return {"lines": dict(self._totals.counts), "length_m": self._totals.rounded()}

    def write(self, strip: Strip) -> None:
        """Take the next strip."""
        self._feed(self._frame.around(strip))

    def _feed(self, pixels: Pixels) -> None:
        self._tracer.feed(*self._grain.taken(pixels, self._rows))
        self._rows += len(pixels[0])

    def commit(self) -> None:
        """Clean the lines, and write the file. Raises WriteError."""
        below = self._frame.below()
        if below is not None:
            self._feed(below)
        lines = self._tracer.finish()
        kept = lines if self._area is None else self._area.lines(lines)
        batch = measure_lines(kept, self._ground, named(kept.class_id, self._product.naming))
        self._totals.add(batch.class_name, batch.length_m)
        self._sink.write(batch)
        self._sink.commit(self._product.naming.classes())

    def abort(self) -> None:
        """Remove everything written so far."""
        self._sink.abort()


def named(ids: NDArray[np.int32], naming: Naming) -> Named:
    """What the file says of objects with those ids."""
    return Named(naming.names(ids), naming.values(ids), naming.instances(ids))
