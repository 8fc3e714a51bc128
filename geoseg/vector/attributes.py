"""What a feature's row in the file says: class, confidence, and its size on the ellipsoid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import Geod

from geoseg.core.edges import densified
from geoseg.core.features import LineBatch, PolygonBatch
from geoseg.vector.ground import Ground, to_world
from geoseg.vector.lines.centerlines import RawLines
from geoseg.vector.outlines import RawPolygons, summed

FULL_SCORE = 254  # a score of 1 in a score raster
CONFIDENCE_DIGITS = 4
WIDTH_DIGITS = 2
LONGEST_M = 10_000.0  # straight lines of the raster are no shortest ways: longer edges are measured piece by piece


@dataclass(frozen=True, slots=True)
class Named:
    """What objects are, each (object,): their class's name and value, and their own number where they have one."""

    class_name: NDArray[Any]
    class_id: NDArray[np.int32]
    instance_id: NDArray[np.int64] | None = None


def measure(polygons: RawPolygons, ground: Ground, named: Named) -> PolygonBatch:
    """The polygons in the scene's CRS with their attributes, in the order given.

    Areas and perimeters (of holes too) are geodesic where there is a CRS, else planar by the ground's resolution, NaN
    where that is unknown. The confidence is the mean score of the component's pixels.
    """
    areas, perimeters = _extent(polygons.geometry, ground)
    return PolygonBatch(
        geometry=to_world(polygons.geometry, ground.transform),
        class_name=named.class_name,
        class_id=named.class_id,
        confidence=confidence(polygons),
        area_m2=areas,
        perimeter_m=perimeters,
        touches_edge=polygons.touches_edge,
        instance_id=named.instance_id,
    )


def measure_lines(lines: RawLines, ground: Ground, named: Named) -> LineBatch:
    """The lines in the scene's CRS with their attributes, in the order given, measured as `measure` does."""
    return LineBatch(
        geometry=to_world(lines.geometry, ground.transform),
        class_name=named.class_name,
        class_id=named.class_id,
        confidence=confidence(lines),
        length_m=_lengths(lines.geometry, ground),
        width_m=np.round(lines.width_m, WIDTH_DIGITS),
        touches_edge=lines.touches_edge,
        instance_id=named.instance_id,
    )


def ground_areas(geometry: NDArray[Any], ground: Ground) -> NDArray[np.float64]:
    """Square metres of polygons in pixel coordinates, shape (polygon,), as `measure` gives them."""
    return _extent(geometry, ground)[0]


def confidence(batch: RawPolygons | RawLines) -> NDArray[np.float64]:
    """Mean scores (0 to 1) of the pixels, rounded, shape (object,); NaN where no scores are known."""
    means = np.round(batch.score_sum / (FULL_SCORE * batch.pixels), CONFIDENCE_DIGITS)
    return np.where(batch.score_sum >= 0, means, np.nan)


def _extent(geometry: NDArray[Any], ground: Ground) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Square metres and metres, each (polygon,)."""
    geod = ground.geod
    if geod is not None:
        parts, owner = shapely.get_parts(geometry, return_index=True)
        areas, lengths = _geodesic(parts, ground, geod)
        return summed(areas, owner, len(geometry)), summed(lengths, owner, len(geometry))
    resolution = np.nan if ground.resolution is None else ground.resolution
    return shapely.area(geometry) * resolution**2, shapely.length(geometry) * resolution


def _lengths(geometry: NDArray[Any], ground: Ground) -> NDArray[np.float64]:
    """Metres, shape (line,)."""
    geod = ground.geod
    if geod is None:
        return shapely.length(geometry) * (np.nan if ground.resolution is None else ground.resolution)
    if not len(geometry):
        return np.empty(0)
    _, corners, (ends,) = shapely.to_ragged_array(geometry)
    points, lines = densified(corners, ends.astype(np.int64), _longest(corners, ground))
    line = np.repeat(np.arange(len(geometry)), np.diff(lines))
    longitude, latitude = ground.lonlat(points)
    _, _, steps = geod.inv(longitude[:-1], latitude[:-1], longitude[1:], latitude[1:])
    within = line[:-1] == line[1:]
    return summed(steps[within], line[:-1][within], len(geometry))


def _longest(points: NDArray[np.float64], ground: Ground) -> float:
    """How many pixels an edge may be long that is measured as the shortest way between its ends."""
    sizes = ground.pixel_sizes(points[:: max(1, len(points) // 64)])
    largest = np.nanmax(sizes) if np.isfinite(sizes).any() else 0.0
    return float(max(LONGEST_M / largest, 1e-3)) if largest > 0 else np.inf


def _geodesic(geometry: NDArray[Any], ground: Ground, geod: Geod) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Areas and perimeters of polygons by Karney, "Algorithms for geodesics" (2013), as pyproj computes them."""
    if not len(geometry):
        return np.empty(0), np.empty(0)
    _, corners, (ends, polygons) = shapely.to_ragged_array(geometry)
    points, rings = densified(corners, ends.astype(np.int64), _longest(corners, ground))
    longitude, latitude = ground.lonlat(points)
    areas = np.empty(len(rings) - 1)
    lengths = np.empty(len(rings) - 1)
    for ring in range(len(areas)):
        span = slice(rings[ring], rings[ring + 1] - 1)
        areas[ring], lengths[ring] = geod.polygon_area_perimeter(longitude[span], latitude[span])
    signed = -np.abs(areas)
    signed[polygons[:-1]] *= -1  # exteriors count, holes take away
    return np.add.reduceat(signed, polygons[:-1]), np.add.reduceat(lengths, polygons[:-1])
