"""A scene's truth and map, row by row: what is compared of a scene of any size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self, TypeVar

import numpy as np
import shapely
from numpy.typing import NDArray

from geoseg.core.classes import NODATA
from geoseg.core.tiling import Span
from geoseg.errors import SceneError
from geoseg.evaluation.blank import pure_pixels
from geoseg.io.grid import place
from geoseg.io.labels.labels import Labels
from geoseg.io.labels.painting import covered
from geoseg.io.scene import Scene, SceneSource, open_scene
from geoseg.io.transfer import mapped

LEAST_ROWS = 64
READERS = 2


@dataclass(frozen=True, slots=True, eq=False)
class Planes:
    """Rows `y` of a window: the classes that are there and those of the map, uint8 (y, x), 255 for unknown."""

    y: Span
    truth: NDArray[np.uint8]
    found: NDArray[np.uint8]

    def after(self, above: Planes) -> Planes:
        """These rows below others."""
        return Planes(
            Span(above.y.start, self.y.stop),
            np.concatenate([above.truth, self.truth]),
            np.concatenate([above.found, self.found]),
        )

    def rows(self, y: Span) -> Planes:
        """Some of them."""
        inside = slice(y.start - self.y.start, y.stop - self.y.start)
        return Planes(y, self.truth[inside], self.found[inside])


def spans(y: Span, width: int, pixels: int) -> list[Span]:
    """Runs of rows of about so many pixels, in order."""
    rows = max(LEAST_ROWS, pixels // max(1, width))
    return [Span(start, min(start + rows, y.stop)) for start in range(y.start, y.stop, rows)]


class Held(Protocol):
    """Rows `y` of anything."""

    @property
    def y(self) -> Span:
        """Which rows."""
        ...

    def after(self, above: Self) -> Self:
        """These rows below others."""
        ...

    def rows(self, y: Span) -> Self:
        """Some of them."""
        ...


Strip = TypeVar("Strip", bound=Held)


def with_halo(strips: Iterator[Strip], halo: int, last: int) -> Iterator[tuple[Strip, Span]]:
    """Strips with `halo` rows above and below, where there are any, and the rows of each that were not in another.

    `last` is where the rows end.
    """
    held: Strip | None = None
    done = 0
    for strip in strips:
        if held is None:
            done = strip.y.start
        held = strip.after(held) if held is not None and held.y.size else strip
        ready = held.y.stop if held.y.stop == last else held.y.stop - halo
        if ready > done:
            yield held, Span(done, ready)
            done = ready
            held = held.rows(Span(max(held.y.start, done - halo), held.y.stop))


def classes_of(path: Path, scene: Scene, rows: Sequence[Span], x: Span) -> Iterator[NDArray[np.uint8]]:
    """Runs of rows (y, x) uint8 of a class raster that has the scene's pixels, 255 where it has no data.

    It may show a part of the scene, or reach beyond it. Raises SceneError for any other raster.
    """
    raster = open_scene(SceneSource(paths=(str(path),), bidx=(1,)))
    here, there = raster.grid, scene.grid
    shape = int(here.shape[0]), int(here.shape[1])
    lies = place(shape, here.affine, there) if here.crs == there.crs else None
    if lies is None or lies.offset is None or not (lies.y.size and lies.x.size):
        raise SceneError(
            f"{path}: found {here.shape[1]} x {here.shape[0]} pixels at {tuple(here.affine[:6])} in {here.crs}; "
            f"expected pixels of {scene.name}, {there.shape[1]} x {there.shape[0]} at {tuple(there.affine[:6])} in "
            f"{there.crs}; "
            "resample it: gdalwarp -r near -te ... -ts ..."
        )
    if raster.dtype.kind not in "iu":
        raise SceneError(
            f"{path}: found {raster.dtype} pixels; expected whole numbers; convert them: gdal_translate -ot Byte"
        )
    for run in raster.reader((1,), there, threads=READERS).rows(rows, x):
        pixels = run.pixels[0]
        if run.valid is not None:
            pixels[~run.valid] = NODATA if pixels.dtype.kind == "u" else -1
        if pixels.dtype != np.uint8:  # of models that tell objects apart: the classes are wider, for the objects' sake
            pixels = np.where((pixels >= 0) & (pixels < NODATA), pixels, NODATA).astype(np.uint8)
        yield pixels


@dataclass(frozen=True, slots=True)
class Blank:
    """Which pixels of a scene show nothing beside those without data: pure ones of the `colours`, as in `LabelSource`.

    `bidx` are the bands that are looked at, counted from 1; None for all.
    """

    colours: tuple[str, ...] = ()
    bidx: tuple[int, ...] | None = None

    def bands_of(self, scene: Scene) -> tuple[int, ...]:
        """The bands of a scene that are looked at."""
        return self.bidx or tuple(range(1, len(scene.bands) + 1))


def imagery(scene: Scene, blank: Blank, rows: Sequence[Span], x: Span) -> Iterator[NDArray[np.bool_] | None]:
    """Where the scene shows the ground, in runs of rows (y, x); None for everywhere.

    Pixels are only read where some may show nothing.
    """
    if not (blank.colours or _may_lack(scene)):
        for _ in rows:
            yield None
        return
    for run in scene.reader(blank.bands_of(scene), threads=READERS).rows(rows, x):
        pure = pure_pixels(run.pixels, blank.colours)
        yield ~pure if run.valid is None else run.valid & ~pure


def _may_lack(scene: Scene) -> bool:
    """Whether there may be pixels without data: a mask, a nodata value, gaps of a mosaic, NaN."""
    files = [file for layer in scene.layers for file in layer.files]
    told = any(f.masked or f.own_masks or f.alpha is not None or f.band_nodata(1) is not None for f in files)
    return told or len(files) > 1 or scene.dtype.kind == "f"


class Hidden:
    """Counts how many pixels of each polygon lie where nobody knows the truth; `pixels` int64 (polygon,)."""

    def __init__(self, labels: Labels, scene: Scene) -> None:
        """The polygons of `labels`, which know no area and nothing ignored."""
        self._labels, self._grid = labels, scene.grid
        self.pixels = np.zeros(len(labels.polygons), np.int64)
        self._buried: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None

    def see(self, unknown: NDArray[np.bool_], y: Span, x: Span) -> None:
        """Count on the window where `unknown` (y, x) says so."""
        if not (len(self.pixels) and unknown.any()):
            return
        numbers = self._labels.window(self._grid, y, x).object_ids[unknown]
        seen = np.bincount(numbers, minlength=len(self.pixels) + 1)[1:]
        self._buried = self._buried or self._find_buried()
        buried, boxes = self._buried
        seen[buried] = 0  # of what lies below others, the painted pixels are a part alone
        self.pixels += seen
        meets = (boxes[:, :2] < (x.stop, y.stop)).all(axis=1) & (boxes[:, 2:] > (x.start, y.start)).all(axis=1)
        for number, (left, top, right, bottom) in zip(buried[meets], boxes[meets].tolist(), strict=True):
            rows, columns = Span(top, bottom).clip(y), Span(left, right).clip(x)
            part = unknown[rows.start - y.start : rows.stop - y.start, columns.start - x.start : columns.stop - x.start]
            if part.any():
                inside = covered(self._labels.polygons[[number]], ~self._grid.affine, (rows, columns))
                self.pixels[number] += np.count_nonzero(inside & part)

    def _find_buried(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The polygons (polygon,) that smaller ones cover in part, and the pixels (polygon, 4) around each."""
        polygons = self._labels.polygons
        area = shapely.area(polygons)
        one, other = shapely.STRtree(polygons).query(polygons, predicate="intersects")
        below = (area[one] > area[other]) | ((area[one] == area[other]) & (one < other))
        one, other = one[below], other[below]
        over = shapely.area(shapely.intersection(polygons[one], polygons[other])) > 0  # neighbours only touch
        buried = np.unique(one[over]).astype(np.int64)
        bounds = shapely.bounds(mapped(polygons[buried], ~self._grid.affine)).reshape(-1, 4)
        return buried, np.column_stack([np.floor(bounds[:, :2]), np.ceil(bounds[:, 2:])]).astype(np.int64)
