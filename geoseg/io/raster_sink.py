"""Class rasters and score rasters: sinks that write valid cloud-optimised GeoTIFFs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
from odc.geo.geobox import GeoBox

from geoseg.core.classes import NODATA, ClassSet
from geoseg.core.protocols import Strip
from geoseg.core.values import SCORE_UNIT
from geoseg.errors import WriteError
from geoseg.io.cog import CogWriter, Look, RasterOptions
from geoseg.io.legend import INSTANCES

__all__ = ["ClassRasterSink", "PanopticRasterSink", "RasterOptions", "ScoreRasterSink"]

PANOPTIC_NODATA = -1  # neither a class nor an object


class ClassRasterSink:
    """Class ids as a COG: uint8, nodata 255, colour table, class names in the tag GEOSEG_CLASSES.

    Overviews take the nearest pixel: they keep each class's share of the area, where the majority would make small
    objects vanish. `OVERVIEW_RESAMPLING=MODE` among the creation options chooses the majority.
    """

    def __init__(self, path: str | Path, grid: GeoBox, classes: ClassSet, options: RasterOptions) -> None:
        """Begin the raster of `grid`; an older file at `path` is replaced at commit. Raises OutputError."""
        look = Look(("class",), "NEAREST", colours={c.id: c.rgb for c in classes.classes})
        self._file = CogWriter(path, grid, look, _with_classes(options, classes))

    def write(self, strip: Strip) -> None:
        """Take the next strip. Raises WriteError."""
        self._file.write(strip.y, strip.class_ids[None])

    def commit(self) -> None:
        """Write the COG and move it to its final name. Raises WriteError."""
        self._file.commit()

    def abort(self) -> None:
        """Remove everything written so far; safe to call at any time."""
        self._file.abort()


class PanopticRasterSink:
    """Classes and objects as a COG of two int32 bands, `class` and `instance`; nodata is -1 in both.

    The second band holds the numbers of objects, which count from 1 over what is computed, and 0 where there is none.
    Classes are named in the tag GEOSEG_CLASSES. Overviews take the nearest pixel: a mean of numbers is none of them.
    """

    def __init__(self, path: str | Path, grid: GeoBox, classes: ClassSet, options: RasterOptions) -> None:
        """Begin the raster of `grid`; an older file at `path` is replaced at commit. Raises OutputError."""
        self._named = options.named or path
        look = Look(("class", INSTANCES), "NEAREST", dtype="int32", nodata=PANOPTIC_NODATA)
        self._file = CogWriter(path, grid, look, _with_classes(options, classes))

    def write(self, strip: Strip) -> None:
        """Take the next strip, which must carry the numbers of objects. Raises WriteError."""
        if strip.instance_ids is None:
            raise WriteError(
                f"{self._named}: rows {strip.y.start} to {strip.y.stop} carry no objects; write classes alone, or take "
                "a model that tells objects apart"
            )
        both = np.stack([strip.class_ids.astype(np.int32), strip.instance_ids])
        both[:, strip.class_ids == NODATA] = PANOPTIC_NODATA
        self._file.write(strip.y, both)

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
        self._file = CogWriter(path, grid, Look(("score",), "AVERAGE", scale=1 / SCORE_UNIT), options)

    def write(self, strip: Strip) -> None:
        """Take the next strip, which must carry scores. Raises WriteError."""
        if strip.scores is None:
            raise WriteError(
                f"{self._named}: rows {strip.y.start} to {strip.y.stop} carry no scores; ask the predictor for them"
            )
        self._file.write(strip.y, strip.scores[None])

    def commit(self) -> None:
        """Write the COG and move it to its final name. Raises WriteError."""
        self._file.commit()

    def abort(self) -> None:
        """Remove everything written so far; safe to call at any time."""
        self._file.abort()


def _with_classes(options: RasterOptions, classes: ClassSet) -> RasterOptions:
    shown = [c for c in classes.classes if c.id != classes.separator]  # whose pixels went to the objects
    listed = json.dumps([{"id": c.id, "name": c.name, "colour": c.colour} for c in shown])
    return replace(options, metadata={**options.metadata, "GEOSEG_CLASSES": listed})
