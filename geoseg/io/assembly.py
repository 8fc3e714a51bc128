"""From parts to arrays: which file gives which band of the result, what lies on top, and the arrays that are filled."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from geoseg.core.tiling import Span
from geoseg.io.grid import place
from geoseg.io.layers import Layer
from geoseg.io.patches import Part, Patches, Valid
from geoseg.io.raster import RasterFile


@dataclass(frozen=True, slots=True)
class Selection:
    """Which pixels: bands `bidx` (counted from 1) of the layers, as `dtype`, from overviews where that will do."""

    layers: tuple[Layer, ...]
    bidx: tuple[int, ...]
    dtype: np.dtype[Any]
    overviews: bool = False


@dataclass(frozen=True, slots=True)
class Pick:
    """Bands of the result that come from the same parts; the first part lies on top."""

    out: slice
    bands: tuple[int, ...]
    parts: tuple[Part, ...]

    def straight(self, shape: tuple[int, int]) -> Part | None:
        """The only part, when it shares its pixels with the grid and covers all of it."""
        part = self.parts[0]
        whole = part.placement.y == Span(0, shape[0]) and part.placement.x == Span(0, shape[1])
        return part if len(self.parts) == 1 and whole and part.placement.offset is not None else None


@dataclass(slots=True)
class Target:
    """A run of rows that threads fill, each its own part of the arrays; `valid` is made when it is first needed."""

    y: Span
    x: Span
    pixels: NDArray[Any]
    valid: Valid = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def view(self, y: Span, x: Span) -> NDArray[Any]:
        """The pixels of a window inside this run: (band, y, x)."""
        return self.pixels[
            :, y.start - self.y.start : y.stop - self.y.start, x.start - self.x.start : x.stop - self.x.start
        ]

    def restrict(self, y: Span, x: Span, valid: Valid | bool) -> None:
        """Make what is not valid in a window invalid here."""
        if valid is None or valid is True:
            return
        with self.lock:
            if self.valid is None:
                self.valid = np.ones(self.pixels.shape[1:], dtype=bool)
        self.valid[y.start - self.y.start : y.stop - self.y.start, x.start - self.x.start : x.stop - self.x.start] &= (
            valid
        )


def layered(patches: Patches, pick: Pick, cell: tuple[Span, Span], dtype: np.dtype[Any]) -> tuple[NDArray[Any], Valid]:
    """Pixels (band, y, x) and valid mask of one cell: each pixel is from the first part that has data there."""
    y, x = cell
    pixels = np.zeros((len(pick.bands), y.size, x.size), dtype=dtype)
    filled = np.zeros((y.size, x.size), dtype=bool)
    for part in pick.parts:
        rows, columns = y.clip(part.placement.y), x.clip(part.placement.x)
        inside = (
            slice(rows.start - y.start, rows.stop - y.start),
            slice(columns.start - x.start, columns.stop - x.start),
        )
        free = ~filled[inside]
        if not free.any():
            continue
        block = np.empty((len(pick.bands), rows.size, columns.size), dtype=dtype)
        valid = patches.read(part, pick.bands, rows, columns, block)
        take = free if valid is None else free & valid
        np.copyto(pixels[:, *inside], block, where=take)
        filled[inside] |= take
    return pixels, None if filled.all() else filled


def picks(selection: Selection, grid: GeoBox) -> tuple[Pick, ...]:
    """Where each band of the result comes from."""
    layers = selection.layers
    parts = [tuple(_part(file, grid, selection.overviews) for file in layer.files) for layer in layers]
    if len(layers) == 1:
        return (Pick(slice(0, len(selection.bidx)), selection.bidx, parts[0]),)
    return tuple(Pick(slice(i, i + 1), (1,), parts[band - 1]) for i, band in enumerate(selection.bidx))


def _part(file: RasterFile, grid: GeoBox, overviews: bool) -> Part:
    placement = place(file.shape, file.transform, grid)
    if not overviews or not file.overviews:
        return Part(file, placement)
    usable = [level for level, factor in enumerate(file.overviews) if factor <= min(placement.scale) * 1.01]
    if not usable:
        return Part(file, placement)
    level = usable[-1]
    shape = tuple(-(-n // file.overviews[level]) for n in file.shape)
    transform = file.transform * file.transform.scale(file.shape[1] / shape[1], file.shape[0] / shape[0])
    return Part(file, place((shape[0], shape[1]), transform, grid), level)
