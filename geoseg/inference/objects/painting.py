"""Objects drawn over the ground between them, as strips."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from geoseg.core.classes import NODATA
from geoseg.core.protocols import ObjectTable, Strip
from geoseg.core.tiling import Block, Span
from geoseg.core.values import SCORE_UNIT
from geoseg.inference.objects.brushes import Brush, Drawing, mark, paint
from geoseg.inference.objects.finished import Settled
from geoseg.inference.objects.views import packed, unpacked

_PIXELS = 1 << 24  # of a strip, at most, unless one row has more: what waited for a tall object comes out in pieces


class Painter:
    """Takes the ground as it becomes final, and gives it back, with objects, as those become final."""

    def __init__(self, block: Block) -> None:
        """Begin at the block's first row."""
        self._block, self._start = block, block.y.start
        self._waiting: deque[Rested] = deque()

    def lay(self, ground: Strip) -> None:
        """Take the next rows of the ground."""
        for strip in self._waiting:
            strip.rest()
        if ground.y.size:
            self._waiting.append(Rested(ground))

    @property
    def nbytes(self) -> int:
        """Bytes that wait."""
        return sum(strip.nbytes for strip in self._waiting)

    def draw(self, settled: Settled) -> Iterator[Strip]:
        """The rows that were settled, with their objects; scores only where the ground has them."""
        height = max(1, _PIXELS // max(1, self._block.x.size))
        while self._start < settled.stop:
            stop = min(self._start + height, settled.stop)
            rows, self._start = Span(self._start, stop), stop
            yield self._drawn(rows, settled)

    def _drawn(self, rows: Span, settled: Settled) -> Strip:
        parts = [self._next(rows.stop) for _ in range(self._reached(rows.stop))]
        shape = (rows.size, self._block.x.size)
        class_ids = np.concatenate([np.zeros((0, shape[1]), np.uint8), *(p.class_ids for p in parts)])
        best = [p.scores for p in parts if p.scores is not None]
        scores = np.concatenate(best) if best else None
        unused = np.empty(shape, np.uint8) if scores is None else scores
        drawing = Drawing(class_ids, unused, np.zeros(shape, np.int32), (self._block.x.start, rows.start))
        _draw_over(drawing, rows, settled)
        return Strip(rows, class_ids, scores, drawing.numbers, _beginning(settled, rows))

    def _reached(self, stop: int) -> int:
        """How many waiting strips begin before row `stop`."""
        return sum(strip.y.start < stop for strip in self._waiting)

    def _next(self, stop: int) -> Strip:
        """The first waiting strip, up to row `stop`; what is left of it goes on waiting."""
        strip = self._waiting.popleft().strip()
        if strip.y.stop <= stop:
            return strip
        size = stop - strip.y.start
        above, below = slice(0, size), slice(size, None)
        self._waiting.appendleft(Rested(_part(strip, Span(stop, strip.y.stop), below)))
        return _part(strip, Span(strip.y.start, stop), above)


class Rested:
    """A strip of ground that waits, compressed once it has waited for a row of tiles."""

    def __init__(self, strip: Strip) -> None:
        """Hold the strip as it is."""
        self.y, self._strip, self._packed = strip.y, strip, list[bytes]()

    @property
    def nbytes(self) -> int:
        """Bytes that are held; rows that are all the same take none."""
        if self._packed:
            return sum(map(len, self._packed))
        rasters = (self._strip.class_ids, self._strip.scores)
        return sum(r.nbytes for r in rasters if r is not None and r.strides != (0, 0))

    def rest(self) -> None:
        """Compress what is held, unless it takes no memory."""
        classes, scores = self._strip.class_ids, self._strip.scores
        if self._packed or not self.nbytes:
            return
        self._shape = classes.shape
        self._packed = [packed(np.ascontiguousarray(r).ravel()) for r in (classes, scores) if r is not None]
        self._strip = Strip(self.y, np.zeros(0, np.uint8), None)

    def strip(self) -> Strip:
        """The strip."""
        if not self._packed:
            return self._strip
        classes, *scores = (unpacked(data).reshape(self._shape) for data in self._packed)
        return Strip(self.y, classes, scores[0] if scores else None)


def _draw_over(drawing: Drawing, rows: Span, settled: Settled) -> None:
    """Draw the objects, and -1 as the number where none is, but what was left out might be one."""
    unsure = np.zeros(drawing.class_ids.shape if any(p.left_out for p in settled.parts) else (0, 0), np.bool_)
    groups = settled.groups
    for part in settled.parts:
        if part.top >= rows.stop or part.bottom <= rows.start:
            continue
        views = part.views
        index = np.flatnonzero((views.boxes[:, 1] < rows.stop) & (views.boxes[:, 3] > rows.start))
        if part.left_out:
            mark(index, views.raster, drawing.corner, unsure)
            continue
        own = groups[np.searchsorted(groups["id"], views.groups[index])]
        scores = np.floor(own["score"] * np.float32(SCORE_UNIT) + np.float32(0.5)).astype(np.uint8)
        paint(index, views.raster, Brush(own["class_id"].copy(), scores, own["number"].copy()), drawing)
    if unsure.size:
        drawing.numbers[unsure & (drawing.numbers == 0)] = -1


def _beginning(settled: Settled, rows: Span) -> ObjectTable:
    """The objects whose first pixels lie in some rows."""
    table = settled.objects
    first, stop = np.searchsorted(settled.first_rows, [rows.start, rows.stop])
    own = slice(first, stop)
    cut = None if table.cut is None else table.cut[own]
    return ObjectTable(table.instance_id[own], table.class_id[own], table.score[own], table.last_row[own], cut)


def _part(strip: Strip, y: Span, rows: slice) -> Strip:
    return Strip(y, strip.class_ids[rows], None if strip.scores is None else strip.scores[rows])


def bare_ground(y: Span, width: int, background: int, valid: NDArray[np.bool_] | None, *, with_scores: bool) -> Strip:
    """Rows without anything but background: no score, and nodata where `valid` (y, x) is False; read only.

    Takes no memory where everything is valid: rows may wait for long.
    """
    shape = (y.size, width)
    classes = np.broadcast_to(np.uint8(background), shape)
    scores = np.broadcast_to(np.uint8(0), shape)
    if valid is not None:
        classes = np.where(valid, np.uint8(background), np.uint8(NODATA))
        scores = np.where(valid, np.uint8(0), np.uint8(NODATA)) if with_scores else scores
    return Strip(y, classes, scores if with_scores else None)
