"""What a job leaves behind."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from geoseg.core.polygons import PolygonBatch
from geoseg.errors import OutputError
from geoseg.io.outputs import check_ending, check_outputs
from geoseg.io.vector_formats import SHORT_NAMES
from geoseg.io.vector_sink import VectorOptions, VectorSink

if TYPE_CHECKING:
    from geopandas import GeoDataFrame


@dataclass(slots=True)
class Result:
    """The outputs of a finished job, by kind ("vector", "raster", "scores", "preview"), and its summary.

    `metadata` is what each output says of how it was made. `folder` is a temporary one that the result owns: `close`,
    or the end of a `with` block, removes it.
    """

    outputs: dict[str, Path]
    summary: dict[str, Any]
    metadata: dict[str, str] = field(default_factory=dict, repr=False)
    folder: Path | None = field(default=None, repr=False)

    def polygons(self) -> GeoDataFrame:
        """The polygons as a GeoDataFrame in the output's CRS. Raises OutputError when none were asked for."""
        import geopandas

        path = self._output("vector")
        frame = geopandas.read_parquet(path) if path.suffix.lower() == ".parquet" else geopandas.read_file(path)
        return frame.rename(columns={short: long for long, short in SHORT_NAMES.items()})

    def write(self, path: str | Path, *, dst_crs: str | None = None, overwrite: bool = False) -> Path:
        """Write the polygons to a vector file of any known ending, and return its path.

        Raises OutputError for an unknown ending or a file that stands there without `overwrite`.
        """
        final = check_ending("vector", path)
        check_outputs({"vector": final}, overwrite)
        frame = self.polygons()
        sink = VectorSink(final, frame.crs, dst_crs, VectorOptions(self.metadata))
        try:
            sink.write(_batch(frame))
            sink.commit()
        finally:
            sink.abort()
        return final

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


def _batch(frame: GeoDataFrame) -> PolygonBatch:
    return PolygonBatch(
        geometry=frame.geometry.to_numpy(),
        class_name=frame["class"].to_numpy(),
        class_id=frame["class_id"].to_numpy(np.int32),
        confidence=frame["confidence"].to_numpy(np.float64),
        area_m2=frame["area_m2"].to_numpy(np.float64),
        perimeter_m=frame["perimeter_m"].to_numpy(np.float64),
        touches_edge=frame["touches_edge"].to_numpy(np.bool_),
    )
