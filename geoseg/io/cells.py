"""The cells in which threads read: they follow the files' blocks and the grid, never the runs of rows asked for."""

from __future__ import annotations

import itertools
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import psutil

from geoseg.core.tiling import Span
from geoseg.io.assembly import Assembly
from geoseg.io.patches import Part
from geoseg.io.raster import CACHE_BYTES
from geoseg.io.sheets import Sheet

ROWS = 512  # of a unit, about
COLUMNS = 2048  # of a cell of what is resampled
CELL_BYTES = 16 * 2**20
UNIT_BYTES = 64 * 2**20


@dataclass(frozen=True, slots=True)
class Cells:
    """Edges of cells, rising from 0 to the grid's height and width.

    `sequential` says that one thread is as fast as several, `cache_bytes` how much GDAL has to cache for blocks to be
    decoded once.
    """

    rows: tuple[int, ...]
    columns: tuple[int, ...]
    sequential: bool = False
    cache_bytes: int = CACHE_BYTES

    def across(self, x: Span) -> Iterator[Span]:
        """The columns of the cells that meet `x`."""
        first, last = bisect_right(self.columns, x.start) - 1, bisect_left(self.columns, x.stop)
        for index in range(first, last):
            yield Span(self.columns[index], self.columns[index + 1])


def cells_for(assembly: Assembly, shape: tuple[int, int], pixel_bytes: int) -> Cells:
    """The cells for reading an assembly on a grid of `shape` (height, width), at so many bytes a pixel.

    Formats that are decoded from the first row on, and files of tall blocks, are read by one thread, in whole rows from
    top to bottom, with room for a row of those blocks in GDAL's cache.
    """
    parts = [part for sheet in assembly.sheets for part in sheet.parts]
    cache = _cache_bytes(assembly)
    one_way = cache > CACHE_BYTES or any(part.file.one_way or _tall(part) for part in parts)
    rows, columns = (_edges_direct if assembly.direct else _edges_resampled)(assembly, shape, pixel_bytes, one_way)
    return Cells(rows, columns, one_way, cache)


def _tall(part: Part) -> bool:
    return part.file.block_shape[0] > ROWS and _row_bytes(part) > UNIT_BYTES


def _row_bytes(part: Part) -> int:
    """Bytes of one row of the file's blocks, all bands."""
    return part.file.block_shape[0] * part.x.size * sum(np.dtype(d).itemsize for d in part.file.dtypes)


def _cache_bytes(assembly: Assembly) -> int:
    """Room for the rows of tall blocks that are met at once, but not more than half of the memory that is free."""
    needed = 0
    for sheet in assembly.sheets:
        tall = [part for part in sheet.parts if _tall(part)]
        needed += max((sum(_row_bytes(p) for p in tall if p.y.start <= y < p.y.stop) for y in _starts(tall)), default=0)
    return max(CACHE_BYTES, min(needed * 5 // 4, psutil.virtual_memory().available // 2))


def _starts(parts: Sequence[Part]) -> set[int]:
    return {part.y.start for part in parts}


def _edges_resampled(
    assembly: Assembly, shape: tuple[int, int], pixel_bytes: int, one_way: bool
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Edges of cells for which the files' pixels do not take more than about CELL_BYTES."""
    shrinks = [float(np.prod(sheet.placement.scale)) for sheet in assembly.sheets]
    area = max(1, int(CELL_BYTES / (pixel_bytes * max(1.0, *shrinks))))
    rows = max(1, min(ROWS, area // shape[1] if one_way else int(np.sqrt(area))))
    columns = shape[1] if one_way else max(1, min(COLUMNS, area // rows))
    return _edges(shape[0], rows, 0), _edges(shape[1], columns, 0)


def _edges_direct(
    assembly: Assembly, shape: tuple[int, int], pixel_bytes: int, one_way: bool
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Edges of cells on the files' own blocks."""
    laid = [_Laid.on_grid(part, sheet) for sheet in assembly.sheets for part in sheet.parts]
    limit = max(1, CELL_BYTES // (shape[1] * pixel_bytes))
    if any(_tall(each.part) for each in laid):
        return _edges(shape[0], limit, 0), (0, shape[1])
    rows = _row_edges(laid, shape[0], min(ROWS, limit))
    if one_way or len(laid) > 1:
        return rows, (0, shape[1]) if one_way else _edges(shape[1], COLUMNS, 0)
    down, across = laid[0].part.file.block_shape
    columns = _multiple(across, CELL_BYTES // (min(down, ROWS) * pixel_bytes))
    return rows, _edges(shape[1], columns, laid[0].x.start)


@dataclass(frozen=True, slots=True)
class _Laid:
    """A part, and the rows and columns of the grid that it has the pixels of; they may reach beyond the grid."""

    part: Part
    y: Span
    x: Span

    @classmethod
    def on_grid(cls, part: Part, sheet: Sheet) -> _Laid:
        down, across = sheet.placement.offset or (0, 0)
        return cls(
            part,
            Span(part.y.start - down, part.y.stop - down),
            Span(part.x.start - across, part.x.stop - across),
        )


def _row_edges(laid: Sequence[_Laid], height: int, wanted: int) -> tuple[int, ...]:
    """Edges about `wanted` apart that start anew, on the blocks' own rows, where a part begins or ends."""
    grid = Span(0, height)
    cuts = sorted({0, height, *(edge for each in laid for edge in (each.y.clip(grid).start, each.y.clip(grid).stop))})
    edges = set(cuts)
    for start, stop in itertools.pairwise(cuts):
        here = [each for each in laid if each.y.start <= start and each.y.stop >= stop]
        step = _multiple(here[0].part.file.block_shape[0], wanted) if here else ROWS
        anchor = here[0].y.start if here else start
        edges.update(range(start + (anchor - start) % step, stop, step))
    return tuple(sorted(edges))


def _multiple(step: int, wanted: int) -> int:
    return step * max(1, wanted // step)


def _edges(size: int, step: int, anchor: int) -> tuple[int, ...]:
    first = anchor % step
    return tuple(sorted({0, size, *range(first, size, step)}))
