"""What a job leaves behind."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from geoseg.core.classes import ClassSet
from geoseg.core.features import LineBatch, PolygonBatch
from geoseg.errors import OutputError
from geoseg.io.outputs import check_ending, check_outputs
from geoseg.io.records import SHORT_NAMES
from geoseg.io.vector_sink import VectorOptions, VectorSink

if TYPE_CHECKING:
    from geopandas import GeoDataFrame


@dataclass(slots=True)
class Result:
    """The outputs of a finished job, by kind ("vector", "raster", "scores", "preview"), and its summary.

    `metadata` is what each output says of how it was made, `classes` what its features may be. `folder` is a temporary
    one that the result owns: `close`, or the end of a `with` block, removes it.
    """

    outputs: dict[str, Path]
    summary: dict[str, Any]
    metadata: dict[str, str] = field(default_factory=dict, repr=False)
    folder: Path | None = field(default=None, repr=False)
    classes: ClassSet | None = field(default=None, repr=False)

    def polygons(self) -> GeoDataFrame:
        """The polygons or lines as a GeoDataFrame in the output's CRS. Raises OutputError when none were asked for."""
        import geopandas

        path = self._output("vector")
        parquet = path.suffix.lower() == ".parquet"
        frame = geopandas.read_parquet(path) if parquet else geopandas.read_file(path, layer=0)
        return frame.rename(columns={short: long for long, short in SHORT_NAMES.items()})

    def write(self, path: str | Path, *, dst_crs: str | None = None, overwrite: bool = False) -> Path:
        """Write the polygons, or lines, to a vector file of any known ending, and return its path.

        Raises OutputError for an unknown ending or a file that stands there without `overwrite`.
        """
        final = check_ending("vector", path)
        check_outputs({"vector": final}, overwrite)
        frame = self.polygons()
        sink = VectorSink(final, frame.crs, dst_crs, self._options(frame))
        try:
            if len(frame):  # an empty GeoJSON has no columns
                sink.write(_batch(frame.sort_values("instance_id")))  # some formats order features themselves
            sink.commit()
        finally:
            sink.abort()
        return final

    def _options(self, frame: GeoDataFrame) -> VectorOptions:
        return VectorOptions(
            self.metadata,
            kind="lines" if "length_m" in frame else "polygons",
            source=self.metadata.get("GEOSEG_SOURCE", ""),
            classes=self.classes,
            multi=bool(frame.geom_type.str.startswith("Multi").any()),
        )

    def close(self) -> None:
        """Remove the temporary folder, if there is one."""
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _output(self, kind: str) -> Path:
        if kind not in self.outputs:
            raise OutputError(f"the job wrote no {kind}; found {', '.join(self.outputs) or 'nothing'}; ask for it")
        return self.outputs[kind]

    def __enter__(self) -> Self:
        """The result itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove the temporary folder."""
        self.close()

    def __del__(self) -> None:
        """Remove the temporary folder at the latest when nobody holds the result any more."""
        self.close()


def _batch(frame: GeoDataFrame) -> PolygonBatch | LineBatch:
    made, measures = (
        (LineBatch, ("length_m", "width_m")) if "length_m" in frame else (PolygonBatch, ("area_m2", "perimeter_m"))
    )
    first, second = (frame[name].to_numpy(np.float64) for name in measures)
    return made(
        frame.geometry.to_numpy(),
        frame["class"].to_numpy(),
        frame["class_id"].to_numpy(np.int32),
        frame["confidence"].to_numpy(np.float64),
        first,
        second,
        frame["touches_edge"].to_numpy(np.bool_),
    )
