"""Whether a vector file is as long as its contents: GDAL does not always tell that a disk is full."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pyarrow.parquet as pq
import pyogrio


def is_complete(path: Path, name: str, count: int) -> bool:
    """Whether a file of the format `name` holds `count` features and ends where it should."""
    complete = {
        "GeoPackage": _geopackage,
        "GeoJSON": _geojson,
        "Shapefile": _shapefile,
        "FlatGeobuf": _flatgeobuf,
        "GeoParquet": _geoparquet,
    }[name]
    return complete(path, count)


def _geopackage(path: Path, count: int) -> bool:
    """Whether all rows are there and in the spatial index, which GDAL leaves out silently when the disk is full."""
    with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
        (table, column), *_ = database.execute("SELECT table_name, column_name FROM gpkg_geometry_columns").fetchall()
        counts = []
        for name in (table, f"rtree_{table}_{column}_rowid"):
            quoted = name.replace('"', '""')
            counts += database.execute(f'SELECT count(*) FROM "{quoted}"').fetchone()
        (pages,), (size,) = (database.execute(f"PRAGMA {what}").fetchone() for what in ("page_count", "page_size"))
    return counts == [count, count] and path.stat().st_size == pages * size


def _geojson(path: Path, count: int) -> bool:
    with path.open("rb") as file:
        file.seek(-4, 2)
        return file.read() == b"]\n}\n"


def _shapefile(path: Path, count: int) -> bool:
    sizes = []
    for file in (path, path.with_suffix(".shx")):
        with file.open("rb") as opened:
            sizes.append(int.from_bytes(opened.read(28)[24:28], "big") * 2 == file.stat().st_size)
    table = path.with_suffix(".dbf")
    with table.open("rb") as opened:
        head = opened.read(12)
    rows, begin, width = (int.from_bytes(head[a:b], "little") for a, b in ((4, 8), (8, 10), (10, 12)))
    return all(sizes) and rows == count and table.stat().st_size >= begin + rows * width


def _flatgeobuf(path: Path, count: int) -> bool:
    if count == 0:  # nothing can be streamed from it
        return bool(pyogrio.read_info(path, force_feature_count=True)["features"] == 0)
    with pyogrio.open_arrow(path, columns=["class_id"], read_geometry=False, use_pyarrow=True) as (_, reader):
        return bool(sum(batch.num_rows for batch in reader) == count)


def _geoparquet(path: Path, count: int) -> bool:
    return bool(pq.ParquetFile(path).metadata.num_rows == count)
