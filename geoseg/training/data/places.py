"""How the ground of two scenes relates: the same place in each other's coordinates, and what they share."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import Transformer
from shapely import affinity

from geoseg.core.classes import NODATA
from geoseg.core.tiling import Span
from geoseg.training.data.ground import Ground

POINTS = 16  # a side, where it is reprojected: straight lines bend
SAMPLES = 512  # a side of the raster of points by which shared ground is measured
Rectangle = tuple[Span, Span]  # rows and columns of a ground


def rectangle(ground: Ground, at: Rectangle, margin_m: float = 0.0) -> shapely.Polygon:
    """The outline of a part of a ground, grown by a margin in metres, in its CRS."""
    margin = margin_m / ground.resolution
    top, bottom = at[0].start - margin, at[0].stop + margin
    left, right = at[1].start - margin, at[1].stop + margin
    share = np.linspace(0, 1, POINTS, endpoint=False)
    x = np.concatenate([left + (right - left) * share, np.full(POINTS, right)])
    y = np.concatenate([np.full(POINTS, top), top + (bottom - top) * share])
    ring = np.column_stack([np.concatenate([x, left + right - x]), np.concatenate([y, top + bottom - y])])
    return shapely.Polygon(_world(ground, ring))


def seen_from(ground: Ground, other: Ground, outline: shapely.Polygon) -> list[shapely.Polygon]:
    """An outline in the CRS of `other` in that of `ground`: none where both cannot be compared.

    Several where degrees may count on beyond the date line.
    """
    if not comparable(ground, other):
        return []
    here, there = ground.grid.crs, other.grid.crs
    if here is None or there is None or here == there:
        return _turns(outline, here)
    move = Transformer.from_crs(there.proj, here.proj, always_xy=True)
    points = np.column_stack(move.transform(*shapely.get_coordinates(outline).T))
    points = points[np.isfinite(points).all(axis=1)]
    if len(points) < 4:
        return []  # so far away that the CRS cannot say where
    if here.geographic and np.ptp(points[:, 0]) > 180:
        points[:, 0] += np.where(points[:, 0] < 0, 360, 0)
    return _turns(shapely.Polygon(points), here)


def comparable(first: Ground, second: Ground) -> bool:
    """Whether both have coordinates of one world: a CRS each, none each, or the same file."""
    if not (first.placed and second.placed):
        return bool(_files(first) & _files(second))
    return (first.grid.crs is None) == (second.grid.crs is None)


def _files(ground: Ground) -> set[str]:
    """The files of a ground, each under one name however it was written."""
    return {path if "://" in path else os.path.realpath(path) for path in ground.paths}


def shared_m2(first: Ground, second: Ground) -> float:
    """Square metres of ground of which both know the classes, measured on a raster of points."""
    known = rectangle(first, (first.known.y, first.known.x))
    others = seen_from(first, second, rectangle(second, (second.known.y, second.known.x)))
    return float(sum(_shared(first, second, known.intersection(other)) for other in others if known.intersects(other)))


def _shared(first: Ground, second: Ground, both: Any) -> float:
    left, top, right, bottom = shapely.bounds(_pixels(first, both))
    y = Span(math.floor(top), math.ceil(bottom)).clip(first.known.y)
    x = Span(math.floor(left), math.ceil(right)).clip(first.known.x)
    if y.size == 0 or x.size == 0:
        return 0.0
    rows, columns = (np.unique(np.linspace(s.start, s.stop - 1, min(s.size, SAMPLES)).astype(int)) for s in (y, x))
    at_y, at_x = np.meshgrid(rows, columns, indexing="ij")
    known = first.classes[at_y, at_x] != NODATA
    points = _world(first, np.column_stack([at_x[known] + 0.5, at_y[known] + 0.5]))
    there = _places(first, second, points)
    count = int(_known_at(second, there).sum())
    return float(count * (y.size * x.size / known.size) * first.resolution**2)


def _places(first: Ground, second: Ground, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points (point, 2) in the CRS of `first` as pixel coordinates of `second`, by every turn: (turn, point, 2)."""
    here, there = first.grid.crs, second.grid.crs
    if here is not None and there is not None and here != there:
        move = Transformer.from_crs(here.proj, there.proj, always_xy=True)
        points = np.column_stack(move.transform(points[:, 0], points[:, 1]))
    turns = (0.0, -360.0, 360.0) if there is not None and there.geographic else (0.0,)
    back = ~second.grid.affine
    return np.stack([_apply(back, points + np.array([turn, 0.0])) for turn in turns])


def _known_at(ground: Ground, places: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which points (turn, point, 2) in pixel coordinates have a class: (point,)."""
    known = np.zeros(places.shape[1], np.bool_)
    height, width = ground.shape
    for turn in places:
        inside = np.isfinite(turn).all(axis=1) & (turn >= 0).all(axis=1) & (turn < (width, height)).all(axis=1)
        x, y = turn[inside].astype(int).T
        known[inside] |= ground.classes[y, x] != NODATA
    return known


def _turns(outline: shapely.Polygon, crs: Any) -> list[shapely.Polygon]:
    if crs is None or not crs.geographic:
        return [outline]
    return [affinity.translate(outline, turn) for turn in (0.0, -360.0, 360.0)]


def _world(ground: Ground, points: NDArray[np.float64]) -> NDArray[np.float64]:
    return _apply(ground.grid.affine, points)


def _pixels(ground: Ground, shape: Any) -> Any:
    back = ~ground.grid.affine
    return shapely.transform(shape, lambda xy: _apply(back, xy))


def _apply(affine: Any, points: NDArray[np.float64]) -> NDArray[np.float64]:
    x, y = points[:, 0], points[:, 1]
    return np.column_stack([affine.a * x + affine.b * y + affine.c, affine.d * x + affine.e * y + affine.f])


def outlines(ground: Ground, blocks: Sequence[tuple[Ground, Rectangle]], margin_m: float) -> NDArray[Any]:
    """Parts of any grounds, each grown by a margin in metres, as polygons (polygon,) in the CRS of `ground`."""
    found = [part for other, at in blocks for part in seen_from(ground, other, rectangle(other, at, margin_m))]
    return np.array(found, dtype=object)
