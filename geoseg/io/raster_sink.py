"""Class rasters and score rasters: sinks that write valid cloud-optimised GeoTIFFs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from odc.geo.geobox import GeoBox
from rasterio.enums import ColorInterp

from geoseg.core.classes import ClassSet
from geoseg.core.protocols import Strip
from geoseg.core.values import SCORE_UNIT
from geoseg.errors import WriteError
from geoseg.io.cog import CogWriter, Look, RasterOptions, warped_rows
from geoseg.io.raster import open_raster

__all__ = ["ClassRasterSink", "RasterOptions", "ScoreRasterSink", "regrid"]


class ClassRasterSink:
    """Class ids as a COG: uint8, nodata 255, colour table, class names in the tag GEOSEG_CLASSES.

    Overviews take the nearest pixel: they keep each class's share of the area, where the majority would make small
    objects vanish. `OVERVIEW_RESAMPLING=MODE` among the creation options chooses the majority.
    """

    def __init__(self, path: str | Path, grid: GeoBox, classes: ClassSet, options: RasterOptions) -> None:
        """Begin the raster of `grid`; an older file at `path` is replaced at commit. Raises OutputError."""
        look = Look("class", "NEAREST", colours={c.id: c.rgb for c in classes.classes})
        self._file = CogWriter(path, grid, look, _with_classes(options, classes))

    def write(self, strip: Strip) -> None:
        """Take the next strip. Raises WriteError."""
        self._file.write(strip.y, strip.class_ids)

    def commit(self) -> None:
        """Write the COG and move it to its final name. Raises WriteError."""
        self._file.commit()

    def abort(self) -> None:
        """Remove everything written so far; safe to call at any time."""
        self._file.abort()


class ScoreRasterSink:
    """Scores as a COG: uint8, score = value / 254 (the band's scale says so), nodata 255, averaged overviews."""

    def __init__(self, path: str | Path, grid: GeoBox, options: RasterOptions) -> None:
        """Begin the raster of `grid`; an older file at `path` is replaced at commit. Raises OutputError."""
        self._named = options.named or path
        self._file = CogWriter(path, grid, Look("score", "AVERAGE", scale=1 / SCORE_UNIT), options)

    def write(self, strip: Strip) -> None:
        """Take the next strip, which must carry scores. Raises WriteError."""
        if strip.scores is None:
            raise WriteError(
                f"{self._named}: rows {strip.y.start} to {strip.y.stop} carry no scores; ask the predictor for them"
            )
        self._file.write(strip.y, strip.scores)

    def commit(self) -> None:
        """Write the COG and move it to its final name. Raises WriteError."""
        self._file.commit()

    def abort(self) -> None:
        """Remove everything written so far; safe to call at any time."""
        self._file.abort()


def regrid(source: str | Path, destination: str | Path, grid: GeoBox, options: RasterOptions) -> None:
    """Write the class or score raster at `source` on another grid of its CRS: a COG with the same tags and colours.

    Classes take the nearest pixel; scores are interpolated, or averaged where pixels grow. Memory is bounded by the
    grid's width. `options.metadata` is added to the source's. Raises WriteError.
    """
    with open_raster(source) as raster:
        tags = {key: value for key, value in raster.tags().items() if key.startswith("GEOSEG_")}
        classes = raster.colorinterp[0] == ColorInterp.palette
        colours = {i: c[:3] for i, c in raster.colormap(1).items()} if classes else None
        look = Look(raster.descriptions[0] or "", "NEAREST" if classes else "AVERAGE", raster.scales[0], colours)
    options = replace(options, metadata={**tags, **options.metadata}, target=None)
    writer = CogWriter(destination, grid, look, options)
    try:
        for y, values in warped_rows(Path(source), grid, look.warping):
            writer.write(y, values)
        writer.commit()
    finally:
        writer.abort()


def _with_classes(options: RasterOptions, classes: ClassSet) -> RasterOptions:
    listed = json.dumps([{"id": c.id, "name": c.name, "colour": c.colour} for c in classes.classes])
    return replace(options, metadata={**options.metadata, "GEOSEG_CLASSES": listed})
