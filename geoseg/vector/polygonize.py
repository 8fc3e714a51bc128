"""Polygons from the strips of a class raster as they come: exact, valid, and the same for strips of any height."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from geoseg.core.classes import NODATA
from geoseg.vector import store, trace
from geoseg.vector.rings import arrange

CHUNK_PIXELS = 1 << 20  # polygons are closed after so many pixels at the latest, so that their memory is free again
UNSCORED = -1

_NO_SCORES = np.empty((0, 0), np.uint8)


@dataclass(frozen=True, slots=True)
class RingBatch:
    """Outlines of components, exterior first, then holes by their first point.

    `points` (point, 2) int32 are corners of pixels, x to the right and y down; a ring is
    `points[ring_offsets[i] : ring_offsets[i + 1]]`, from its topmost, then leftmost point round to it again, exteriors
    counterclockwise on the screen; a component's rings are `polygon_offsets[j]` to `polygon_offsets[j + 1]`.
    `enclosed` (ring,) counts the pixels inside a ring that are not background, in a hole those of other components.
    For each component: `class_id`, `pixels`, `score_sum` (of uint8 scores; -1 where none are known), and
    `touches_edge`, true where a pixel lies on the raster's edge or beside nodata.
    """

    points: NDArray[np.int32]
    ring_offsets: NDArray[np.int64]
    polygon_offsets: NDArray[np.int64]
    enclosed: NDArray[np.int64]
    class_id: NDArray[np.int32]
    pixels: NDArray[np.int64]
    score_sum: NDArray[np.int64]
    touches_edge: NDArray[np.bool_]

    def __len__(self) -> int:
        """Number of components."""
        return len(self.class_id)

    def take(self, keep: NDArray[np.bool_]) -> RingBatch:
        """The components that a mask (component,) selects."""
        rings = self.without_rings(~np.repeat(keep, np.diff(self.polygon_offsets)))
        return RingBatch(
            points=rings.points,
            ring_offsets=rings.ring_offsets,
            polygon_offsets=_offsets(np.diff(self.polygon_offsets)[keep]),
            enclosed=rings.enclosed,
            class_id=self.class_id[keep],
            pixels=self.pixels[keep],
            score_sum=self.score_sum[keep],
            touches_edge=self.touches_edge[keep],
        )

    def without_rings(self, gone: NDArray[np.bool_]) -> RingBatch:
        """The same components without the rings that a mask (ring,) selects."""
        lengths = np.diff(self.ring_offsets)
        before = _offsets(~gone)  # rings left before each ring
        return replace(
            self,
            points=self.points[np.repeat(~gone, lengths)],
            ring_offsets=_offsets(lengths[~gone]),
            polygon_offsets=before[self.polygon_offsets],
            enclosed=self.enclosed[~gone],
        )

    def ring_areas(self) -> NDArray[np.int64]:
        """The pixels that each ring surrounds, shape (ring,), holes too."""
        x, y = self.points[:, 0].astype(np.int64), self.points[:, 1].astype(np.int64)
        crossed = np.zeros(len(x) + 1, np.int64)
        np.cumsum(x[:-1] * y[1:] - x[1:] * y[:-1], out=crossed[1:-1])
        doubled: NDArray[np.int64] = crossed[self.ring_offsets[1:] - 1] - crossed[self.ring_offsets[:-1]]
        return np.abs(doubled) // 2

    def polygons(self) -> RawPolygons:
        """The same components as shapely polygons."""
        offsets = (self.ring_offsets, self.polygon_offsets)
        geometry = shapely.from_ragged_array(shapely.GeometryType.POLYGON, self.points.astype(np.float64), offsets)
        return RawPolygons(geometry, self.class_id, self.pixels, self.score_sum, self.touches_edge)


@dataclass(frozen=True, slots=True)
class RawPolygons:
    """Shapely polygons in pixel coordinates (x to the right, y down), arrays of shape (polygon,).

    `pixels` and `score_sum` are those of the component that a polygon came from, whatever was done to its outline.
    """

    geometry: NDArray[Any]
    class_id: NDArray[np.int32]
    pixels: NDArray[np.int64]
    score_sum: NDArray[np.int64]
    touches_edge: NDArray[np.bool_]

    def __len__(self) -> int:
        """Number of polygons."""
        return len(self.geometry)

    def take(self, which: NDArray[Any]) -> RawPolygons:
        """The polygons that a mask or an index array selects."""
        return RawPolygons(
            self.geometry[which],
            self.class_id[which],
            self.pixels[which],
            self.score_sum[which],
            self.touches_edge[which],
        )


def join(batches: list[RingBatch]) -> RingBatch:
    """One batch of all components, in order; at least one batch is given."""
    if len(batches) == 1:
        return batches[0]
    rings = [batch.ring_offsets for batch in batches]
    polygons = [batch.polygon_offsets for batch in batches]
    return RingBatch(
        points=np.concatenate([batch.points for batch in batches]),
        ring_offsets=_joined_offsets(rings),
        polygon_offsets=_joined_offsets(polygons),
        enclosed=np.concatenate([batch.enclosed for batch in batches]),
        class_id=np.concatenate([batch.class_id for batch in batches]),
        pixels=np.concatenate([batch.pixels for batch in batches]),
        score_sum=np.concatenate([batch.score_sum for batch in batches]),
        touches_edge=np.concatenate([batch.touches_edge for batch in batches]),
    )


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

    def feed(self, class_ids: NDArray[np.uint8], scores: NDArray[np.uint8] | None = None) -> RingBatch:
        """The components that ended above the last row of a strip: `class_ids` (y, x), `scores` (y, x) or None.

        Raises ValueError where the strip does not fit the raster, or only some strips come with scores.
        """
        self._check(class_ids, scores)
        self._scored = scores is not None
        return self._trace(class_ids, _NO_SCORES if scores is None else scores)

    def finish(self) -> RingBatch:
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

    def _trace(self, class_ids: NDArray[np.uint8], scores: NDArray[np.uint8]) -> RingBatch:
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
        return join(batches) if batches else self._close()

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
        points, ring_offsets = arrange(rings, by_place)
        points += self._origin
        return RingBatch(
            points=points,
            ring_offsets=ring_offsets,
            polygon_offsets=np.searchsorted(rings.owner, np.arange(len(roots) + 1)),
            enclosed=rings.content[by_place],
            class_id=fields[:, trace.CLASS].astype(np.int32),
            pixels=fields[:, trace.PIXELS].copy(),
            score_sum=fields[:, trace.SCORES].copy() if self._scored else np.full(len(roots), UNSCORED, np.int64),
            touches_edge=fields[:, trace.EDGE].astype(np.bool_),
        )


def _joined_offsets(parts: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    """One array of offsets from several that each start at 0."""
    return _offsets(np.concatenate([np.diff(part) for part in parts]))


def _offsets(lengths: NDArray[Any]) -> NDArray[np.int64]:
    """Where runs of those lengths start, and where the last one ends."""
    offsets = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets
