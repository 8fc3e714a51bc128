"""From parts to arrays: which file gives which band of the result, what lies on top, and the arrays that are filled."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from geoseg.core.tiling import Span
from geoseg.io.grid import Placement, extended, place, resized
from geoseg.io.layers import Layer
from geoseg.io.patches import Part, Patches, Valid
from geoseg.io.raster import RasterFile
from geoseg.io.sheets import Bands, Masks, Sheet, over


@dataclass(frozen=True, slots=True)
class Selection:
    """Which pixels: bands `bidx` (counted from 1) of the layers, as `dtype`, from overviews where that will do."""

    layers: tuple[Layer, ...]
    bidx: tuple[int, ...]
    dtype: np.dtype[Any]
    overviews: bool = False


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


@dataclass(frozen=True, slots=True)
class Assembly:
    """The sheets that give the bands of a scene on a grid: over one another, the first on top, or side by side.

    `bands` says for each sheet which bands of the result (counted from 0) it gives; those over one another give all.
    """

    sheets: tuple[Sheet, ...]
    bands: tuple[tuple[int, ...], ...]

    @property
    def direct(self) -> bool:
        """Whether all files share their pixels with the grid."""
        return all(sheet.placement.offset is not None for sheet in self.sheets)

    def read(self, patches: Patches, y: Span, x: Span, out: NDArray[Any]) -> Valid:
        """Where a window of the grid has data: (y, x), None for everywhere; its pixels (band, y, x) go to `out`."""
        if all(len(bands) == len(out) for bands in self.bands):
            return over(patches, self.sheets, (y, x), out).valid
        masks = []
        for sheet, bands in zip(self.sheets, self.bands, strict=True):
            block = np.empty((len(bands), y.size, x.size), dtype=out.dtype)
            masks.append(over(patches, [sheet], (y, x), block))
            out[list(bands)] = block
        return Masks.beside(masks, self.sheets[0].one_is_enough).valid


def assemble(selection: Selection, grid: GeoBox) -> Assembly:
    """The sheets that give the selected bands on `grid`."""
    layers, bidx = selection.layers, selection.bidx
    stacked = len(layers) > 1
    asked: list[tuple[RasterFile, tuple[int, ...], tuple[int, ...]]]
    if stacked:
        asked = [(layers[band - 1].files[0], (1,), (index,)) for index, band in enumerate(bidx)]
    else:
        asked = [(file, bidx, tuple(range(len(bidx)))) for file in layers[0].files]
    leaves = [_Leaf(*each, *_level(each[0], grid, selection.overviews)) for each in asked]
    groups = _grouped(leaves, ordered=not stacked)
    return Assembly(
        tuple(_sheet(leaves, lattice, grid, stacked, selection.dtype == np.uint8) for lattice, leaves in groups),
        tuple(tuple(i for leaf in leaves for i in leaf.out) if stacked else leaves[0].out for _, leaves in groups),
    )


@dataclass(frozen=True, slots=True)
class _Leaf:
    """Bands of a file, which bands of the result they are, and the grid of the file or of its overview `level`."""

    file: RasterFile
    bands: tuple[int, ...]
    out: tuple[int, ...]
    grid: GeoBox
    level: int | None


def _level(file: RasterFile, grid: GeoBox, overviews: bool) -> tuple[GeoBox, int | None]:
    """The grid of the file's coarsest overview that is not coarser than `grid`, and which it is; else the file's."""
    own = GeoBox(file.shape, file.transform, None)
    limit = min(place(file.shape, file.transform, grid).scale) * 1.01
    usable = [level for level, factor in enumerate(file.overviews) if factor <= limit]
    if not overviews or not usable:
        return own, None
    factor = file.overviews[usable[-1]]
    return resized(own, (-(-file.shape[0] // factor), -(-file.shape[1] // factor))), usable[-1]


def _grouped(leaves: Sequence[_Leaf], ordered: bool) -> list[tuple[GeoBox, list[_Leaf]]]:
    """Leaves that share their pixels, with a grid over all of them; `ordered` leaves stay over those they lie on."""
    groups: list[tuple[GeoBox, list[_Leaf]]] = []
    for leaf in leaves:
        for index, (lattice, members) in reversed(list(enumerate(groups))):
            wide = extended(lattice, [lattice, leaf.grid])
            if _laid(leaf.grid, wide).offset is not None:
                members.append(leaf)
                groups[index] = wide, members
                break
            if ordered and _meet(leaf.grid, lattice):
                groups.append((leaf.grid, [leaf]))
                break
        else:
            groups.append((leaf.grid, [leaf]))
    return groups


def _meet(grid: GeoBox, other: GeoBox) -> bool:
    reach = _laid(grid, other)
    return reach.y.size > 0 and reach.x.size > 0


def _sheet(leaves: Sequence[_Leaf], lattice: GeoBox, grid: GeoBox, stacked: bool, one_is_enough: bool) -> Sheet:
    bands = [Bands(_part(leaf, lattice), leaf.bands, one_is_enough) for leaf in leaves]
    piles = tuple((each,) for each in bands) if stacked else (tuple(bands),)
    return Sheet(_laid(lattice, grid), (int(lattice.shape[0]), int(lattice.shape[1])), piles, one_is_enough)


def _part(leaf: _Leaf, lattice: GeoBox) -> Part:
    lying = _laid(leaf.grid, lattice)
    return Part(leaf.file, lying.y, lying.x, leaf.level)


def _laid(grid: GeoBox, other: GeoBox) -> Placement:
    return place((int(grid.shape[0]), int(grid.shape[1])), grid.affine, other)
