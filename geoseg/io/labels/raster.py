"""A raster of classes, read on any grid that shares its CRS: each pixel takes the class at its centre."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from geoseg.core.classes import NODATA, ClassSet
from geoseg.core.tiling import Span
from geoseg.errors import LabelError
from geoseg.io.grid import place
from geoseg.io.labels.kernels import touching
from geoseg.io.labels.matching import Matching, counted, matched, text_of
from geoseg.io.labels.source import LabelSource
from geoseg.io.legend import read_legend
from geoseg.io.scene import Scene, SceneSource, open_scene
from geoseg.io.transfer import extent, listed

KEPT = 2**27  # pixels: rasters up to this size are kept in memory
_STRIP = 2**22  # pixels that are read at once
_MOST = 4096  # different values: what holds more is no raster of classes
_NO_VALUE = -(2.0**40)  # a nodata value that no raster holds


@dataclass(frozen=True, slots=True, eq=False)
class ClassRaster:
    """Classes in band `bidx` of `file`, whose pixels lie as `transform` says.

    `values` (value,), rising, are what is found in it, `ids` uint8 their classes. `kept` holds the class ids of rows
    and columns from `origin` on, `objects` int32 the numbers of what touches there, where they are kept in memory.
    """

    file: Scene
    transform: Affine
    bidx: int
    values: NDArray[Any]
    ids: NDArray[np.uint8]
    origin: tuple[int, int] = (0, 0)
    kept: NDArray[np.uint8] | None = None
    objects: NDArray[np.int32] | None = None

    def window(self, grid: GeoBox, y: Span, x: Span) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
        """Class ids uint8, 255 where nothing is known, and objects' numbers int32, both (y, x), on a window of `grid`.

        Objects are pixels of one thing's class that touch along an edge; their numbers are 0 in rasters too large to be
        kept.
        """
        classes = np.full((y.size, x.size), NODATA, np.uint8)
        objects = np.zeros((y.size, x.size), np.int32)
        affine = place(_shape(self.file.grid), self.transform, grid).affine
        step = y.size if self.kept is not None else max(1, int(_STRIP / (x.size * max(1.0, abs(affine.determinant)))))
        for top in range(y.start, y.stop, step):
            rows = Span(top, min(top + step, y.stop))
            here = slice(rows.start - y.start, rows.stop - y.start)
            self._take(affine, (rows, x), classes[here], objects[here])
        return classes, objects

    def _take(
        self, affine: Affine, window: tuple[Span, Span], classes: NDArray[np.uint8], objects: NDArray[np.int32]
    ) -> None:
        right = np.arange(window[1].start, window[1].stop)[None] + 0.5
        down = np.arange(window[0].start, window[0].stop)[:, None] + 0.5
        columns = np.floor(affine.a * right + (affine.b * down if affine.b else 0) + affine.c).astype(np.int64)
        rows = np.floor(affine.e * down + (affine.d * right if affine.d else 0) + affine.f).astype(np.int64)
        held, first = self._held(rows, columns)
        rows, columns = rows - first[0], columns - first[1]
        inside = (rows >= 0) & (rows < held.shape[0]) & (columns >= 0) & (columns < held.shape[1])
        if not inside.any():
            return
        at = np.clip(rows, 0, held.shape[0] - 1), np.clip(columns, 0, held.shape[1] - 1)
        classes[inside] = held[at][inside]
        if self.objects is not None:
            objects[inside] = self.objects[at][inside]

    def _held(self, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> tuple[NDArray[np.uint8], tuple[int, int]]:
        """Class ids of a window of the raster that holds these pixels, and its first row and column."""
        if self.kept is not None:
            return self.kept, self.origin
        height, width = _shape(self.file.grid)
        y = Span(int(rows.min()), int(rows.max()) + 1).clip(Span(0, height))
        x = Span(int(columns.min()), int(columns.max()) + 1).clip(Span(0, width))
        if y.size == 0 or x.size == 0:
            return np.empty((0, 0), np.uint8), (y.start, x.start)
        ids = [self._classes(*strip) for strip in _strips(self.file, self.bidx, (y, x))]
        return np.concatenate(ids), (y.start, x.start)

    def _classes(self, pixels: NDArray[Any], valid: NDArray[np.bool_] | None) -> NDArray[np.uint8]:
        if pixels.dtype == np.uint8:
            table = np.full(256, NODATA, np.uint8)
            table[self.values.astype(np.int64)] = self.ids
            ids = np.asarray(table[pixels])
        else:
            index = np.minimum(np.searchsorted(self.values, pixels), max(len(self.values) - 1, 0))
            ids = self.ids[index] if len(self.ids) else np.full(pixels.shape, NODATA, np.uint8)
        if valid is not None:
            ids[~valid] = NODATA
        return ids


def open_classes(
    source: LabelSource, scene: Scene, classes: ClassSet | None, *, keep: bool = True
) -> tuple[ClassRaster, ClassSet, dict[str, Any]]:
    """The raster of classes, its classes and what was found: JSON-able facts.

    With `keep` what meets the scene is kept in memory, and its objects are told apart, unless it is too large. Raises
    LabelError for a raster that does not lie on the scene, or holds values that are no class; SceneError for one
    that cannot be opened.
    """
    file = open_scene(SceneSource(paths=(source.path,)))
    if not 1 <= source.bidx <= len(file.bands):
        raise LabelError(
            f"{source.path}: there is no band {source.bidx}; found {len(file.bands)}; choose the one that holds the "
            "classes (--labels-bidx)"
        )
    if file.nodata is not None and text_of(file.nodata) in map(text_of, source.values):
        file = open_scene(SceneSource(paths=(source.path,), nodata=_NO_VALUE))
    transform = _placed(source, file, scene)
    y, x = _reach(source, file, transform, scene)
    counts = _scanned(source, file, (y, x))
    matching = _matching(source, file, counts, classes)
    values = np.array(sorted(counts))
    ids = np.array([matching.ids.get(text_of(value), NODATA) for value in values.tolist()], np.uint8)
    raster = ClassRaster(file, transform, source.bidx, values, ids)
    if keep and y.size * x.size <= KEPT:
        kept = np.concatenate([raster._classes(*strip) for strip in _strips(file, source.bidx, (y, x))])
        raster = replace(raster, kept=kept, origin=(y.start, x.start), objects=_objects(kept, matching.classes))
    return raster, matching.classes, _facts(source, raster, matching.classes, counts, y.size * x.size)


def _placed(source: LabelSource, file: Scene, scene: Scene) -> Affine:
    """From the raster's pixels to the scene's CRS. Raises LabelError where nothing says so."""
    here, there = file.grid.crs, scene.grid.crs
    unplaced = here is None and file.grid.affine.is_identity
    if unplaced and file.grid.shape == scene.grid.shape:
        return scene.grid.affine  # a mask beside its picture, pixel for pixel
    if here is None and (there is not None or unplaced or scene.grid.affine.is_identity):
        raise LabelError(
            f"{source.path}: has no CRS, and {_size(file.grid)} pixels where the scene {scene.name} has "
            f"{_size(scene.grid)}; expected the scene's CRS or its size; set it: gdal_edit.py -a_srs EPSG:..."
        )
    if there is None and here is not None:
        raise LabelError(
            f"{source.path}: is in {here}, but the scene {scene.name} has no CRS; give the scene one (gdal_edit.py "
            "-a_srs)"
        )
    if here and there and here != there and not here.proj.equals(there.proj, ignore_axis_order=True):
        raise LabelError(
            f"{source.path}: is in {here}, the scene {scene.name} in {there}; expected a raster of classes in the "
            f"scene's CRS; reproject it: gdalwarp -t_srs {there} -r near {source.path} labels.tif"
        )
    return file.grid.affine


def _reach(source: LabelSource, file: Scene, transform: Affine, scene: Scene) -> tuple[Span, Span]:
    """The raster's rows and columns that meet the scene. Raises LabelError when there are none."""
    own = GeoBox(file.grid.shape, transform, scene.grid.crs)
    placement = place(_shape(scene.grid), scene.grid.affine, own)
    if placement.y.size == 0 or placement.x.size == 0:
        raise LabelError(
            f"{source.path}: misses the scene {scene.name}: the labels span {listed(own.boundingbox)}, the scene "
            f"{listed(extent(scene).bounds)} (left, bottom, right, top in the scene's CRS); choose labels that meet it"
        )
    return placement.y, placement.x


def _strips(
    file: Scene, bidx: int, window: tuple[Span, Span]
) -> Iterator[tuple[NDArray[Any], NDArray[np.bool_] | None]]:
    """Values (y, x) of a window, some rows at a time, and where they are data (None: everywhere)."""
    y, x = window
    step = max(1, _STRIP // x.size)
    spans = [Span(top, min(top + step, y.stop)) for top in range(y.start, y.stop, step)]
    for rows in file.reader((bidx,), threads=1).rows(spans, x):
        yield rows.pixels[0], rows.valid


def _scanned(source: LabelSource, file: Scene, window: tuple[Span, Span]) -> dict[Any, int]:
    """How often each value occurs in a window."""
    counts: dict[Any, int] = {}
    for pixels, valid in _strips(file, source.bidx, window):
        values, times = _tallied(pixels.ravel() if valid is None else pixels[valid])
        for value, count in zip(values.tolist(), times.tolist(), strict=True):
            counts[value] = counts.get(value, 0) + count
        if len(counts) > _MOST:
            raise LabelError(
                f"{source.path}: band {source.bidx} holds more than {_MOST} different values; expected classes; give "
                "the raster of classes, or choose its band (--labels-bidx)"
            )
    return counts


def _tallied(pixels: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """The values that occur, and how often."""
    if pixels.dtype != np.uint8:
        return np.unique(pixels, return_counts=True)
    times = np.bincount(pixels, minlength=256)
    values = np.flatnonzero(times)
    return values, times[values]


def _matching(source: LabelSource, file: Scene, counts: dict[Any, int], classes: ClassSet | None) -> Matching:
    """The classes of the values; a byte of 255 is unknown ground unless the user says what it is."""
    told = set(map(text_of, source.values))
    unknown = {str(NODATA)} - told if file.dtype == np.uint8 else set()
    texts = sorted({text_of(value) for value in counts} - unknown)
    if not texts:
        raise LabelError(
            f"{source.path}: holds no labels where the scene is, only nodata; choose labels of the scene's ground"
        )
    if texts == ["0"] and NODATA in counts:
        raise LabelError(
            f"{source.path}: holds 0 and 255 only, and 255 is ground that nobody knows; if it is a class, say "
            "--class-value 255=NAME"
        )
    if len(texts) == 1 and file.nodata == 0 and "0" not in told:
        raise LabelError(
            f"{source.path}: holds {texts[0]} only, and 0 is declared to be nodata, so that no ground is known to be "
            "background; if it is, say --class-value 0=background"
        )
    legend = read_legend(source.path, source.bidx)
    if classes is not None:
        return matched(texts, source, classes, {str(value): name for value, name in legend.names.items()})
    odd = [text for text in texts if not text.removeprefix("-").isdigit()]
    if odd:
        raise LabelError(
            f"{source.path}: band {source.bidx} holds {', '.join(odd[:8])}; expected whole numbers that stand for "
            "classes"
        )
    return counted(map(int, texts), source, legend)


def _objects(kept: NDArray[np.uint8], classes: ClassSet) -> NDArray[np.int32] | None:
    """The number of each run of touching pixels of one thing's class; None where no class is a thing."""
    things = np.zeros(256, np.bool_)
    things[[c.id for c in classes.foreground if c.kind == "thing"]] = True
    return touching(kept, things) if things.any() else None


def _facts(
    source: LabelSource, raster: ClassRaster, classes: ClassSet, counts: dict[Any, int], scanned: int
) -> dict[str, Any]:
    grid = raster.file.grid
    ids = dict(zip(raster.values.tolist(), raster.ids.tolist(), strict=True))
    return {
        "path": source.path,
        "kind": "raster",
        "crs": str(grid.crs) if grid.crs else None,
        "size": list(_shape(grid)),
        "pixels": {c.name: sum(n for value, n in counts.items() if ids[value] == c.id) for c in classes.classes},
        "unknown_pixels": scanned - sum(n for value, n in counts.items() if ids[value] != NODATA),
        "objects": None if raster.objects is None else int(raster.objects.max(initial=0)),
    }


def _shape(grid: GeoBox) -> tuple[int, int]:
    return int(grid.shape[0]), int(grid.shape[1])


def _size(grid: GeoBox) -> str:
    return f"{grid.shape[1]} x {grid.shape[0]}"
