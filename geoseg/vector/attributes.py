"""What a polygon's row in the file says: class, confidence, area and perimeter on the ellipsoid."""

from __future__ import annotations

from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import Geod

from geoseg.core.classes import ClassSet
from geoseg.core.features import PolygonBatch
from geoseg.vector.ground import Ground, to_world
from geoseg.vector.outlines import RawPolygons

FULL_SCORE = 254  # a score of 1 in a score raster
CONFIDENCE_DIGITS = 4


def measure(batch: RawPolygons, ground: Ground, classes: ClassSet) -> PolygonBatch:
    """The polygons in the scene's CRS with their attributes, in the order given.

    Areas and perimeters (of holes too) are geodesic where there is a CRS, else planar by the ground's resolution, NaN
    where that is unknown. The confidence is the mean score of the component's pixels.
    """
    areas, perimeters = _extent(batch.geometry, ground)
    names = {info.id: info.name for info in classes.classes}
    class_names = np.array([names.get(int(i), f"class {i}") for i in batch.class_id], dtype=object)
    return PolygonBatch(
        geometry=to_world(batch.geometry, ground.transform),
        class_name=class_names,
        class_id=batch.class_id,
        confidence=confidence(batch),
        area_m2=areas,
        perimeter_m=perimeters,
        touches_edge=batch.touches_edge,
    )


def ground_areas(geometry: NDArray[Any], ground: Ground) -> NDArray[np.float64]:
    """Square metres of polygons in pixel coordinates, shape (polygon,), as `measure` gives them."""
    return _extent(geometry, ground)[0]


def confidence(batch: RawPolygons) -> NDArray[np.float64]:
    """Mean scores (0 to 1) of the pixels, rounded, shape (polygon,); NaN where no scores are known."""
    means = np.round(batch.score_sum / (FULL_SCORE * batch.pixels), CONFIDENCE_DIGITS)
    return np.where(batch.score_sum >= 0, means, np.nan)


def _extent(geometry: NDArray[Any], ground: Ground) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Square metres and metres, each (polygon,)."""
    geod = ground.geod
    if geod is not None:
        return _geodesic(geometry, ground, geod)
    resolution = np.nan if ground.resolution is None else ground.resolution
    return shapely.area(geometry) * resolution**2, shapely.length(geometry) * resolution


def _geodesic(geometry: NDArray[Any], ground: Ground, geod: Geod) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Areas and perimeters by Karney, "Algorithms for geodesics" (2013), as pyproj computes them."""
    if not len(geometry):
        return np.empty(0), np.empty(0)
    _, points, (rings, polygons) = shapely.to_ragged_array(geometry)
    longitude, latitude = ground.lonlat(points)
    areas = np.empty(len(rings) - 1)
    lengths = np.empty(len(rings) - 1)
    for ring in range(len(areas)):
        span = slice(rings[ring], rings[ring + 1] - 1)
        areas[ring], lengths[ring] = geod.polygon_area_perimeter(longitude[span], latitude[span])
    signed = -np.abs(areas)
    signed[polygons[:-1]] *= -1  # exteriors count, holes take away
    return np.add.reduceat(signed, polygons[:-1]), np.add.reduceat(lengths, polygons[:-1])
