"""From a whole class raster to polygons by geoseg, and polygons made comparable with those of other programs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import shapely
from numpy.typing import NDArray
from vector_rasters import NODATA, Classes

from geoseg.vector.outlines import RingBatch, empty_batch, join
from geoseg.vector.tracing.polygonize import Polygonizer

Polygons = NDArray[Any]  # of shapely geometry, shape (polygon,)


@dataclass(frozen=True, slots=True)
class Way:
    """How a raster is fed: strips of that many rows, that many threads."""

    strip: int = 1024
    threads: int = 1
    background: int | None = 0
    grouping: Literal["none", "diagonal", "adjoining"] = "none"


def streamed(raster: Classes, way: Way) -> Iterator[tuple[Classes, list[RingBatch]]]:
    """Each strip with what the polygonizer gives for it; at the end a strip of no rows, with what was open still."""
    height, width = raster.shape
    polygonizer = Polygonizer(
        width, height, background=way.background, nodata=NODATA, grouping=way.grouping, threads=way.threads
    )
    for row in range(0, height, way.strip):
        strip = raster[row : row + way.strip]
        yield strip, polygonizer.feed(strip)
    yield raster[:0], polygonizer.finish()


def batches(raster: Classes, way: Way) -> list[RingBatch]:
    """All that the polygonizer gives, as it gives it."""
    return [empty_batch(), *(batch for _, given in streamed(raster, way) for batch in given)]


def rings(raster: Classes, way: Way) -> RingBatch:
    """All components in one batch."""
    return join(batches(raster, way))


def polygons(raster: Classes, way: Way) -> tuple[NDArray[np.int32], Polygons]:
    """Classes and shapely polygons, shape (polygon,), in pixel coordinates."""
    raw = [batch.polygons() for batch in batches(raster, way)]
    return np.concatenate([r.class_id for r in raw]), np.concatenate([r.geometry for r in raw])


def corners_only(geometry: Polygons) -> Polygons:
    """The same polygons without points in the middle of straight sides, wherever their rings begin."""
    _, points, (ring_offsets, polygon_offsets) = shapely.to_ragged_array(geometry)
    ring = np.repeat(np.arange(len(ring_offsets) - 1), np.diff(ring_offsets))
    closing = ring_offsets[1:] - 1
    before, after = np.arange(len(points)) - 1, np.arange(len(points)) + 1
    before[ring_offsets[:-1]] = closing - 1
    after[closing] = ring_offsets[:-1]
    arriving, leaving = points - points[before], points[after % len(points)] - points
    turns = arriving[:, 0] * leaving[:, 1] != arriving[:, 1] * leaving[:, 0]
    turns[closing] = False
    kept, owner = points[turns], ring[turns]
    starts = np.searchsorted(owner, np.arange(len(ring_offsets)))
    closed = np.insert(kept, starts[1:], kept[starts[:-1]], axis=0)
    offsets = starts + np.arange(len(starts))
    return np.asarray(shapely.from_ragged_array(shapely.GeometryType.POLYGON, closed, (offsets, polygon_offsets)))


def multiset(values: NDArray[Any], geometry: Polygons) -> list[tuple[int, bytes]]:
    """Classes and polygons in an order of their own, whatever their order, starting points and directions were."""
    if not len(geometry):
        return []
    plain = shapely.to_wkb(shapely.normalize(corners_only(geometry)), byte_order=1)
    return sorted(zip(map(int, values), plain, strict=True))


def multipolygons(values: NDArray[Any], parts: Polygons, group: NDArray[np.int64]) -> list[tuple[int, bytes]]:
    """The same of multipolygons whose parts share a number in `group` (ascending)."""
    if not len(parts):
        return []
    _, first, numbers = np.unique(group, return_index=True, return_inverse=True)
    whole = shapely.multipolygons(corners_only(parts), indices=numbers)
    return sorted(zip(map(int, values[first]), shapely.to_wkb(shapely.normalize(whole), byte_order=1), strict=True))
