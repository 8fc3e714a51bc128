"""Whether squared polygons are what they should be: valid, a coverage, near the exact ones, adjoining as before."""

from __future__ import annotations

from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from geoseg.vector.squaring.contact import Loops
from geoseg.vector.squaring.walls import NOWHERE, Walls

_LEAST_OVERLAP = 0.5  # of the union with the exact polygon
_DRIFT = 0.8  # of the tolerance, by which an outline may have moved on average


def find_spoilt(
    geometry: NDArray[Any], exact: NDArray[Any], group: NDArray[np.int64], tolerance: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Polygons (polygon,) that are invalid, far from the exact ones, or overlap or gape with others of their group.

    `tolerance` (polygon,) is in pixels. Depends on nothing outside the group.
    """
    spoilt = ~shapely.is_valid(geometry) | shapely.is_empty(geometry)
    sound = np.flatnonzero(~spoilt)
    spoilt[sound] = _departs(geometry[sound], exact[sound], tolerance[sound])
    sound = np.flatnonzero(~spoilt)
    if not shapely.coverage_is_valid(geometry[sound]):
        for members in _runs(sound, group[sound]):
            if len(members) > 1 and not shapely.coverage_is_valid(geometry[members]):
                edges = shapely.coverage_invalid_edges(geometry[members])
                spoilt[members[~shapely.is_empty(edges)]] = True
    return spoilt


def _departs(geometry: NDArray[Any], exact: NDArray[Any], tolerance: NDArray[np.float64]) -> NDArray[np.bool_]:
    common = shapely.area(shapely.intersection(geometry, exact))
    union = shapely.area(geometry) + shapely.area(exact) - common
    departs: NDArray[np.bool_] = common < _LEAST_OVERLAP * union
    return departs | (union - common > _DRIFT * tolerance * shapely.length(exact))


def _runs(places: NDArray[np.int64], group: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """The places of each group."""
    return np.split(places, np.flatnonzero(np.diff(group)) + 1)


def adjoining_pairs(walls: Walls) -> NDArray[np.int64]:
    """Pairs (pair, 2) of polygons with a common wall, the lower number first."""
    both = walls.beside[(walls.beside[:, 1] != NOWHERE) & (walls.beside[:, 0] != walls.beside[:, 1])]
    return np.unique(np.sort(both, axis=1), axis=0).reshape(-1, 2)


def pairs_with_common_edges(loops: Loops, polygon: NDArray[np.int64]) -> NDArray[np.int64]:
    """Pairs (pair, 2) of polygons with a common edge, the lower number first; `polygon` (ring,) are the rings'."""
    ring = np.repeat(np.arange(len(loops.offsets) - 1), np.diff(loops.offsets))
    start = np.flatnonzero(np.diff(ring, append=-1) == 0)
    a, b = loops.points[start], loops.points[start + 1]
    swap = (a[:, 0] > b[:, 0]) | ((a[:, 0] == b[:, 0]) & (a[:, 1] > b[:, 1]))
    ends = np.where(swap[:, None], np.hstack([b, a]), np.hstack([a, b]))
    owner = polygon[ring[start]]
    order = np.lexsort((owner, *ends.T))
    same = (ends[order[1:]] == ends[order[:-1]]).all(axis=1) & (owner[order[1:]] != owner[order[:-1]])
    pairs = np.column_stack([owner[order[:-1]], owner[order[1:]]])[same]
    return np.unique(np.sort(pairs, axis=1), axis=0).reshape(-1, 2)


def walls_between(walls: Walls, pairs: NDArray[np.int64]) -> NDArray[np.bool_]:
    """The walls (wall,) between the two polygons of any of the pairs."""
    many = np.int64(walls.beside.max(initial=0) + 1)
    beside = np.sort(walls.beside, axis=1)
    between: NDArray[np.bool_] = np.isin(beside[:, 0] * many + beside[:, 1], pairs[:, 0] * many + pairs[:, 1])
    between &= beside[:, 0] != NOWHERE
    return between
