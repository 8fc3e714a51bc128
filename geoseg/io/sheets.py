"""Sheets: files that share their pixels, read as one raster, and resampled as one where the grid has other pixels.

Files are laid over one another, and bands side by side, before anything is resampled: so the seams between the files of
a mosaic do not show, and the files' own pixels decide what counts as data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from geoseg.core.tiling import Span
from geoseg.io.grid import Placement
from geoseg.io.patches import Part, Patches, Valid
from geoseg.io.raster import combined, validity
from geoseg.io.resample import resample, window_behind


class Masks(NamedTuple):
    """Where pixels have data as far as their values tell, and where there are any: (y, x), None for everywhere."""

    told: Valid
    there: Valid

    @property
    def valid(self) -> Valid:
        """Where both say so."""
        if self.told is None or self.there is None:
            return self.there if self.told is None else self.told
        return self.told & self.there

    @classmethod
    def beside(cls, masks: Sequence[Masks], one_is_enough: bool) -> Masks:
        """The masks of bands that lie side by side, out of those of each."""
        return cls(
            combined([mask.told for mask in masks], one_is_enough), combined([mask.there for mask in masks], False)
        )


class Readable(Protocol):
    """What holds pixels in a window of a grid."""

    @property
    def y(self) -> Span:
        """The rows that it reaches."""
        ...

    @property
    def x(self) -> Span:
        """The columns that it reaches."""
        ...

    def read(self, patches: Patches, y: Span, x: Span, out: NDArray[Any]) -> Masks:
        """The masks of a window inside what it reaches; its pixels (band, y, x) are written to `out`."""
        ...


@dataclass(frozen=True, slots=True)
class Bands:
    """Bands `bands` (counted from 1) of one part; `one_is_enough` as in `raster.combined`."""

    part: Part
    bands: tuple[int, ...]
    one_is_enough: bool

    @property
    def y(self) -> Span:
        """The rows that the part holds."""
        return self.part.y

    @property
    def x(self) -> Span:
        """The columns that the part holds."""
        return self.part.x

    def read(self, patches: Patches, y: Span, x: Span, out: NDArray[Any]) -> Masks:
        """The masks of a window inside the part; its pixels (band, y, x) are written to `out`."""
        there = patches.read(self.part, self.bands, y, x, out)
        return Masks(validity(out, self.part.file, self.bands, self.one_is_enough), there)


@dataclass(frozen=True, slots=True)
class Sheet:
    """Rasters of the same pixels, a raster of `shape` (height, width) that lies on the grid as `placement` says.

    `piles` lie side by side: each gives as many bands as it says; the first of a pile's `Bands` lies on top.
    """

    placement: Placement
    shape: tuple[int, int]
    piles: tuple[tuple[Bands, ...], ...]
    one_is_enough: bool

    @property
    def y(self) -> Span:
        """The grid's rows that the sheet reaches."""
        return self.placement.y

    @property
    def x(self) -> Span:
        """The grid's columns that the sheet reaches."""
        return self.placement.x

    @property
    def count(self) -> int:
        """Number of bands."""
        return sum(len(pile[0].bands) for pile in self.piles)

    @property
    def parts(self) -> list[Part]:
        """All parts."""
        return [bands.part for pile in self.piles for bands in pile]

    def read(self, patches: Patches, y: Span, x: Span, out: NDArray[Any]) -> Masks:
        """The masks of a window of the grid inside what the sheet reaches; pixels (band, y, x) are written to `out`."""
        offset = self.placement.offset
        if offset is None:
            return self._resampled(patches, y, x, out)
        return self._own(
            patches,
            Span(y.start + offset[0], y.stop + offset[0]),
            Span(x.start + offset[1], x.stop + offset[1]),
            out,
        )

    def _own(self, patches: Patches, y: Span, x: Span, out: NDArray[Any]) -> Masks:
        """The same for a window of the sheet's own pixels."""
        masks, first = [], 0
        for pile in self.piles:
            last = first + len(pile[0].bands)
            masks.append(over(patches, pile, (y, x), out[first:last]))
            first = last
        return Masks.beside(masks, self.one_is_enough)

    def _resampled(self, patches: Patches, y: Span, x: Span, out: NDArray[Any]) -> Masks:
        rows, columns = window_behind(self.placement, self.shape, y, x)
        source = np.empty((self.count + 1, rows.size, columns.size), dtype=out.dtype)
        masks = self._own(patches, rows, columns, source[:-1])
        place = (rows.start, columns.start), self.placement, (y.start, x.start)
        if masks.valid is None:
            return Masks(None, resample(source[:-1], *place, out))
        source[-1] = masks.valid
        held = resample(source, *place, out)
        if masks.told is None:
            return Masks(None, held)
        for plane, value in zip(out, self._fill(), strict=True):
            plane[~held] = value
        if masks.there is None:
            return Masks(held, None)
        alone = np.stack([masks.there, masks.there]).astype(np.uint8)
        return Masks(held, resample(alone, *place, np.empty((1, *out.shape[1:]), np.uint8)))

    def _fill(self) -> list[float]:
        """What each band holds where it has no data: its nodata value as the top file says, or 0."""
        values = [pile[0].part.file.band_nodata(band) for pile in self.piles for band in pile[0].bands]
        return [0 if value is None else value for value in values]


def over(patches: Patches, readables: Sequence[Readable], at: tuple[Span, Span], out: NDArray[Any]) -> Masks:
    """The masks of a window in which each pixel is the first one's that has data there; 0 is where none has.

    `out` (band, y, x) is filled. One alone keeps its two masks apart; of several it is known only where there is data.
    """
    if len(readables) == 1:
        return _alone(patches, readables[0], at, out)
    out[...] = 0
    filled = np.zeros(out.shape[1:], dtype=bool)
    for readable in readables:
        rows, columns, inside = _met(readable, at)
        free = ~filled[inside]
        if free.any():
            block = np.empty((len(out), rows.size, columns.size), dtype=out.dtype)
            valid = readable.read(patches, rows, columns, block).valid
            take = free if valid is None else free & valid
            np.copyto(out[:, *inside], block, where=take)
            filled[inside] |= take
    return Masks(None, None if filled.all() else filled)


def _alone(patches: Patches, readable: Readable, at: tuple[Span, Span], out: NDArray[Any]) -> Masks:
    rows, columns, inside = _met(readable, at)
    if (rows, columns) == at:
        return readable.read(patches, rows, columns, out)
    out[...] = 0
    there = np.zeros(out.shape[1:], dtype=bool)
    if not there[inside].size:
        return Masks(None, there)
    masks = readable.read(patches, rows, columns, out[:, *inside])
    there[inside] = True if masks.there is None else masks.there
    told = None
    if masks.told is not None:
        told = np.zeros(out.shape[1:], dtype=bool)
        told[inside] = masks.told
    return Masks(told, there)


def _met(readable: Readable, at: tuple[Span, Span]) -> tuple[Span, Span, tuple[slice, slice]]:
    """The part of a window that something reaches: rows, columns, and where they lie in the window."""
    y, x = at
    rows, columns = y.clip(readable.y), x.clip(readable.x)
    return rows, columns, (
        slice(rows.start - y.start, rows.stop - y.start), slice(columns.start - x.start, columns.stop - x.start)
    )  # fmt: skip
