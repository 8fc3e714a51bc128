"""A scene's truth and map, row by row: what is compared of a scene of any size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoseg.core.classes import NODATA
from geoseg.core.tiling import Span
from geoseg.errors import SceneError
from geoseg.io.grid import place
from geoseg.io.labels.labels import Labels
from geoseg.io.scene import Scene, SceneSource, open_scene

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


def with_halo(strips: Iterator[Planes], halo: int, last: int) -> Iterator[tuple[Planes, Span]]:
    """Strips with `halo` rows above and below, where there are any, and the rows of each that were not in another.

    `last` is where the rows end.
    """
    held: Planes | None = None
    done = 0
    for strip in strips:
        if held is None:
            done = strip.y.start
        held = strip if held is None else strip.after(held)
        ready = held.y.stop if held.y.stop == last else held.y.stop - halo
        if ready > done:
            yield held, Span(done, ready)
            done = ready
            held = held.rows(Span(max(held.y.start, done - halo), held.y.stop))


def classes_of(path: Path, scene: Scene, rows: Sequence[Span], x: Span) -> Iterator[NDArray[np.uint8]]:
    """Runs of rows (y, x) of a raster of bytes that has the scene's pixels, 255 where it has no data.

    It may show a part of the scene, or reach beyond it. Raises SceneError for any other raster.
    """
    raster = open_scene(SceneSource(paths=(str(path),), bidx=(1,)))
    here, there = raster.grid, scene.grid
    lies = place(here.shape, here.affine, there) if here.crs == there.crs else None
    if lies is None or lies.offset is None or not (lies.y.size and lies.x.size):
        raise SceneError(
            f"{path}: found {here.shape[1]} x {here.shape[0]} pixels at {tuple(here.affine[:6])} in {here.crs}; "
            f"expected pixels of {scene.name}, {there.shape[1]} x {there.shape[0]} at {tuple(there.affine[:6])} in "
            f"{there.crs}; "
            "resample it: gdalwarp -r near -te ... -ts ..."
        )
    if raster.dtype != np.uint8:
        raise SceneError(f"{path}: found {raster.dtype} pixels; expected bytes; convert them: gdal_translate -ot Byte")
    for run in raster.reader((1,), there, threads=READERS).rows(rows, x):
        if run.valid is not None:
            run.pixels[0][~run.valid] = NODATA
        yield run.pixels[0]


def imagery(scene: Scene, blank: Sequence[str], rows: Sequence[Span], x: Span) -> Iterator[NDArray[np.bool_] | None]:
    """Where the scene shows the ground, in runs of rows (y, x); None for everywhere.

    `blank` says which pixels show nothing: those with the least ("black") or largest ("white") value of the dtype in
    every band. Pixels are only read where some may show nothing.
    """
    if not (blank or _may_lack(scene)):
        for _ in rows:
            yield None
        return
    bands = tuple(range(1, len(scene.bands) + 1))
    for run in scene.reader(bands, threads=READERS).rows(rows, x):
        shown = np.ones(run.pixels.shape[1:], np.bool_) if run.valid is None else run.valid.copy()
        for value in _blank_values(scene.dtype, blank):
            shown &= (run.pixels != value).any(axis=0)
        yield shown


def _blank_values(dtype: np.dtype[Any], blank: Sequence[str]) -> list[float]:
    ends = (0.0, 1.0) if dtype.kind == "f" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    return [ends[0 if name == "black" else 1] for name in blank]


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

    def see(self, unknown: NDArray[np.bool_], y: Span, x: Span) -> None:
        """Count on the window where `unknown` (y, x) says so."""
        if len(self.pixels) and unknown.any():
            numbers = self._labels.window(self._grid, y, x).object_ids[unknown]
            self.pixels += np.bincount(numbers, minlength=len(self.pixels) + 1)[1:]
