"""The cells in which threads read: they follow the files' blocks and the grid, never the runs of rows asked for."""

from __future__ import annotations

import itertools
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from geoseg.core.tiling import Span
from geoseg.io.patches import Part
from geoseg.io.raster import CACHE_BYTES

ROWS = 512  # of a unit, about
COLUMNS = 2048  # of a cell of what is resampled
CELL_BYTES = 16 * 2**20
UNIT_BYTES = 64 * 2**20
ONE_WAY = frozenset({"PNG", "JPEG", "GIF", "BMP", "WEBP"})  # formats that are decoded from the first row on


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


def cells_for(parts: Sequence[Part], shape: tuple[int, int], pixel_bytes: int) -> Cells:
    """The cells for reading parts of files on a grid of `shape` (height, width), at so many bytes a pixel."""
    lead = parts[0]
    if len(parts) > 1 or lead.placement.offset is None:
        return Cells(_row_edges(parts, shape[0]), _edges(shape[1], COLUMNS, 0))
    (down, across), offset = lead.file.block_shape, lead.placement.offset
    row_bytes = shape[1] * pixel_bytes
    tall = down * row_bytes > UNIT_BYTES
    rows = max(1, CELL_BYTES // row_bytes) if tall else _multiple(down, min(ROWS, CELL_BYTES // row_bytes))
    columns = _multiple(across, CELL_BYTES // (min(down, ROWS) * pixel_bytes))
    block_bytes = down * max(across, columns) * sum(np.dtype(d).itemsize for d in lead.file.dtypes)
    return Cells(
        _edges(shape[0], rows, -offset[0]),
        _edges(shape[1], columns, -offset[1]),
        tall or lead.file.driver in ONE_WAY,
        max(CACHE_BYTES, block_bytes + block_bytes // 4 if tall else 0),
    )


def _multiple(step: int, wanted: int) -> int:
    return step * max(1, wanted // step)


def _edges(size: int, step: int, anchor: int) -> tuple[int, ...]:
    first = anchor % step
    return tuple(sorted({0, size, *range(first, size, step)}))


def _row_edges(parts: Sequence[Part], height: int) -> tuple[int, ...]:
    """Edges about ROWS apart that start anew, on the blocks' own rows, where a part begins or ends."""
    cuts = sorted({0, height, *(edge for p in parts for edge in (p.placement.y.start, p.placement.y.stop))})
    edges = set(cuts)
    for start, stop in itertools.pairwise(cuts):
        here = [p for p in parts if p.placement.y.start <= start and p.placement.y.stop >= stop]
        direct = [p for p in here if p.placement.offset is not None]
        if not direct:
            edges.update(range(start, stop, ROWS))
            continue
        step = _multiple(direct[0].file.block_shape[0], ROWS)
        first = start + (-(direct[0].placement.offset or (0, 0))[0] - start) % step
        edges.update(range(first, stop, step))
    return tuple(sorted(edges))
