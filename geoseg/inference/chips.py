"""Rows of pixels to batches of chips, in the global tile order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoseg.core.protocols import RowReader, Within
from geoseg.core.tiling import Block, Span, Tiling, reflect

HELD_BYTES = 256 << 20  # masks of finished rows that may wait for a batch to fill


@dataclass(frozen=True, slots=True)
class TileRow:
    """One row of tiles: `pixels` (band, y, x) and `valid` (y, x) from the first tile's start to the last tile's stop.

    Pixels beyond the scene are mirrored. `valid` is None when every pixel is. The arrays are reused for the next row.
    """

    row: int
    pixels: NDArray[Any]
    valid: NDArray[np.bool_] | None


@dataclass(frozen=True, slots=True)
class Chip:
    """A tile that is predicted: its place in the batch and in the grid of tiles."""

    slot: int
    row: int
    column: int


@dataclass(frozen=True, slots=True)
class RowDone:
    """All tiles of a row have been predicted, or `skipped`; `valid` (y, x) tells which of its pixels get a class.

    `beyond` (y, x) is True where the region ended, so that nobody knows what a network would see there; None says that
    this is so nowhere, or that nobody asked.
    """

    row: int
    skipped: int
    valid: NDArray[np.bool_] | None
    beyond: NDArray[np.bool_] | None = None


def row_spans(tiling: Tiling, block: Block) -> list[Span]:
    """The rows of pixels that each tile row of the block adds to those before."""
    spans, known = [], tiling.y.span(block.rows[0]).start
    for row in block.rows:
        stop = min(tiling.y.span(row).stop, tiling.y.size)
        spans.append(Span(known, stop))
        known = stop
    return spans


def tile_rows(reader: RowReader, tiling: Tiling, block: Block) -> Iterator[TileRow]:
    """The block's tile rows, top to bottom, each pixel read once."""
    start, stop = tiling.x.span(block.columns[0]).start, tiling.x.span(block.columns[-1]).stop
    inside = min(stop, tiling.x.size) - start
    columns = _mirror(tiling.x.span(block.columns[-1]).start - start, inside, stop - start)
    pixels = np.zeros((reader.count, tiling.y.tile, stop - start), reader.dtype)
    valid = np.ones(pixels.shape[1:], bool)
    masked, kept = False, 0
    spans = row_spans(tiling, block)
    for row, rows in zip(block.rows, reader.rows(spans, Span(start, start + inside)), strict=True):
        if kept:
            pixels[:, :kept] = pixels[:, tiling.y.stride :]
            valid[:kept] = valid[tiling.y.stride :]
        filled = kept + rows.y.size
        pixels[:, kept:filled, :inside] = rows.pixels
        valid[kept:filled, :inside] = True if rows.valid is None else rows.valid
        masked = rows.valid is not None or (masked and not valid[:kept].all())
        pixels[:, kept:filled, inside:] = pixels[:, kept:filled, columns]
        valid[kept:filled, inside:] = valid[kept:filled, columns]
        if filled < tiling.y.tile:
            mirrored = _mirror(0, filled, tiling.y.tile)
            pixels[:, filled:], valid[filled:] = pixels[:, mirrored], valid[mirrored]
        yield TileRow(row, pixels, valid if masked else None)
        kept = tiling.y.overlap


def _mirror(first: int, filled: int, size: int) -> NDArray[np.intp]:
    """Where the pixels from `filled` to `size` come from: mirrored inside the last tile, which starts at `first`."""
    return np.array([first + reflect(i - first, filled - first) for i in range(filled, size)], np.intp)


def chips_of(
    tile_row: TileRow, wanted: NDArray[np.bool_] | None, tiling: Tiling, block: Block
) -> Iterator[tuple[int, int]]:
    """Column and first pixel of each tile of the row that holds a valid pixel which is `wanted` (y, x; None: all)."""
    origin = tiling.x.span(block.columns[0]).start
    for column in block.columns:
        start = tiling.x.span(column).start - origin
        if wanted is None or wanted[:, start : start + tiling.x.tile].any():
            yield column, start


def wanted_of(tile_row: TileRow, region: Within | None, tiling: Tiling, block: Block) -> NDArray[np.bool_] | None:
    """True (y, x) for the pixels of a tile row whose class is asked for; None when all of them are.

    The network sees the pixels around them too: a region changes no pixel inside it.
    """
    if region is None:
        return None if tile_row.valid is None else tile_row.valid.copy()
    start, stop = tiling.x.span(block.columns[0]).start, tiling.x.span(block.columns[-1]).stop
    inside = region.mask(tiling.y.span(tile_row.row), Span(start, stop))
    return inside if tile_row.valid is None else inside & tile_row.valid


def beyond_of(tile_row: TileRow, region: Within | None, tiling: Tiling, block: Block) -> NDArray[np.bool_] | None:
    """True (y, x) for the pixels of a tile row outside the region, and for those of tiles skipped because of it.

    None where there are none. Pixels without data are no reason: the whole scene has them, too.
    """
    if region is None:
        return None
    start, stop = tiling.x.span(block.columns[0]).start, tiling.x.span(block.columns[-1]).stop
    inside = region.mask(tiling.y.span(tile_row.row), Span(start, stop))
    valid = np.True_ if tile_row.valid is None else tile_row.valid
    looked, beyond = inside & valid, ~inside
    for column in block.columns:
        first = tiling.x.span(column).start - start
        tile = slice(first, first + tiling.x.tile)
        if not looked[:, tile].any() and (tile_row.valid is None or tile_row.valid[:, tile].any()):
            beyond[:, tile] = True
    return beyond if beyond.any() else None
