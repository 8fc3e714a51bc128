"""Polygons and lines cut where a map ends: at the 180th meridian, or at the one opposite to a projection's middle."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pyproj
import shapely
from numpy.typing import NDArray

Move = Callable[[NDArray[np.float64]], NDArray[np.float64]]  # points (point, 2) to points
_WORLD = 360.0
_HAIR = 1e-9  # degrees, 0.1 mm: what lies so close beside the seam is on one side of it
_LATITUDES = (0.0, 30.0, -30.0, 45.0, -45.0, 60.0, -60.0)


@dataclass(frozen=True, slots=True)
class Seam:
    """Where a projection's map ends: what lies across it would span the whole map.

    `middle` is the longitude opposite to it. `to_degrees` leads from the features' CRS to the projection's own degrees,
    `to_map` from there to the map.
    """

    middle: float
    to_degrees: pyproj.Transformer
    to_map: pyproj.Transformer

    @classmethod
    def of(cls, source: pyproj.CRS, target: pyproj.CRS) -> Self | None:
        """The seam of `target` for features in `source`; None where its map has no meridian as its end."""
        if target.geodetic_crs is None or not target.is_projected or target.coordinate_operation is None:
            return None
        middles = [float(p.value) for p in target.coordinate_operation.params if p.name.startswith("Longitude of")]
        to_map = pyproj.Transformer.from_crs(target.geodetic_crs, target, always_xy=True)
        seam = cls(middles[0] if middles else 0.0, way(source, target.geodetic_crs), to_map)
        return seam if seam._jumps() else None

    def _jumps(self) -> bool:
        """Whether the two sides of the seam lie apart on the map."""
        sides = [self._onto_map(np.array([[x, y] for y in _LATITUDES])) for x in (_WORLD / 2, -_WORLD / 2)]
        apart = np.abs(sides[0] - sides[1]).max(axis=1)
        return bool((apart[np.isfinite(apart)] > 1.0).any())

    def _relative(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Degrees (point, 2) of points of the source, longitudes counted from the middle."""
        longitude, latitude = self.to_degrees.transform(points[:, 0], points[:, 1])
        with np.errstate(invalid="ignore"):
            east = np.remainder(longitude - self.middle + _WORLD / 2, _WORLD) - _WORLD / 2
        return np.column_stack([east, latitude])

    def _onto_map(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Points (point, 2) on the map from degrees counted from the middle."""
        east = np.clip(points[:, 0], _HAIR - _WORLD / 2, _WORLD / 2 - _HAIR)
        return np.column_stack(self.to_map.transform(east + self.middle, points[:, 1]))

    def cut(self, placed: NDArray[Any], source: NDArray[Any]) -> NDArray[Any]:
        """The features on the map, those across the seam multipart; `source` are they before they got there."""
        if not len(source) or not self._near(shapely.total_bounds(source)):
            return placed
        degrees = shapely.transform(source, self._relative)
        parts = cut_at_dateline(degrees, source, self._relative)
        crossing = np.array([after is not before for after, before in zip(parts, degrees, strict=True)])
        if not crossing.any():
            return placed
        placed = placed.copy()
        placed[crossing] = shapely.transform(parts[crossing], self._onto_map)
        return placed

    def _near(self, bounds: NDArray[np.float64]) -> bool:
        """Whether a feature within these bounds may cross the seam."""
        across, along = np.meshgrid(np.linspace(bounds[0], bounds[2], 9), np.linspace(bounds[1], bounds[3], 9))
        east = self._relative(np.column_stack([across.ravel(), along.ravel()]))[:, 0]
        return not (np.isfinite(east).all() and np.ptp(east) < _WORLD / 2)


def way(source: pyproj.CRS, target: pyproj.CRS) -> pyproj.Transformer:
    """The way from one CRS to another, x first. Raises ProjError where there is none."""
    return pyproj.Transformer.from_crs(source, target, always_xy=True)


def cut_at_dateline(geometry: NDArray[Any], source: NDArray[Any], move: Move | None) -> NDArray[Any]:
    """Polygons or lines in degrees, those across the 180th meridian multipart, with all parts in -180..180.

    `source` are the features before `move` brought them to degrees (None: they were in degrees and run beyond 180 where
    they cross). Those that do not cross are the same objects as before.
    """
    west, _, east, _ = shapely.bounds(geometry).T
    wide = (east - west > _WORLD / 2) if move is not None else np.zeros(len(geometry), dtype=bool)
    beyond = (west < -_WORLD / 2) | (east > _WORLD / 2)
    cut = geometry.copy()
    for index in np.flatnonzero(wide | beyond):
        pairs = zip(shapely.get_parts(geometry[index]), shapely.get_parts(source[index]), strict=True)
        whole = [_unwrapped(part, origin, move) if move is not None and wide[index] else part for part, origin in pairs]
        parts = [part for feature in whole for part in _folded(feature)]
        many = shapely.MultiPolygon if shapely.get_dimensions(geometry[index]) == 2 else shapely.MultiLineString
        cut[index] = parts[0] if len(parts) == 1 else many(parts)
    return cut


def _unwrapped(feature: Any, source: Any, move: Move) -> Any:
    """The polygon or line with longitudes that run on beyond 180 instead of jumping to -180."""
    if feature.geom_type == "LineString":
        return shapely.LineString(_continuous(feature, source, move))
    origins = [source.exterior, *source.interiors]
    rings = [feature.exterior, *feature.interiors]
    turned = [_continuous(ring, origin, move) for ring, origin in zip(rings, origins, strict=True)]
    shell = turned[0]
    for hole in turned[1:]:
        hole[:, 0] += _WORLD * np.round((shell[:, 0].mean() - hole[:, 0].mean()) / _WORLD)
    return shapely.Polygon(shell, turned[1:])


def _continuous(ring: Any, origin: Any, move: Move) -> NDArray[np.float64]:
    """The vertices (vertex, 2) of a ring or line without a jump, none of them west of -180.

    An edge jumps when the middle of its edge in the source lies far from the middle of its longitudes: a rectangle
    round the world has an edge as long in degrees, and does not jump.
    """
    points, flat = shapely.get_coordinates(ring), shapely.get_coordinates(origin)
    seen = move((flat[1:] + flat[:-1]) / 2)[:, 0]
    step = np.diff(points[:, 0])
    jumps = (np.abs(step) > _WORLD / 2) & (np.abs(seen - (points[1:, 0] + points[:-1, 0]) / 2) > _WORLD / 4)
    points[:, 0] += _WORLD * np.concatenate([[0], np.cumsum(np.where(jumps, -np.sign(step), 0))])
    if points[:, 0].min() < -_WORLD / 2:
        points[:, 0] += _WORLD
    return points


def _folded(feature: Any) -> list[Any]:
    """The parts of a polygon or line between odd multiples of 180 degrees, each moved into -180..180."""
    west, south, east, north = shapely.bounds(feature)
    first, last = (int(np.floor((x + _WORLD / 2) / _WORLD)) for x in (west, np.nextafter(east, west)))
    solid = shapely.get_dimensions(feature) == 2
    whole = shapely.make_valid(feature) if solid and not feature.is_valid else feature
    parts: list[Any] = []
    for turn in range(first, last + 1):
        world = shapely.box(_WORLD * (turn - 0.5), south - 1, _WORLD * (turn + 0.5), north + 1)
        inside = shapely.get_parts(shapely.get_parts(shapely.intersection(whole, world)))
        kept = inside[(shapely.area(inside) if solid else shapely.length(inside)) > 0]
        parts += list(shapely.transform(kept, _shift(-_WORLD * turn)))
        if not solid:
            whole = shapely.difference(whole, world)  # what runs along the seam comes once
    return parts


def _shift(degrees: float) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    """A function that moves points (point, 2) along the first axis."""
    return lambda points: points + np.array([degrees, 0.0])
