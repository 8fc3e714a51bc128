"""Which squared polygons come too near to other blocks: nearer to another one than to where they were."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from geoseg.vector.outlines import RingBatch, counted
from geoseg.vector.squaring.foreground import ForegroundMap

_STEP = 0.5  # pixels between the places along an outline that are looked at
_APART = 0.25  # pixels by which such a place has to be farther from other blocks than from the exact polygon
_RADII = (0.3, 0.6, 1.2, 2.4, 4.8, 9.6)  # pixels: places within the first cannot be too near, as blocks are one apart


def find_crowded(
    geometry: NDArray[Any], exact: NDArray[Any], batch: RingBatch, foreground: ForegroundMap
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Places (place, 2) on outlines, outside the exact ones, that are as near to another block as to these.

    With them comes the polygon (place,) that each is on. Where there is none, blocks cannot overlap: a place in both
    would have to be nearer to each than to the other. What lies further below a block than `foreground` says is known
    counts as another one.
    """
    points, polygon = shapely.get_coordinates(shapely.segmentize(geometry, _STEP), return_index=True)
    shapely.prepare(exact)
    out = ~shapely.contains_xy(exact[polygon], points[:, 0], points[:, 1])
    points, polygon = points[out], polygon[out]
    last, spots = _last_rows(batch), np.asarray(shapely.points(points))
    found: list[NDArray[np.int64]] = []
    left = np.arange(len(points))
    for inner, outer in pairwise(_RADII):
        left = left[~shapely.dwithin(exact[polygon[left]], spots[left], inner)]
        x, y, place = _pixels_within(points[left], outer + _APART)
        full = foreground.full(x, y, last[polygon[left[place]]])
        x, y, place = x[full], y[full], left[place[full]]
        other = ~_own(x, y, polygon[place], exact, batch.group)
        found.append(_too_near(points, polygon, exact, (x[other], y[other], place[other])))
    crowded = np.unique(np.concatenate(found))
    return points[crowded], polygon[crowded]


def _too_near(
    points: NDArray[np.float64],
    polygon: NDArray[np.int64],
    exact: NDArray[Any],
    pixels: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]],
) -> NDArray[np.int64]:
    """The places of `pixels` (x, y, place) that are as near to such a pixel as to their exact polygon."""
    x, y, place = pixels
    asked, which = np.unique(place, return_inverse=True)
    moved = shapely.distance(exact[polygon[asked]], shapely.points(points[asked]))[which]
    dx = np.maximum(np.maximum(x - points[place, 0], points[place, 0] - x - 1), 0)
    dy = np.maximum(np.maximum(y - points[place, 1], points[place, 1] - y - 1), 0)
    return np.asarray(place[np.hypot(dx, dy) <= moved + _APART])


def _last_rows(batch: RingBatch) -> NDArray[np.int64]:
    """The last row of pixels of each polygon's block, shape (polygon,)."""
    lowest = np.maximum.reduceat(batch.points[:, 1], batch.ring_offsets[batch.polygon_offsets[:-1]]).astype(np.int64)
    number = counted(batch.group)
    return np.maximum.reduceat(lowest, np.flatnonzero(np.diff(number, prepend=-1)))[number] - 1


def _pixels_within(
    points: NDArray[np.float64], reach: float
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """The first corners x and y of pixels around points (point, 2), at least up to `reach`, and the point of each."""
    side = int(np.ceil(reach))
    steps = np.arange(-side, side + 1)
    x, y = (np.floor(points[:, axis, None]).astype(np.int64) + steps for axis in (0, 1))
    count = len(steps)
    return np.repeat(x, count, axis=1).ravel(), np.tile(y, count).ravel(), np.repeat(np.arange(len(points)), count**2)


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
