"""What a vector file's one layer is: its columns, what it says of itself, and its features as Arrow records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyproj
import shapely
from numpy.typing import NDArray

from geoseg.core.features import LineBatch, PolygonBatch

Kind = Literal["polygons", "lines"]

MEASURES: Mapping[Kind, tuple[str, str]] = MappingProxyType(
    {"polygons": ("area_m2", "perimeter_m"), "lines": ("length_m", "width_m")}
)
SHORT_NAMES: Mapping[str, str] = MappingProxyType(  # a Shapefile holds 10 letters
    {"instance_id": "inst_id", "perimeter_m": "perim_m", "touches_edge": "touch_edge"}
)
_BEFORE = (("class", pa.string()), ("class_id", pa.int32()), ("instance_id", pa.int64()), ("confidence", pa.float64()))
_AFTER = (("touches_edge", pa.bool_()), ("source", pa.string()))
_WKB = pa.field("geometry", pa.binary(), metadata={"ARROW:extension:name": "ogc.wkb"})  # GDAL knows it by that
_SINGLE: Mapping[Kind, tuple[str, int, Any]] = MappingProxyType(
    {
        "polygons": ("Polygon", int(shapely.GeometryType.POLYGON), shapely.multipolygons),
        "lines": ("LineString", int(shapely.GeometryType.LINESTRING), shapely.multilinestrings),
    }
)


@dataclass(frozen=True, slots=True)
class Layer:
    """A file's one layer; `title`, `description` and `metadata` are what it says of itself where the format holds any.

    `multi` says that features may be multipart. `source` is the name of the scene that they come from. `short` columns
    have names that a Shapefile holds.
    """

    name: str
    kind: Kind
    crs: pyproj.CRS | None
    multi: bool = False
    source: str = ""
    short: bool = False
    title: str = ""
    description: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def single_type(self) -> str:
        """What features of one part are called."""
        return _SINGLE[self.kind][0]

    @property
    def schema(self) -> pa.Schema:
        """The columns: WKB in `crs` first, then the attributes."""
        columns = [*_BEFORE, *((name, pa.float64()) for name in MEASURES[self.kind]), *_AFTER]
        named = [pa.field(SHORT_NAMES.get(name, name) if self.short else name, dtype) for name, dtype in columns]
        return pa.schema([_WKB, *named])

    def record(self, batch: PolygonBatch | LineBatch, geometry: NDArray[Any], first: int) -> pa.RecordBatch:
        """The batch's attributes with `geometry`, in the file's CRS; objects without numbers count up from `first`."""
        numbers = np.arange(first, first + len(batch)) if batch.instance_id is None else batch.instance_id
        measures = (batch.confidence, *(getattr(batch, name) for name in MEASURES[self.kind]))
        columns = [
            pa.array(shapely.to_wkb(geometry, output_dimension=2, byte_order=1), pa.binary()),
            pa.array(batch.class_name, pa.string()),
            pa.array(batch.class_id, pa.int32()),
            pa.array(numbers, pa.int64()),
            *(pa.array(values, pa.float64(), from_pandas=True) for values in measures),  # null for NaN: JSON has none
            pa.array(batch.touches_edge, pa.bool_()),
            pa.repeat(pa.scalar(self.source, pa.string()), len(batch)),
        ]
        return pa.RecordBatch.from_arrays(columns, schema=self.schema)


def promoted(geometry: NDArray[Any], kind: Kind) -> NDArray[Any]:
    """The features, shape (feature,), those of one part as multipart features of one."""
    _, single, collect = _SINGLE[kind]
    which = shapely.get_type_id(geometry) == single
    whole = geometry.copy()
    whole[which] = collect(whole[which], indices=np.arange(which.sum()))
    return whole


def multipart(geometry: NDArray[Any], kind: Kind) -> NDArray[np.bool_]:
    """Which of the features, shape (feature,), are not of one part."""
    return np.asarray(shapely.get_type_id(geometry) != _SINGLE[kind][1])
