"""Vector file formats: what each one needs so that its files are right by its own standard, and how one is written.

Standards: RFC 7946 (GeoJSON), OGC 12-128r19 (GeoPackage), ESRI's Shapefile technical description of 1998, FlatGeobuf 3,
GeoParquet 1.1.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pyarrow as pa
import pyogrio
import shapely
from numpy.typing import NDArray
from pyogrio._err import CPLE_BaseError
from pyogrio.errors import DataLayerError, DataSourceError, FeatureError, FieldError, GeometryError

from geoseg.errors import OutputError
from geoseg.io.geoparquet import write_geoparquet
from geoseg.io.outputs import ENDINGS
from geoseg.io.records import Layer

SHAPEFILE_LIMIT = 2**31 - 1  # bytes of the .shp and of the .dbf; readers that count in signed 32 bits stop there
_TABLE_NAME = re.compile(r"(?!gpkg|sqlite_|rtree_)\w", re.IGNORECASE)  # how those that GDAL and SQLite accept begin
_AT_ONCE = 512  # features that GDAL takes at a time: pyogrio holds Python's lock meanwhile, and others wait for it
FAILURES: tuple[type[Exception], ...] = (
    DataSourceError, DataLayerError, FeatureError, FieldError, GeometryError, CPLE_BaseError, pa.ArrowException,
    sqlite3.Error,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class VectorFormat:
    """One file format: `driver` is GDAL's (None: written by pyarrow), `options` its layer's creation options.

    `described` are the options that hold a title and a description, `tagged` says that it keeps metadata by key.
    GeoPackages are of version 1.3, which the GDAL of older QGIS reads without a warning.
    """

    name: str
    driver: str | None
    options: Mapping[str, str]
    mixed: bool  # whether one layer may hold single and multipart features
    file_options: Mapping[str, str] = field(default_factory=dict)
    described: tuple[str, ...] = ()
    tagged: bool = False


_GEOJSON = VectorFormat(
    "GeoJSON", "GeoJSON", {"RFC7946": "YES", "COORDINATE_PRECISION": "7"}, True, described=("DESCRIPTION",)
)
_INDEXED = {"SPATIAL_INDEX": "YES"}
_FORMATS: Mapping[str, VectorFormat] = MappingProxyType(
    {
        ".gpkg": VectorFormat(
            "GeoPackage", "GPKG", _INDEXED, False, {"VERSION": "1.3"}, ("DESCRIPTION", "IDENTIFIER"), True
        ),
        ".geojson": _GEOJSON,
        ".json": _GEOJSON,
        ".shp": VectorFormat("Shapefile", "ESRI Shapefile", {"2GB_LIMIT": "YES"}, True),
        ".fgb": VectorFormat("FlatGeobuf", "FlatGeobuf", _INDEXED, False, {}, ("DESCRIPTION", "TITLE"), True),
        ".parquet": VectorFormat("GeoParquet", None, {}, True, tagged=True),
    }
)


def vector_driver(path: str | Path) -> VectorFormat:
    """The format that the path's ending stands for. Raises OutputError that lists the known endings."""
    found = _FORMATS.get(Path(path).suffix.lower())
    if found is None:
        ending = Path(path).suffix or "none"
        raise OutputError(f"{path}: found the ending {ending}; expected one of {' '.join(ENDINGS['vector'])}")
    return found


def layer_name(final: Path) -> str:
    """What a file's layer is called: as the file, where a GeoPackage takes that as a table's name."""
    name = final.stem.encode(errors="replace").decode()
    return name if _TABLE_NAME.match(name) else f"layer_{name}"


def write_layer(staged: Path, layer: Layer, batches: Iterator[pa.RecordBatch]) -> None:
    """Write the file `staged` from batches of the layer's schema. Raises one of FAILURES, or OSError."""
    kind = vector_driver(staged)
    if kind.driver is None:
        write_geoparquet(staged, layer, batches)
    else:
        _write_gdal(staged, kind, layer, batches)


def _write_gdal(staged: Path, kind: VectorFormat, layer: Layer, batches: Iterator[pa.RecordBatch]) -> None:
    geometry_type = layer.single_type
    if layer.multi and not kind.mixed:
        geometry_type = f"Multi{geometry_type}"
    elif layer.multi and kind.name == "GeoJSON":
        geometry_type = "Unknown"
    said = {"DESCRIPTION": layer.description, "TITLE": layer.title, "IDENTIFIER": layer.title}
    said = {key: said[key] for key in kind.described if said[key]}
    pyogrio.write_arrow(
        pa.RecordBatchReader.from_batches(layer.schema, _small(batches)),
        staged, driver=kind.driver, layer=layer.name, geometry_type=geometry_type,
        crs=layer.crs.to_wkt() if layer.crs else None, encoding="UTF-8", layer_options={**kind.options, **said},
        layer_metadata=dict(layer.metadata) if kind.tagged and layer.metadata else None,
        dataset_options=dict(kind.file_options),
    )  # fmt: skip


def _small(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        for start in range(0, batch.num_rows, _AT_ONCE):
            yield batch.slice(start, _AT_ONCE)


def shapefile_bytes(geometry: NDArray[Any]) -> int:
    """Bytes that features take in a .shp: 8 for the record's head, 44 and 4 a part and 16 a vertex for its contents.

    The parts of a polygon are its rings.
    """
    single = shapely.get_parts(geometry)
    parts = len(single) + int(shapely.get_num_interior_rings(single).sum())
    return 52 * len(geometry) + 4 * parts + 16 * int(shapely.get_num_coordinates(geometry).sum())
