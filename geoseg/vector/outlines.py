"""Outlines of components as arrays, and the polygons that they become."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class RingBatch:
    """Outlines of components, exterior first, then holes by their first point.

    `points` (point, 2) int32 are corners of pixels, x to the right and y down; a ring is
    `points[ring_offsets[i] : ring_offsets[i + 1]]`, from its topmost, then leftmost point round to it again, exteriors
    counterclockwise on the screen; a component's rings are `polygon_offsets[j]` to `polygon_offsets[j + 1]`.

    `node` (point,) is true where three or four of the sides that meet at the corner separate different values; a ring
    turns at every other point. `beside` (point,) is the value across the sides from this point to the next, that of
    nodata outside the raster; a ring's last point repeats both of its first. Two components that share a chain of sides
    hold the same points along it, in opposite order.

    `enclosed` (ring,) counts the pixels inside a ring that are not background, in a hole those of other components.
    For each component: `class_id`, `pixels`, `score_sum` (of uint8 scores; -1 where none are known), `touches_edge`,
    true where a pixel lies on the raster's edge or beside nodata, and `group`, from 0 on: components that belong
    together follow one another and share the number.
    """

    points: NDArray[np.int32]
    node: NDArray[np.bool_]
    beside: NDArray[np.int32]
    ring_offsets: NDArray[np.int64]
    polygon_offsets: NDArray[np.int64]
    enclosed: NDArray[np.int64]
    class_id: NDArray[np.int32]
    pixels: NDArray[np.int64]
    score_sum: NDArray[np.int64]
    touches_edge: NDArray[np.bool_]
    group: NDArray[np.int64]

    def __len__(self) -> int:
        """Number of components."""
        return len(self.class_id)

    def take(self, keep: NDArray[np.bool_]) -> RingBatch:
        """The components that a mask (component,) selects; groups of which none is left are not counted."""
        rings = self.without_rings(~np.repeat(keep, np.diff(self.polygon_offsets)))
        return replace(
            rings,
            polygon_offsets=offsets(np.diff(self.polygon_offsets)[keep]),
            class_id=self.class_id[keep],
            pixels=self.pixels[keep],
            score_sum=self.score_sum[keep],
            touches_edge=self.touches_edge[keep],
            group=counted(self.group[keep]),
        )

    def reordered(self, order: NDArray[np.int64]) -> RingBatch:
        """The components by their places, shape (component,), of which none is left out; groups stay together."""
        rings = _within(self.polygon_offsets, order)
        points = _within(self.ring_offsets, rings)
        return RingBatch(
            points=self.points[points],
            node=self.node[points],
            beside=self.beside[points],
            ring_offsets=offsets(np.diff(self.ring_offsets)[rings]),
            polygon_offsets=offsets(np.diff(self.polygon_offsets)[order]),
            enclosed=self.enclosed[rings],
            class_id=self.class_id[order],
            pixels=self.pixels[order],
            score_sum=self.score_sum[order],
            touches_edge=self.touches_edge[order],
            group=counted(self.group[order]),
        )

    def without_rings(self, gone: NDArray[np.bool_]) -> RingBatch:
        """The same components without the rings that a mask (ring,) selects."""
        lengths = np.diff(self.ring_offsets)
        stays = np.repeat(~gone, lengths)
        before = offsets(~gone)  # rings left before each ring
        return replace(
            self,
            points=self.points[stays],
            node=self.node[stays],
            beside=self.beside[stays],
            ring_offsets=offsets(lengths[~gone]),
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
        ragged = (self.ring_offsets, self.polygon_offsets)
        geometry = shapely.from_ragged_array(shapely.GeometryType.POLYGON, self.points.astype(np.float64), ragged)
        return RawPolygons(geometry, self.class_id, self.pixels, self.score_sum, self.touches_edge, self.group)


@dataclass(frozen=True, slots=True)
class RawPolygons:
    """Shapely polygons in pixel coordinates (x to the right, y down), arrays of shape (polygon,).

    `pixels` and `score_sum` are those of the component that a polygon came from, whatever was done to its outline.
    Polygons of one `group` belong together.
    """

    geometry: NDArray[Any]
    class_id: NDArray[np.int32]
    pixels: NDArray[np.int64]
    score_sum: NDArray[np.int64]
    touches_edge: NDArray[np.bool_]
    group: NDArray[np.int64]

    def __len__(self) -> int:
        """Number of polygons."""
        return len(self.geometry)

    def take(self, which: NDArray[Any]) -> RawPolygons:
        """The polygons that a mask or an index array selects, with the numbers of their groups."""
        return RawPolygons(*(getattr(self, field.name)[which] for field in fields(self)))

    def objects(self) -> RawPolygons:
        """One multipolygon a group, one polygon where it has one only; counts are those of all its polygons."""
        if not len(self):
            return self
        first = np.flatnonzero(np.diff(self.group, prepend=self.group[0] - 1))
        number = counted(self.group)
        parts = np.diff(np.append(first, len(self)))
        geometry = self.geometry[first].copy()
        several = np.repeat(parts > 1, parts)
        geometry[parts > 1] = shapely.multipolygons(self.geometry[several], indices=counted(number[several]))
        sums = {name: np.add.reduceat(getattr(self, name), first) for name in ("pixels", "score_sum")}
        sums["score_sum"] = np.where(self.score_sum[first] < 0, self.score_sum[first], sums["score_sum"])
        touches = np.logical_or.reduceat(self.touches_edge, first)
        return replace(self.take(first), geometry=geometry, touches_edge=touches, **sums)


def empty_batch() -> RingBatch:
    """A batch of no components."""
    none, start = np.empty(0, np.int64), np.zeros(1, np.int64)
    return RingBatch(
        points=np.empty((0, 2), np.int32),
        node=np.empty(0, np.bool_),
        beside=np.empty(0, np.int32),
        ring_offsets=start,
        polygon_offsets=start,
        enclosed=none,
        class_id=np.empty(0, np.int32),
        pixels=none,
        score_sum=none,
        touches_edge=np.empty(0, np.bool_),
        group=none,
    )


def join(batches: list[RingBatch]) -> RingBatch:
    """One batch of all components, in order; no two batches share a group."""
    if not batches:
        return empty_batch()
    if len(batches) == 1:
        return batches[0]
    columns = {f.name: np.concatenate([getattr(batch, f.name) for batch in batches]) for f in fields(RingBatch)}
    for name in ("ring_offsets", "polygon_offsets"):
        columns[name] = offsets(np.concatenate([np.diff(getattr(batch, name)) for batch in batches]))
    groups = [int(batch.group[-1]) + 1 if len(batch) else 0 for batch in batches]
    columns["group"] += np.repeat(offsets(np.array(groups))[:-1], [len(batch) for batch in batches])
    return RingBatch(**columns)


def offsets(lengths: NDArray[Any]) -> NDArray[np.int64]:
    """Where runs of those lengths start, and where the last one ends."""
    ends = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=ends[1:])
    return ends


def _within(starts: NDArray[np.int64], runs: NDArray[np.int64]) -> NDArray[np.int64]:
    """The places in runs that begin at `starts`, one run after another in the order asked for."""
    lengths = np.diff(starts)[runs]
    return np.arange(int(lengths.sum())) + np.repeat(starts[runs] - offsets(lengths)[:-1], lengths)


def summed(values: NDArray[np.float64], group: NDArray[np.int64], count: int) -> NDArray[np.float64]:
    """The sum of the values of each group, shape (group,)."""
    return np.bincount(group, weights=values, minlength=count).astype(np.float64, copy=False)


def counted(runs: NDArray[np.int64]) -> NDArray[np.int64]:
    """Runs of equal numbers, numbered from 0 on."""
    numbers = np.zeros(len(runs), np.int64)
    np.cumsum(runs[1:] != runs[:-1], out=numbers[1:])
    return numbers
