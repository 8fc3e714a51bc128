"""Polygons from the strips of a class raster as they come: exact, valid, and the same for strips of any height."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from geoseg.core.classes import NODATA
from geoseg.vector import store, trace
from geoseg.vector.outlines import RingBatch
from geoseg.vector.rings import arrange

CHUNK_PIXELS = 1 << 20  # polygons are closed after so many pixels at the latest, so that their memory is free again
UNSCORED = -1

_NO_SCORES = np.empty((0, 0), np.uint8)


class Polygonizer:
    """Takes the strips of a class raster from top to bottom and gives the 4-connected components that have ended.

    The order is that of the last row, then of the topmost, then leftmost pixel. It and every coordinate are the same
    for strips of any height. Only components that go on are kept in memory.
    """

    def __init__(
        self, width: int, height: int, *, background: int | None, nodata: int = NODATA, origin: tuple[int, int] = (0, 0)
    ) -> None:
        """Expect `height` rows of `width` pixels, the first of which has its corner at `origin` (x, y).

        `background` and `nodata` are the values that become no polygons; None makes every other value a class.
        """
        kinds = np.full(256, trace.FOREGROUND, np.uint8)
        if background is not None:
            kinds[background] = trace.BACKGROUND
        kinds[nodata] = trace.NODATA
        self._columns = store.new_columns(width, kinds, nodata)
        self._store = store.new_store(width)
        self._width, self._height, self._nodata = width, height, nodata
        self._origin = np.array(origin, np.int32)
        self._scored: bool | None = None

    def feed(self, class_ids: NDArray[np.uint8], scores: NDArray[np.uint8] | None = None) -> list[RingBatch]:
        """The components that ended above the last row of a strip: `class_ids` (y, x), `scores` (y, x) or None.

        Raises ValueError where the strip does not fit the raster, or only some strips come with scores.
        """
        self._check(class_ids, scores)
        self._scored = scores is not None
        return self._trace(class_ids, _NO_SCORES if scores is None else scores)

    def finish(self) -> list[RingBatch]:
        """The components that reach the last row. Raises ValueError where rows are missing."""
        if self._rows != self._height:
            raise ValueError(f"{self._rows} rows were fed; expected {self._height} before the end")
        return self._trace(np.full((1, self._width), self._nodata, np.uint8), _NO_SCORES)

    @property
    def _rows(self) -> int:
        return int(self._store.counts[trace.ROWS])

    def _check(self, class_ids: NDArray[np.uint8], scores: NDArray[np.uint8] | None) -> None:
        rows = self._height - self._rows
        if class_ids.ndim != 2 or class_ids.shape[1] != self._width or class_ids.shape[0] > rows:
            expected = f"expected {self._width} columns and at most {rows} rows"
            raise ValueError(f"a strip of shape {class_ids.shape} (y, x) does not fit: {expected}")
        if scores is not None and scores.shape != class_ids.shape:
            raise ValueError(f"scores have shape {scores.shape}; expected that of the classes, {class_ids.shape}")
        if self._scored not in (None, scores is not None):
            raise ValueError("either all strips come with scores, or none does")

    def _trace(self, class_ids: NDArray[np.uint8], scores: NDArray[np.uint8]) -> list[RingBatch]:
        class_ids = np.ascontiguousarray(class_ids, dtype=np.uint8)
        scores = np.ascontiguousarray(scores, dtype=np.uint8)
        step = max(1, CHUNK_PIXELS // max(1, self._width))
        batches = []
        row = 0
        while row < len(class_ids):
            end = min(row + step, len(class_ids))
            row = trace.sweep(self._columns, self._store, class_ids[:end], scores[:end], row)
            batches.append(self._close())
            if row < end:
                self._store = store.make_room(self._store)
        return [batch for batch in batches if len(batch)]

    def _close(self) -> RingBatch:
        """The components that have no pixel in the last row swept."""
        roots = trace.ended(self._store)
        fields = self._store.components[roots]
        order = np.lexsort((fields[:, trace.FIRST_X], fields[:, trace.FIRST_Y], fields[:, trace.LAST_Y]))
        fields = fields[order]
        rings = trace.close(self._store, roots[order])
        trace.forget(self._columns, self._store)
        firsts = rings.points[rings.first]
        by_place = np.lexsort((firsts[:, 0], firsts[:, 1], rings.owner))
        points, node, beside, ring_offsets = arrange(rings, by_place)
        points += self._origin
        return RingBatch(
            points=points,
            node=node,
            beside=beside,
            ring_offsets=ring_offsets,
            polygon_offsets=np.searchsorted(rings.owner, np.arange(len(roots) + 1)),
            enclosed=rings.content[by_place],
            class_id=fields[:, trace.CLASS].astype(np.int32),
            pixels=fields[:, trace.PIXELS].copy(),
            score_sum=fields[:, trace.SCORES].copy() if self._scored else np.full(len(roots), UNSCORED, np.int64),
            touches_edge=fields[:, trace.EDGE].astype(np.bool_),
            group=np.arange(len(roots)),
        )
