"""Objects drawn over the ground between them, as strips."""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from geoseg.core.classes import NODATA
from geoseg.core.protocols import Strip
from geoseg.core.tiling import Block, Span
from geoseg.core.values import SCORE_UNIT
from geoseg.inference.objects.joiner import Settled
from geoseg.inference.objects.kernels import paint


class Painter:
    """Takes the ground as it becomes final, and gives it back, with objects, as those become final."""

    def __init__(self, block: Block) -> None:
        """Begin at the block's first row."""
        self._block, self._start = block, block.y.start
        self._waiting: deque[Strip] = deque()

    def lay(self, ground: Strip) -> None:
        """Take the next rows of the ground."""
        if ground.y.size:
            self._waiting.append(ground)

    def draw(self, settled: Settled) -> Strip:
        """The rows that were settled, with their objects; scores only where the ground has them."""
        rows = Span(self._start, settled.stop)
        parts = [self._next(settled.stop) for _ in range(self._reached(settled.stop))]
        self._start = settled.stop
        shape = (rows.size, self._block.x.size)
        class_ids = np.concatenate([np.zeros((0, shape[1]), np.uint8), *(p.class_ids for p in parts)])
        best = [p.scores for p in parts if p.scores is not None]
        scores = np.concatenate(best) if best else None
        instance_ids = np.zeros(shape, np.int32)
        groups = settled.groups
        values = (
            groups["class_id"].copy(),
            np.floor(groups["score"] * np.float32(SCORE_UNIT) + np.float32(0.5)).astype(np.uint8),
            groups["number"].copy(),
        )
        window = np.array([self._block.x.start, rows.start, self._block.x.stop, rows.stop])
        unused = np.empty(shape, np.uint8) if scores is None else scores
        paint(settled.index, settled.views.raster, values, window, (class_ids, unused, instance_ids))
        return Strip(rows, class_ids, scores, instance_ids, settled.objects)

    def _reached(self, stop: int) -> int:
        """How many waiting strips begin before row `stop`."""
        return sum(strip.y.start < stop for strip in self._waiting)

    def _next(self, stop: int) -> Strip:
        """The first waiting strip, up to row `stop`; what is left of it goes on waiting."""
        strip = self._waiting.popleft()
        if strip.y.stop <= stop:
            return strip
        size = stop - strip.y.start
        above, below = slice(0, size), slice(size, None)
        self._waiting.appendleft(_part(strip, Span(stop, strip.y.stop), below))
        return _part(strip, Span(strip.y.start, stop), above)


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
