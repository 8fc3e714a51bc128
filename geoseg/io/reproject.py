"""Polygons and lines brought into the CRS that a file is written in, cut at the 180th meridian where that has to be."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
import shapely
from numpy.typing import NDArray
from pyproj.exceptions import CRSError, ProjError

from geoseg.core.edges import densified
from geoseg.errors import OutputError, WriteError
from geoseg.io.dateline import Seam, cut_at_dateline, way
from geoseg.io.vector_formats import vector_driver

LONGEST_METRES, LONGEST_DEGREES = 1000.0, 0.01  # of edges: reprojected, their middle is two centimetres off at the most
DECIMALS = 7  # of a degree in GeoJSON: about a centimetre


@dataclass(frozen=True, slots=True)
class Reprojection:
    """How features go from the scene's CRS to the file's: `crs` is the file's (None: the scene has none).

    `cut` says that they are cut at the 180th meridian, `seam` at which other one, `decimals` how far coordinates
    are rounded, and `longest` how long an edge may be that is taken for straight in both.
    """

    path: Path
    crs: pyproj.CRS | None
    transformer: pyproj.Transformer | None
    cut: bool = False
    seam: Seam | None = None
    decimals: int | None = None
    longest: float = np.inf

    @property
    def divides(self) -> bool:
        """Whether features may come out in several parts."""
        return self.cut or self.seam is not None

    def apply(self, geometry: NDArray[Any]) -> NDArray[Any]:
        """The features in the file's CRS, exteriors counter-clockwise, in the same order. Raises WriteError."""
        if self.transformer is not None:
            geometry = _short_edges(geometry, self.longest)
        placed = geometry if self.transformer is None else shapely.transform(geometry, self._forward)
        if self.cut:
            placed = cut_at_dateline(placed, geometry, None if self.transformer is None else self._move)
        if self.seam is not None:
            placed = self.seam.cut(placed, geometry)
        if self.decimals is not None:
            placed = rounded(placed, self.decimals)
        return np.asarray(shapely.orient_polygons(placed))

    def _forward(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Points (point, 2) in the file's CRS."""
        moved = self._move(points)
        if not np.isfinite(moved).all():
            name = self.crs.name if self.crs else "none"
            raise WriteError(f"{self.path}: {name} cannot hold some of these features; choose another --dst-crs")
        return moved

    def _move(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        if self.transformer is None:
            return points
        return np.column_stack(self.transformer.transform(points[:, 0], points[:, 1]))


def plan_reprojection(path: str | Path, crs: Any, dst_crs: Any = None, named: Path | None = None) -> Reprojection:
    """How features in `crs` (None: unknown) reach the file at `path`, in `dst_crs` or the scene's own CRS.

    `named` is what messages call the file, where that is not its path. Raises OutputError for an unreadable `dst_crs`,
    for a scene without CRS where one is needed, and for a GeoJSON in anything but WGS 84.
    """
    geojson = vector_driver(path).name == "GeoJSON"
    path = named or Path(path)
    source = None if crs is None else pyproj.CRS.from_user_input(crs)
    wanted = None if dst_crs is None else _parse(dst_crs)
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
    seam = None if transformer is None or cut else Seam.of(source, target)
    longest = LONGEST_DEGREES if source.is_geographic else LONGEST_METRES
    return Reprojection(path, target, transformer, cut, seam, DECIMALS if geojson else None, longest)


def _parse(text: Any) -> pyproj.CRS:
    try:
        return pyproj.CRS.from_user_input(text)
    except (CRSError, ProjError) as error:
        raise OutputError(f"--dst-crs {text}: not a CRS that PROJ knows; expected for instance EPSG:32633") from error


def _transformer(path: Path, source: pyproj.CRS, target: pyproj.CRS) -> pyproj.Transformer:
    try:
        return way(source, target)
    except ProjError as error:
        raise OutputError(
            f"{path}: no way leads from the scene's CRS {source.name} to {target.name} ({error}); "
            "write .gpkg in the scene's own"
        ) from error


def rounded(geometry: NDArray[Any], decimals: int) -> NDArray[Any]:
    """The features with rounded coordinates; those that rounding would break are snapped by GEOS instead."""
    coarse = shapely.transform(geometry, lambda points: np.round(points, decimals))
    broken = ~shapely.is_valid(coarse)
    if broken.any():
        sound = shapely.make_valid(geometry[broken], method="structure")
        coarse[broken] = shapely.set_precision(sound, 10.0**-decimals)
        gone = shapely.is_empty(coarse)
        coarse[gone] = geometry[gone]
    return np.asarray(coarse)


def _short_edges(geometry: NDArray[Any], longest: float) -> NDArray[Any]:
    """The features with points on their long edges, the same on both sides: straight lines bend when reprojected."""
    kinds = np.unique(shapely.get_type_id(geometry))
    if not len(geometry) or not np.isfinite(longest):
        return geometry
    if len(kinds) > 1:
        parts = geometry.copy()
        for kind in kinds:
            which = shapely.get_type_id(geometry) == kind
            parts[which] = _short_edges(geometry[which], longest)
        return parts
    kind, points, levels = shapely.to_ragged_array(geometry)
    ragged: Any = levels
    if kind == shapely.GeometryType.POINT:
        return geometry
    dense, offsets = densified(points, ragged[0], longest)
    if len(dense) == len(points):
        return geometry
    deeper: Any = (offsets, *ragged[1:])
    return np.asarray(shapely.from_ragged_array(kind, dense, deeper))
