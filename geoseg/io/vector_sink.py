"""Polygons to a vector file: spooled to disk while the job runs, written in one stream at its end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import shapely
from numpy.typing import NDArray

from geoseg.core.polygons import PolygonBatch
from geoseg.errors import WriteError
from geoseg.io.outputs import Staging, size_text, writing
from geoseg.io.reproject import plan_reprojection
from geoseg.io.vector_formats import (
    FAILURES,
    SCHEMA,
    SHAPEFILE_LIMIT,
    SHORT_NAMES,
    Layer,
    shapefile_bytes,
    vector_driver,
    write_layer,
)

__all__ = ["VectorOptions", "VectorSink", "vector_driver"]

_BATCH_ROWS = 8192
_BATCH_BYTES = 4 << 20
_DBF_ROW = 256  # bytes of one row of a Shapefile's table, about


def _ignore(message: str) -> None:
    """Tell nobody."""


@dataclass(frozen=True, slots=True)
class VectorOptions:
    """`metadata` is written into formats that hold any; `warn` is called with what the user should know.

    `named` is the final name, where the sink's path is a temporary one: messages and layers bear it.
    """

    metadata: Mapping[str, str] = field(default_factory=dict)
    warn: Callable[[str], None] = _ignore
    named: Path | None = None


class VectorSink:
    """Takes polygons in the scene's CRS and writes them, in the order given, to one vector file.

    Batches go to a spool on disk (Arrow IPC), so that memory is bounded by one batch. FlatGeobuf alone orders its
    features itself, along a Hilbert curve.
    """

    def __init__(self, path: str | Path, crs: Any, dst_crs: Any = None, options: VectorOptions | None = None) -> None:
        """Begin the file; an older one is replaced at commit. `crs` is the scene's, None where it has none.

        Raises OutputError for an unknown ending, a CRS that the format cannot hold, and a folder that is not writable.
        """
        self._path, self._options = Path(path), options or VectorOptions()
        self._named = self._options.named or self._path
        self._format = vector_driver(self._path)
        self._reprojection = plan_reprojection(self._path, crs, dst_crs, self._named)
        self._staging = Staging([self._path], overwrite=True, named=self._named)
        try:
            with self._writing():
                self._spool = Spool(self._staging.scratch(self._path, "spool.arrow"))
        except BaseException:
            self._staging.abort()
            raise
        self._shapefile_bytes = 100
        if self._format.name == "Shapefile":
            renames = ", ".join(f"{long} is {short}" for long, short in SHORT_NAMES.items())
            self._options.warn(f"{self._named}: a Shapefile's field names hold 10 characters: {renames}")

    @property
    def count(self) -> int:
        """Number of polygons taken so far."""
        return self._spool.count

    def write(self, batch: PolygonBatch) -> None:
        """Take some polygons. Raises WriteError."""
        if len(batch) == 0:
            return
        placed = self._reprojection.apply(batch.geometry)
        self._check_size(placed)
        with self._writing():
            self._spool.write(placed, batch)

    def _check_size(self, geometry: NDArray[Any]) -> None:
        if self._format.name != "Shapefile":
            return
        self._shapefile_bytes += shapefile_bytes(geometry)
        needed = max(self._shapefile_bytes, (self.count + len(geometry)) * _DBF_ROW)
        if needed > SHAPEFILE_LIMIT:
            raise WriteError(
                f"{self._named}: the polygons need more than the {size_text(SHAPEFILE_LIMIT)} that a Shapefile "
                "holds; write .gpkg, .fgb or .parquet instead"
            )

    def commit(self) -> None:
        """Write the file and move it to its final name. Raises WriteError, and then nothing is left."""
        try:
            with self._writing():
                self._spool.close()
                layer = self._spool.layer(self._reprojection.crs, self._options.metadata)
                write_layer(self._staging.path(self._path), self._named, layer)
            self._staging.commit()
        except BaseException:
            self.abort()
            raise

    def abort(self) -> None:
        """Remove everything written so far; safe to call at any time."""
        self._spool.discard()
        self._staging.abort()

    def _writing(self) -> Any:
        return writing(self._named, *FAILURES)


class Spool:
    """Polygons on disk as an Arrow stream, in the order they came; knows their number, bounds and kinds."""

    def __init__(self, path: Path) -> None:
        """Create the file. Raises OSError."""
        self._path = path
        self.count = 0
        self._bounds: NDArray[np.float64] | None = None
        self._kinds: set[str] = set()
        self._waiting: list[pa.RecordBatch] = []
        options = pa.ipc.IpcWriteOptions(compression="lz4")
        self._file = path.open("wb")
        self._writer = pa.ipc.new_stream(self._file, SCHEMA, options=options)

    def write(self, geometry: NDArray[Any], batch: PolygonBatch) -> None:
        """Take polygons `geometry` with the attributes of `batch`."""
        self.count += len(geometry)
        west, south, east, north = shapely.bounds(geometry).T
        box = np.array([west.min(), south.min(), -east.max(), -north.max()])
        self._bounds = box if self._bounds is None else np.minimum(self._bounds, box)
        names = {int(shapely.GeometryType.POLYGON): "Polygon", int(shapely.GeometryType.MULTIPOLYGON): "MultiPolygon"}
        self._kinds |= {names[int(kind)] for kind in np.unique(shapely.get_type_id(geometry))}
        self._waiting.append(_record(geometry, batch))
        rows = sum(part.num_rows for part in self._waiting)
        if rows >= _BATCH_ROWS or sum(part.nbytes for part in self._waiting) >= _BATCH_BYTES:
            self._flush()

    def _flush(self) -> None:
        """Write what waits as one batch: readers like few large ones."""
        if self._waiting:
            table = pa.Table.from_batches(self._waiting).combine_chunks()
            self._waiting = []
            self._writer.write_table(table)

    def close(self) -> None:
        """Finish the file; safe to call twice."""
        if not self._file.closed:
            self._flush()
            self._writer.close()
            self._file.close()

    def discard(self) -> None:
        """Close the file without caring for what is in it."""
        self._waiting = []
        try:
            self._file.close()
        except OSError:  # the disk is full, and the file is on its way out
            self._waiting = []

    def layer(self, crs: Any, metadata: Mapping[str, str]) -> Layer:
        """What the formats write, once the spool is closed."""
        box = self._bounds
        bounds = None if box is None else (float(box[0]), float(box[1]), -float(box[2]), -float(box[3]))
        return Layer(self.batches, crs, self.count, bounds, tuple(sorted(self._kinds, reverse=True)), metadata)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The polygons, some at a time."""
        with self._path.open("rb") as file, pa.ipc.open_stream(file) as reader:
            yield from reader


def _record(geometry: NDArray[Any], batch: PolygonBatch) -> pa.RecordBatch:
    columns = [
        pa.array(shapely.to_wkb(geometry, output_dimension=2, byte_order=1), pa.binary()),
        pa.array(batch.class_name, pa.string()),
        pa.array(batch.class_id, pa.int32()),
        pa.array(batch.confidence, pa.float64(), from_pandas=True),  # NaN becomes null: JSON has no NaN
        pa.array(batch.area_m2, pa.float64(), from_pandas=True),
        pa.array(batch.perimeter_m, pa.float64(), from_pandas=True),
        pa.array(batch.touches_edge, pa.bool_()),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=SCHEMA)
