"""Polygons painted onto a grid, one over another: whose pixels' centres lie inside, exactly the same in any window."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray

from geoseg.core.tiling import Span
from geoseg.io.labels.kernels import fill, holds_no_centre


class Paint(NamedTuple):
    """What each polygon leaves on the pixels that it covers: a class id and an object's number; shapes (polygon,)."""

    class_ids: NDArray[np.uint8]
    numbers: NDArray[np.int32]


def paint(polygons: NDArray[Any], paint: Paint, to_pixels: Affine, window: tuple[Span, Span], canvas: Paint) -> None:
    """Nothing; polygons are painted in order onto `canvas`, (y, x) arrays of the `window` (rows, columns) of a grid.

    `to_pixels` leads from the polygons' coordinates to the grid's pixels. A pixel belongs to a polygon when its centre
    lies inside; of polygons that share an edge, to one of them. An object (number above 0) that holds no pixel's centre
    gets the pixel around a point inside.
    """
    if len(polygons) == 0:
        return
    y, x = window
    _, points, (rings, parts) = shapely.to_ragged_array(polygons)
    pixels = _on_pixels(points, to_pixels)
    filled = fill(pixels, rings, parts, *paint, *canvas, y.start, x.start)
    suspects = np.flatnonzero((filled == 0) & (paint.numbers > 0))
    lost = [i for i in suspects if holds_no_centre(pixels, rings, parts[i], parts[i + 1])]
    inside = shapely.get_coordinates(shapely.point_on_surface(polygons[lost]))
    for index, (column, row) in zip(lost, np.floor(_on_pixels(inside, to_pixels)).astype(int).tolist(), strict=True):
        if y.start <= row < y.stop and x.start <= column < x.stop:
            canvas.class_ids[row - y.start, column - x.start] = paint.class_ids[index]
            canvas.numbers[row - y.start, column - x.start] = paint.numbers[index]


def covered(polygons: Any, to_pixels: Affine, window: tuple[Span, Span]) -> NDArray[np.bool_]:
    """True (y, x) where a pixel's centre lies inside a polygon, or one of an array of them."""
    several = np.atleast_1d(polygons)
    canvas = Paint(
        np.zeros((window[0].size, window[1].size), np.uint8), np.zeros((window[0].size, window[1].size), np.int32)
    )
    brush = Paint(np.ones(len(several), np.uint8), np.zeros(len(several), np.int32))
    paint(several, brush, to_pixels, window, canvas)
    inside: NDArray[np.bool_] = canvas.class_ids != 0
    return inside


def _on_pixels(points: NDArray[np.float64], to_pixels: Affine) -> NDArray[np.float64]:
    t = to_pixels
    x, y = points[:, 0], points[:, 1]
    return np.column_stack([t.a * x + t.b * y + t.c, t.d * x + t.e * y + t.f])
