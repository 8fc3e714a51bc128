"""Polygons brought into the CRS that a file is written in, cut at the 180th meridian where that has to be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
import shapely
from numpy.typing import NDArray
from pyproj.exceptions import CRSError, ProjError

from geoseg.errors import OutputError, WriteError
from geoseg.io.vector_formats import vector_driver

DECIMALS = 7  # of a degree in GeoJSON: about a centimetre
_WORLD = 360.0


@dataclass(frozen=True, slots=True)
class Reprojection:
    """How polygons go from the scene's CRS to the file's: `crs` is the file's (None: the scene has none).

    `cut` says that polygons are cut at the 180th meridian, `decimals` how far coordinates are rounded.
    """

    path: Path
    crs: pyproj.CRS | None
    transformer: pyproj.Transformer | None
    cut: bool = False
    decimals: int | None = None

    def apply(self, geometry: NDArray[Any]) -> NDArray[Any]:
        """The polygons in the file's CRS, exteriors counter-clockwise, in the same order. Raises WriteError."""
        placed = geometry
        if self.transformer is not None:
            placed = shapely.transform(placed, self._forward)
        if self.cut:
            placed = cut_at_dateline(placed, geometry, self.transformer)
        if self.decimals is not None:
            placed = rounded(placed, self.decimals)
        return np.asarray(shapely.orient_polygons(placed))

    def _forward(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Points (point, 2) in the file's CRS."""
        moved = _moved(self.transformer, points)
        if not np.isfinite(moved).all():
            name = self.crs.name if self.crs else "none"
            raise WriteError(f"{self.path}: {name} cannot hold some of these polygons; choose another --dst-crs")
        return moved


def plan_reprojection(path: str | Path, crs: Any, dst_crs: Any = None) -> Reprojection:
    """How polygons in `crs` (None: unknown) reach the file at `path`, in `dst_crs` or the scene's own CRS.

    Raises OutputError for an unreadable `dst_crs`, for a scene without CRS where one is needed, and for a GeoJSON in
    anything but WGS 84.
    """
    path = Path(path)
    source = None if crs is None else pyproj.CRS.from_user_input(crs)
    wanted = None if dst_crs is None else _parse(dst_crs)
    geojson = vector_driver(path).name == "GeoJSON"
    if source is None:
        if wanted is not None or geojson:
            what = "--dst-crs" if wanted is not None else "GeoJSON, which holds longitude and latitude,"
            raise OutputError(
                f"{path}: the scene has no CRS and {what} needs one; write .gpkg, .fgb, .shp or .parquet without it"
            )
        return Reprojection(path, None, None)
    if geojson:
        if wanted is not None and not wanted.equals(pyproj.CRS("OGC:CRS84"), ignore_axis_order=True):
            raise OutputError(
                f"{path}: GeoJSON holds WGS 84 longitude and latitude only (RFC 7946), found --dst-crs {dst_crs}; "
                "leave it out, or write .gpkg"
            )
        wanted = pyproj.CRS("EPSG:4326")
    target = wanted or source
    same = source.equals(target, ignore_axis_order=True)
    transformer = None if same else _transformer(path, source, target)
    cut = geojson or (not same and target.is_geographic)
    return Reprojection(path, target, transformer, cut, DECIMALS if geojson else None)


def _parse(text: Any) -> pyproj.CRS:
    try:
        return pyproj.CRS.from_user_input(text)
    except (CRSError, ProjError) as error:
        raise OutputError(f"--dst-crs {text}: not a CRS that PROJ knows; expected for instance EPSG:32633") from error


def _transformer(path: Path, source: pyproj.CRS, target: pyproj.CRS) -> pyproj.Transformer:
    try:
        return pyproj.Transformer.from_crs(source, target, always_xy=True)
    except ProjError as error:
        raise OutputError(
            f"{path}: no way leads from the scene's CRS {source.name} to {target.name} ({error}); "
            "write .gpkg in the scene's own"
        ) from error


def cut_at_dateline(
    geometry: NDArray[Any], source: NDArray[Any], transformer: pyproj.Transformer | None
) -> NDArray[Any]:
    """Polygons in degrees, those across the 180th meridian as multipolygons whose parts lie in -180..180.

    `source` are the polygons before `transformer` (None: they are in degrees already and run beyond 180 where they
    cross).
    """
    west, _, east, _ = shapely.bounds(geometry).T
    wide = (east - west > _WORLD / 2) if transformer is not None else np.zeros(len(geometry), dtype=bool)
    beyond = (west < -_WORLD / 2) | (east > _WORLD / 2)
    cut = geometry.copy()
    for index in np.flatnonzero(wide | beyond):
        pairs = zip(shapely.get_parts(geometry[index]), shapely.get_parts(source[index]), strict=True)
        whole = [_unwrapped(part, origin, transformer) if wide[index] else part for part, origin in pairs]
        parts = [part for polygon in whole for part in _folded(polygon)]
        cut[index] = parts[0] if len(parts) == 1 else shapely.MultiPolygon(parts)
    return cut


def _unwrapped(polygon: Any, source: Any, transformer: pyproj.Transformer | None) -> Any:
    """The polygon with longitudes that run on beyond 180 instead of jumping to -180."""
    origins = [source.exterior, *source.interiors]
    rings = [polygon.exterior, *polygon.interiors]
    turned = [_continuous(ring, origin, transformer) for ring, origin in zip(rings, origins, strict=True)]
    shell = turned[0]
    for hole in turned[1:]:
        hole[:, 0] += _WORLD * np.round((shell[:, 0].mean() - hole[:, 0].mean()) / _WORLD)
    return shapely.Polygon(shell, turned[1:])


def _continuous(ring: Any, origin: Any, transformer: pyproj.Transformer | None) -> NDArray[np.float64]:
    """The ring's vertices (vertex, 2) without a jump, none of them west of -180.

    An edge jumps when the middle of its edge in the source lies far from the middle of its longitudes: a rectangle
    round the world has an edge as long in degrees, and does not jump.
    """
    points, flat = shapely.get_coordinates(ring), shapely.get_coordinates(origin)
    seen = _moved(transformer, (flat[1:] + flat[:-1]) / 2)[:, 0]
    step = np.diff(points[:, 0])
    jumps = (np.abs(step) > _WORLD / 2) & (np.abs(seen - (points[1:, 0] + points[:-1, 0]) / 2) > _WORLD / 4)
    points[:, 0] += _WORLD * np.concatenate([[0], np.cumsum(np.where(jumps, -np.sign(step), 0))])
    if points[:, 0].min() < -_WORLD / 2:
        points[:, 0] += _WORLD
    return points


def _moved(transformer: pyproj.Transformer | None, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points (point, 2) after the transformer; as they are without one."""
    return points if transformer is None else np.column_stack(transformer.transform(points[:, 0], points[:, 1]))


def _folded(polygon: Any) -> list[Any]:
    """The parts of the polygon between odd multiples of 180 degrees, each moved into -180..180."""
    west, south, east, north = shapely.bounds(polygon)
    first, last = (int(np.floor((x + _WORLD / 2) / _WORLD)) for x in (west, np.nextafter(east, west)))
    whole = polygon if polygon.is_valid else shapely.make_valid(polygon)
    parts: list[Any] = []
    for turn in range(first, last + 1):
        world = shapely.box(_WORLD * (turn - 0.5), south - 1, _WORLD * (turn + 0.5), north + 1)
        inside = shapely.get_parts(shapely.get_parts(shapely.intersection(whole, world)))
        kept = inside[shapely.area(inside) > 0]
        parts += list(shapely.transform(kept, _shift(-_WORLD * turn)))
    return parts


def _shift(degrees: float) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    """A function that moves points (point, 2) along the first axis."""
    return lambda points: points + np.array([degrees, 0.0])


def rounded(geometry: NDArray[Any], decimals: int) -> NDArray[Any]:
    """The polygons with rounded coordinates; those that rounding would break are snapped by GEOS instead."""
    coarse = shapely.transform(geometry, lambda points: np.round(points, decimals))
    broken = ~shapely.is_valid(coarse)
    if broken.any():
        coarse[broken] = shapely.set_precision(geometry[broken], 10.0**-decimals)
        gone = shapely.is_empty(coarse)
        coarse[gone] = geometry[gone]
    return np.asarray(coarse)
