"""Vector file formats: what each one needs so that its files are right by its own standard, and how one is written.

Standards: RFC 7946 (GeoJSON), OGC 12-128r19 (GeoPackage), ESRI's Shapefile technical description of 1998, FlatGeobuf 3,
GeoParquet 1.1.
"""

from __future__ import annotations

import contextlib
import json
import re
import sqlite3
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pyogrio
import pyproj
import shapely
from pyogrio._err import CPLE_BaseError
from pyogrio.errors import DataLayerError, DataSourceError, FeatureError, FieldError, GeometryError

from geoseg.errors import OutputError
from geoseg.io.outputs import ENDINGS, write_error

SCHEMA = pa.schema(
    [
        ("geometry", pa.binary()),
        ("class", pa.string()),
        ("class_id", pa.int32()),
        ("confidence", pa.float64()),
        ("area_m2", pa.float64()),
        ("perimeter_m", pa.float64()),
        ("touches_edge", pa.bool_()),
    ]
)
SHORT_NAMES = MappingProxyType({"perimeter_m": "perim_m", "touches_edge": "touch_edge"})  # a Shapefile holds 10 letters
SHAPEFILE_LIMIT = 2**31 - 1  # bytes of the .shp and of the .dbf; readers that count in signed 32 bits stop there
_TABLE_NAME = re.compile(r"(?!gpkg|sqlite_|rtree_)\w", re.IGNORECASE)  # how those that GDAL and SQLite accept begin
FAILURES: tuple[type[Exception], ...] = (
    DataSourceError, DataLayerError, FeatureError, FieldError, GeometryError, CPLE_BaseError, pa.ArrowException,
    sqlite3.Error,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class VectorFormat:
    """One file format: `driver` is GDAL's (None: written by pyarrow), `options` its layer's creation options.

    GeoPackages are of version 1.3, which the GDAL of older QGIS reads without a warning.
    """

    name: str
    driver: str | None
    options: Mapping[str, str]
    mixed: bool  # whether a layer of polygons may hold multipolygons too
    file_options: Mapping[str, str] = field(default_factory=dict)


_GEOJSON = VectorFormat("GeoJSON", "GeoJSON", {"RFC7946": "YES", "COORDINATE_PRECISION": "7"}, mixed=True)
_FORMATS: Mapping[str, VectorFormat] = MappingProxyType(
    {
        ".gpkg": VectorFormat("GeoPackage", "GPKG", {"SPATIAL_INDEX": "YES"}, False, {"VERSION": "1.3"}),
        ".geojson": _GEOJSON,
        ".json": _GEOJSON,
        ".shp": VectorFormat("Shapefile", "ESRI Shapefile", {"2GB_LIMIT": "YES"}, mixed=True),
        ".fgb": VectorFormat("FlatGeobuf", "FlatGeobuf", {"SPATIAL_INDEX": "YES"}, mixed=False),
        ".parquet": VectorFormat("GeoParquet", None, {}, mixed=True),
    }
)


def vector_driver(path: str | Path) -> VectorFormat:
    """The format that the path's ending stands for. Raises OutputError that lists the known endings."""
    found = _FORMATS.get(Path(path).suffix.lower())
    if found is None:
        ending = Path(path).suffix or "none"
        raise OutputError(f"{path}: found the ending {ending}; expected one of {' '.join(ENDINGS['vector'])}")
    return found


@dataclass(frozen=True, slots=True)
class Layer:
    """What is to be written: batches of SCHEMA (WKB in `crs`), how many rows, their bounds, and tags for the file."""

    batches: Callable[[], Iterator[pa.RecordBatch]]
    crs: pyproj.CRS | None
    count: int
    bounds: tuple[float, float, float, float] | None
    kinds: tuple[str, ...]  # geometry types that occur, sorted
    metadata: Mapping[str, str]


def write_layer(staged: Path, final: Path, layer: Layer) -> None:
    """Write the file `staged`, whose final name is `final`, and check that it is complete. Raises WriteError."""
    kind = vector_driver(staged)
    if kind.driver is None:
        _write_parquet(staged, layer)
    else:
        _write_gdal(staged, final, kind, layer)
    _check_complete(staged, final, kind, layer.count)


def _write_gdal(staged: Path, final: Path, kind: VectorFormat, layer: Layer) -> None:
    promoted = not kind.mixed and "MultiPolygon" in layer.kinds
    geometry_type = "MultiPolygon" if promoted else "Polygon"
    if kind.name == "GeoJSON" and "MultiPolygon" in layer.kinds:
        geometry_type = "Unknown"
    batches = map(_promoted, layer.batches()) if promoted else layer.batches()
    schema = SCHEMA
    if kind.name == "Shapefile":
        names = [SHORT_NAMES.get(name, name) for name in SCHEMA.names]
        schema = pa.schema([field.with_name(name) for field, name in zip(SCHEMA, names, strict=True)])
        batches = (batch.rename_columns(names) for batch in batches)
    metadata = dict(layer.metadata) if kind.name == "GeoPackage" and layer.metadata else None
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", "'crs' was not provided"
        )  # a scene without one has been let through on purpose
        pyogrio.write_arrow(
            pa.RecordBatchReader.from_batches(schema, batches), staged, driver=kind.driver, layer=layer_name(final),
            geometry_name="geometry", geometry_type=geometry_type, crs=layer.crs.to_wkt() if layer.crs else None,
            encoding="UTF-8", layer_options=dict(kind.options), layer_metadata=metadata,
            dataset_options=dict(kind.file_options),
        )  # fmt: skip


def layer_name(final: Path) -> str:
    """What a file's layer is called: as the file, where a GeoPackage takes that as a table's name."""
    name = final.stem.encode(errors="replace").decode()
    return name if _TABLE_NAME.match(name) else f"layer_{name}"


def _promoted(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch with every polygon as a multipolygon of one."""
    geometry = shapely.from_wkb(batch.column(0).to_numpy(zero_copy_only=False))
    single = shapely.get_type_id(geometry) == shapely.GeometryType.POLYGON
    geometry[single] = shapely.multipolygons(geometry[single], indices=np.arange(single.sum()))
    return batch.set_column(0, SCHEMA.field(0), pa.array(shapely.to_wkb(geometry), pa.binary()))


_BOX = pa.struct([(name, pa.float64()) for name in ("xmin", "ymin", "xmax", "ymax")])


def _write_parquet(staged: Path, layer: Layer) -> None:
    metadata = {"geo": json.dumps(_geoparquet(layer)), **layer.metadata}
    schema = SCHEMA.append(pa.field("bbox", _BOX)).with_metadata(metadata)
    with pq.ParquetWriter(staged, schema, compression="zstd") as writer:
        for batch in layer.batches():
            bounds = shapely.bounds(shapely.from_wkb(batch.column(0).to_numpy(zero_copy_only=False)))
            box = pa.StructArray.from_arrays(list(map(pa.array, bounds.T)), fields=list(_BOX))
            writer.write_batch(pa.RecordBatch.from_arrays([*batch.columns, box], schema=schema))


def _geoparquet(layer: Layer) -> dict[str, Any]:
    """The file's `geo` metadata, GeoParquet 1.1."""
    column: dict[str, Any] = {
        "encoding": "WKB",
        "geometry_types": list(layer.kinds),
        "crs": layer.crs.to_json_dict() if layer.crs else None,
        "orientation": "counterclockwise",
        "covering": {"bbox": {name: ["bbox", name] for name in ("xmin", "ymin", "xmax", "ymax")}},
    }
    if layer.bounds is not None:
        column["bbox"] = list(layer.bounds)
    return {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": column}}


def shapefile_bytes(geometry: Any) -> int:
    """Bytes that polygons take in a .shp: 8 for the record's head, 44 and 4 a ring and 16 a vertex for its contents."""
    rings = int(shapely.get_num_interior_rings(shapely.get_parts(geometry)).sum()) + len(shapely.get_parts(geometry))
    return 52 * len(geometry) + 4 * rings + 16 * int(shapely.get_num_coordinates(geometry).sum())


def _check_complete(staged: Path, final: Path, kind: VectorFormat, count: int) -> None:
    """Raise WriteError when the file is shorter than its contents: GDAL does not always tell that a disk is full."""
    complete = {
        "GeoPackage": _gpkg_complete,
        "GeoJSON": _geojson_complete,
        "Shapefile": _shapefile_complete,
        "FlatGeobuf": _flatgeobuf_complete,
        "GeoParquet": _parquet_complete,
    }[kind.name]
    if not complete(staged, count):
        raise write_error(final, "the file is shorter than its contents")


def _gpkg_complete(path: Path, count: int) -> bool:
    """Whether all rows are there and in the spatial index, which GDAL leaves out silently when the disk is full."""
    with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
        (table, column), *_ = database.execute("SELECT table_name, column_name FROM gpkg_geometry_columns").fetchall()
        counts = []
        for name in (table, f"rtree_{table}_{column}_rowid"):
            quoted = name.replace('"', '""')
            counts += database.execute(f'SELECT count(*) FROM "{quoted}"').fetchone()
        (pages,), (size,) = (database.execute(f"PRAGMA {what}").fetchone() for what in ("page_count", "page_size"))
    return counts == [count, count] and path.stat().st_size == pages * size


def _geojson_complete(path: Path, count: int) -> bool:
    with path.open("rb") as file:
        file.seek(-4, 2)
        return file.read() == b"]\n}\n"


def _shapefile_complete(path: Path, count: int) -> bool:
    sizes = []
    for file in (path, path.with_suffix(".shx")):
        with file.open("rb") as opened:
            sizes.append(int.from_bytes(opened.read(28)[24:28], "big") * 2 == file.stat().st_size)
    table = path.with_suffix(".dbf")
    with table.open("rb") as opened:
        head = opened.read(12)
    rows, begin, width = (int.from_bytes(head[a:b], "little") for a, b in ((4, 8), (8, 10), (10, 12)))
    return all(sizes) and rows == count and table.stat().st_size >= begin + rows * width


def _flatgeobuf_complete(path: Path, count: int) -> bool:
    if count == 0:  # nothing can be streamed from it
        return bool(pyogrio.read_info(path, force_feature_count=True)["features"] == 0)
    with pyogrio.open_arrow(path, columns=["class_id"], read_geometry=False, use_pyarrow=True) as (_, reader):
        return bool(sum(batch.num_rows for batch in reader) == count)


def _parquet_complete(path: Path, count: int) -> bool:
    return bool(pq.ParquetFile(path).metadata.num_rows == count)
