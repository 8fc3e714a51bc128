"""Where pixels lie on the ground: world coordinates, and metres that hold where an object stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS, Geod, Transformer

from geoseg.errors import ResolutionError


@dataclass(frozen=True, slots=True)
class Ground:
    """The ground under a raster; points are (point, 2) in pixel coordinates, x to the right and y down.

    `transform` leads from pixel corners to coordinates of `crs`. `resolution` (metres per pixel) is used where
    there is no CRS, or none that leads to longitude and latitude.
    """

    transform: Affine
    crs: CRS | None = None
    resolution: float | None = None

    @classmethod
    def of(cls, transform: Affine, crs: Any, resolution: float | None = None) -> Ground:
        """The ground of a grid; `crs` is None or anything that pyproj takes (WKT, "EPSG:32636", odc-geo's CRS)."""
        return cls(transform, None if crs is None else CRS.from_user_input(crs), resolution)

    @property
    def geod(self) -> Geod | None:
        """The CRS's ellipsoid, None where lengths are planar."""
        known = _geodetic(self.crs)
        return known[1] if known else None

    @property
    def measurable(self) -> bool:
        """Whether metres are known at all."""
        return self.geod is not None or self.resolution is not None

    def check(self, lengths: Mapping[str, float]) -> None:
        """Nothing where metres are known, or no `lengths` are asked for. Raises ResolutionError naming them."""
        asked = ", ".join(f"{name} {value:g}" for name, value in lengths.items() if value > 0)
        if asked and not self.measurable:
            raise ResolutionError(
                f"the raster has no usable CRS and no ground resolution, so that {asked} have no meaning: state its "
                "metres per pixel (--resolution; for a scene to predict, --scene-resolution), or set all of them to 0"
            )

    def lonlat(self, points: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Longitudes and latitudes in degrees on the CRS's own datum. Raises ValueError where `geod` is None."""
        known = _geodetic(self.crs)
        if known is None:
            raise ValueError(f"no way leads from {self.crs} to longitude and latitude")
        world = apply(self.transform, points)
        longitude, latitude = known[0].transform(world[:, 0], world[:, 1])
        return longitude, latitude

    def pixel_sizes(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Metres per pixel along x and along y at each point, shape (point, 2); NaN where nothing is known."""
        geod = self.geod
        if geod is None:
            return np.full((len(points), 2), np.nan if self.resolution is None else self.resolution)
        sizes = np.empty((len(points), 2))
        for axis, half in enumerate(([0.5, 0.0], [0.0, 0.5])):
            sizes[:, axis] = geod.inv(*self.lonlat(points - half), *self.lonlat(points + half))[2]
        return sizes

    def pixel_areas(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Square metres of a pixel at each point, shape (point,); NaN where nothing is known."""
        t = self.transform
        skew = abs(t.determinant) / (np.hypot(t.a, t.d) * np.hypot(t.b, t.e))
        areas: NDArray[np.float64] = self.pixel_sizes(points).prod(axis=1) * skew
        return areas


def apply(transform: Affine, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """World coordinates of points in pixel coordinates, both (point, 2)."""
    x, y = points[:, 0], points[:, 1]
    t = transform
    return np.column_stack([t.a * x + t.b * y + t.c, t.d * x + t.e * y + t.f])


def to_world(geometry: NDArray[Any], transform: Affine) -> NDArray[Any]:
    """Polygons in world coordinates from polygons in pixel coordinates, exteriors counterclockwise."""
    world: NDArray[Any] = shapely.transform(geometry, lambda points: apply(transform, points))
    if transform.determinant > 0:  # rows run north, or the raster is mirrored
        world = shapely.orient_polygons(world)
    return world


@lru_cache(maxsize=16)
def _geodetic(crs: CRS | None) -> tuple[Transformer, Geod] | None:
    """The way from a CRS to longitude and latitude on its own datum, and its ellipsoid; None where there is none."""
    if crs is None or crs.geodetic_crs is None:
        return None
    geod = crs.get_geod()
    if geod is None:
        return None
    return Transformer.from_crs(crs, crs.geodetic_crs, always_xy=True), geod
