"""Where to look: polygons of an area of interest on the scene's grid."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pyogrio
import shapely
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from pyogrio.errors import DataLayerError, DataSourceError
from pyproj import CRS, Transformer
from pyproj.exceptions import CRSError, ProjError
from rasterio.features import rasterize
from shapely.errors import ShapelyError

from geoseg.core.tiling import Span
from geoseg.errors import RegionError
from geoseg.io.raster import unplaced
from geoseg.io.scene import Scene

PIECES = 64  # of a polygon's extent: sides are cut so finely before they are reprojected, where straight lines bend


@dataclass(frozen=True, slots=True)
class RegionMask:
    """An area of interest: `polygons` (polygon,) in the scene's CRS, grown by the margin that was asked for."""

    polygons: NDArray[Any]

    def spans(self, grid: GeoBox) -> tuple[Span, Span]:
        """The rows and columns of a grid between which the region lies."""
        bounds = shapely.bounds(_mapped(self.polygons, ~grid.affine))
        low = np.floor(bounds[:, :2].min(axis=0)).astype(int).tolist()
        high = np.ceil(bounds[:, 2:].max(axis=0)).astype(int).tolist()
        y, x = (Span(low[i], high[i]).clip(Span(0, grid.shape[1 - i])) for i in (1, 0))
        return y, x

    def mask(self, grid: GeoBox, y: Span, x: Span) -> NDArray[np.bool_]:
        """True (y, x) for all pixels of a window of `grid` that the region touches."""
        left, bottom, right, top = _window(grid, y, x).bounds
        bounds = shapely.bounds(self.polygons)
        apart = (bounds[:, 0] > right) | (bounds[:, 2] < left) | (bounds[:, 1] > top) | (bounds[:, 3] < bottom)
        if apart.all():
            return np.zeros((y.size, x.size), dtype=bool)
        pixels = _mapped(self.polygons[~apart], ~grid.affine)
        place = {"out_shape": (y.size, x.size), "transform": Affine.translation(x.start, y.start)}
        with unplaced():
            return np.asarray(rasterize(pixels, all_touched=True, dtype=np.uint8, **place) != 0)


def read_region(
    aoi: str | None,
    bounds: tuple[float, float, float, float] | None,
    bounds_crs: str | None,
    scene: Scene,
    margin_m: float = 0,
) -> RegionMask:
    """The region in a vector file's polygons, or in bounds (left, bottom, right, top), grown by `margin_m` metres.

    Bounds are in `bounds_crs`, or in the scene's CRS. Only what meets the scene is kept. Raises RegionError when the
    region is unreadable or empty, has no CRS where it needs one, or misses the scene.
    """
    name = aoi or f"bounds {bounds}"
    if aoi is not None:
        polygons, crs = _read(aoi)
    elif bounds is not None:
        polygons, crs = np.array([shapely.box(*bounds)]), bounds_crs
    else:
        raise RegionError("no region was given; expected a file of polygons (--aoi) or --bounds")
    placed = _turned(_brought(polygons, crs, scene, name, own=aoi is None), scene)
    extent = _extent(scene)
    if not shapely.intersects(extent, placed).any():
        raise RegionError(
            f"{name}: misses the scene {scene.name}: the region spans {_listed(shapely.total_bounds(placed))} and the "
            f"scene {_listed(extent.bounds)} (left, bottom, right, top in the scene's CRS); choose one that meets it"
        )
    grown = _grown(placed, scene, margin_m) if margin_m > 0 else placed
    return RegionMask(grown[shapely.intersects(extent, grown)])


def _read(path: str) -> tuple[NDArray[Any], Any]:
    """The polygons of a vector file, and its CRS."""
    local = "://" not in path and not path.startswith("/vsi")
    if local and not Path(path).exists():
        raise RegionError(f"{path}: there is no such file; expected a vector file of polygons")
    try:
        if Path(path).suffix.lower() == ".parquet":
            table = gpd.read_parquet(path)
        else:
            layers = [str(layer) for layer, kind in pyogrio.list_layers(path) if kind is not None]
            if len(layers) != 1:
                found = ", ".join(layers) or "none"
                raise RegionError(f"{path}: found the layers {found}; expected one; export it to a file of its own")
            table = gpd.read_file(path, layer=layers[0])
        return _polygons(table.geometry.to_numpy(), path), table.crs
    except (DataSourceError, DataLayerError, ShapelyError, ValueError, OSError) as error:
        raise RegionError(f"{path}: cannot be read as a vector file ({error}); expected polygons") from error


def _polygons(geometry: NDArray[Any], path: str) -> NDArray[Any]:
    parts = shapely.get_parts(shapely.get_parts(shapely.make_valid(geometry[~shapely.is_missing(geometry)])))
    polygons = parts[(shapely.get_type_id(parts) == shapely.GeometryType.POLYGON) & ~shapely.is_empty(parts)]
    if len(polygons) == 0:
        kinds = ", ".join(sorted({part.geom_type for part in parts})) or "nothing"
        raise RegionError(f"{path}: found {kinds}; expected at least one polygon that is not empty")
    return np.asarray(polygons)


def _brought(polygons: NDArray[Any], crs: Any, scene: Scene, name: str, *, own: bool) -> NDArray[Any]:
    """The polygons in the scene's CRS; without one of their own they are taken to be in it when `own` says so."""
    there = scene.grid.crs.proj if scene.grid.crs else None
    if crs is None and (own or there is None):
        return polygons
    if there is None:
        raise RegionError(
            f"{name}: has a CRS, but the scene {scene.name} has none; give the scene one (gdal_edit.py -a_srs)"
        )
    if crs is None:
        raise RegionError(
            f"{name}: has no CRS; expected one, to place it on the scene; set it: ogr2ogr -a_srs EPSG:..."
        )
    try:
        here = CRS.from_user_input(crs)
        move = Transformer.from_crs(here, there, always_xy=True)
    except (CRSError, ProjError) as error:
        raise RegionError(f"{name}: its CRS cannot be used ({error}); expected something like EPSG:4326") from error
    return polygons if here == there else _reprojected(polygons, move, scene, name)


def _reprojected(polygons: NDArray[Any], move: Transformer, scene: Scene, name: str) -> NDArray[Any]:
    """The polygons in the scene's CRS: only their parts around the scene, because far away a CRS may fail."""
    near = _near(polygons, move, scene)
    moved = _moved(near if len(near) else polygons, move)
    finite = moved[np.isfinite(shapely.bounds(moved)).all(axis=1)]
    parts = shapely.get_parts(shapely.make_valid(finite))
    parts = parts[shapely.get_dimensions(parts) == 2]
    if len(parts) == 0:
        raise RegionError(f"{name}: misses the scene {scene.name} by far; choose a region that meets it")
    return np.asarray(parts)


def _near(polygons: NDArray[Any], move: Transformer, scene: Scene) -> NDArray[Any]:
    """The parts of the polygons, in their own CRS, that lie in a wide box around the scene, or all of them."""
    back = Transformer.from_crs(move.target_crs, move.source_crs, always_xy=True)
    outline = shapely.segmentize(_extent(scene), _extent(scene).length / (4 * PIECES))
    x, y = back.transform(*shapely.get_coordinates(outline).T)
    degrees = bool(move.source_crs and move.source_crs.is_geographic)
    if degrees and np.ptp(x) > 180:
        x = np.where(x < 0, x + 360, x)  # the scene lies on the date line
    if not (np.isfinite(x).all() and np.isfinite(y).all()) or (degrees and np.ptp(x) > 180):
        return polygons
    margin = max(np.ptp(x), np.ptp(y))
    box = np.array([shapely.box(x.min() - margin, y.min() - margin, x.max() + margin, y.max() + margin)])
    turns = (-360, 0, 360) if degrees else (0,)
    around = shapely.union_all([_mapped(box, Affine.translation(turn, 0))[0] for turn in turns])
    parts = shapely.get_parts(shapely.get_parts(shapely.intersection(polygons, around)))
    return np.asarray(parts[shapely.get_dimensions(parts) == 2])


def _moved(polygons: NDArray[Any], move: Transformer) -> NDArray[Any]:
    bounds = shapely.bounds(polygons)
    sides = np.fmax((bounds[:, 2:] - bounds[:, :2]).max(axis=1), np.finfo(float).tiny)
    fine = shapely.segmentize(polygons, np.nan_to_num(sides / PIECES, nan=1.0))
    return np.asarray(shapely.transform(fine, lambda xy: np.column_stack(move.transform(xy[:, 0], xy[:, 1]))))


def _turned(polygons: NDArray[Any], scene: Scene) -> NDArray[Any]:
    """The polygons, and those that meet the scene after a whole turn: its degrees may count on beyond the date line."""
    if scene.grid.crs is None or not scene.grid.crs.geographic:
        return polygons
    both = np.concatenate([_mapped(polygons, Affine.translation(turn, 0)) for turn in (-360, 360)])
    return np.concatenate([polygons, both[shapely.intersects(_extent(scene), both)]])


def _grown(polygons: NDArray[Any], scene: Scene, margin_m: float) -> NDArray[Any]:
    """The polygons with a margin in metres on the ground, as the scene's pixels measure it."""
    down, across = scene.pixel_size or (1.0, 1.0)
    metres = Affine.scale(across, down) * ~scene.grid.affine
    return _mapped(shapely.buffer(_mapped(polygons, metres), margin_m, quad_segs=4), ~metres)


def _mapped(polygons: NDArray[Any], affine: Affine) -> NDArray[Any]:
    matrix, shift = np.array([[affine.a, affine.d], [affine.b, affine.e]]), np.array([affine.c, affine.f])
    return np.asarray(shapely.transform(polygons, lambda xy: xy @ matrix + shift))


def _window(grid: GeoBox, y: Span, x: Span) -> shapely.Polygon:
    """The outline of a window of the grid, in its CRS."""
    corners = [(x.start, y.start), (x.stop, y.start), (x.stop, y.stop), (x.start, y.stop)]
    return shapely.Polygon([grid.affine * corner for corner in corners])


def _extent(scene: Scene) -> shapely.Polygon:
    return _window(scene.grid, *scene.window())


def _listed(bounds: Any) -> str:
    return ", ".join(f"{value:.10g}" for value in bounds)
