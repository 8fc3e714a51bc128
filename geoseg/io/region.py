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
from rasterio.features import rasterize
from shapely.errors import ShapelyError

from geoseg.core.tiling import Span
from geoseg.errors import RegionError
from geoseg.io.raster import unplaced
from geoseg.io.scene import Scene
from geoseg.io.transfer import extent, grown, listed, mapped, outline, transfer_to


@dataclass(frozen=True, slots=True)
class RegionMask:
    """An area of interest: `polygons` (polygon,) in the scene's CRS, grown by the margin that was asked for."""

    polygons: NDArray[Any]

    def spans(self, grid: GeoBox) -> tuple[Span, Span]:
        """The rows and columns of a grid between which the region lies."""
        bounds = shapely.bounds(mapped(self.polygons, ~grid.affine))
        low = np.floor(bounds[:, :2].min(axis=0)).astype(int).tolist()
        high = np.ceil(bounds[:, 2:].max(axis=0)).astype(int).tolist()
        y, x = (Span(low[i], high[i]).clip(Span(0, grid.shape[1 - i])) for i in (1, 0))
        return y, x

    def mask(self, grid: GeoBox, y: Span, x: Span) -> NDArray[np.bool_]:
        """True (y, x) for all pixels of a window of `grid` that the region touches."""
        near = self.near(grid, y, x)
        if not len(near):
            return np.zeros((y.size, x.size), dtype=bool)
        pixels = mapped(near, ~grid.affine)
        place = {"out_shape": (y.size, x.size), "transform": Affine.translation(x.start, y.start)}
        with unplaced():
            return np.asarray(rasterize(pixels, all_touched=True, dtype=np.uint8, **place) != 0)

    def near(self, grid: GeoBox, y: Span, x: Span) -> NDArray[Any]:
        """The polygons (polygon,) whose bounds meet those of a window of `grid`."""
        left, bottom, right, top = outline(grid, y, x).bounds
        bounds = shapely.bounds(self.polygons)
        apart = (bounds[:, 0] > right) | (bounds[:, 2] < left) | (bounds[:, 1] > top) | (bounds[:, 3] < bottom)
        return np.asarray(self.polygons[~apart])


def is_parquet(path: str | Path) -> bool:
    """Whether a file is GeoParquet, as its name says; GDAL often comes without a driver for it."""
    return Path(path).suffix.lower() in (".parquet", ".geoparquet")


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
    placed, _ = transfer_to(scene, crs, name, RegionError, own=aoi is None).apply(polygons)
    if len(placed) == 0:
        raise RegionError(f"{name}: misses the scene {scene.name} by far; choose a region that meets it")
    if not shapely.intersects(extent(scene), placed).any():
        raise RegionError(
            f"{name}: misses the scene {scene.name}: the region spans {listed(shapely.total_bounds(placed))}, "
            f"the scene {listed(extent(scene).bounds)} (left, bottom, right, top in the scene's CRS); choose one that "
            "meets it"
        )
    wide = grown(placed, scene, margin_m) if margin_m > 0 else placed
    return RegionMask(wide[shapely.intersects(extent(scene), wide)])


def _read(path: str) -> tuple[NDArray[Any], Any]:
    """The polygons of a vector file, and its CRS."""
    local = "://" not in path and not path.startswith("/vsi")
    if local and not Path(path).exists():
        raise RegionError(f"{path}: there is no such file; expected a vector file of polygons")
    try:
        if is_parquet(path):
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


def meeting(path: str, scene: Scene) -> RegionMask | None:
    """The region in a vector file's polygons where it meets the scene, None where it does not. Raises RegionError."""
    polygons, crs = _read(path)
    placed, _ = transfer_to(scene, crs, path, RegionError).apply(polygons)
    kept = placed[shapely.intersects(extent(scene), placed)]
    return RegionMask(kept) if len(kept) else None
