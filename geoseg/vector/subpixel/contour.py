"""Boundaries below the size of a pixel: where interpolated scores pass the threshold.

Marching squares (Lorensen and Cline, "Marching Cubes", 1987, in the plane) follows the outline of a component: it
crosses, for each unit side between a pixel inside and one outside, the segment between the two pixels' centres once.
So each unit side of an exact outline becomes one point on its segment, and a contour is a function of one outline and
the scores beside it, however the raster was cut up.

Why every polygon is valid, and no two overlap. The segments between centres of neighbouring pixels cut the plane into
cells, each around one corner of pixels. Between two points of a ring the contour stays in one cell, because two sides
that follow one another meet at a corner. A segment carries one point at the most, for it belongs to one side; and the
point lies within the segment, MARGIN away from both centres. What is left is that pieces within one cell do not meet.
There are two pieces only where pixels inside the outline lie diagonally across the corner, and then either each piece
cuts off one of these or, where the outline was split there because both belong to one component, each cuts off one of
the other two. Either way the four points lie on the four sides of a square, one to each; the first piece joins points
on two sides that share the corner C, so that it lies between C and the diagonal that does not end at C, and the other
piece lies beyond that diagonal. MARGIN keeps both off it. So contours are closed curves that meet neither themselves
nor one another, nested as the outlines are, whatever the points' places on their segments. Scores that equal the
threshold, or contradict the classes, are no special case: they only move points to the ends of what is allowed.

Beside missing data, at the raster's edge, and between two classes, there is no second score, and the outline stays
where it is. A piece that joins such a side to a segment goes by the corner itself; pieces of others end there at the
most, and come from the far side of the diagonal. Along a straight edge of missing data it goes at a right angle to the
edge instead: the pixel that is left at that corner is background, so that no other outline passes there.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import shapely
from numpy.typing import NDArray

from geoseg.core.classes import NODATA
from geoseg.core.compiled import compiled
from geoseg.vector.ground import Ground
from geoseg.vector.outlines import RawPolygons, RingBatch
from geoseg.vector.subpixel.gates import MARGIN, thin
from geoseg.vector.subpixel.rowstore import RowStore

NO_SCORE = 255


@dataclass(frozen=True, slots=True)
class ContourSettings:
    """The threshold in units of the score raster (0 to 254), and the values beside which there are no scores.

    Sides between a class and `background` are moved; between two classes, and beside `nodata`, they stay.
    """

    threshold: float
    background: int = 0
    nodata: int = NODATA


def contour(
    batch: RingBatch, scores: RowStore, settings: ContourSettings, origin: tuple[int, int] = (0, 0)
) -> RawPolygons:
    """Valid polygons in pixel coordinates for components of a raster of two classes, none lost, in the order given.

    `scores` are of the class that is not background, for all rows of the components and one row around; their first
    pixel has its corner at `origin` (x, y), and pixels of the class have one. Of several classes polygons are as valid
    and as much apart, and walls between them stay. Points are not simplified: there is one for each side of a pixel.
    Raises ValueError where rows of scores are missing.
    """
    if not len(batch):
        return batch.polygons()
    first = int(batch.points[:, 1].min()) - origin[1] - 1
    last = int(batch.points[:, 1].max()) - origin[1] + 1
    top = max(first, 0)
    window = scores.window(top, min(last, scores.shape[0]))
    around = Around(window, origin[0], origin[1] + top, settings.background, settings.nodata, settings.threshold)
    points, offsets = _contours(batch.points, batch.ring_offsets, batch.beside, around)
    ragged = (offsets, batch.polygon_offsets)
    geometry = shapely.from_ragged_array(shapely.GeometryType.POLYGON, points, ragged)
    return RawPolygons(geometry, batch.class_id, batch.pixels, batch.score_sum, batch.touches_edge, batch.group)


def simplify_contour(polygons: RawPolygons, ground: Ground, tolerance_m: float) -> RawPolygons:
    """The polygons of `contour` from fewer of their points, none of which moves; as valid and apart as before.

    Outlines differ by `tolerance_m` on the ground at the most, and less than a pixel: they part the same pixels.
    A polygon's result depends on nothing but itself. Where metres are not known it stays as it is.
    """
    if tolerance_m <= 0 or not len(polygons):
        return polygons
    bounds = shapely.bounds(polygons.geometry)
    sizes = ground.pixel_sizes((bounds[:, :2] + bounds[:, 2:]) / 2)
    _, points, (rings, parts) = shapely.to_ragged_array(polygons.geometry)
    points, offsets = thin(points, rings.astype(np.int64), np.repeat(sizes, np.diff(parts), axis=0), tolerance_m)
    geometry = shapely.from_ragged_array(shapely.GeometryType.POLYGON, points, (offsets, parts))
    return replace(polygons, geometry=geometry)


class Around(NamedTuple):
    """Scores (y, x), the corner of the first, and the settings, for kernels."""

    scores: NDArray[np.uint8]
    left: int
    top: int
    background: int
    nodata: int
    threshold: float


@compiled
def _score(around: Around, x: int, y: int) -> int:
    """The score of the pixel whose first corner is given; NO_SCORE outside."""
    row, column = y - around.top, x - around.left
    if row < 0 or column < 0 or row >= around.scores.shape[0] or column >= around.scores.shape[1]:
        return NO_SCORE
    return int(around.scores[row, column])


@compiled
def _crossing(around: Around, x: int, y: int, right: int, down: int) -> tuple[float, float]:
    """The point (x, y) where the contour passes the unit side that leads from a corner in a direction.

    The pixel inside is on the left as seen on the screen.
    """
    inside = _score(around, x + (right + down - 1) // 2, y + (down - right - 1) // 2)
    outside = _score(around, x + (right - down - 1) // 2, y + (down + right - 1) // 2)
    part = 0.5
    if NO_SCORE not in (inside, outside) and inside > outside:
        part = min(max((inside - around.threshold) / (inside - outside), MARGIN), 1 - MARGIN)
    part -= 0.5
    return x + 0.5 * right - part * down, y + 0.5 * down + part * right


@compiled
def _carried(around: Around, corner: tuple[int, int], ahead: tuple[int, int], behind: bool) -> tuple[float, float]:
    """The point where a contour passes from a side that stays to a segment, or back, at the corner between them.

    `ahead` is the direction of the outline before the corner; there it turns left. `behind` says that the side before
    the corner is the one that stays.
    """
    x, y = corner
    right, down = ahead
    if _score(around, x + (right - down - 1) // 2, y + (down + right - 1) // 2) != NO_SCORE:
        return float(x), float(y)  # the edge of missing data turns here
    if behind:
        at_x, at_y = _crossing(around, x, y, down, -right)
    else:
        at_x, at_y = _crossing(around, x - right, y - down, right, down)
    along_x = (right != 0) == behind
    return (at_x, float(y)) if along_x else (float(x), at_y)


@compiled
def _contours(
    corners: NDArray[np.int32], offsets: NDArray[np.int64], beside: NDArray[np.int32], around: Around
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Points (x, y) and offsets of the rings' contours, each closed, from where the ring begins."""
    most = corners.shape[0] + offsets.size
    for place in range(1, corners.shape[0]):
        most += abs(corners[place, 0] - corners[place - 1, 0]) + abs(corners[place, 1] - corners[place - 1, 1])
    points = np.empty((most, 2), np.float64)
    starts = np.zeros(offsets.size, np.int64)
    count = 0
    for ring in range(offsets.size - 1):
        first, last = offsets[ring], offsets[ring + 1] - 1
        before = last - 1  # the side before the first corner
        for place in range(first, last):
            x, y = int(corners[place, 0]), int(corners[place, 1])
            right, down = int(np.sign(corners[place + 1, 0] - x)), int(np.sign(corners[place + 1, 1] - y))
            length = abs(corners[place + 1, 0] - x) + abs(corners[place + 1, 1] - y)
            ahead = (int(np.sign(x - corners[before, 0])), int(np.sign(y - corners[before, 1])))
            stayed, stays = beside[before] != around.background, beside[place] != around.background
            if stayed or stays:
                points[count] = x, y
                missing = beside[before if stayed else place] == around.nodata
                if stayed != stays and missing and ahead != (right, down):
                    points[count] = _carried(around, (x, y), ahead, stayed)
                count += 1
            if not stays:
                for step in range(length):
                    points[count] = _crossing(around, x + step * right, y + step * down, right, down)
                    count += 1
            before = place
        points[count] = points[starts[ring]]
        count += 1
        starts[ring + 1] = count
    return points[:count].copy(), starts
