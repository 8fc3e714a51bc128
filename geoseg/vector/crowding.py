"""Which squared polygons might run into other blocks, by the corners of outlines around them."""

from __future__ import annotations

from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from geoseg.vector.corners import BITS, CornerMap
from geoseg.vector.outlines import RingBatch

_STEP = 1.5  # pixels between the places along an outline that are looked at
_OUT = 0.5  # pixels: two blocks are a pixel apart or more, so that vertices no farther out than this cannot meet


def find_crowded(
    geometry: NDArray[Any], exact: NDArray[Any], batch: RingBatch, corners: CornerMap, room: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Polygons (polygon,) with a place outside the exact one that has a corner of another block around it.

    Around is within `room` (polygon,) pixels along x and along y. Rows below the block's last may not be known yet when
    it has ended: what stands out there counts as crowded where the room is more than a pixel.
    """
    points, polygon = shapely.get_coordinates(shapely.segmentize(geometry, _STEP), return_index=True)
    shapely.prepare(exact)
    out = ~shapely.dwithin(exact[polygon], shapely.points(points), _OUT)
    points, polygon = points[out], polygon[out]
    if not len(points):
        return np.zeros(len(geometry), np.bool_)
    unknown = polygon[(points[:, 1] > _last_rows(batch)[polygon] + _OUT) & (room[polygon] > 1)]
    reach = int(np.ceil(room.max()))
    steps = np.arange(-reach, reach + 2)
    x, y = (np.floor(points[:, axis, None]).astype(np.int64) + steps for axis in (0, 1))
    near_x, near_y = (np.abs(at - points[:, axis, None]) <= room[polygon, None] for axis, at in enumerate((x, y)))
    vertex, row, column = np.nonzero(near_y[:, :, None] & near_x[:, None, :])
    x, y, polygon = x[vertex, column], y[vertex, row], polygon[vertex]
    asked = y <= _last_rows(batch)[polygon]
    x, y, polygon = x[asked], y[asked], polygon[asked]
    foreign = _marked(corners, x, y) & (_owner(batch, x, y) != batch.group[polygon])
    crowded = np.zeros(len(geometry), np.bool_)
    crowded[polygon[foreign]] = True
    crowded[unknown] = True
    return crowded


def _last_rows(batch: RingBatch) -> NDArray[np.int64]:
    """The last row of corners of each polygon's block, shape (polygon,)."""
    lowest = np.maximum.reduceat(batch.points[:, 1], batch.ring_offsets[batch.polygon_offsets[:-1]])
    starts = np.flatnonzero(np.diff(batch.group, prepend=-1))
    last: NDArray[np.int64] = np.maximum.reduceat(lowest, starts)[np.cumsum(np.diff(batch.group, prepend=-1) != 0) - 1]
    return last


def _marked(corners: CornerMap, x: NDArray[np.int64], y: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether places are marked; those outside the raster are not."""
    column, row = x - corners.origin[0], y - corners.origin[1]
    inside = (column >= 0) & (column < corners.bits.shape[1] * BITS) & (row >= 0) & (row < len(corners.bits))
    marked = np.zeros(len(x), np.bool_)
    column, row = column[inside], row[inside]
    marked[inside] = corners.bits[row, column // BITS] >> (column % BITS).astype(np.uint64) & np.uint64(1) != 0
    return marked


def _owner(batch: RingBatch, x: NDArray[np.int64], y: NDArray[np.int64]) -> NDArray[np.int64]:
    """The group whose outlines have a corner there, -1 where none of the batch has."""
    group = np.repeat(np.repeat(batch.group, np.diff(batch.polygon_offsets)), np.diff(batch.ring_offsets))
    keys, first = np.unique(_key(*batch.points.T.astype(np.int64)), return_index=True)
    wanted = _key(x, y)
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[place] == wanted, group[first[place]], -1)


def _key(x: NDArray[np.int64], y: NDArray[np.int64]) -> NDArray[np.int64]:
    return (y << 32) + x
