"""Polygons from the strips of a class raster as they come: exact, valid, and the same for strips of any height."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from geoseg.core.classes import NODATA
from geoseg.vector.outlines import RingBatch
from geoseg.vector.spool import Spool
from geoseg.vector.tracing import trace
from geoseg.vector.tracing.closed import spliced
from geoseg.vector.tracing.parts import Part, Rows, Tracer
from geoseg.vector.tracing.pending import Pending
from geoseg.vector.tracing.workers import Workers

PART_PIXELS = 1 << 20  # what a thread traces at a time, so that the memory of what ended is free again
PART_ROWS = 32  # but never less: joining costs as much as some rows do

Grouping = Literal["none", "diagonal", "adjoining"]

_GROUPINGS = {"none": trace.ALONE, "diagonal": trace.DIAGONAL, "adjoining": trace.ADJOINING}
_NO_VALUE = 1 << 40  # what no pixel has
_NO_SCORES = np.empty((0, 0), np.uint8)
_INT32 = np.iinfo(np.int32)


class Polygonizer:
    """Takes the strips of a class raster from top to bottom and gives the 4-connected components that have ended.

    A group of components is given when all of it has ended: every component by itself, or those of one class that
    touch across corners ("diagonal"), or all that share a side or a corner, whatever their class ("adjoining"). Groups
    come in the order of their last row, then of their topmost, then leftmost pixel, and so do the components of one.

    The order and every coordinate are the same for strips of any height and any number of threads. Only groups that go
    on are kept, in memory up to the spool's budget and on disk beyond it.
    """

    def __init__(
        self,
        width: int,
        height: int,
        *,
        background: int | None,
        nodata: int = NODATA,
        origin: tuple[int, int] = (0, 0),
        grouping: Grouping = "none",
        threads: int = 1,
        spool: Spool | None = None,
    ) -> None:
        """Expect `height` rows of `width` pixels, the first of which has its corner at `origin` (x, y).

        `background` and `nodata` are the values that become no polygons; None makes every other value a class.
        """
        self._width, self._height, self._nodata, self._threads = width, height, nodata, threads
        self._values = trace.Values(_NO_VALUE if background is None else background, nodata, _GROUPINGS[grouping])
        self._origin, self._scored = (int(origin[0]), int(origin[1])), False
        self._spool = Spool() if spool is None else spool
        self._pending = Pending(width, self._origin, self._spool)
        narrow = 0 <= nodata <= np.iinfo(np.uint8).max
        self._above: NDArray[Any] = np.full(width, nodata, np.uint8 if narrow else np.int32)
        self._workers = Workers(threads, self._tracer)
        self._rows = 0

    def feed(self, class_ids: NDArray[Any], scores: NDArray[np.uint8] | None = None) -> list[RingBatch]:
        """The groups that ended above the last row of a strip: `class_ids` (y, x), `scores` (y, x) uint8 or None.

        Class ids are integers that fit int32; uint8 is fastest. Raises ValueError where the strip does not fit the
        raster, or only some strips come with scores.
        """
        self._check(class_ids, scores)
        self._scored = scores is not None
        return self._trace(self._narrowed(class_ids), _NO_SCORES if scores is None else scores)

    def finish(self) -> list[RingBatch]:
        """The groups that reach the last row. Raises ValueError where rows are missing."""
        if self._rows != self._height:
            raise ValueError(f"{self._rows} rows were fed; expected {self._height} before the end")
        batches = self._trace(np.full((1, self._width), self._nodata, self._above.dtype), _NO_SCORES)
        self._workers.close()
        return batches

    def _check(self, class_ids: NDArray[Any], scores: NDArray[np.uint8] | None) -> None:
        rows = self._height - self._rows
        if class_ids.ndim != 2 or class_ids.shape[1] != self._width or class_ids.shape[0] > rows:
            expected = f"expected {self._width} columns and at most {rows} rows"
            raise ValueError(f"a strip of shape {class_ids.shape} (y, x) does not fit: {expected}")
        if scores is not None and scores.shape != class_ids.shape:
            raise ValueError(f"scores have shape {scores.shape}; expected that of the classes, {class_ids.shape}")
        if self._rows and self._scored != (scores is not None):
            raise ValueError("either all strips come with scores, or none does")

    def _narrowed(self, class_ids: NDArray[Any]) -> NDArray[Any]:
        """The strip as the kernels take it: uint8 where all so far was, else int32. Raises ValueError."""
        if class_ids.dtype.kind not in "iub":
            raise ValueError(f"class ids have dtype {class_ids.dtype}; expected integers: convert them first")
        if not np.can_cast(class_ids.dtype, np.int32) and class_ids.size:
            least, most = class_ids.min(), class_ids.max()
            if least < _INT32.min or most > _INT32.max:
                raise ValueError(
                    f"class ids go from {least} to {most}; expected {_INT32.min} to {_INT32.max}: number them anew"
                )
        if self._above.dtype == np.uint8 and not np.can_cast(class_ids.dtype, np.uint8):
            self._above = self._above.astype(np.int32)
            self._workers.close()
            self._workers = Workers(self._threads, self._tracer)
        return np.ascontiguousarray(class_ids, dtype=self._above.dtype)

    def _trace(self, class_ids: NDArray[Any], scores: NDArray[np.uint8]) -> list[RingBatch]:
        parts = list(self._cut(class_ids, np.ascontiguousarray(scores, dtype=np.uint8)))
        batches = [batch for part in self._workers.trace(parts) for batch in self._join(part)]
        if len(class_ids):
            self._above = class_ids[-1].copy()
            self._rows += len(class_ids)
        return [batch for batch in batches if len(batch)]

    def _cut(self, class_ids: NDArray[Any], scores: NDArray[np.uint8]) -> Iterator[Rows]:
        """The strip in parts, one for each thread at least where it is high enough."""
        share = -(-len(class_ids) // self._threads)
        step = max(PART_ROWS, min(share, PART_PIXELS // max(1, self._width)))
        above = self._above
        for start in range(0, len(class_ids), step):
            rows = class_ids[start : start + step]
            yield Rows(self._rows + start, above, rows, scores[start : start + step])
            above = rows[-1]

    def _tracer(self) -> Tracer:
        return Tracer(self._width, self._values, self._above.dtype, self._origin)

    def _join(self, part: Part) -> Iterator[RingBatch]:
        small, large = self._pending.join(part.beyond, part.last)
        self._spool.relax()
        for closed in spliced(part.inner.merged(small), large):
            yield closed.batch(self._scored)
