"""The part of what is computed that was asked for: rasters end where the area of interest does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from geoseg.core.classes import NODATA
from geoseg.core.protocols import Sink, Strip
from geoseg.core.tiling import Block, Span
from geoseg.io.region import RegionMask


@dataclass(frozen=True, slots=True)
class OnGrid:
    """A region on one grid."""

    region: RegionMask
    grid: GeoBox

    def mask(self, y: Span, x: Span) -> NDArray[np.bool_]:
        """True (y, x) for the pixels of a window that the region touches."""
        return self.region.mask(self.grid, y, x)


@dataclass(frozen=True, slots=True)
class Window:
    """Rows `y` and columns `x` of the model's grid, of which pixels outside `area` are nodata."""

    grid: GeoBox
    block: Block
    area: RegionMask | None
    y: Span
    x: Span

    @classmethod
    def of(cls, grid: GeoBox, block: Block, area: RegionMask | None) -> Window:
        """The block, or the part of it between which the area lies."""
        if area is None:
            return cls(grid, block, None, block.y, block.x)
        y, x = area.spans(grid)
        return cls(grid, block, area, y.clip(block.y), x.clip(block.x))

    def take(self, strip: Strip) -> Strip | None:
        """The strip's part of the window, its rows counted from the window's first; None when it has none.

        Outside the area there is no object; the table is left out, for it tells of objects that the window may cut.
        """
        rows = strip.y.clip(self.y)
        if not (rows.size and strip.y.start < self.y.stop and strip.y.stop > self.y.start):
            return None
        part = (
            slice(rows.start - strip.y.start, rows.stop - strip.y.start),
            slice(self.x.start - self.block.x.start, self.x.stop - self.block.x.start),
        )
        inside = None if self.area is None else self.area.mask(self.grid, rows, self.x)

        def masked(values: NDArray[Any], outside: int) -> NDArray[Any]:
            return values[part] if inside is None else np.where(inside, values[part], values.dtype.type(outside))

        moved = Span(rows.start - self.y.start, rows.stop - self.y.start)
        scores = None if strip.scores is None else masked(strip.scores, NODATA)
        instances = None if strip.instance_ids is None else masked(strip.instance_ids, 0)
        return Strip(moved, masked(strip.class_ids, NODATA), scores, instances)


class WindowSink:
    """A sink that is given only what lies in a window."""

    def __init__(self, sink: Sink, window: Window) -> None:
        """Hand the window's part of each strip to `sink`."""
        self._sink, self._window = sink, window

    def write(self, strip: Strip) -> None:
        """Take the next strip of the block."""
        part = self._window.take(strip)
        if part is not None:
            self._sink.write(part)

    def commit(self) -> None:
        """Let the sink finish its file."""
        self._sink.commit()

    def abort(self) -> None:
        """Let the sink remove what it wrote."""
        self._sink.abort()
