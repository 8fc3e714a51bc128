"""Which squared polygons come too near to other blocks: nearer to another one than to where they were."""

from __future__ import annotations

from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from geoseg.vector.foreground import ForegroundMap
from geoseg.vector.outlines import RingBatch, counted

_STEP = 0.5  # pixels between the places along an outline that are looked at
_APART = 0.25  # pixels by which such a place has to be farther from other blocks than from the exact polygon
_OUT = 0.3  # pixels: blocks are a pixel apart or more, so that places no farther out cannot be too near


def find_crowded(
    geometry: NDArray[Any], exact: NDArray[Any], batch: RingBatch, foreground: ForegroundMap
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Places (place, 2) on outlines, outside the exact ones, that are as near to another block as to these.

    With them comes the polygon (place,) that each is on. Where there is none, blocks cannot overlap: a place in both would have to be nearer to each than to the other.
    What lies further below a block than `foreground` says is known counts as another one.
    """
    points, polygon = shapely.get_coordinates(shapely.segmentize(geometry, _STEP), return_index=True)
    shapely.prepare(exact)
    out = ~shapely.dwithin(exact[polygon], shapely.points(points), _OUT)
    points, polygon = points[out], polygon[out]
    if not len(points):
        return points, polygon
    moved = shapely.distance(exact[polygon], shapely.points(points))
    x, y, place = _pixels_within(points, moved + _APART)
    full = foreground.full(x, y, _last_rows(batch)[polygon[place]])
    x, y, place = x[full], y[full], place[full]
    crowded = np.unique(place[~_own(x, y, polygon[place], exact, batch.group)])
    return points[crowded], polygon[crowded]


def _last_rows(batch: RingBatch) -> NDArray[np.int64]:
    """The last row of pixels of each polygon's block, shape (polygon,)."""
    lowest = np.maximum.reduceat(batch.points[:, 1], batch.ring_offsets[batch.polygon_offsets[:-1]]).astype(np.int64)
    number = counted(batch.group)
    return np.maximum.reduceat(lowest, np.flatnonzero(np.diff(number, prepend=-1)))[number] - 1


def _pixels_within(
    points: NDArray[np.float64], radius: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """The first corners x and y of pixels no farther from a point (point, 2) than its radius, and which point it is."""
    reach = int(np.ceil(radius.max()))
    steps = np.arange(-reach, reach + 1)
    corners = [np.floor(points[:, axis, None]).astype(np.int64) + steps for axis in (0, 1)]
    gaps = [
        np.maximum(np.maximum(corner - points[:, axis, None], points[:, axis, None] - corner - 1), 0)
        for axis, corner in enumerate(corners)
    ]
    near = gaps[0][:, None, :] ** 2 + gaps[1][:, :, None] ** 2 <= radius[:, None, None] ** 2
    place, row, column = np.nonzero(near)
    return corners[0][place, column], corners[1][place, row], place


def _own(
    x: NDArray[np.int64],
    y: NDArray[np.int64],
    polygon: NDArray[np.int64],
    exact: NDArray[Any],
    group: NDArray[np.int64],
) -> NDArray[np.bool_]:
    """Whether pixels belong to the polygons that ask for them, or to others of their groups."""
    own = shapely.contains_xy(exact[polygon], x + 0.5, y + 0.5)
    others = np.flatnonzero(~own)
    if not len(others):
        return own
    tree = shapely.STRtree(exact)
    asked, found = tree.query(shapely.points(x[others] + 0.5, y[others] + 0.5), predicate="within")
    same = group[found] == group[polygon[others[asked]]]
    own[others[asked[same]]] = True
    return own
