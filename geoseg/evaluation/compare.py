"""A map compared with the labels of its scene: everything that is counted, in bounded memory for any size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from geoseg.core.classes import NODATA, ClassSet
from geoseg.core.tiling import Span
from geoseg.errors import SpecError
from geoseg.evaluation.boundary import boundary_counts, near_outlines, reach_of
from geoseg.evaluation.counts import Cell, Pairs, SceneCounts
from geoseg.evaluation.mapped import Mapped, read_mapped
from geoseg.evaluation.matching import object_counts
from geoseg.evaluation.objects import Sides, compared, truth_of
from geoseg.evaluation.pixels import confusion, places, score_counts
from geoseg.evaluation.squares import Squares
from geoseg.evaluation.strips import Blank, Hidden, Planes, classes_of, imagery, spans, with_halo
from geoseg.io.labels.labels import Labels
from geoseg.io.scene import Scene
from geoseg.vector.tracing.polygonize import Polygonizer

STRIP_PIXELS = 1 << 22


@dataclass(frozen=True, slots=True)
class Found:
    """What a map shows of a scene: a class raster on the scene's own grid (uint8, 255 nodata), its scores, polygons.

    `scores` is a raster on that grid, uint8 from 0 to 254, 255 nodata; `vector` is any vector file of polygons. Pixels
    are compared by the raster, else by the polygons; objects by the polygons.
    """

    raster: Path | None
    scores: Path | None
    vector: Path | None
    classes: ClassSet


@dataclass(frozen=True, slots=True)
class Comparison:
    """How to compare: objects below `min_area_m2` do not count, outlines are `boundary_m` wide (a pixel at least).

    `blank` says which pixels of the scene show nothing, so that the truth is unknown there, as in `LabelSource`; `bidx`
    are the bands, counted from 1, that the map was made from (None: all), which alone are looked at for that.
    `strip_pixels` are looked at at a time.
    """

    min_area_m2: float = 0.0
    boundary_m: float = 1.0
    blank: tuple[Literal["white", "black"], ...] = ()
    bidx: tuple[int, ...] | None = None
    strip_pixels: int = STRIP_PIXELS


def compare_scene(scene: Scene, labels: Labels, found: Found, settings: Comparison | None = None) -> SceneCounts:
    """Everything that is counted when a map is compared with the labels of its scene.

    Only ground whose truth is known counts: inside the labels' area, not ignored, and where the scene has data. The
    separator's pixels are those of the things that it separates. Raises SpecError where there is no map at all,
    SceneError for rasters of another grid, LabelError for polygons that cannot be used, ResolutionError where
    `min_area_m2` has no meaning.
    """
    settings = settings or Comparison()
    if found.raster is None and found.vector is None:
        raise SpecError(f"{scene.name}: there is nothing to compare; expected a raster of classes or polygons")
    return _Comparing(scene, labels, found, settings).counts()


class _Comparing:
    """One comparison, while it goes on."""

    def __init__(self, scene: Scene, labels: Labels, found: Found, settings: Comparison) -> None:
        self.scene, self.labels, self.found, self.settings = scene, labels, found, settings
        classes = found.classes
        self.blank = Blank(settings.blank, settings.bidx)
        self.things = [c.id for c in classes.foreground if c.kind == "thing" and c.id != classes.separator]
        self.ids = tuple(c.id for c in classes.classes if c.id != classes.separator)
        self.tables = _tables(classes, self.ids, self.things)
        self.reach = reach_of(settings.boundary_m, scene.pixel_size)
        self.y, self.x = scene.window(labels.area)
        self.squares = Squares.over(self.y, self.x)
        self.counts_shape = len(self.squares), len(self.ids)
        self.confusion = np.zeros((*self.counts_shape, len(self.ids)), np.int64)
        self.boundary = np.zeros((*self.counts_shape, 3), np.int64)
        self.scores: NDArray[np.int64] | None = None
        self.without_prediction = 0
        self.mapped = self._mapped()
        self.painted = None if self.mapped is None else _painted(self.mapped, scene, classes)
        self.hidden_found = None if self.painted is None else Hidden(self.painted, scene)
        objects = bool(self.things) and found.vector is not None
        self.hidden_truth = Hidden(replace(labels, area=None, ignored=None), scene) if objects else None
        self.traced: list[Any] = []
        self.polygonizer = None
        if objects and labels.is_raster:
            origin = self.x.start, self.y.start
            self.polygonizer = Polygonizer(self.x.size, self.y.size, background=None, origin=origin)

    def counts(self) -> SceneCounts:
        last = self.y.stop
        for held, rows in with_halo(self._planes(), self.reach[0], last):
            self._count(held, rows)
        pairs, told = self._pairs()
        objects = np.zeros((*self.counts_shape, 3), np.int64)
        if pairs is not None:
            objects = object_counts(pairs, self.ids, len(self.squares))
        cells = tuple(
            Cell(y, x, self.confusion[i], self.boundary[i], objects[i]) for i, (y, x) in enumerate(self.squares)
        )
        return SceneCounts(self.scene.name, self.ids, cells, self.scores, pairs, self._facts(told))

    def _mapped(self) -> Mapped | None:
        """The map's polygons, where anything is counted by them."""
        if self.found.vector is None or not (self.things or self.found.raster is None):
            return None
        return read_mapped(self.found.vector, self.scene, self.found.classes)

    def _planes(self) -> Iterator[Planes]:
        """The window's rows, in strips; what takes no neighbours is counted on the way."""
        rows = spans(self.y, self.x.size, self.settings.strip_pixels)
        shown = imagery(self.scene, self.blank, rows, self.x)
        raster = None if self.found.raster is None else classes_of(self.found.raster, self.scene, rows, self.x)
        scores = None if self.found.scores is None else classes_of(self.found.scores, self.scene, rows, self.x)
        for y, ground in zip(rows, shown, strict=True):
            truth = self.tables[0][self.labels.window(self.scene.grid, y, self.x).class_ids]
            if ground is not None:
                truth[~ground] = NODATA
            if raster is not None:
                found = next(raster)
            elif self.painted is not None:
                found = self.painted.window(self.scene.grid, y, self.x).class_ids
            else:
                found = np.full_like(truth, NODATA)
            self._note(y, truth, found)
            if scores is not None:
                self._note_scores(truth, next(scores))
            yield Planes(y, truth, self.tables[1][found])

    def _note(self, y: Span, truth: NDArray[np.uint8], found: NDArray[np.uint8]) -> None:
        unknown = truth == NODATA
        self.without_prediction += int(((found == NODATA) & ~unknown).sum())
        if self.hidden_truth is not None and self.hidden_found is not None:
            self.hidden_truth.see(unknown, y, self.x)
            self.hidden_found.see(unknown, y, self.x)
        if self.polygonizer is not None:
            self._trace(np.where(np.isin(truth, [self.ids.index(i) for i in self.things]), truth, NODATA))

    def _trace(self, places_of_things: NDArray[Any] | None) -> None:
        if self.polygonizer is None:
            return
        batches = (
            self.polygonizer.finish()
            if places_of_things is None
            else self.polygonizer.feed(places_of_things.astype(np.uint8))
        )
        self.traced += [batch.polygons() for batch in batches]

    def _note_scores(self, truth: NDArray[np.uint8], scores: NDArray[np.uint8]) -> None:
        """Count scores where there are two classes, one of them background."""
        background = self.found.classes.background
        if len(self.ids) != 2 or background is None:
            return
        counted = score_counts(truth, scores, (0, 1), self.ids.index(background))
        self.scores = counted if self.scores is None else self.scores + counted

    def _count(self, held: Planes, rows: Span) -> None:
        shown = np.where(held.truth == NODATA, held.truth, held.found)  # the map makes no outlines on unknown ground
        near = near_outlines(held.truth, self.reach), near_outlines(shown, self.reach)
        top, classes = held.y.start, len(self.ids)
        for place, (y, x) in self.squares.meeting(rows):
            part = slice(y.start - top, y.stop - top), slice(x.start - self.x.start, x.stop - self.x.start)
            truth, found = held.truth[part], held.found[part]
            self.confusion[place] += confusion(truth, found, range(classes), None)
            self.boundary[place] += boundary_counts((truth, near[0][part]), (found, near[1][part]), classes)

    def _pairs(self) -> tuple[Pairs | None, dict[str, int] | None]:
        """The objects of truth and map, and what was left out of them."""
        if self.mapped is None or self.hidden_truth is None or self.hidden_found is None:
            return None, None
        self._trace(None)
        truth = truth_of(self.labels, self.traced, self.hidden_truth.pixels, (self.scene.grid, self.ids))
        sides = Sides(truth, (self.mapped, self.hidden_found.pixels), self.things)
        return compared(sides, self.scene, self.squares, self.settings.min_area_m2)

    def _facts(self, objects: dict[str, int] | None) -> dict[str, Any]:
        known, grid = int(self.confusion.sum()), self.scene.grid
        return {
            "paths": list(self.scene.paths),
            "shape": [int(n) for n in grid.shape],
            "crs": str(grid.crs) if grid.crs else None,
            "resolution_m": self.scene.resolution,
            "labels": dict(self.labels.facts),
            "map": {
                kind: getattr(self.found, kind).name
                for kind in ("raster", "scores", "vector")
                if getattr(self.found, kind) is not None
            },
            "known_pixels": known,
            "known_share": known / (int(grid.shape[0]) * int(grid.shape[1])),
            "without_prediction": self.without_prediction,
            "boundary_pixels": list(self.reach),
            "objects": objects,
            "blank": list(self.blank.colours),
            "bands": list(self.blank.bands_of(self.scene)),
        }


def _tables(classes: ClassSet, ids: tuple[int, ...], things: list[int]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """From values of the truth and of the map to places in `ids`, uint8 (256,); 255 for unknown.

    The separator is the first of the things.
    """
    truth, found = (table.astype(np.uint8) for table in places(ids, classes.background))
    if classes.separator is not None and things:
        truth[classes.separator] = found[classes.separator] = ids.index(things[0])
    return truth, found


def _painted(mapped: Mapped, scene: Scene, classes: ClassSet) -> Labels:
    """The map's polygons as something that can be painted, as labels are; all of the ground is known."""
    things = tuple(c.model_copy(update={"kind": "thing"}) for c in classes.classes)
    return Labels(
        classes.model_copy(update={"classes": things}), scene.grid, mapped.parts, mapped.class_id[mapped.origin]
    )
