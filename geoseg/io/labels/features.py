"""The features of a vector file that lie where a scene is, with the values of one column."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pyogrio
import shapely
from numpy.typing import NDArray
from pyogrio._err import CPLE_BaseError
from pyogrio.errors import DataLayerError, DataSourceError, FeatureError, FieldError, GeometryError
from shapely.errors import ShapelyError

from geoseg.errors import LabelError
from geoseg.io.labels.source import LabelSource
from geoseg.io.region import is_parquet

Boxes = Callable[[Any], NDArray[Any] | None]
_FAILURES = (
    DataSourceError, DataLayerError, FeatureError, FieldError, GeometryError, CPLE_BaseError, pa.ArrowException,
    ShapelyError, ValueError, OSError,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Features:
    """Features of one layer: `geometry` (feature,) as it was read, None where it is missing, and `values` (feature,).

    `values` is None without a column. `total` counts all of the file's, `bounds` (left, bottom, right, top) is where
    they lie, in the layer's CRS `crs`; None where it is unknown. `unreadable` counts geometries that are damaged.
    """

    layer: str | None
    crs: Any
    total: int
    bounds: tuple[float, float, float, float] | None
    geometry: NDArray[Any]
    values: NDArray[Any] | None
    unreadable: int


def read_features(source: LabelSource, boxes: Boxes) -> Features:
    """The features that meet `boxes(crs)`, boxes in the layer's CRS (None: everywhere). Raises LabelError."""
    path = source.path
    if "://" not in path and not path.startswith("/vsi") and not Path(path).exists():
        raise LabelError(f"{path}: there is no such file; expected labels as a vector file or a raster of classes")
    try:
        return _from_parquet(source, boxes) if is_parquet(path) else _from_gdal(source, boxes)
    except _FAILURES as error:
        raise LabelError(
            f"{path}: cannot be read as a vector file ({' '.join(str(error).split())}); expected polygons, lines or "
            "points, or a raster of classes"
        ) from error


def _from_gdal(source: LabelSource, boxes: Boxes) -> Features:
    layer = _layer(source)
    info = pyogrio.read_info(source.path, layer=layer, force_feature_count=True, force_total_bounds=True)
    columns = _columns(source, [str(name) for name in info["fields"]])
    bounds = _bounds(info["total_bounds"])
    pieces = []
    for box in _asked(boxes(info["crs"]), bounds):
        _, fids, wkb, data = pyogrio.raw.read(
            source.path, layer=layer, columns=columns, bbox=box, return_fids=True, force_2d=True
        )
        pieces.append((fids, wkb, data[0] if columns else None))
    if not pieces:
        return Features(layer, info["crs"], info["features"], bounds, np.empty(0, object), _none(columns), 0)
    fids, first = np.unique(np.concatenate([piece[0] for piece in pieces]), return_index=True)
    wkb = np.concatenate([piece[1] for piece in pieces])[first]
    values = np.concatenate([piece[2] for piece in pieces])[first] if columns else None
    geometry = shapely.from_wkb(wkb, on_invalid="fix")
    unreadable = int((shapely.is_missing(geometry) & np.array([raw is not None for raw in wkb], dtype=bool)).sum())
    return Features(layer, info["crs"], info["features"], bounds, geometry, values, unreadable)


def _asked(boxes: NDArray[Any] | None, bounds: Any) -> list[tuple[float, ...] | None]:
    """The boxes that meet the bounds of the features, as tuples; [None] asks for everything."""
    if boxes is None:
        return [None]
    if bounds is None:
        return [box.bounds for box in boxes]
    return [box.bounds for box in boxes if box.intersects(shapely.box(*bounds))]


def _bounds(found: Any) -> tuple[float, float, float, float] | None:
    """Bounds (left, bottom, right, top) out of two or three coordinates of either corner, None where unknown."""
    if found is None or not np.isfinite(np.asarray(found, dtype=float)).all():
        return None
    half = len(found) // 2
    left, bottom, right, top = (float(found[i]) for i in (0, 1, half, half + 1))
    return left, bottom, right, top


def _none(columns: list[str]) -> NDArray[Any] | None:
    return np.empty(0, object) if columns else None


def _layer(source: LabelSource) -> str:
    layers = [str(name) for name, kind in pyogrio.list_layers(source.path) if kind is not None]
    if source.layer is not None and source.layer in layers:
        return source.layer
    if source.layer is None and len(layers) == 1:
        return layers[0]
    found = ", ".join(layers) or "none"
    asked = "one layer with geometry" if source.layer is None else f"the layer {source.layer!r}"
    raise LabelError(f"{source.path}: found the layers {found}; expected {asked}; name it with --layer")


def _columns(source: LabelSource, found: list[str]) -> list[str]:
    """The wanted column as the file spells it."""
    if source.column is None:
        return []
    alike = [name for name in found if name.casefold() == source.column.casefold()]
    if source.column in found:
        return [source.column]
    if len(alike) == 1:
        return alike
    raise LabelError(
        f"{source.path}: found no column {source.column!r}; its columns are {', '.join(found) or 'none'}; name the one "
        "that holds the class with --class-column"
    )


def _from_parquet(source: LabelSource, boxes: Boxes) -> Features:
    schema = pq.read_schema(source.path)
    head = json.loads((schema.metadata or {}).get(b"geo", b"{}"))
    main = head.get("primary_column", "geometry")
    columns = _columns(source, [name for name in schema.names if name != main])
    about = head.get("columns", {}).get(main, {})
    empty = gpd.read_parquet(source.path, columns=[main], filters=pa.compute.scalar(False))
    bounds = _bounds(about.get("bbox"))
    asked = _asked(boxes(empty.crs), bounds)
    if "covering" in about:
        tables = [gpd.read_parquet(source.path, columns=[main, *columns], bbox=box) for box in asked]
    else:
        tables = [_met(gpd.read_parquet(source.path, columns=[main, *columns]), asked)] if asked else []
    geometry = np.concatenate([table.geometry.to_numpy() for table in tables] or [np.empty(0, object)])
    told = [table[columns[0]].to_numpy(object, na_value=None) for table in tables] if columns else []
    total = pq.read_metadata(source.path).num_rows
    flat = shapely.force_2d(geometry)
    return Features(None, empty.crs, total, bounds, flat, np.concatenate(told) if told else _none(columns), 0)


def _met(table: Any, asked: list[tuple[float, ...] | None]) -> Any:
    if None in asked:
        return table
    boxes = shapely.union_all(shapely.box(*np.array(asked, dtype=float).T))
    shapely.prepare(boxes)
    return table[shapely.intersects(boxes, shapely.box(*shapely.bounds(table.geometry.to_numpy()).T))]
