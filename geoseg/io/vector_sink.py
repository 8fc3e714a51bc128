"""Polygons or lines to a vector file, written while the job runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely
from numpy.typing import NDArray

from geoseg.core.classes import ClassSet
from geoseg.core.features import LineBatch, PolygonBatch
from geoseg.errors import WriteError
from geoseg.io.complete import is_complete
from geoseg.io.outputs import Staging, size_text, write_error, writing
from geoseg.io.records import SHORT_NAMES, Kind, Layer, multipart, promoted
from geoseg.io.reproject import plan_reprojection
from geoseg.io.stream import BatchStream
from geoseg.io.styles import add_style
from geoseg.io.vector_formats import FAILURES, SHAPEFILE_LIMIT, layer_name, shapefile_bytes, vector_driver, write_layer

__all__ = ["VectorOptions", "VectorSink", "vector_driver"]

_BATCH_ROWS = 8192
_BATCH_BYTES = 4 << 20  # of geometry
_FEATURE_BYTES, _POINT_BYTES = 1_000_000_000, 16  # SQLite's largest value; GDAL and Arrow hold twice as much
_DBF_ROW = 272  # bytes of one row of a Shapefile's table, with texts of 80
_DBF_TEXT = 80, 254  # bytes that GDAL gives a text, and that it widens it to at most


def _ignore(message: str) -> None:
    """Tell nobody."""


@dataclass(frozen=True, slots=True)
class VectorOptions:
    """What a file holds and says of itself.

    `metadata` is written into formats that hold any; `warn` is called with what the user should know. `named` is the
    final name, where the sink's path is a temporary one: messages and layers bear it. `source` names the scene in every
    row. `classes` colour the layer where the format keeps a style. `multi` says that features may be multipart.
    """

    metadata: Mapping[str, str] = field(default_factory=dict)
    warn: Callable[[str], None] = _ignore
    named: Path | None = None
    kind: Kind = "polygons"
    source: str = ""
    classes: ClassSet | None = None
    multi: bool = False


class VectorSink:
    """Takes features in the scene's CRS and writes them, in the order given, to one vector file.

    A thread writes while the job goes on; memory is bounded by a few batches. FlatGeobuf alone orders its features
    itself, along a Hilbert curve, once it knows all of them.
    """

    def __init__(self, path: str | Path, crs: Any, dst_crs: Any = None, options: VectorOptions | None = None) -> None:
        """Begin the file; an older one is replaced at commit. `crs` is the scene's, None where it has none.

        Raises OutputError for an unknown ending, a CRS that the format cannot hold, and a folder that is not writable.
        """
        self._path, self._options = Path(path), options or VectorOptions()
        self._named = self._options.named or self._path
        self._format = vector_driver(self._path)
        self._reprojection = plan_reprojection(self._path, crs, dst_crs, self._named)
        self._layer = self._described()
        self._staging = Staging([self._path], overwrite=True, named=self._named)
        self._stream = BatchStream(self._write, "features")
        self._waiting: list[pa.RecordBatch] = []
        self._shapefile_bytes = 100
        self.count = 0  # of features taken so far
        if self._layer.short:
            renames = ", ".join(f"{long} is {short}" for long, short in SHORT_NAMES.items())
            self._options.warn(f"{self._named}: a Shapefile's field names hold 10 characters: {renames}")

    def _described(self) -> Layer:
        options, way = self._options, self._reprojection
        return Layer(
            layer_name(self._named), options.kind, way.crs, options.multi or way.divides, options.source,
            self._format.name == "Shapefile", title(options), description(options), options.metadata,
        )  # fmt: skip

    def write(self, batch: PolygonBatch | LineBatch) -> None:
        """Take some features of the file's kind. Raises WriteError, also of what was taken before."""
        if len(batch) == 0:
            return
        placed = self._reprojection.apply(batch.geometry)
        self._check(placed)
        if self._layer.multi and not self._format.mixed:
            placed = promoted(placed, self._layer.kind)
        self._waiting.append(self._layer.record(batch, placed, self.count + 1))
        self.count += len(batch)
        rows = sum(part.num_rows for part in self._waiting)
        if rows >= _BATCH_ROWS or sum(part.column(0).nbytes for part in self._waiting) >= _BATCH_BYTES:
            self._flush()

    def _check(self, geometry: NDArray[Any]) -> None:
        """Refuse what the file cannot hold."""
        if not self._layer.multi and multipart(geometry, self._layer.kind).any():
            raise ValueError(f"{self._named}: found multipart features; expected VectorOptions(multi=True) for them")
        largest, most = int(shapely.get_num_coordinates(geometry).max()), _FEATURE_BYTES // _POINT_BYTES
        if largest > most:
            raise WriteError(
                f"{self._named}: found one feature with {largest:,} points, expected {most:,} at most: no vector "
                "file holds more; merge or drop small areas (--small merge --min-area), fill holes (--fill-holes), or "
                "make that class the background"
            )
        if self._format.name != "Shapefile":
            return
        self._shapefile_bytes += shapefile_bytes(geometry)
        usual, widest = _DBF_TEXT
        row = _DBF_ROW + max(0, min(len(self._layer.source.encode()), widest) - usual)
        needed = max(self._shapefile_bytes, (self.count + len(geometry)) * row)
        if needed > SHAPEFILE_LIMIT:
            raise WriteError(
                f"{self._named}: the {self._layer.kind} need more than the {size_text(SHAPEFILE_LIMIT)} that a "
                "Shapefile holds; write .gpkg, .fgb or .parquet instead"
            )

    def _flush(self, last: bool = False) -> None:
        """Hand on what waits as few large batches: readers like them. What fills none waits on, unless it is the last.

        Where batches end depends on the features alone, not on how they came: the files are the same.
        """
        waiting, self._waiting = self._waiting, []
        batches = pa.Table.from_batches(waiting, self._layer.schema).combine_chunks().to_batches()
        with self._writing():
            for batch in batches:
                for part, full in _filled(batch):
                    if full or last:
                        self._stream.put(part)
                    else:
                        self._waiting = [part]

    def _write(self, batches: Iterator[pa.RecordBatch]) -> None:
        write_layer(self._staging.path(self._path), self._layer, batches)

    def commit(self, classes: ClassSet | None = None) -> None:
        """Finish the file and move it to its final name; `classes` are those that came out, where nobody knew before.

        Raises WriteError, and then nothing is left.
        """
        try:
            self._flush(last=True)
            with self._writing():
                self._stream.end()
                self._finish(self._staging.path(self._path), classes or self._options.classes)
            self._staging.commit()
        except BaseException:
            self.abort()
            raise

    def _finish(self, staged: Path, classes: ClassSet | None) -> None:
        if self._format.name == "GeoPackage" and classes is not None:
            add_style(staged, self._layer.name, self._layer.kind, classes)
        if not is_complete(staged, self._format.name, self.count):
            raise write_error(self._named, "the file is shorter than its contents")

    def abort(self) -> None:
        """Remove everything written so far; safe to call at any time."""
        self._waiting = []
        self._stream.abort()
        self._staging.abort()

    def _writing(self) -> Any:
        return writing(self._named, *FAILURES)


def _filled(batch: pa.RecordBatch) -> Iterator[tuple[pa.RecordBatch, bool]]:
    """The batch in parts that are just full, by rows or by bytes, and what remains; says which are."""
    ends = np.cumsum(pc.binary_length(batch.column(0)).to_numpy(), dtype=np.int64)
    first = 0
    while first < len(ends):
        before = ends[first - 1] if first else 0
        by_bytes = int(np.searchsorted(ends, before + _BATCH_BYTES)) + 1
        stop = min(first + _BATCH_ROWS, by_bytes)
        yield batch.slice(first, stop - first), stop <= len(ends)
        first = stop


def title(options: VectorOptions) -> str:
    """What a layer is called for people, for instance `Polygons from town.tif`."""
    return f"{options.kind.capitalize()} from {options.source}" if options.source else options.kind.capitalize()


def description(options: VectorOptions) -> str:
    """One sentence on what a layer holds and how it was made, and the credit line."""
    made = options.metadata
    of = "" if options.classes is None else ", ".join(c.name for c in options.classes.foreground)
    told = (
        (f"of {of}", of),
        (f"from {options.source}", options.source),
        (f"made by geoseg {made.get('GEOSEG_VERSION')}", "GEOSEG_VERSION" in made),
        (f"with the model {made.get('GEOSEG_MODEL')}", "GEOSEG_MODEL" in made),
    )
    sentence = " ".join([options.kind.capitalize(), *(words for words, known in told if known)])
    return f"{sentence}. {made.get('GEOSEG_ATTRIBUTION', '')}".strip()
