"""GeoParquet 1.1 files: rows with their bounding boxes, so that readers skip groups of rows by place."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import shapely

from geoseg.io.records import Layer

_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_BOX = pa.struct([(name, pa.float64()) for name in _CORNERS])
_NAMES = {
    shapely.GeometryType.LINESTRING: "LineString",
    shapely.GeometryType.POLYGON: "Polygon",
    shapely.GeometryType.MULTILINESTRING: "MultiLineString",
    shapely.GeometryType.MULTIPOLYGON: "MultiPolygon",
}


def write_geoparquet(staged: Path, layer: Layer, batches: Iterator[pa.RecordBatch]) -> None:
    """Write the file, a group of rows for each batch. Raises OSError, pyarrow.ArrowException."""
    fields = layer.schema.set(0, layer.schema.field(0).remove_metadata()).append(pa.field("bbox", _BOX))
    fields = fields.with_metadata(dict(layer.metadata))
    low, high = np.full(2, np.inf), np.full(2, -np.inf)
    kinds: set[int] = set()
    with pq.ParquetWriter(staged, fields, compression="zstd") as writer:
        for batch in batches:
            geometry = shapely.from_wkb(batch.column(0).to_numpy(zero_copy_only=False))
            bounds = shapely.bounds(geometry)
            low, high = np.fmin(low, bounds[:, :2].min(axis=0)), np.fmax(high, bounds[:, 2:].max(axis=0))
            kinds |= set(shapely.get_type_id(geometry).tolist())
            box = pa.StructArray.from_arrays(list(map(pa.array, bounds.T)), fields=list(_BOX))
            writer.write_batch(pa.RecordBatch.from_arrays([*batch.columns, box], schema=fields))
        found = [_NAMES[shapely.GeometryType(kind)] for kind in sorted(kinds)] or [layer.single_type]
        described = _described(layer, found, [*low.tolist(), *high.tolist()] if kinds else None)
        writer.add_key_value_metadata({"geo": json.dumps(described)})  # bounds and kinds are known only now


def _described(layer: Layer, kinds: Sequence[str], bounds: list[float] | None) -> dict[str, Any]:
    """The file's `geo` metadata."""
    column: dict[str, Any] = {
        "encoding": "WKB",
        "geometry_types": kinds,
        "crs": layer.crs.to_json_dict() if layer.crs else None,
        "orientation": "counterclockwise",
        "covering": {"bbox": {name: ["bbox", name] for name in _CORNERS}},
    }
    if bounds is not None:
        column["bbox"] = bounds
    return {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": column}}
