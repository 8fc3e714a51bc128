"""What a map says of a place, on any grid: its polygons painted, or its raster."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from odc.geo.geobox import GeoBox

from geoseg.core.classes import ClassSet
from geoseg.core.tiling import Span
from geoseg.errors import SpecError
from geoseg.evaluation.mapped import read_mapped
from geoseg.io.labels import Labels, Truth
from geoseg.io.labels.raster import ClassRaster
from geoseg.io.scene import Scene, SceneSource, open_scene


class Known(Protocol):
    """What is said of a scene: labels, or a map."""

    def window(self, grid: GeoBox, y: Span, x: Span) -> Truth:
        """A window of any grid in the scene's CRS."""
        ...


class Found(Protocol):
    """The map: a raster of classes, or polygons (which are preferred where there are both)."""

    @property
    def raster(self) -> Path | None:
        """A raster of class ids on the scene's own grid, uint8."""
        ...

    @property
    def vector(self) -> Path | None:
        """A file of polygons."""
        ...

    @property
    def classes(self) -> ClassSet:
        """What the ids mean."""
        ...


@dataclass(frozen=True, slots=True)
class _Raster:
    raster: ClassRaster

    def window(self, grid: GeoBox, y: Span, x: Span) -> Truth:
        return Truth(*self.raster.window(grid, y, x))


def as_known(scene: Scene, found: Found) -> Known:
    """What the map says, on any grid of the scene's CRS.

    Raises SpecError where there is no map, LabelError for polygons and SceneError for rasters that cannot be used.
    """
    if found.vector is not None:
        mapped = read_mapped(found.vector, scene, found.classes)
        things = tuple(c.model_copy(update={"kind": "thing"}) for c in found.classes.classes)  # each has its outline
        classes = found.classes.model_copy(update={"classes": things})
        return Labels(classes, scene.grid, mapped.parts, mapped.class_id[mapped.origin])
    if found.raster is None:
        raise SpecError(f"{scene.name}: there is no map to show; expected a raster of classes or polygons")
    file = open_scene(SceneSource(paths=(str(found.raster),)))
    values = np.array(sorted(c.id for c in found.classes.classes), np.uint8)
    return _Raster(ClassRaster(file, scene.grid.affine, 1, values, values))
